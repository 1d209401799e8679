"""When a slow call of the neighbour is the product's fault: only if it comes back with the same cases."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import campaign
from campaign import Outcome, Plan
from corpus import Case
from neighbour import Sample
from surface import Surface

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest


class OneThread(Surface):
    """A server that can do one thing at a time: a call of its neighbour waits until a case is done."""

    name = "one-thread"

    def __init__(self, slow_times: int) -> None:
        super().__init__()
        self._slow_times = slow_times  # so often the case `slow` is slow
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._ended = threading.Event()
        self._caller = threading.Thread(target=self._call)
        self._caller.start()

    def _call(self) -> None:
        while not self._ended.wait(0.005):
            started = time.monotonic()
            with self._lock:
                pass
            self._samples.append(Sample(started, time.monotonic() - started, ""))

    def close(self) -> None:
        self._ended.set()
        self._caller.join()

    def processes(self) -> dict[str, int]:
        return {}

    def samples(self) -> list[Sample]:
        return list(self._samples)

    def seeds(self) -> list[Case]:
        return [Case("quick", b"quick"), Case("slow", b"slow")]

    def attack(self, data: bytes, ports: Sequence[int]) -> None:
        if data == b"slow" and self._slow_times > 0:
            self._slow_times -= 1
            with self._lock:
                time.sleep(campaign.STALL_SECS * 4)


def outcome_of(slow_times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr("corpus.CORPUS", tmp_path)
    surface = OneThread(slow_times)
    try:
        return campaign.run(surface, Plan(1, cases=0, quiet_secs=0.1))
    finally:
        surface.close()


def test_a_stall_that_comes_back_is_the_products_and_its_case_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = outcome_of(100, tmp_path, monkeypatch)
    assert outcome.stalls >= 1
    assert b"slow" in {path.read_bytes() for path in tmp_path.rglob("*.bin")}


def test_a_stall_that_does_not_come_back_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(1, tmp_path, monkeypatch)
    assert outcome.suspects >= 1
    assert outcome.stalls == 0
    assert list(tmp_path.iterdir()) == []
