from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storm.executor import retries as module
from storm.executor.retries import JITTER, RetrySchedule, delay_secs
from storm.topology.failures import Failure, Retries

WHY = Failure("failed", "count", "count failed it")


def told(schedule: RetrySchedule, now: float) -> list[tuple[Any, int, bool]]:
    return [(each.message_id, each.attempts, each.given_up) for each in schedule.due(now)]


def test_each_failure_waits_longer_and_the_last_one_does_not_wait() -> None:
    schedule = RetrySchedule(Retries(1, 2, 60, attempts=3), lambda: 0.5)
    for count, wait in ((1, 1.0), (2, 2.0)):
        schedule.failed("a", WHY, 100.0)
        assert len(schedule) == 1
        assert schedule.next_due() == 100.0 + wait
        assert told(schedule, 100.0 + wait - 0.01) == []
        assert told(schedule, 100.0 + wait) == [("a", count, False)]
    schedule.failed("a", WHY, 100.0)
    assert told(schedule, 100.0) == [("a", 3, True)]
    assert schedule.next_due() is None
    schedule.failed("a", WHY, 100.0)  # it came again all the same
    assert told(schedule, 101.0) == [("a", 1, False)]


def test_what_is_given_up_from_outside_is_told_at_once_and_begins_anew() -> None:
    schedule = RetrySchedule(Retries(1, 2, 60, attempts=3), lambda: 0.5)
    schedule.failed("a", WHY, 100.0)
    schedule.due(101.0)
    schedule.give_up("a", WHY, 7, 102.0)
    assert told(schedule, 102.0) == [("a", 7, True)]
    schedule.failed("a", WHY, 103.0)
    assert told(schedule, 104.0) == [("a", 1, False)]


def test_what_was_acked_begins_anew() -> None:
    schedule = RetrySchedule(Retries(1, 2, 60, attempts=2), lambda: 0.5)
    schedule.failed("a", WHY, 0.0)
    schedule.due(1.0)
    schedule.acked(["b", "a"])
    schedule.failed("a", WHY, 10.0)
    assert told(schedule, 11.0) == [("a", 1, False)]


def test_the_delay_is_scattered_by_a_fifth() -> None:
    for random, wait in ((0.0, 0.8), (1.0, 1.2)):
        schedule = RetrySchedule(Retries(1, 2, 60), lambda random=random: random)
        schedule.failed("a", WHY, 0.0)
        assert schedule.next_due() == pytest.approx(wait)


@given(
    first=st.floats(0, 100),
    factor=st.floats(1, 1e6),
    most=st.floats(100, 1e6),
    counts=st.lists(st.integers(1, 10_000), min_size=2, max_size=2),
)
def test_delays_grow_up_to_the_most(first: float, factor: float, most: float, counts: list[int]) -> None:
    retries = Retries(first, factor, most, None)
    low, high = sorted(counts)
    assert first == pytest.approx(delay_secs(retries, 1))
    assert delay_secs(retries, low) <= delay_secs(retries, high) <= most


def test_an_id_that_is_no_key_says_so() -> None:
    with pytest.raises(TypeError, match=r"message id \[1\] is not hashable"):
        RetrySchedule(Retries(), lambda: 0.5).failed([1], WHY, 0.0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED_MAX", 3)
    schedule = RetrySchedule(Retries(1, 1, 1, attempts=2), lambda: 0.5)
    for message_id in range(5):
        schedule.failed(message_id, WHY, 0.0)
    schedule.due(1.0)
    for message_id in range(4, -1, -1):
        schedule.failed(message_id, WHY, 2.0)
    assert [message_id for message_id, _, given_up in told(schedule, 2.0) if given_up] == [4, 3, 2]


class Failures(RuleBasedStateMachine):
    """Against counts kept by the test: each failure is told exactly once, in its time, given up in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.retries = Retries(1, 3, 10, attempts=3)
        self.randoms = [0.0]
        self.schedule = RetrySchedule(self.retries, lambda: self.randoms[0])
        self.now = 0.0
        self.counts: dict[int, int] = {}
        self.waiting: list[tuple[float, float, tuple[int, int, bool]]] = []

    @rule(message_id=st.integers(0, 3), random=st.floats(0, 1))
    def fail(self, message_id: int, random: float) -> None:
        self.randoms = [random]
        count = self.counts[message_id] = self.counts.get(message_id, 0) + 1
        self.schedule.failed(message_id, WHY, self.now)
        given_up = count == 3
        if given_up:
            del self.counts[message_id]
        delay = 0.0 if given_up else min(1 * 3 ** (count - 1), 10)
        bounds = self.now + delay * (1 - JITTER), self.now + delay * (1 + JITTER)
        self.waiting.append((*bounds, (message_id, count, given_up)))

    @rule(message_id=st.integers(0, 3))
    def ack(self, message_id: int) -> None:
        self.counts.pop(message_id, None)
        self.schedule.acked([message_id])

    @rule(secs=st.floats(0, 5))
    def pass_time(self, secs: float) -> None:
        self.now += secs
        for found in told(self.schedule, self.now):
            places = [i for i, (least, _, each) in enumerate(self.waiting) if each == found and least <= self.now]
            assert places
            del self.waiting[places[0]]
        assert all(most >= self.now for _, most, _ in self.waiting)

    @invariant()
    def agrees(self) -> None:
        assert len(self.schedule) == len(self.waiting)
        assert (self.schedule.next_due() is None) == (not self.waiting)


TestFailures = Failures.TestCase
TestFailures.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
