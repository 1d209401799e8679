from __future__ import annotations

import faulthandler
import signal
import threading
from typing import TYPE_CHECKING

from storm.worker.stacks import answer_signal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_signal_is_answered_with_the_stacks_of_all_threads(tmp_path: Path) -> None:
    started, over = threading.Event(), threading.Event()

    def in_a_component() -> None:
        started.set()
        over.wait(60)

    thread = threading.Thread(target=in_a_component)
    thread.start()
    assert started.wait(60)
    file = tmp_path / "stacks"
    try:
        answer_signal(file)
        signal.raise_signal(signal.SIGUSR1)
        found = file.read_text()
    finally:
        faulthandler.unregister(signal.SIGUSR1)
        over.set()
        thread.join(60)
    assert "in_a_component" in found
    assert "test_a_signal_is_answered_with_the_stacks_of_all_threads" in found


def test_a_worker_runs_also_where_it_cannot_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer_signal(tmp_path / "gone" / "stacks")
    assert "cannot be shown" in caplog.text
