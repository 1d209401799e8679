"""`/topology/summary`, `/history/summary`, `/topology-workers/ID` and `/owner-resources`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.diagnosis.wording import pretty_secs
from storm.ui.rest.formats import encoded
from storm.ui.rest.view import NO_RESOURCES_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View

NOT_GUARANTEED = "N/A"  # Storm's word; nobody is guaranteed anything here


def topology_summary(summaries: Iterable[Struct]) -> dict[str, Any]:
    return {"topologies": [topology(summary) for summary in summaries], **NO_RESOURCES_SHOWN}


def topology(summary: Struct) -> dict[str, Any]:
    """A TopologySummary, as lists of topologies show it."""
    return {**overview(summary), "requestedGenericResources": "", "assignedGenericResources": ""}


def overview(struct: Struct) -> dict[str, Any]:
    """Who it is and how it does: of a TopologySummary or a TopologyPageInfo."""
    return {
        "id": struct.id,
        "encodedId": encoded(struct.id),
        "owner": struct.owner,
        "name": struct.name,
        "status": struct.status,
        "uptime": pretty_secs(struct.uptime_secs),
        "uptimeSeconds": struct.uptime_secs,
        "tasksTotal": struct.num_tasks,
        "workersTotal": struct.num_workers,
        "executorsTotal": struct.num_executors,
        "replicationCount": struct.replication_count or 0,
        "schedulerInfo": struct.sched_status,
        **memory_and_cpu(struct),
        "topologyVersion": struct.topology_version,
        "stormVersion": struct.storm_version,
    }


def memory_and_cpu(struct: Struct) -> dict[str, float]:
    """What it asks for and what it got, in MB and percent of a core; of a TopologySummary or a TopologyPageInfo."""
    found: dict[str, float] = {}
    for what in ("requested", "assigned"):
        on_heap = float(getattr(struct, f"{what}_memonheap") or 0.0)
        off_heap = float(getattr(struct, f"{what}_memoffheap") or 0.0)
        found |= {
            f"{what}MemOnHeap": on_heap,
            f"{what}MemOffHeap": off_heap,
            f"{what}TotalMem": on_heap + off_heap,
            f"{what}Cpu": float(getattr(struct, f"{what}_cpu") or 0.0),
        }
    return found


def history(info: Struct) -> dict[str, Any]:
    return {"topo-history": list(info.topo_ids or [])}


def topology_workers(info: Struct, view: View) -> dict[str, Any]:
    """Each worker of a TopologyInfo once, by host and port."""
    at = sorted({(executor.host, executor.port) for executor in info.executors})
    return {"hostPortList": [{"host": host, "port": port} for host, port in at], **view.log_viewer()}


def owner_summaries(summaries: Iterable[Struct]) -> dict[str, Any]:
    return {"owners": [_owner(summary) for summary in summaries], **NO_RESOURCES_SHOWN}


def owner_page(summary: Struct, topologies: Iterable[Struct]) -> dict[str, Any]:
    """One owner and those of `topologies` (TopologySummary structs) that are his."""
    own = [topology(one) for one in topologies if one.owner == summary.owner]
    return {**_owner(summary), "topologies": own, **NO_RESOURCES_SHOWN}


def _owner(summary: Struct) -> dict[str, Any]:
    return {
        "owner": summary.owner,
        "totalTopologies": summary.total_topologies or 0,
        "totalExecutors": summary.total_executors or 0,
        "totalWorkers": summary.total_workers or 0,
        "totalTasks": summary.total_tasks or 0,
        "totalMemoryUsage": float(summary.memory_usage or 0.0),
        "totalCpuUsage": float(summary.cpu_usage or 0.0),
        "memoryGuarantee": _guarantee(summary.memory_guarantee),
        "cpuGuarantee": _guarantee(summary.cpu_guarantee),
        "isolatedNodes": -1 if summary.isolated_node_guarantee is None else summary.isolated_node_guarantee,
        "memoryGuaranteeRemaining": _guarantee(summary.memory_guarantee_remaining),
        "cpuGuaranteeRemaining": _guarantee(summary.cpu_guarantee_remaining),
        "totalReqOnHeapMem": float(summary.requested_on_heap_memory or 0.0),
        "totalReqOffHeapMem": float(summary.requested_off_heap_memory or 0.0),
        "totalReqMem": float(summary.requested_total_memory or 0.0),
        "totalReqCpu": float(summary.requested_cpu or 0.0),
        "totalAssignedOnHeapMem": float(summary.assigned_on_heap_memory or 0.0),
        "totalAssignedOffHeapMem": float(summary.assigned_off_heap_memory or 0.0),
    }


def _guarantee(value: float | None) -> float | str:
    return NOT_GUARANTEED if value is None else float(value)
