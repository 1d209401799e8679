from __future__ import annotations

import os
import signal
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from storm.clock import SystemClock
from storm.worker.heap import BUSY_SECS_MAX, SECS_MAX, TYPES_SHOWN, OfType, Summary, answer_signal, summary, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    payload = bytes(100_000)
    each = [[bytearray(b"x") for _ in range(1_000)], {"a": payload, 2: payload}, SimpleNamespace(share=1.5)]
    found = summary(SystemClock(), [*each, *each, {f"key {n}": None for n in range(300)}])
    counted = counts(found)
    assert (counted["bytearray"], counted["bytes"], counted["dict"], counted["str"]) == (1_000, 1, 3, 302)
    assert (counted["types.SimpleNamespace"], counted["float"], found.left) == (1, 1, 0)
    assert found.largest[0] == (sys.getsizeof(payload), "bytes of 100,000")
    sizes = [one.size_bytes for one in found.types]
    assert sizes == sorted(sizes, reverse=True)


def test_all_that_there_is_has_what_nobody_put_into_the_collector() -> None:
    kept = {"key": bytearray(64 << 20), "order": Order(1)}
    found = summary(StepClock(0.0), busy_secs=lambda: 0.0)
    assert f"bytearray of {64 << 20:,}" in [what for _, what in found.largest]
    assert counts(found)[f"{__name__}.Order"] == 1
    assert counts(found)["module"] > 50
    assert kept


def test_no_code_of_users_runs() -> None:
    found = summary(StepClock(0.0), [[Trapped()]], lambda: 0.0)
    assert counts(found)[f"{__name__}.Trapped"] == 1


def test_a_type_without_a_module_is_counted_by_its_name() -> None:
    made: dict[str, Any] = {}
    exec("lost = type('Lost', (), {})()", made)  # in a namespace without a name, as templates are
    assert counts(summary(StepClock(0.0), [[made["lost"]]], lambda: 0.0))["Lost"] == 1


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
    types = [OfType(f"app.K{n}", 2, 1_000 - n) for n in range(TYPES_SHOWN + 20)]
    told = text(Summary(types, [(700, "dict of 9")], 0, 1.25), "Heap of w.")
    assert told.startswith("Heap of w.\n140 objects, ")
    assert "20 other types\n" in told
    assert told.count("app.K") == TYPES_SHOWN
    assert told.endswith("700  dict of 9\n")
    assert "there is more" not in told


class Answers:
    """A file that tells of each answer; SIGUSR2 is as before afterwards."""

    def __init__(self, directory: Path) -> None:
        self.path, self.there = directory / ".heap", threading.Event()
        there, replace = self.there, os.replace

        class Named(type(directory)):  # type: ignore[misc]
            def replace(self, target: Any) -> Any:
                replace(self, target)
                there.set()

        self.file = Named(self.path)

    def asked(self) -> str:
        self.there.clear()
        signal.raise_signal(signal.SIGUSR2)
        assert self.there.wait(60)
        return self.path.read_text()


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    before = signal.getsignal(signal.SIGUSR2)
    yield Answers(tmp_path)
    signal.signal(signal.SIGUSR2, before)


def test_a_signal_is_answered_with_a_whole_file(answers: Answers) -> None:
    answer_signal(answers.file, lambda: "Heap of w.", SystemClock())
    assert answers.asked().startswith("Heap of w.\n")


def test_a_count_that_fails_is_told_and_the_next_one_is_answered(answers: Answers) -> None:
    class Broken(SystemClock):
        looks = 0

        def now(self) -> float:
            self.looks += 1
            if self.looks == 1:
                raise ValueError("no such type")
            return super().now()

    answer_signal(answers.file, lambda: "Heap of w.", Broken())
    assert answers.asked() == "The heap of this worker cannot be counted: ValueError: no such type\n"
    assert answers.asked().startswith("Heap of w.\n")
