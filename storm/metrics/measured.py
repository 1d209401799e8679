"""What a worker tells Prometheus: the totals of its executors and instruments, added up by component."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from storm.ids import is_system_id
from storm.metrics.distribution import Distribution, together
from storm.metrics.series import Series

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from storm.ids import ComponentId, TaskId
    from storm.metrics.executor_stats import Totals
    from storm.metrics.instruments import Reading

K = TypeVar("K", bound="Hashable")
Labels: TypeAlias = "tuple[tuple[str, str], ...]"

FAILURES = ("failed", "timeout", "worker-died")  # told even where there are none: the first one is seen as a change


class ExecutorReading(NamedTuple):
    """An executor, read at one moment. `pending` and `unsettled` are None where it is no spout, or no bolt.

    `capacity`: the share of the time since the last reading that it spent in `execute`.
    """

    component: ComponentId
    totals: Totals
    queue_length: int
    pending: int | None = None
    unsettled: int | None = None
    capacity: float = 0.0


def busy_secs(totals: Totals) -> float:
    """How long an executor has been in `execute`, since its start."""
    return sum(secs for secs, _ in totals.times["execute"].values())


def executor_series(executors: Sequence[ExecutorReading]) -> list[Series]:
    """Of all executors of a worker; last what takes most room."""
    return [*_counts(executors), *_gauges(executors), *_latencies(executors)]


def instrument_series(readings: Iterable[tuple[ComponentId, TaskId, Sequence[Reading]]]) -> list[Series]:
    """Of the instruments of all tasks of a worker: those of a component together, but gauges by task.

    Texts are for consumers only. Where two tasks of a component use a name for different kinds, each kind has its own.
    """
    gauges: list[Series] = []
    counts: defaultdict[tuple[ComponentId, str], int] = defaultdict(int)
    parts: defaultdict[tuple[str, ComponentId, str], list[Distribution]] = defaultdict(list)
    for component, task, found in readings:
        for name, kind, value in found:
            if isinstance(value, Distribution):
                family = "storm_metric_seconds" if kind == "timer" else "storm_metric_distribution"
                parts[family, component, name].append(value)
            elif kind != "gauge":
                counts[component, name] += int(value)
            elif not isinstance(value, str):
                labels = {"component": component, "name": name, "task": str(task)}
                gauges.append(Series("storm_metric_value", labels, value))
    series = [
        Series("storm_metric_count_total", {"component": component, "name": name}, count)
        for (component, name), count in sorted(counts.items())
    ]
    series += [
        Series(family, {"component": component, "name": name}, together(some))
        for (family, component, name), some in sorted(parts.items())
    ]
    return series + gauges


def _counts(executors: Sequence[ExecutorReading]) -> Iterator[Series]:
    counts: defaultdict[tuple[str, Labels], float] = defaultdict(int)
    for executor in executors:
        kind = "bolt" if executor.pending is None else "spout"
        for what, by_stream in executor.totals.counts.items():
            group = "component" if what in ("emitted", "transferred") else kind
            for stream, number in by_stream.items():
                counts[f"storm_{group}_{what}_total", _labels(executor.component, stream)] += number
        for key, more in _spout_counts(executor):
            counts[key] += more
    for (name, labels), total in sorted(counts.items()):
        if total or not is_system_id(dict(labels).get("stream", "")):
            yield Series(name, dict(labels), total)


def _spout_counts(executor: ExecutorReading) -> Iterator[tuple[tuple[str, Labels], float]]:
    totals = executor.totals
    for stream, failures in totals.failures.items():
        if failures or not is_system_id(stream):
            for reason in (*FAILURES, *(failures.keys() - set(FAILURES))):
                labels = (*_labels(executor.component, stream), ("reason", reason))
                yield ("storm_spout_failures_total", labels), failures.get(reason, 0)
    for reason, secs in totals.skipped_secs.items():
        yield ("storm_spout_skipped_seconds_total", (("component", executor.component), ("reason", reason))), secs


def _latencies(executors: Sequence[ExecutorReading]) -> Iterator[Series]:
    times: defaultdict[tuple[str, Labels], list[Distribution]] = defaultdict(list)
    for executor in executors:
        kind = "bolt" if executor.pending is None else "spout"
        for what, timed in executor.totals.times.items():
            for stream, (secs, number) in timed.items():
                if number:
                    buckets = executor.totals.buckets[what].get(stream, {})
                    key = f"storm_{kind}_{what}_seconds", _labels(executor.component, stream)
                    times[key].append(Distribution(number, secs, buckets=buckets))
    for (name, labels), some in sorted(times.items()):
        yield Series(name, dict(labels), together(some))


def _gauges(executors: Sequence[ExecutorReading]) -> Iterator[Series]:
    by_component: defaultdict[ComponentId, list[ExecutorReading]] = defaultdict(list)
    for executor in executors:
        by_component[executor.component].append(executor)
    for component, some in sorted(by_component.items()):
        labels = {"component": component}
        yield Series("storm_component_executors", labels, len(some))
        yield Series("storm_component_queue_length", labels, sum(each.queue_length for each in some))
        if some[0].pending is not None:
            yield Series("storm_spout_pending", labels, sum(each.pending or 0 for each in some))
        else:
            yield Series("storm_bolt_unsettled", labels, sum(each.unsettled or 0 for each in some))
            yield Series("storm_bolt_capacity", labels, max(each.capacity for each in some))


def _labels(component: ComponentId, stream: object) -> Labels:
    if isinstance(stream, str):
        return ("component", component), ("stream", stream)
    assert isinstance(stream, tuple)
    return ("component", component), ("source", stream[0]), ("stream", stream[1])


def reason_series(reasons: Mapping[str, int]) -> list[Series]:
    """Of what was dropped, by reason."""
    return [Series("storm_worker_dropped_total", {"reason": why}, number) for why, number in sorted(reasons.items())]
