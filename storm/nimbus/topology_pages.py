"""Thrift answers about one topology: TopologyInfo and the topology page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import storm
from storm.config.addresses import joined
from storm.config.settings import redacted
from storm.ids import is_system_id
from storm.metrics.aggregation import Figures, component_figures, input_figures, topology_figures
from storm.metrics.stats_records import WINDOWS
from storm.nimbus.cluster_summaries import worker_summary
from storm.nimbus.component_pages import aggregate_stats, component_insight, executor_summary
from storm.nimbus.topology_view import is_not_built
from storm.thrift import convert
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from storm.cluster.records import ErrorInfo, SupervisorInfo
    from storm.ids import ComponentId
    from storm.metrics.stats_records import Window
    from storm.nimbus.topology_view import TopologyView
    from storm.thrift.interface import Struct

NOTHING = Figures()
NOTICE_SECS = 600  # how long a worker's failure to run is told of


def topology_info(
    view: TopologyView, errors: Mapping[ComponentId, Sequence[ErrorInfo]], system_errors: Sequence[ErrorInfo]
) -> Struct:
    """`system_errors`: those of workers that could not run, the last one first."""
    base = view.base
    return storm_thrift().TopologyInfo(
        id=base.topology_id,
        name=base.name,
        uptime_secs=view.uptime_secs,
        executors=[executor_summary(report) for report in view.reports],
        status=base.status.value,
        errors={
            component_id: [
                convert.error_to_thrift(replace(error, lacks_environment=is_not_built(error))) for error in found
            ]
            for component_id, found in errors.items()
        },
        component_debug={
            component_id: convert.debug_options_to_thrift(options)
            for component_id, options in base.component_debug.items()
        },
        storm_version=storm.__version__,
        sched_status=view.lack().text or None,
        owner=base.owner,
        replication_count=view.replicas,
        notices=_notices(view, system_errors),
    )


def _notices(view: TopologyView, system_errors: Sequence[ErrorInfo]) -> list[str]:
    """What people should know: too few slots, and workers that could not run lately, with their last words."""
    found = [text] if (text := view.lack().text) else []
    return found + [f"{joined(error.host, error.port)}: {error.text}" for error in _lately(view, system_errors)]


def _ended_workers(view: TopologyView, system_errors: Sequence[ErrorInfo]) -> list[Struct]:
    """A supervisor of the former release gives no reason."""
    return [
        storm_thrift().EndedWorker(host=error.host, port=error.port, reason=error.reason or "ended")
        for error in _lately(view, system_errors)
    ]


def _lately(view: TopologyView, errors: Sequence[ErrorInfo]) -> Iterator[ErrorInfo]:
    return (error for error in errors if view.wall_secs - error.wall_secs <= NOTICE_SECS)


def slot_failures(view: TopologyView, supervisors: Sequence[SupervisorInfo]) -> list[Struct]:
    """The slots of the topology whose workers died lately, as their supervisors tell."""
    return [
        storm_thrift().SlotFailure(
            supervisor_id=info.node_id,
            host=info.host,
            port=failure.port,
            state=failure.state,
            deaths=failure.deaths,
            reason=failure.reason,
            last_lines=failure.last_lines,
            time_secs=failure.wall_secs,
            lacks_environment=is_not_built(failure),
            retry_secs=None if failure.retry_wall_secs is None else max(0, failure.retry_wall_secs - view.wall_secs),
        )
        for info in supervisors
        for failure in info.failures
        if failure.topology_id == view.base.topology_id
    ]


def topology_page(
    view: TopologyView,
    window: Window,
    include_system: bool,
    last_errors: Mapping[ComponentId, ErrorInfo],
    system_errors: Sequence[ErrorInfo],
    failures: Sequence[Struct] = (),
) -> Struct:
    """`system_errors`: those of workers that could not run, the last one first."""
    base, plan, lack = view.base, view.known_plan, view.lack()

    def components(ids: Mapping[ComponentId, object]) -> dict[ComponentId, Struct]:
        return {
            component_id: aggregate_stats(
                component_figures(view.reports_of(component_id), window, include_system),
                is_spout=component_id in plan.topology.spouts,
                counts=(len(view.reports_of(component_id)), len(plan.component_tasks[component_id])),
                last_error=last_errors.get(component_id),
                insight=component_insight(view.reports_of(component_id)),
            )
            for component_id in ids
            if include_system or not is_system_id(component_id)
        }

    debug = base.component_debug.get(base.topology_id)
    return storm_thrift().TopologyPageInfo(
        id=base.topology_id,
        name=base.name,
        uptime_secs=view.uptime_secs,
        status=base.status.value,
        num_tasks=plan.num_tasks(),
        num_workers=len(view.workers),
        num_executors=len(view.reports),
        topology_conf=json.dumps(redacted(plan.conf)),
        id_to_spout_agg_stats=components(plan.system.spouts),
        id_to_bolt_agg_stats=components(plan.system.bolts),
        sched_status=lack.text or None,
        topology_stats=_topology_stats(view, include_system),
        owner=base.owner,
        debug_options=None if debug is None else convert.debug_options_to_thrift(debug),
        replication_count=view.replicas,
        workers=[worker_summary(view, worker, include_system) for worker in view.workers],
        storm_version=storm.__version__,
        topology_version=base.topology_version,
        notices=_notices(view, system_errors),
        slot_failures=list(failures),
        inputs=_inputs(view, window, include_system),
        ended_workers=_ended_workers(view, system_errors),
        num_workers_wanted=view.num_workers_wanted,
        lacks_slots=lack.of_slots,
    )


def _inputs(view: TopologyView, window: Window, include_system: bool) -> list[Struct]:
    found: list[Struct] = []
    for component_id, spec in view.known_plan.system.bolts.items():
        if not include_system and is_system_id(component_id):
            continue
        figures = input_figures(view.reports_of(component_id), window, include_system)
        for stream, grouping in spec.inputs.items():
            if include_system or not (is_system_id(stream.component_id) or is_system_id(stream.stream_id)):
                taken = figures.get(stream, NOTHING)
                found.append(
                    storm_thrift().InputFigures(
                        component=component_id,
                        stream=convert.stream_to_thrift(stream),
                        grouping=grouping.kind.value,
                        fields=list(grouping.fields) or None,
                        executed=taken.executed,
                        acked=taken.acked,
                        failed=taken.failed,
                    )
                )
    return found


def _topology_stats(view: TopologyView, include_system: bool) -> Struct:
    figures = {window: topology_figures(view.reports, window, include_system) for window in WINDOWS}
    return storm_thrift().TopologyStats(
        window_to_emitted={window: one.emitted for window, one in figures.items()},
        window_to_transferred={window: one.transferred for window, one in figures.items()},
        window_to_complete_latencies_ms={window: one.complete_ms for window, one in figures.items()},
        window_to_acked={window: one.acked for window, one in figures.items()},
        window_to_failed={window: one.failed for window, one in figures.items()},
    )
