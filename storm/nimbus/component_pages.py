"""Thrift answers about one component."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from storm.errors import TopologyNotAliveError
from storm.ids import WorkerSlot, is_system_id
from storm.metrics.aggregation import component_figures, executor_figures, input_figures, output_figures
from storm.metrics.component_metrics import component_metrics, left_out
from storm.metrics.insight_records import together
from storm.metrics.stats_records import WINDOWS
from storm.nimbus.submission import unknown
from storm.thrift import convert
from storm.thrift.insight_convert import component_insight_to_thrift, executor_insight_to_thrift, failures_to_thrift
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storm.cluster.records import ErrorInfo, SupervisorInfo
    from storm.ids import ComponentId
    from storm.metrics.aggregation import ExecutorReport, Figures
    from storm.metrics.insight_records import ComponentInsight
    from storm.metrics.stats_records import Window
    from storm.nimbus.topology_view import TopologyView
    from storm.thrift.interface import Struct


FAILURES_MAX = 100  # of a spout's page


def executor_summary(report: ExecutorReport, with_stats: bool = True) -> Struct:
    """What a worker tells with an executor's figures stands beside them."""
    stats = report.stats
    figures = None
    if with_stats and stats is not None:
        figures = convert.executor_stats_to_thrift(replace(stats, insight=None, failures=()))
    insight = None if stats is None else stats.insight
    return storm_thrift().ExecutorSummary(
        executor_info=convert.executor_to_thrift(report.executor),
        component_id=report.component_id,
        host=report.host,
        port=report.port,
        uptime_secs=report.uptime_secs,
        stats=figures,
        insight=None if insight is None else executor_insight_to_thrift(insight, with_text=True),
    )


def aggregate_stats(
    figures: Figures,
    *,
    is_spout: bool,
    counts: tuple[int, int] | None = None,
    last_error: ErrorInfo | None = None,
    insight: ComponentInsight | None = None,
) -> Struct:
    """A ComponentAggregateStats; `counts` are numbers of executors and tasks."""
    t = storm_thrift()
    executors, tasks = counts or (None, None)
    common = t.CommonAggregateStats(
        num_executors=executors,
        num_tasks=tasks,
        emitted=figures.emitted,
        transferred=figures.transferred,
        acked=figures.acked,
        failed=figures.failed,
    )
    if is_spout:
        specific = t.SpecificAggregateStats(spout=t.SpoutAggregateStats(complete_latency_ms=figures.complete_ms))
    else:
        specific = t.SpecificAggregateStats(
            bolt=t.BoltAggregateStats(
                execute_latency_ms=figures.execute_ms,
                process_latency_ms=figures.process_ms,
                executed=figures.executed,
                capacity=figures.capacity,
            )
        )
    return t.ComponentAggregateStats(
        type=t.ComponentType.SPOUT if is_spout else t.ComponentType.BOLT,
        common_stats=common,
        specific_stats=specific,
        last_error=None if last_error is None else convert.error_to_thrift(last_error),
        insight=component_insight_to_thrift(insight),
    )


def component_insight(reports: Iterable[ExecutorReport]) -> ComponentInsight | None:
    """Of the executors of a component; None where no worker has told anything."""
    return together([one.stats.insight for one in reports if one.stats is not None and one.stats.insight is not None])


def last_failures(reports: Iterable[ExecutorReport]) -> list[Struct]:
    """The tuples of a spout that failed lately, newest first; FAILURES_MAX at most."""
    found = [
        failure
        for one in reports
        if one.stats is not None
        for failure in failures_to_thrift(one.stats.failures, one.host, one.port)[::-1]
    ]
    return sorted(found, key=_failed_at, reverse=True)[:FAILURES_MAX]


def recordings(view: TopologyView, component_id: ComponentId, supervisors: Iterable[SupervisorInfo]) -> list[Struct]:
    """The profiles that are being recorded of workers that run the component, each as a request to end it then: so
    Storm tells of them.
    """
    t = storm_thrift()
    hosts = {one.slot: one.host for one in view.workers if component_id in view.component_tasks_on(one)}
    return [
        t.ProfileRequest(
            nodeInfo=t.NodeInfo(node=hosts[slot], port={slot.port}),
            action=t.ProfileAction.JPROFILE_STOP,
            time_stamp=recording.until_wall_secs * 1_000,
        )
        for info in supervisors
        for recording in info.recordings
        if recording.topology_id == view.base.topology_id
        and (slot := WorkerSlot(info.node_id, recording.port)) in hosts
    ]


def _failed_at(failure: Struct) -> int:
    return int(failure.time_secs)


def component_page(
    view: TopologyView, component_id: ComponentId, window: Window, include_system: bool, errors: Sequence[ErrorInfo]
) -> Struct:
    """Raises TopologyNotAliveError for a component that the topology does not have."""
    t = storm_thrift()
    base, plan = view.base, view.known_plan
    if component_id not in plan.component_tasks:
        raise TopologyNotAliveError(unknown("component", component_id, plan.component_tasks, f" in {base.name!r}"))
    is_spout = component_id in plan.topology.spouts
    reports = view.reports_of(component_id)
    inputs = input_figures(reports, window, include_system)
    outputs = output_figures(reports, window, include_system)
    debug = base.component_debug.get(component_id)  # what is said of it goes before what is said of its topology
    if debug is None and not is_system_id(component_id):
        debug = base.component_debug.get(base.topology_id)
    return t.ComponentPageInfo(
        component_id=component_id,
        component_type=t.ComponentType.SPOUT if is_spout else t.ComponentType.BOLT,
        topology_id=base.topology_id,
        topology_name=base.name,
        num_executors=len(reports),
        num_tasks=len(plan.component_tasks[component_id]),
        window_to_stats={
            one: aggregate_stats(component_figures(reports, one, include_system), is_spout=is_spout) for one in WINDOWS
        },
        gsid_to_input_stats={
            convert.stream_to_thrift(stream): aggregate_stats(figures, is_spout=False)
            for stream, figures in inputs.items()
        },
        sid_to_output_stats={
            stream: aggregate_stats(figures, is_spout=is_spout) for stream, figures in outputs.items()
        },
        exec_stats=[
            t.ExecutorAggregateStats(
                exec_summary=executor_summary(report, with_stats=False),
                stats=aggregate_stats(executor_figures(report, window, include_system), is_spout=is_spout),
            )
            for report in reports
        ],
        errors=[convert.error_to_thrift(error) for error in errors],
        debug_options=None if debug is None else convert.debug_options_to_thrift(debug),
        topology_status=base.status.value,
        resources_map={},  # Storm's UI takes it for granted
        insight=component_insight_to_thrift(component_insight(reports)),
        failures=last_failures(reports) if is_spout else None,
        metrics=component_metrics(view.metrics, component_id) or None,
        metrics_left_out=left_out(view.metrics) or None,
    )
