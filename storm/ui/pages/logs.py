"""The logs of a topology: those of its workers, and a search through all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from storm.log_names import WORKER_LOG
from storm.metrics.stats_records import ALL_TIME
from storm.ui.pages import log_part
from storm.ui.rest import log_search, supervisors
from storm.ui.rest.log_links import with_log_viewers
from storm.ui.rest.requests import search_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storm.ui.pages.log_part import Pieces
    from storm.ui.pages.page import PageCall
    from storm.ui.rest.formats import LogLinks
    from storm.ui.rest.log_search import Record


class Row(NamedTuple):
    """A record in which the text was found. `time`: as its log has it, empty: not known. `file` is a worker's log;
    `is_shown`: by the page of the worker's log. `link` leads to a file of before at the log viewer, where there is one.
    """

    time: str
    host: str
    port: int
    file: str
    offset: int
    pieces: Pieces
    is_shown: bool
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
    topology_id, text = call.path["id"], search_text(call.query)
    page = await call.nimbus.read("getTopologyPageInfo", topology_id, ALL_TIME, False)
    shown: dict[str, Any] = {"id": topology_id, "name": page.name, "text": text, "rows": [], "problems": []}
    if not text:
        return {**shown, "is_cut": False, "left_out": 0, "others_left_out": 0}
    found = await log_search.find(call.nimbus, call.logs, topology_id, text)
    links = (await with_log_viewers(call.view, call.nimbus)).links
    return {
        **shown,
        "rows": rows(found.records, topology_id, text, links),
        "problems": [f"{host}: {problem}" for host, problem in found.problems],
        "is_cut": found.is_cut,
        "left_out": found.left_out,
        "others_left_out": found.others_left_out,
    }


def rows(found: Iterable[Record], topology_id: str, text: str, links: LogLinks) -> Sequence[Row]:
    """As a page shows them."""
    shown = []
    for one in found:
        is_shown = log_part.is_worker_log(one.file)
        link = "" if one.file == WORKER_LOG else links.worker(one.host, one.port, topology_id, one.file)
        pieces = log_part.marked(log_part.shown(one.text), text, log_part.MARKS_IN_RECORD_MAX)
        shown.append(Row(one.time, one.host, one.port, one.file, one.offset, pieces, is_shown, link))
    return shown


def _place(worker: dict[str, Any]) -> tuple[str, int]:
    return worker["host"], int(worker["port"])
