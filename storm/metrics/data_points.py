"""What metrics consumers are given: names and values, as Apache Storm's IMetricsConsumer is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.metrics.distribution import QUANTILES, Distribution
from storm.metrics.insight_records import BACK_PRESSURE, INACTIVE, MAX_PENDING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from storm.ids import ComponentId, TaskId
    from storm.metrics.executor_stats import Totals
    from storm.metrics.instruments import Reading

MS = 1000.0
RATES = ((".m1_rate", 60.0), (".m5_rate", 300.0), (".m15_rate", 900.0))  # Storm's names; averages over so many seconds
# Of each count in an executor's totals, and of each time, Storm's name of what it is told by.
COUNTS = (
    ("__emit-count", "emitted"),
    ("__transfer-count", "transferred"),
    ("__execute-count", "executed"),
    ("__ack-count", "acked"),
    ("__fail-count", "failed"),
)
# Of each reason why a spout was not asked for tuples (`storm.metrics.insight_records`).
SKIPPED = (
    ("__skipped-max-spout-ms", MAX_PENDING),
    ("__skipped-backpressure-ms", BACK_PRESSURE),
    ("__skipped-inactive-ms", INACTIVE),
)
LATENCIES = (("__execute-latency", "execute"), ("__process-latency", "process"), ("__complete-latency", "complete"))


class TaskInfo(NamedTuple):
    """Whose points these are. `timestamp`: seconds since 1970; they cover the `interval_secs` before it."""

    worker_host: str
    worker_port: int
    component_id: ComponentId
    task_id: TaskId
    timestamp: int
    interval_secs: int


class DataPoint(NamedTuple):
    """A number or a short text, or {key: such a value}."""

    name: str
    value: Any


class Rates:
    """How often in a second something happened lately: averages of which what is older counts less and less."""

    def __init__(self) -> None:
        self._count = 0
        self._secs = 0.0
        self._rates: dict[str, float] = {}

    def update(self, count: int, secs: float) -> None:
        """It has happened `count` times in all, and `secs` have passed since the last update."""
        rate = (count - self._count) / secs
        for name, over_secs in RATES:
            before = self._rates.get(name, rate)
            self._rates[name] = before + (1.0 - math.exp(-secs / over_secs)) * (rate - before)
        self._count = count
        self._secs += secs

    def points(self, name: str) -> Iterator[DataPoint]:
        for suffix, rate in self._rates.items():
            yield DataPoint(name + suffix, rate)
        yield DataPoint(f"{name}.mean_rate", self._count / self._secs if self._secs else 0.0)


class Instruments:
    """What the instruments of one task showed the last time: for figures of the time since then."""

    def __init__(self) -> None:
        self._before: dict[str, Distribution] = {}
        self._rates: dict[str, Rates] = {}

    def points(self, readings: Iterable[Reading], secs: float) -> list[DataPoint]:
        """The points for what they show now, `secs` after the last time.

        Counts are totals since the worker's start; distributions are those of the values since the last time, timers'
        in milliseconds.
        """
        found: list[DataPoint] = []
        for name, kind, value in readings:
            if isinstance(value, Distribution):
                values = value.since(self._before.get(name, Distribution()))
                self._before[name] = value
                found += distribution_points(name, values, MS if kind == "timer" else 1.0)
                found.append(DataPoint(f"{name}.count", value.count))
            elif kind == "meter":
                rates = self._rates.setdefault(name, Rates())
                rates.update(int(value), secs)
                found.append(DataPoint(f"{name}.count", value))
                found += rates.points(name)
            else:
                found.append(DataPoint(name, value))
        return found


def distribution_points(name: str, values: Distribution, factor: float) -> Iterator[DataPoint]:
    """Storm's suffixes; nothing where there is no value."""
    if not values.count:
        return
    yield DataPoint(f"{name}.max", values.most * factor)
    yield DataPoint(f"{name}.mean", values.mean() * factor)
    yield DataPoint(f"{name}.min", values.least * factor)
    yield DataPoint(f"{name}.stddev", values.deviation() * factor)
    for suffix, share in QUANTILES:
        yield DataPoint(name + suffix, values.quantile(share) * factor)


def executor_points(before: Totals | None, after: Totals) -> list[DataPoint]:
    """Storm's built-in metrics of an executor, of the time between two readings of its totals.

    Each value is {stream: number}, for what a bolt takes in {"component:stream": number}; latencies are averages in
    milliseconds. Streams on which nothing happened are left out, and so are metrics without any. How long a spout was
    not asked for tuples is a number each.
    """
    found = []
    for name, what in COUNTS:
        counts = _grown(None if before is None else before.counts[what], after.counts[what])
        if counts:
            found.append(DataPoint(name, counts))
    for name, what in LATENCIES:
        earlier = {} if before is None else before.times[what]
        averages = {}
        for stream, (secs, number) in after.times[what].items():
            secs_before, number_before = earlier.get(stream, (0.0, 0))
            if number > number_before:
                averages[stream_name(stream)] = (secs - secs_before) * MS / (number - number_before)
        if averages:
            found.append(DataPoint(name, averages))
    if after.skipped_secs:
        skipped = {} if before is None else before.skipped_secs
        found += [
            DataPoint(name, MS * (after.skipped_secs.get(why, 0.0) - skipped.get(why, 0.0))) for name, why in SKIPPED
        ]
    return found


def stream_name(stream: Any) -> str:
    """A stream id, or "component:stream" of a GlobalStreamId."""
    return stream if isinstance(stream, str) else f"{stream[0]}:{stream[1]}"


def _grown(before: Mapping[Any, int] | None, after: Mapping[Any, int]) -> dict[str, int]:
    earlier = before or {}
    return {
        stream_name(stream): number - earlier.get(stream, 0)
        for stream, number in after.items()
        if number != earlier.get(stream, 0)
    }
