"""What executors counted, summed up: executors into streams, components and topologies.

Counts are added. A latency is the mean of its parts, each weighted by what was timed: execute latency by
tuples executed, process latency by tuples acked, complete latency by trees acked. Capacity is the share of
the time that an executor spent in `execute`; that of a component is its busiest executor's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from storm.ids import is_system_id
from storm.metrics.stats_records import ALL_TIME, BoltStats, SpoutStats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from storm.ids import ComponentId, ExecutorId, GlobalStreamId, StreamId
    from storm.metrics.stats_records import ExecutorStats, Window

K = TypeVar("K")

#: The window over which a bolt's capacity is shown, in seconds.
CAPACITY_WINDOW: Window = "600"


@dataclass(frozen=True, slots=True)
class ExecutorReport:
    """One executor, where it runs, and its last stats; `stats` is None until its worker has sent some."""

    executor: ExecutorId
    component_id: ComponentId
    host: str
    port: int
    uptime_secs: int
    stats: ExecutorStats | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums and means over some executors, one window; latencies in milliseconds, 0 where nothing was timed.

    `executed`, `execute_ms`, `process_ms` and `capacity` count for bolts, `complete_ms` for spouts.
    """

    emitted: int = 0
    transferred: int = 0
    acked: int = 0
    failed: int = 0
    executed: int = 0
    complete_ms: float = 0.0
    execute_ms: float = 0.0
    process_ms: float = 0.0
    capacity: float = 0.0


def total(parts: Iterable[Figures]) -> Figures:
    """The figures of all the parts together."""
    parts = list(parts)
    if len(parts) == 1 and _is_timed(parts[0]):  # mostly: executors have few streams
        return parts[0]
    acked = [part.acked for part in parts]
    executed = [part.executed for part in parts]
    return Figures(
        emitted=sum(part.emitted for part in parts),
        transferred=sum(part.transferred for part in parts),
        acked=sum(acked),
        failed=sum(part.failed for part in parts),
        executed=sum(executed),
        complete_ms=_mean((part.complete_ms for part in parts), acked),
        execute_ms=_mean((part.execute_ms for part in parts), executed),
        process_ms=_mean((part.process_ms for part in parts), acked),
        capacity=max((part.capacity for part in parts), default=0.0),
    )


def executor_figures(report: ExecutorReport, window: Window, include_system: bool = False) -> Figures:
    """One executor's figures. Capacity is over `CAPACITY_WINDOW`, whatever the window."""
    outputs = total(output_figures([report], window, include_system).values())
    inputs = total(input_figures([report], window, include_system).values())
    return Figures(
        outputs.emitted,
        outputs.transferred,
        outputs.acked + inputs.acked,  # a spout has only the former, a bolt only the latter
        outputs.failed + inputs.failed,
        inputs.executed,
        outputs.complete_ms,
        inputs.execute_ms,
        inputs.process_ms,
        capacity(report, CAPACITY_WINDOW),
    )


def component_figures(reports: Iterable[ExecutorReport], window: Window, include_system: bool = False) -> Figures:
    """The figures of all the executors of a component."""
    return total(executor_figures(report, window, include_system) for report in reports)


def topology_figures(reports: Iterable[ExecutorReport], window: Window, include_system: bool = False) -> Figures:
    """What all executors emitted and transferred; acked, failed and complete latency are those of the spouts."""
    return total(output_figures(reports, window, include_system).values())


def output_figures(
    reports: Iterable[ExecutorReport], window: Window, include_system: bool = False
) -> dict[StreamId, Figures]:
    """By output stream; acked, failed and complete latency only for spouts."""
    parts: defaultdict[StreamId, list[Figures]] = defaultdict(list)
    for stats in _stats(reports):
        emitted, transferred = stats.emitted.get(window, {}), stats.transferred.get(window, {})
        spout = stats.specific if isinstance(stats.specific, SpoutStats) else SpoutStats()
        acked, failed = spout.acked.get(window, {}), spout.failed.get(window, {})
        latency = spout.complete_ms_avg.get(window, {})
        for stream in emitted.keys() | transferred.keys() | acked.keys() | failed.keys():
            if include_system or not is_system_id(stream):
                parts[stream].append(
                    Figures(
                        emitted.get(stream, 0),
                        transferred.get(stream, 0),
                        acked.get(stream, 0),
                        failed.get(stream, 0),
                        complete_ms=latency.get(stream, 0.0),
                    )
                )
    return _totals(parts)


def input_figures(
    reports: Iterable[ExecutorReport], window: Window, include_system: bool = False
) -> dict[GlobalStreamId, Figures]:
    """By input stream of a bolt; empty for a spout."""
    parts: defaultdict[GlobalStreamId, list[Figures]] = defaultdict(list)
    for stats in _stats(reports):
        bolt = stats.specific
        if not isinstance(bolt, BoltStats):
            continue
        acked, failed, executed = (
            bolt.acked.get(window, {}),
            bolt.failed.get(window, {}),
            bolt.executed.get(window, {}),
        )
        process_ms, execute_ms = bolt.process_ms_avg.get(window, {}), bolt.execute_ms_avg.get(window, {})
        for stream in acked.keys() | failed.keys() | executed.keys():
            if include_system or not is_system_id(stream.stream_id):
                parts[stream].append(
                    Figures(
                        acked=acked.get(stream, 0),
                        failed=failed.get(stream, 0),
                        executed=executed.get(stream, 0),
                        execute_ms=execute_ms.get(stream, 0.0),
                        process_ms=process_ms.get(stream, 0.0),
                    )
                )
    return _totals(parts)


def capacity(report: ExecutorReport, window: Window) -> float:
    """The share of the window, as far as the executor has lived in it, that it spent in `execute`: 0 to about
    1.
    """
    inputs = total(input_figures([report], window, include_system=True).values())
    lived_secs = report.uptime_secs if window == ALL_TIME else min(report.uptime_secs, int(window))
    return inputs.executed * inputs.execute_ms / (lived_secs * 1000) if lived_secs > 0 else 0.0


def _is_timed(part: Figures) -> bool:
    """Whether all of its latencies are of something that was counted: they are means already."""
    return bool((part.acked or not (part.complete_ms or part.process_ms)) and (part.executed or not part.execute_ms))


def _stats(reports: Iterable[ExecutorReport]) -> Iterator[ExecutorStats]:
    return (report.stats for report in reports if report.stats is not None)


def _totals(parts: Mapping[K, Iterable[Figures]]) -> dict[K, Figures]:
    return {key: total(figures) for key, figures in parts.items()}


def _mean(values: Iterable[float], weights: Iterable[int]) -> float:
    weights = list(weights)
    weight = sum(weights)
    return sum(v * w for v, w in zip(values, weights, strict=True)) / weight if weight else 0.0
