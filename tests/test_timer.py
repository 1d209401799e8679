from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.timer import Timer

if TYPE_CHECKING:
    from storm.clock import Clock


class StoppedClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.secs = 100.0

    def now(self) -> float:
        return self.secs

    def wall_secs(self) -> int:
        return int(self.secs)

    def process_secs(self) -> float:
        return 0.0

    def queued_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        self.secs += secs


def test_nothing_is_due_where_nothing_is_pending() -> None:
    timer = Timer(StoppedClock())
    assert timer.next_due() is None
    assert timer.run_due() == 0


def test_calls_run_when_they_are_due_and_once() -> None:
    clock = StoppedClock()
    timer, ran = Timer(clock), []
    timer.schedule(2, lambda: ran.append("late"))
    timer.schedule(1, lambda: ran.append("early"))
    assert timer.next_due() == 101
    assert timer.run_due() == 0
    clock.secs = 101.5
    assert timer.run_due() == 1
    clock.secs = 200
    timer.run_due()
    timer.run_due()
    assert ran == ["early", "late"]
    assert timer.next_due() is None


@given(st.lists(st.integers(0, 5)))
def test_calls_run_in_order_of_due_time_and_then_as_scheduled(delays: list[int]) -> None:
    clock = StoppedClock()
    timer, ran = Timer(clock), []
    for number, delay in enumerate(delays):
        timer.schedule(delay, lambda entry=(delay, number): ran.append(entry))
    clock.secs += 5
    assert timer.run_due() == len(delays)
    assert ran == sorted(ran)


def test_a_recurring_call_comes_again_after_each_run() -> None:
    clock = StoppedClock()
    timer, ran = Timer(clock), []
    timer.schedule_recurring(10, lambda: ran.append(clock.secs))
    clock.secs = 110
    timer.run_due()
    clock.secs = 155
    timer.run_due()
    assert ran == [110, 155]
    assert timer.next_due() == 165


def test_a_call_that_schedules_another_at_once_does_not_hold_up_the_owner() -> None:
    timer = Timer(StoppedClock())
    ran = []

    def again() -> None:
        ran.append(1)
        timer.schedule(0, again)

    timer.schedule(0, again)
    assert timer.run_due() == 1
    assert timer.run_due() == 1
    assert len(ran) == 2


def test_an_error_goes_to_the_owner_and_the_rest_stays_pending() -> None:
    timer, ran = Timer(StoppedClock()), []

    def fail() -> None:
        raise RuntimeError("broken")

    timer.schedule(0, fail)
    timer.schedule(0, lambda: ran.append("next"))
    with pytest.raises(RuntimeError, match="broken"):
        timer.run_due()
    assert timer.run_due() == 1
    assert ran == ["next"]


def test_delays_that_make_no_sense_are_refused() -> None:
    clock: Clock = StoppedClock()
    timer = Timer(clock)
    for delay in (-1, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            timer.schedule(delay, lambda: None)
    for period in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            timer.schedule_recurring(period, lambda: None)
