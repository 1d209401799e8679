"""Thrift answers about the cluster: its Nimbuses, supervisors, workers and topologies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import storm
from storm.ids import is_system_id
from storm.metrics.insight_records import NOT_TOLD, usage_of_all
from storm.nimbus.heartbeats import AssignedSlot
from storm.thrift import convert
from storm.thrift.insight_convert import worker_insight_to_thrift
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.cluster.records import Assignment, Drain, NimbusInfo, SupervisorInfo
    from storm.ids import TopologyId
    from storm.nimbus.heartbeats import Heartbeats
    from storm.nimbus.topology_view import TopologyView, WorkerView
    from storm.thrift.interface import Struct


def nimbus_summary(info: NimbusInfo, wall_secs: int) -> Struct:
    return storm_thrift().NimbusSummary(
        host=info.host,
        port=info.port,
        uptime_secs=max(0, wall_secs - info.start_wall_secs),
        isLeader=info.is_leader,
        version=info.version,
    )


def supervisor_summary(
    info: SupervisorInfo, assignments: Mapping[TopologyId, Assignment], heartbeats: Heartbeats, wall_secs: int
) -> Struct:
    """Its slots count as used when they are assigned, whether or not their workers run yet."""
    used = {
        AssignedSlot(topology_id, slot)
        for topology_id, assignment in assignments.items()
        for slot in assignment.executor_slots.values()
        if slot.node_id == info.node_id
    }
    beats = [heartbeats.last(*each) for each in used]
    usage = usage_of_all([NOT_TOLD if beat is None else beat.usage for beat in beats])
    return storm_thrift().SupervisorSummary(
        host=info.host,
        uptime_secs=max(0, wall_secs - info.start_wall_secs),
        num_workers=len(info.slot_ports),
        num_used_workers=len({each.slot for each in used}),
        supervisor_id=info.node_id,
        version=info.version,
        total_resources=dict(info.resources),
        used_mem=usage.memory_mb,
        used_cpu=usage.cpu_percent,
        blacklisted=False,
        thrift_port=info.thrift_port,
        num_running_workers=len(info.used_ports),
        scheduler_meta=dict(info.meta),
        illness=info.illness,
        python_version=info.python or None,
        architecture=info.architecture or None,
        logviewer_port=info.logviewer_port,
        slot_ports=list(info.slot_ports),
        daemon_logs=list(info.daemon_logs),
    )


def drained_supervisor(drain: Drain) -> Struct:
    return storm_thrift().DrainedSupervisor(
        supervisor_id=drain.node_id, host=drain.host, since_secs=drain.since_wall_secs
    )


def topology_summary(view: TopologyView) -> Struct:
    base, lack = view.base, view.lack()
    return storm_thrift().TopologySummary(
        id=base.topology_id,
        name=base.name,
        num_tasks=0 if view.plan is None else view.plan.num_tasks(),
        num_executors=len(view.reports),
        num_workers=len(view.workers),
        uptime_secs=view.uptime_secs,
        status=base.status.value,
        storm_version=storm.__version__,
        topology_version=base.topology_version,
        sched_status=lack.text or None,
        owner=base.owner,
        replication_count=view.replicas,
        leaving_supervisors=[one.node_id for one in view.leaving],
        lacks_slots=lack.of_slots,
    )


def owner_summaries(views: Iterable[TopologyView], owner: str | None = None) -> list[Struct]:
    """An OwnerResourceSummary for each owner, or for `owner` only if he has a topology; by name. Usage is what workers
    told that they take; memory and CPU are not requested, assigned or guaranteed here.
    """
    by_owner: dict[str, list[TopologyView]] = {}
    for view in views:
        if not owner or view.base.owner == owner:
            by_owner.setdefault(view.base.owner, []).append(view)
    usages = {name: usage_of_all([one.usage for view in own for one in view.workers]) for name, own in by_owner.items()}
    return [
        storm_thrift().OwnerResourceSummary(
            owner=name,
            total_topologies=len(own),
            total_executors=sum(len(view.reports) for view in own),
            total_workers=sum(len(view.workers) for view in own),
            memory_usage=usages[name].memory_mb,
            cpu_usage=usages[name].cpu_percent,
            total_tasks=sum(view.plan.num_tasks() for view in own if view.plan is not None),
        )
        for name, own in sorted(by_owner.items())
    ]


def worker_summary(view: TopologyView, worker: WorkerView, include_system: bool) -> Struct:
    tasks = view.component_tasks_on(worker)
    return storm_thrift().WorkerSummary(
        supervisor_id=worker.slot.node_id,
        host=worker.host,
        port=worker.slot.port,
        topology_id=view.base.topology_id,
        topology_name=view.base.name,
        num_executors=len(worker.executors),
        component_to_num_tasks={
            component_id: count
            for component_id, count in tasks.items()
            if include_system or not is_system_id(component_id)
        },
        time_secs=convert.time_of_day(view.wall_secs),
        uptime_secs=worker.uptime_secs,
        owner=view.base.owner,
        insight=worker_insight_to_thrift(worker.insight),
        used_mem=worker.usage.memory_mb,
        used_cpu=worker.usage.cpu_percent,
    )


def supervisor_page(supervisors: Iterable[Struct], views: Iterable[TopologyView], include_system: bool) -> Struct:
    """The page about these supervisors (SupervisorSummary structs), with the workers that run there."""
    summaries = list(supervisors)
    nodes = {summary.supervisor_id for summary in summaries}
    workers = [
        worker_summary(view, worker, include_system)
        for view in views
        for worker in view.workers
        if worker.slot.node_id in nodes
    ]
    return storm_thrift().SupervisorPageInfo(supervisor_summaries=summaries, worker_summaries=workers)
