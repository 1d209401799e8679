"""Daemons are ended and started by the harness while its watcher keeps them running."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path  # noqa: TC003

import psutil
import pytest
from cluster_site import wait_until
from daemons import Daemon
from network import Loopback

ROUNDS = 20


def daemon(directory: Path, program: str) -> Daemon:
    return Daemon("one", Loopback().place("one"), [sys.executable, "-c", program], directory, 1)


def of_this(mark: str) -> list[int]:
    return [each.pid for each in psutil.process_iter(["cmdline"]) if mark in " ".join(each.info["cmdline"] or [])]


def test_what_is_ended_and_started_at_once_is_started_once_and_did_not_end_by_itself(tmp_path: Path) -> None:
    mark = f"daemon-of-{os.getpid()}"
    tested = daemon(tmp_path, f"import time; time.sleep(600)  # {mark}")
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            tested.keep_running()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        tested.start()
        for _ in range(ROUNDS):
            tested.end(signal.SIGKILL)
            tested.start()
        assert of_this(mark) == [tested.pid]
    finally:
        tested.end(signal.SIGKILL)
        tested.keep_running()
        over.set()
        watcher.join()
    assert [(ending.code, ending.asked) for ending in tested.endings] == [(-signal.SIGKILL, True)] * (ROUNDS + 1)
    assert not of_this(mark)


@pytest.mark.parametrize("notice", ["keep_running", "start"])
def test_what_ends_by_itself_is_noticed_and_started_again(tmp_path: Path, notice: str) -> None:
    tested = daemon(tmp_path, "import sys; sys.exit(7)")
    tested.start()
    first = tested.pid
    wait_until(lambda: not tested.is_running, "it ends", 30.0)
    getattr(tested, notice)()
    assert tested.pid != first
    assert [(ending.code, ending.asked) for ending in tested.endings] == [(7, False)]
    tested.end()


def test_what_had_ended_by_itself_when_it_was_told_to_end_did_that_and_stays_so(tmp_path: Path) -> None:
    tested = daemon(tmp_path, "import sys; sys.exit(7)")
    tested.start()
    wait_until(lambda: not tested.is_running, "it ends", 30.0)
    assert tested.end() == 7
    tested.keep_running()
    assert not tested.is_running
    assert [(ending.code, ending.asked) for ending in tested.endings] == [(7, False)]


def test_a_daemon_that_never_ran_has_nothing_to_end(tmp_path: Path) -> None:
    assert daemon(tmp_path, "pass").end() == 0
