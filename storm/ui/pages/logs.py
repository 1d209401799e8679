"""The logs of a topology: where those of its workers are, on the pages of the log viewers of their hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.ui.rest import supervisors

if TYPE_CHECKING:
    from storm.ui.pages.page import PageCall


async def context(call: PageCall) -> dict[str, Any]:
    topology_id = call.path["id"]
    page = await call.nimbus.read("getTopologyPageInfo", topology_id, call.view.window, call.view.include_system)
    workers = [
        {
            **supervisors.worker(one, call.view),
            "all_of_worker": call.view.links.kept(one.host, topology_id, one.port),
        }
        for one in page.workers or []
    ]
    hosts = sorted({one["host"] for one in workers})
    return {
        "id": topology_id,
        "name": page.name,
        "hosts": [{"host": host, "all_of_host": call.view.links.kept(host, topology_id)} for host in hosts],
        "workers": sorted(workers, key=_place),
    }


def _place(worker: dict[str, Any]) -> tuple[str, int]:
    return worker["host"], int(worker["port"])
