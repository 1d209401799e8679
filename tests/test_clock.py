from __future__ import annotations

import re

from storm.clock import SystemClock, format_wall


def test_the_clock_goes_on_and_sleep_lets_time_pass() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0.001)
    assert clock.now() >= before + 0.001
    assert clock.wall_secs() > 1_600_000_000


def test_cpu_time_is_that_of_the_thread() -> None:
    clock = SystemClock()
    before = clock.thread_cpu_secs()
    sum(range(100_000))
    assert clock.thread_cpu_secs() > before


def test_times_for_people() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", format_wall(1_700_000_000.5))
