from __future__ import annotations

import re
import threading

from storm.clock import SystemClock, format_utc, format_wall, thread_cpu_secs


def test_the_clock_goes_on_and_sleep_lets_time_pass() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0.001)
    assert clock.now() >= before + 0.001
    assert clock.wall_secs() > 1_600_000_000


def busy_secs(clock: SystemClock) -> float:
    return clock.process_secs() + clock.queued_secs()


def test_work_is_busy_time_and_waiting_is_not() -> None:
    clock = SystemClock()
    before = clock.process_secs()
    sum(range(100_000))
    assert clock.process_secs() > before
    busy, began = busy_secs(clock), clock.now()
    clock.sleep(0.2)
    assert busy_secs(clock) - busy < (clock.now() - began) / 2


def test_the_cpu_time_of_a_thread_is_its_own() -> None:
    began = thread_cpu_secs()
    other = threading.Thread(target=lambda: sum(range(3_000_000)))
    other.start()
    other.join()
    waited = thread_cpu_secs() - began
    began = thread_cpu_secs()
    sum(range(3_000_000))
    assert thread_cpu_secs() - began > waited


def test_time_that_another_thread_holds_the_interpreter_is_busy_time() -> None:
    clock = SystemClock()
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(10_000))

    neighbour = threading.Thread(target=compute)
    busy, began = busy_secs(clock), clock.now()
    neighbour.start()
    clock.sleep(0.2)
    stop.set()
    neighbour.join()
    assert busy_secs(clock) - busy > (clock.now() - began) / 10


def test_times_for_people() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", format_wall(1_700_000_000.5))


def test_times_in_utc_are_in_order_as_texts() -> None:
    assert format_utc(0) == "1970-01-01T00:00:00.000Z"
    assert format_utc(1_769_903_999.1239) == "2026-01-31T23:59:59.123Z"
    times = [0.0, 0.999, 1.0, 59.5, 1e9, 1e9 + 0.001]
    assert sorted(map(format_utc, times)) == [format_utc(time) for time in times]
