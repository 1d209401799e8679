from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storm.executor import retries as module
from storm.executor.retries import DEATHS_FREE, DEATHS_MORE, JITTER, RetrySchedule, delay_secs, suspects_max
from storm.topology.failures import Failure, Retries

WHY = Failure("failed", "count", "count failed it")
DIED = Failure("worker-died", None, "the worker at b:6700 died")
SILENT_SECS = 60.0


def told(schedule: RetrySchedule, now: float) -> list[tuple[Any, int, bool]]:
    return [(each.message_id, each.attempts, each.given_up) for each in schedule.due(now)]


def test_each_failure_waits_longer_and_the_last_one_does_not_wait() -> None:
    schedule = RetrySchedule(Retries(1, 2, 60, attempts=3), lambda: 0.5, SILENT_SECS)
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


def test_what_was_acked_begins_anew() -> None:
    schedule = RetrySchedule(Retries(1, 2, 60, attempts=2), lambda: 0.5, SILENT_SECS)
    schedule.failed("a", WHY, 0.0)
    schedule.due(1.0)
    schedule.acked(["b", "a"])
    schedule.failed("a", WHY, 10.0)
    assert told(schedule, 11.0) == [("a", 1, False)]


def test_the_delay_is_scattered_by_a_fifth() -> None:
    for random, wait in ((0.0, 0.8), (1.0, 1.2)):
        schedule = RetrySchedule(Retries(1, 2, 60), lambda random=random: random, SILENT_SECS)
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
        RetrySchedule(Retries(), lambda: 0.5, SILENT_SECS).failed([1], WHY, 0.0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED_MAX", 3)
    schedule = RetrySchedule(Retries(1, 1, 1, attempts=2), lambda: 0.5, SILENT_SECS)
    for message_id in range(5):
        schedule.failed(message_id, WHY, 0.0)
    schedule.due(1.0)
    for message_id in range(4, -1, -1):
        schedule.failed(message_id, WHY, 2.0)
    assert [message_id for message_id, _, given_up in told(schedule, 2.0) if given_up] == [4, 3, 2]


def test_deaths_of_workers_count_apart_from_what_a_message_did_itself() -> None:
    schedule = RetrySchedule(Retries(1, 1, 1, attempts=2), lambda: 0.5, SILENT_SECS)
    now = 0.0
    for failure, attempts, given_up in [(WHY, 1, False), (DIED, 2, False), (DIED, 3, False), (WHY, 4, True)]:
        schedule.failed("a", failure, now)
        now += 1.0
        assert told(schedule, now) == [("a", attempts, given_up)]


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_message_is_given_up_after_some_more_deaths_than_it_may_fail_itself(attempts: int) -> None:
    schedule = RetrySchedule(Retries(1, 1, 1, attempts=attempts), lambda: 0.5, SILENT_SECS)
    for count in range(1, attempts + DEATHS_MORE + 1):
        schedule.failed("a", DIED, float(count))
        assert told(schedule, count + 1.0) == [("a", count, count == attempts + DEATHS_MORE)]


def test_without_a_last_attempt_no_number_of_deaths_is_too_many() -> None:
    schedule = RetrySchedule(Retries(1, 1, 1, attempts=None), lambda: 0.5, SILENT_SECS)
    for count in range(1, 50):
        schedule.failed("a", DIED, float(count))
        assert told(schedule, count + 1.0) == [("a", count, False)]


LATER = 1e6


def survivors(deaths: int, count: int) -> RetrySchedule:
    """So many messages wait until LATER, and each was there when so many workers died."""
    schedule = RetrySchedule(Retries(1, 1, 1, attempts=None), lambda: 0.5, SILENT_SECS)
    for number in range(count):
        for _ in range(deaths - 1):
            schedule.failed(number, DIED, 0.0)
            assert told(schedule, 1.0)
        schedule.failed(number, DIED, LATER - 1.0)
    return schedule


@pytest.mark.parametrize(("deaths", "most"), [(1, 300), (2, 300), (3, 256), (4, 16), (5, 1), (9, 1), (100, 1)])
def test_the_more_deaths_they_were_there_at_the_fewer_are_sent_at_once(deaths: int, most: int) -> None:
    schedule = survivors(deaths, 300)
    assert len(told(schedule, LATER)) == most
    assert len(schedule) == 300 - most


def test_the_next_one_is_sent_when_one_has_arrived_or_failed() -> None:
    schedule = survivors(5, 4)
    assert [number for number, _, _ in told(schedule, LATER)] == [0]
    assert told(schedule, LATER) == []
    schedule.acked([2, 3, 17])
    assert told(schedule, LATER) == []
    schedule.acked([0])
    assert [number for number, _, _ in told(schedule, LATER)] == [1]
    schedule.failed(1, WHY, LATER)
    assert [number for number, _, _ in told(schedule, LATER)] == [2]
    schedule.failed(2, DIED, LATER)
    assert [number for number, _, _ in told(schedule, LATER)] == [3]


def test_one_that_its_spout_does_not_send_again_is_waited_for_only_so_long() -> None:
    schedule = survivors(5, 2)
    schedule.due(LATER)
    assert schedule.next_due() == LATER + SILENT_SECS
    assert told(schedule, LATER + SILENT_SECS - 0.1) == []
    assert [number for number, _, _ in told(schedule, LATER + SILENT_SECS)] == [1]
    assert schedule.next_due() is None


def test_what_failed_by_itself_does_not_wait_for_them() -> None:
    schedule = survivors(5, 2)
    schedule.due(LATER)
    schedule.failed("other", WHY, LATER)
    schedule.failed("another", DIED, LATER)
    assert schedule.next_due() == LATER + 1.0
    assert [message_id for message_id, _, _ in told(schedule, LATER + 1.0)] == ["other", "another"]


class Suspects(RuleBasedStateMachine):
    """Against a set of what is under way kept by the test: nobody has too much company, and everybody has a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = RetrySchedule(Retries(1, 2, 8, attempts=None), lambda: 0.5, SILENT_SECS)
        self.now = 0.0
        self.deaths: dict[int, int] = {}
        self.under_way: dict[int, float] = {}

    @rule(message_ids=st.lists(st.integers(0, 40), max_size=41), times=st.integers(1, 3))
    def die(self, message_ids: list[int], times: int) -> None:
        for message_id in message_ids * times:
            self.deaths[message_id] = self.deaths.get(message_id, 0) + 1
            self.under_way.pop(message_id, None)
            self.schedule.failed(message_id, DIED, self.now)

    @rule(message_id=st.integers(0, 40))
    def ack(self, message_id: int) -> None:
        self.deaths.pop(message_id, None)
        self.under_way.pop(message_id, None)
        self.schedule.acked([message_id])

    @rule(secs=st.floats(0, 50))
    def pass_time(self, secs: float) -> None:
        self.now += secs
        self.look()

    def look(self) -> None:
        self.under_way = {each: until for each, until in self.under_way.items() if until > self.now}
        for found in self.schedule.due(self.now):
            if found.attempts > DEATHS_FREE:
                assert len(self.under_way) < suspects_max(found.attempts)
                self.under_way[found.message_id] = self.now + SILENT_SECS

    def teardown(self) -> None:
        while len(self.schedule):
            due = self.schedule.next_due()
            assert due is not None
            self.now = max(self.now, due)
            before = len(self.schedule), due
            self.look()
            assert (len(self.schedule), self.schedule.next_due()) != before


TestSuspects = Suspects.TestCase
TestSuspects.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class Failures(RuleBasedStateMachine):
    """Against counts kept by the test: each failure is told exactly once, in its time, given up in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.retries = Retries(1, 3, 10, attempts=3)
        self.randoms = [0.0]
        self.schedule = RetrySchedule(self.retries, lambda: self.randoms[0], SILENT_SECS)
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
