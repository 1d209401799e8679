"""A worker's page: its executors, with figures, and how it and its peers get on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined, split
from storm.diagnosis.nimbus_pages import WINDOW, facts
from storm.diagnosis.topology import troubles
from storm.http.problems import Problem
from storm.metrics.aggregation import executor_figures
from storm.metrics.stats_records import BoltStats
from storm.thrift.interface import storm_thrift
from storm.ui.pages.component import profiled
from storm.ui.pages.links import Links
from storm.ui.pages.topology import LAST_LINES_SHOWN, workers
from storm.ui.pages.troubles import of_worker, rows
from storm.ui.rest import worker_calls
from storm.ui.rest.component_page import active_profile
from storm.ui.rest.log_links import with_log_viewers
from storm.ui.rest.topology_page import topology_page
from storm.ui.rest.visualization import executor_report

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.pages.page import PageCall
    from storm.ui.rest.view import View


async def context(call: PageCall) -> dict[str, Any]:
    """Raises Problem for a worker that the topology does not have."""
    topology_id, view = call.path["id"], call.view
    page, with_links = await asyncio.gather(
        call.nimbus.read("getTopologyPageInfo", topology_id, WINDOW, view.include_system),
        with_log_viewers(view, call.nimbus),
    )
    shown = topology_page(page, view)
    worker = next((one for one in workers(page, shown) if one["at"] == _address(call.path["host_port"])), None)
    if worker is None:
        raise Problem(
            404, f"{page.name} has no worker at {call.path['host_port'][:100]} now: it may have moved to another host."
        )
    told = facts(page, view.wall_secs)
    t = storm_thrift()
    its_own = t.GetInfoOptions(num_err_choice=t.NumErrorsChoice.NONE, host=worker["host"], port=worker["port"])
    info, active = await asyncio.gather(
        call.nimbus.read("getTopologyInfoWithOpts", topology_id, its_own), _profiles(call, worker)
    )
    dead = next((one for one in told.dead_workers if one.at == worker["at"]), None)
    return {
        "topology": shown,
        "worker": worker,
        "dumps": with_links.links.dumps(worker["host"], topology_id, worker["port"]),
        "troubles": rows(of_worker(troubles(told), worker["at"]), Links(view.window, view.include_system)),
        "profiled": [one for one in active if one["at"] == worker["at"]],
        "executors": executors(info, worker, view),
        "last_lines": () if dead is None else dead.last_lines[-LAST_LINES_SHOWN:],
    }


async def _profiles(call: PageCall, worker: dict[str, Any]) -> list[dict[str, Any]]:
    """That of the worker among others: Nimbus tells of those of workers that run a component."""
    component = min(worker["componentNumTasks"], default=None)
    if component is None:
        return []
    topology_id = call.path["id"]
    found = await worker_calls.profiles(call.nimbus, topology_id, component)
    return profiled([active_profile(one, topology_id, call.view) for one in found])


def _address(host_port: str) -> str:
    """As `joined` writes it, whether or not an IPv6 address stands in brackets; empty for what is no address."""
    try:
        return joined(*split(host_port))
    except ValueError:
        return ""


def executors(info: Struct, worker: dict[str, Any], view: View) -> list[dict[str, Any]]:
    """Those of a TopologyInfo that run in the worker; a Nimbus of the former release tells of all.

    `executed` and `capacity` None: it is a spout's. `latency_ms` None: nothing was acked.
    """
    found = []
    for one in sorted(info.executors, key=_place):
        if (one.host, one.port) != (worker["host"], worker["port"]):
            continue
        if one.component_id not in worker["componentNumTasks"]:
            continue
        report, its = executor_report(one), getattr(one, "insight", None)
        figures = executor_figures(report, view.window, view.include_system)
        is_bolt = report.stats is not None and isinstance(report.stats.specific, BoltStats)
        found.append(
            {
                "component": one.component_id,
                "id": f"[{report.executor.start_task}-{report.executor.end_task}]",
                "uptimeSeconds": one.uptime_secs,
                "capacity": figures.capacity if is_bolt else None,
                "emitted": figures.emitted,
                "transferred": figures.transferred,
                "executed": figures.executed if is_bolt else None,
                "latency_ms": (figures.process_ms if is_bolt else figures.complete_ms) if figures.acked else None,
                "acked": figures.acked,
                "failed": figures.failed,
                "doing": "" if its is None else its.text or "",
            }
        )
    return found


def _place(executor: Struct) -> tuple[str, int]:
    return executor.component_id, executor.executor_info.task_start
