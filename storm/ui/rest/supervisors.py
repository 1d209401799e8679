"""`/supervisor/summary` and `/supervisor`, and the worker that many pages list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from storm.diagnosis.wording import pretty_secs
from storm.ui.rest.log_links import linked
from storm.ui.rest.view import NO_RESOURCES_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View

# Names under which supervisors of Storm's releases tell of their capacity.
MEMORY_NAMES = ("memory.mb", "supervisor.memory.capacity.mb")
CPU_NAMES = ("cpu.pcore.percent", "supervisor.cpu.capacity")


class Resources(NamedTuple):
    """Of one supervisor: memory in MB, CPU in percent of a core; 0 where it tells nothing. `used`: by its workers."""

    total_mem: float
    used_mem: float
    total_cpu: float
    used_cpu: float

    @property
    def avail_mem(self) -> float:
        return max(0.0, self.total_mem - self.used_mem)

    @property
    def avail_cpu(self) -> float:
        return max(0.0, self.total_cpu - self.used_cpu)


def resources(summary: Struct) -> Resources:
    told = summary.total_resources or {}

    def total(names: tuple[str, ...]) -> float:
        return float(next((told[name] for name in names if name in told), 0.0))

    return Resources(
        total(MEMORY_NAMES), float(summary.used_mem or 0.0), total(CPU_NAMES), float(summary.used_cpu or 0.0)
    )


def supervisor_summary(summaries: Iterable[Struct], view: View) -> dict[str, Any]:
    return {
        "supervisors": [supervisor(summary, view) for summary in summaries],
        **NO_RESOURCES_SHOWN,
        **view.log_viewer(),
    }


def supervisor_page(page: Struct, view: View) -> dict[str, Any]:
    """One supervisor, or all of one host, and the workers there."""
    view = linked(view, page.supervisor_summaries or [])
    return {
        "supervisors": [supervisor(summary, view) for summary in page.supervisor_summaries or []],
        "workers": [worker(summary, view) for summary in page.worker_summaries or []],
        **NO_RESOURCES_SHOWN,
        **view.log_viewer(),
    }


def supervisor(summary: Struct, view: View) -> dict[str, Any]:
    has = resources(summary)
    return {
        "id": summary.supervisor_id,
        "host": summary.host,
        "uptime": pretty_secs(summary.uptime_secs),
        "uptimeSeconds": summary.uptime_secs,
        "slotsTotal": summary.num_workers,
        "slotsUsed": summary.num_used_workers,
        "slotsFree": max(0, summary.num_workers - summary.num_used_workers),
        "totalMem": has.total_mem,
        "usedMem": has.used_mem,
        "availMem": has.avail_mem,
        "totalCpu": has.total_cpu,
        "usedCpu": has.used_cpu,
        "availCpu": has.avail_cpu,
        "totalGenericResources": "",
        "usedGenericResources": None,
        "availGenericResources": "",
        "version": summary.version,
        "blacklisted": bool(summary.blacklisted),
        "logLink": linked(view, [summary]).links.daemon(summary.host, "supervisor"),
    }


def used(summary: Struct) -> dict[str, float | None]:
    """What a worker, or those of a supervisor, take of the host: MB, percent of a core; None: they do not tell."""
    return {"usedMem": summary.used_mem, "usedCpu": summary.used_cpu}


def worker(summary: Struct, view: View) -> dict[str, Any]:
    """A WorkerSummary. One that has not told yet that it runs has been up for 0 seconds."""
    return {
        "supervisorId": summary.supervisor_id,
        "host": summary.host,
        "port": summary.port,
        "topologyId": summary.topology_id,
        "topologyName": summary.topology_name,
        "executorsTotal": summary.num_executors,
        "assignedMemOnHeap": float(summary.assigned_memonheap or 0.0),
        "assignedMemOffHeap": float(summary.assigned_memoffheap or 0.0),
        "assignedCpu": float(summary.assigned_cpu or 0.0),
        "componentNumTasks": dict(summary.component_to_num_tasks or {}),
        "uptime": pretty_secs(summary.uptime_secs),
        "uptimeSeconds": summary.uptime_secs or 0,
        "workerLogLink": view.links.worker(summary.host, summary.port, summary.topology_id),
        "owner": summary.owner,
    }
