"""A supervisor's page: the host, and its workers by port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.http.problems import Problem
from storm.ui.pages import cluster
from storm.ui.rest import supervisors

if TYPE_CHECKING:
    from storm.ui.pages.page import PageCall


async def context(call: PageCall) -> dict[str, Any]:
    supervisor_id = call.path["id"]
    page = await call.nimbus.read("getSupervisorPageInfo", supervisor_id, "", call.view.include_system)
    if not page.supervisor_summaries:
        raise Problem(404, f"There is no supervisor {supervisor_id[:100]}: it may have stopped, or lost ZooKeeper.")
    drained = {one.supervisor_id: one.since_secs for one in (await call.nimbus.read("getClusterInfo")).drained or []}
    workers = [{**supervisors.worker(one, call.view), **supervisors.used(one)} for one in page.worker_summaries or []]
    return {
        "supervisor": cluster.supervisor(page.supervisor_summaries[0], drained, call),
        "workers": sorted(workers, key=_port),
    }


def _port(worker: dict[str, Any]) -> int:
    return int(worker["port"])
