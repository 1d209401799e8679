"""The logs of a topology: those of its workers, and a search through all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.metrics.stats_records import ALL_TIME
from storm.ui.pages import log_part
from storm.ui.pages.log_reader import RECORDS_MAX
from storm.ui.rest import supervisors
from storm.ui.rest.log_links import with_log_viewers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storm.ui.pages.log_part import Pieces
    from storm.ui.pages.log_reader import Told
    from storm.ui.pages.page import PageCall
    from storm.ui.rest.formats import LogLinks

SUPERVISORS_MAX = 32  # that search for one page


class Row(NamedTuple):
    """A record in which the text was found. `time`: as its log has it, empty: not known. `file` is a worker's log;
    `link` leads to it where the page of the worker's log does not show it.
    """

    time: str
    host: str
    port: int
    file: str
    offset: int
    pieces: Pieces
    link: str


async def context(call: PageCall) -> dict[str, Any]:
    """Of the page that lists them."""
    topology_id = call.path["id"]
    page = await call.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False)
    view = await with_log_viewers(call.view, call.nimbus)
    workers = [
        {**supervisors.worker(one, view), "all_of_worker": view.links.of_worker(one.host, one.port, topology_id)}
        for one in page.workers or []
    ]
    viewers = {
        found: one.host
        for one in page.workers or []
        if (found := view.links.beside_worker(one.host, one.port, topology_id))
    }
    return {
        "id": topology_id,
        "name": page.name,
        "viewers": sorted(viewers.items(), key=lambda one: (one[1], one[0])),
        "workers": sorted(workers, key=_place),
    }


async def search(call: PageCall) -> dict[str, Any]:
    """Of the page that shows what was found; where nothing is looked for, it only asks. Raises Problem."""
    topology_id, text = call.path["id"], log_part.search_text(call.query)
    page, cluster = await asyncio.gather(
        call.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False), call.nimbus.read("getClusterInfo")
    )
    found: dict[str, Any] = {"id": topology_id, "name": page.name, "text": text, "rows": [], "problems": []}
    if not text:
        return {**found, "is_cut": False, "left_out": 0}
    hosts = {one.supervisor_id: one.host for one in sorted(page.workers or [], key=lambda one: (one.host, one.port))}
    ports = {one.supervisor_id: one.thrift_port or 0 for one in cluster.supervisors or []}
    places = [(host, ports.get(supervisor_id, 0)) for supervisor_id, host in hosts.items()]
    asked = places[:SUPERVISORS_MAX]
    told = await asyncio.gather(*(call.logs.search(at, topology_id, text) for at in asked))
    links = (await with_log_viewers(call.view, call.nimbus)).links
    every = rows(zip((host for host, _ in asked), told, strict=True), topology_id, text, links)
    return {
        **found,
        "rows": every[:RECORDS_MAX],
        "problems": [f"{host}: {one.problem}" for (host, _), one in zip(asked, told, strict=True) if one.problem],
        "is_cut": len(every) > RECORDS_MAX or any(one.is_cut for one in told),
        "left_out": len(places[SUPERVISORS_MAX:]),
    }


def rows(told: Iterable[tuple[str, Told]], topology_id: str, text: str, links: LogLinks) -> Sequence[Row]:
    """Of (host, what its supervisor found), the newest first; records whose time is not known come last."""
    found = []
    for host, one in told:
        for record in one.records:
            is_shown = record.file == "worker.log"
            link = "" if is_shown else links.worker(host, record.port, topology_id, record.file)
            pieces = log_part.marked(log_part.shown(record.text), text, log_part.MARKS_IN_RECORD_MAX)
            found.append(Row(record.time, host, record.port, record.file, record.offset, pieces, link))
    return sorted(found, key=lambda one: one.time, reverse=True)


def _place(worker: dict[str, Any]) -> tuple[str, int]:
    return worker["host"], int(worker["port"])
