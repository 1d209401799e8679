from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from storm.clock import SystemClock
from storm.worker import heap
from storm.worker.heap import BUSY_SECS_MAX, SECS_MAX, Summary, answer_signal, summary, text

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Order:
    def __init__(self, number: int) -> None:
        self.number = number


class Trap(type):
    """Of a user, whose types do as they like."""

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("a type was compared")

    def __hash__(cls) -> int:
        raise AssertionError("a type was hashed")


class Trapped(metaclass=Trap):
    def __sizeof__(self) -> int:
        raise AssertionError("an object was asked for its size")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("an object was compared")

    __hash__ = None  # type: ignore[assignment]


class StepClock(SystemClock):
    """`step_secs` pass at each look; `slept` counts the pauses."""

    def __init__(self, step_secs: float) -> None:
        self.secs, self.step_secs, self.slept = 0.0, step_secs, 0

    def now(self) -> float:
        self.secs += self.step_secs
        return self.secs

    def sleep(self, secs: float) -> None:
        self.slept += 1


def counts(found: Summary) -> dict[str, int]:
    return {one.name: one.count for one in found.types}


def test_objects_are_counted_once_by_type_with_what_they_refer_to() -> None:
    payload, orders = bytes(100_000), [Order(n) for n in range(1_000)]
    roots: list[Any] = [orders, {"the only text of this kind" + str(os.getpid()): payload, 2: payload}, orders]
    roots.append({f"key {n}": None for n in range(300)})
    found = summary(SystemClock(), roots)
    assert counts(found)["bytes"] == 1
    assert counts(found)["str"] >= 301
    assert counts(found)[f"{__name__}.Order"] == 1_000
    assert found.left == 0
    assert found.largest[0] == (sys.getsizeof(payload), "bytes of 100,000")
    sizes = [one.size_bytes for one in found.types]
    assert sizes == sorted(sizes, reverse=True)


def test_all_that_there_is_has_what_nobody_put_into_the_collector() -> None:
    kept = {"key": bytearray(3_000_000)}
    found = summary(SystemClock())
    assert "bytearray of 3,000,000" in [what for _, what in found.largest]
    assert counts(found)["module"] > 50
    assert kept


def test_no_code_of_users_runs() -> None:
    found = summary(SystemClock(), [[Trapped() for _ in range(3)]])
    assert counts(found)[f"{__name__}.Trapped"] == 3


def test_it_ends_with_its_time_and_lets_others_work_meanwhile() -> None:
    clock = StepClock(SECS_MAX / 5)
    orders = [Order(n) for n in range(100_000)]
    found = summary(clock, [orders])
    assert found.left > 0
    assert clock.slept > 0
    assert "there is more" in text(found, "T")
    busy = iter([n * BUSY_SECS_MAX / 4 for n in range(6)])
    clock = StepClock(0.0)
    assert summary(clock, [orders], lambda: next(busy)).left > 0
    assert clock.slept == 3


def test_a_summary_names_the_largest_types_and_sums_up_the_others() -> None:
    kinds = [type(f"K{n}", (), {}) for n in range(heap.TYPES_SHOWN + 20)]
    told = text(summary(SystemClock(), [[kind() for kind in kinds]]), "Heap of w.")
    assert told.startswith("Heap of w.\n")
    assert "other types\n" in told
    assert told.count(".K") <= heap.TYPES_SHOWN + heap.OBJECTS_SHOWN


def test_a_signal_is_answered_with_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, there = tmp_path / ".heap", threading.Event()
    before = signal.getsignal(signal.SIGUSR2)
    replace = os.replace

    class Named(type(tmp_path)):  # type: ignore[misc]
        def replace(self, target: Any) -> Any:
            replace(self, target)
            there.set()

    try:
        answer_signal(Named(file), lambda: "Heap of w.", SystemClock())
        signal.raise_signal(signal.SIGUSR2)
        assert there.wait(60)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert file.read_text().startswith("Heap of w.\n")
