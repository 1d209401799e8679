"""A component's page: its streams, executors and errors."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.diagnosis.nimbus_pages import WINDOW, facts, insight
from storm.diagnosis.topology import troubles
from storm.ui.pages.links import Links
from storm.ui.pages.topology_streams import streams as streams_of
from storm.ui.pages.troubles import of_component, rows
from storm.ui.rest.component_page import component_page

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.pages.page import PageCall

TOPOLOGY_AGE_SECS = 10.0  # what the topology's page says of the component may be that old
FAILURES_SHOWN = 20


async def context(call: PageCall) -> dict[str, Any]:
    topology_id, component, view = call.path["id"], call.path["component"], call.view
    page, recent = await asyncio.gather(
        call.nimbus.read("getComponentPageInfo", topology_id, component, view.window, view.include_system),
        call.nimbus.read_lately(TOPOLOGY_AGE_SECS, "getTopologyPageInfo", topology_id, WINDOW, view.include_system),
    )
    shown = component_page(page, view)
    found, streams = troubles(facts(recent, view.wall_secs)), streams_of(recent)
    runs = executors(page, shown)
    return {
        "component": shown,
        "workers": sorted({joined(one["host"], one["port"]) for one in runs if one["host"] and one["port"]}),
        "is_spout": shown["componentType"] == "spout",
        "troubles": rows(of_component(found, component), Links(view.window, view.include_system), here=component),
        "insight": insight(getattr(page, "insight", None)),
        "executors": runs,
        "errors": list(reversed(keyed(shown["componentErrors"]))),
        "failures": list(getattr(page, "failures", None) or [])[:FAILURES_SHOWN],
        "measured": shown.get("metrics", []),
        "receivers": sorted(one for one in streams if one.source == component),
        "groupings": {(one.source, one.stream): one.grouping for one in streams if one.target == component},
    }


def keyed(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of REST's, the oldest first: each with a `key` of its own, which it keeps while others come.

    A worker reports several in the same second; only those of one text need not be told apart for ever.
    """
    seen: Counter[str] = Counter()
    found = []
    for one in errors:
        text = zlib.crc32(one["error"].encode(errors="replace"))
        place = f"{one['errorTime']} {one['errorHost']} {one['errorPort']} {text:x}"
        found.append({**one, "key": f"{place} {seen[place]}"})
        seen[place] += 1
    return found


def executors(page: Struct, shown: dict[str, Any]) -> list[dict[str, Any]]:
    """As the REST API has them, with what each does at the moment where its worker tells that."""
    told = [getattr(one.exec_summary, "insight", None) for one in page.exec_stats or []]
    return [
        {**one, "doing": "" if its is None else its.text or ""}
        for one, its in zip(shown["executorStats"], told, strict=True)
    ]
