from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from storm.metrics.instruments import NAMES_MAX, Reading, TaskMetrics, Timer


class Clock:
    def __init__(self) -> None:
        self.secs = 0.0

    def now(self) -> float:
        return self.secs


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> TaskMetrics:
    return TaskMetrics("count", 7, clock.now)


def read(metrics: TaskMetrics) -> dict[str, Any]:
    errors: list[str] = []
    found = {name: value for name, _, value in metrics.read(errors.append)}
    assert errors == []
    return found


def test_a_counter_and_a_meter_only_grow(metrics: TaskMetrics) -> None:
    metrics.counter("lines").inc()
    metrics.counter("lines").inc(41)
    metrics.meter("hits").mark(3)
    assert metrics.read(pytest.fail) == [Reading("lines", "counter", 42), Reading("hits", "meter", 3)]


def test_a_gauge_is_read_when_somebody_looks(metrics: TaskMetrics) -> None:
    queue: list[int] = []
    metrics.gauge("queue", lambda: len(queue))
    metrics.gauge("state", lambda: "warm")
    metrics.gauge("is-open", lambda: True)
    queue.append(1)
    assert read(metrics) == {"queue": 1, "state": "warm", "is-open": 1}


def test_a_gauge_that_cannot_be_read_is_told_once_and_again_after_it_could_be(metrics: TaskMetrics) -> None:
    answers: list[Any] = []
    metrics.gauge("age", lambda: answers[0])
    metrics.counter("lines").inc()
    errors: list[str] = []
    for answer in ([], [None], [float("inf")], [2], ["x" * 201], [1 << 64]):
        answers[:] = answer
        assert [name for name, _, _ in metrics.read(errors.append)] == (
            ["age", "lines"] if answer == [2] else ["lines"]
        )
    assert errors == [
        "component 'count', task 7, metric 'age': the gauge cannot be read: IndexError: list index out of range",
        errors[1],
    ]
    assert "ValueError: could not convert string to float" in errors[1]


def test_a_count_that_is_no_number_spoils_nothing_else(metrics: TaskMetrics) -> None:
    metrics.counter("bad").inc(float("nan"))  # type: ignore[arg-type]
    metrics.counter("good").inc()
    errors: list[str] = []
    assert [name for name, _, _ in metrics.read(errors.append)] == ["good"]
    assert errors == [
        "component 'count', task 7, metric 'bad': the counter cannot be read: ValueError: nan is not finite"
    ]


class Number(int):
    """As NumPy's: a number, and of no type that can travel."""


def test_a_count_is_a_plain_number_whatever_it_was_made_of(metrics: TaskMetrics) -> None:
    metrics.counter("lines").count = Number(3)
    assert [type(value) for _, _, value in metrics.read(pytest.fail)] == [float]


def test_a_gauge_that_shows_what_was_cancelled_spoils_nothing_else(metrics: TaskMetrics) -> None:
    def cancelled() -> float:
        raise asyncio.CancelledError

    metrics.gauge("bad", cancelled)
    metrics.counter("good").inc()
    errors: list[str] = []
    assert [name for name, _, _ in metrics.read(errors.append)] == ["good"]
    assert errors == ["component 'count', task 7, metric 'bad': the gauge cannot be read: CancelledError: "]


def test_an_error_that_is_long_or_cannot_be_shown_spoils_nothing_else(metrics: TaskMetrics) -> None:
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    def raises() -> float:
        raise UnspeakableError

    metrics.gauge("bad", raises)
    metrics.gauge("long", lambda: "x" * 1_000_000)
    metrics.counter("good").inc()
    errors: list[str] = []
    assert [name for name, _, _ in metrics.read(errors.append)] == ["good"]
    assert errors[0].endswith("cannot be read: UnspeakableError")
    assert len(errors[1]) < 1_000


def test_a_value_that_is_refused_leaves_nothing_behind(metrics: TaskMetrics) -> None:
    sizes = metrics.histogram("sizes")
    with pytest.raises(TypeError):
        sizes.update(Decimal("1.5"))  # type: ignore[arg-type]
    assert (sizes.count, sizes.total, sizes.buckets) == (0, 0.0, {})


def test_a_timer_times_blocks_functions_and_what_is_within(metrics: TaskMetrics, clock: Clock) -> None:
    timer = metrics.timer("db")

    @timer
    def looked_up(secs: float) -> str:
        """Look."""
        clock.secs += secs
        return "found"

    @timer
    def fails(secs: float) -> None:
        clock.secs += secs
        raise ZeroDivisionError

    with timer:
        clock.secs += 1.0
        assert looked_up(2.0) == "found"
        with pytest.raises(ZeroDivisionError):
            fails(4.0)
    timer.update(0.5)
    found = timer.read()
    assert (found.count, found.total, found.least, found.most) == (4, 1 + 2 + 4 + 2 + 4 + 0.5, 0.5, 7.0)
    assert (looked_up.__name__, looked_up.__doc__) == ("looked_up", "Look.")


def test_coroutines_that_are_timed_at_once_do_not_mix(clock: Clock) -> None:
    timer = Timer(clock.now)

    @timer
    async def waits(go: asyncio.Event) -> None:
        await go.wait()

    async def both() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(waits(first)), asyncio.create_task(waits(second))]
        await asyncio.sleep(0)
        for event, task in zip((first, second), tasks, strict=True):
            clock.secs += 1.0
            event.set()
            await task

    asyncio.run(both())
    assert (timer.read().count, timer.read().least, timer.read().most) == (2, 1.0, 2.0)


def test_a_name_stands_for_one_instrument_of_one_kind(metrics: TaskMetrics) -> None:
    assert metrics.histogram("sizes") is metrics.histogram("sizes")
    with pytest.raises(ValueError, match="task 7, metric 'sizes' is a histogram already, and cannot be a counter"):
        metrics.counter("sizes")
    metrics.gauge("age", lambda: 1)
    with pytest.raises(ValueError, match="'age' is a gauge already: it has its function"):
        metrics.gauge("age", lambda: 2)
    with pytest.raises(TypeError, match="a gauge needs a function, got 5"):
        metrics.gauge("five", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "__emit-count", "9lives", "a b", "x" * 129, "a\n", None, 'a"'])
def test_names_that_cannot_be(metrics: TaskMetrics, name: Any) -> None:
    with pytest.raises(ValueError, match="a metric's name has letters, digits and"):
        metrics.counter(name)


def test_a_task_has_a_bounded_number_of_names(metrics: TaskMetrics) -> None:
    for i in range(NAMES_MAX):
        metrics.counter(f"user.{i}")
    with pytest.raises(ValueError, match="the task has 200 metrics already, which is the most; names must"):
        metrics.counter("one-more")
    metrics.counter("user.0").inc()
