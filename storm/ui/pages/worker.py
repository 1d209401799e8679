"""A worker's page: its executors, with figures, and how it and its peers get on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined, split
from storm.diagnosis.nimbus_pages import WINDOW, facts
from storm.diagnosis.topology import troubles
from storm.http.problems import Problem
from storm.ui.pages import component as component_pages
from storm.ui.pages.links import Links
from storm.ui.pages.topology import LAST_LINES_SHOWN, workers
from storm.ui.pages.troubles import of_worker, rows
from storm.ui.rest.component_page import component_page
from storm.ui.rest.log_links import with_log_viewers
from storm.ui.rest.topology_page import topology_page

if TYPE_CHECKING:
    from storm.ui.pages.page import PageCall

COMPONENTS_MAX = 100  # of a worker: Nimbus is asked for the page of each


async def context(call: PageCall) -> dict[str, Any]:
    """Raises Problem for a worker that the topology does not have."""
    topology_id, view = call.path["id"], call.view
    page = await call.nimbus.read("getTopologyPageInfo", topology_id, WINDOW, view.include_system)
    shown = topology_page(page, view)
    worker = next((one for one in workers(page, shown) if one["at"] == _address(call.path["host_port"])), None)
    if worker is None:
        raise Problem(
            404, f"{page.name} has no worker at {call.path['host_port'][:100]} now: it may have moved to another host."
        )
    told = facts(page, view.wall_secs)
    links = (await with_log_viewers(view, call.nimbus)).links
    dead = next((one for one in told.dead_workers if one.at == worker["at"]), None)
    return {
        "topology": shown,
        "worker": worker,
        "dumps": links.dumps(worker["host"], topology_id, worker["port"]),
        "troubles": rows(of_worker(troubles(told), worker["at"]), Links(view.window, view.include_system)),
        "executors": await _executors(call, worker),
        "last_lines": () if dead is None else dead.last_lines[-LAST_LINES_SHOWN:],
    }


def _address(host_port: str) -> str:
    """As `joined` writes it, whether or not an IPv6 address stands in brackets; empty for what is no address."""
    try:
        return joined(*split(host_port))
    except ValueError:
        return ""


async def _executors(call: PageCall, worker: dict[str, Any]) -> list[dict[str, Any]]:
    topology_id, view = call.path["id"], call.view
    names = sorted(worker["componentNumTasks"])[:COMPONENTS_MAX]
    pages = await asyncio.gather(
        *(
            call.nimbus.read("getComponentPageInfo", topology_id, name, view.window, view.include_system)
            for name in names
        )
    )
    return [
        {"component": name, **executor}
        for name, page in zip(names, pages, strict=True)
        for executor in component_pages.executors(page, component_page(page, view))
        if (executor["host"], executor["port"]) == (worker["host"], worker["port"])
    ]
