"""A component's page: its streams, executors and errors; and one of these errors with its whole text."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.diagnosis.nimbus_pages import WINDOW, facts, insight
from storm.diagnosis.topology import troubles
from storm.diagnosis.wording import headline
from storm.http.problems import Problem
from storm.ids import is_system_id
from storm.metrics.stats_records import ALL_TIME
from storm.ui.pages.history import Look, lines
from storm.ui.pages.links import Links
from storm.ui.pages.topology_streams import figures_secs
from storm.ui.pages.topology_streams import streams as streams_of
from storm.ui.pages.troubles import of_component, rows
from storm.ui.pages.watch import component_looks
from storm.ui.rest import worker_calls
from storm.ui.rest.component_page import component_errors, component_page

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.pages.history import History
    from storm.ui.pages.page import PageCall

TOPOLOGY_AGE_SECS = 10.0  # what the topology's page says of the component may be that old
FAILURES_SHOWN = 20
SPOUTS_LINES = (
    ("Emitted", "emitted", "tuples a second"),
    ("Acked", "acked", "tuples a second"),
    ("Failed", "failed", "tuples a second"),
    ("Complete latency", "complete_ms", "ms"),
)
BOLTS_LINES = (
    ("Executed", "acked", "tuples a second"),
    ("Emitted", "emitted", "tuples a second"),
    ("Failed", "failed", "tuples a second"),
    ("Capacity", "busy_percent", "% busy"),
)
ENDS_CHARS = 2_000  # of an error's text, at its beginning and at its end: the rest is on a page of its own


async def context(call: PageCall) -> dict[str, Any]:
    topology_id, component, view = call.path["id"], call.path["component"], call.view
    page, recent, profiles = await asyncio.gather(
        call.nimbus.read("getComponentPageInfo", topology_id, component, view.window, view.include_system),
        call.nimbus.read_lately(TOPOLOGY_AGE_SECS, "getTopologyPageInfo", topology_id, WINDOW, view.include_system),
        worker_calls.profiles(call.nimbus, topology_id, component),
    )
    shown = component_page(page, view, profiles)
    counted = await _counted(call, recent)
    found, streams = troubles(facts(recent, view.wall_secs)), streams_of(recent)
    runs = executors(page, shown)
    return {
        "component": shown,
        "workers": sorted({joined(one["host"], one["port"]) for one in runs if one["host"] and one["port"]}),
        "profiled": profiled(shown["profilerActive"]),
        "is_spout": shown["componentType"] == "spout",
        "troubles": rows(of_component(found, component), Links(view.window, view.include_system), here=component),
        "insight": insight(getattr(page, "insight", None)),
        "sparklines": [] if counted is None else sparklines(call.history, shown, counted),
        "executors": runs,
        "errors": [
            {
                **one,
                "headline": headline(one["error"]),  # of the whole text
                "error": ends(one["error"]),
                "is_whole": len(one["error"]) <= 2 * ENDS_CHARS,
            }
            for one in reversed(keyed(shown["componentErrors"]))
        ],
        "failures": list(getattr(page, "failures", None) or [])[:FAILURES_SHOWN],
        "measured": shown.get("metrics", []),
        "measures_left_out": shown.get("metricsLeftOut", 0),
        "receivers": sorted(one for one in streams if one.source == component),
        "groupings": {(one.source, one.stream): one.grouping for one in streams if one.target == component},
    }


async def one_error(call: PageCall) -> dict[str, Any]:
    """That of the query's `key`, or the newest. Raises Problem where there is none of that key."""
    topology_id, component, key = call.path["id"], call.path["component"], call.query.get("key", "")
    page = await call.nimbus.read("getComponentPageInfo", topology_id, component, ALL_TIME, False)
    errors = keyed(component_errors(page.errors or [], topology_id, call.view))
    found = [one for one in errors if key in ("", one["key"])]
    if key and not found:
        raise Problem(404, f"This error of {component} is not kept any more: newer ones have taken its place.")
    return {
        "id": topology_id,
        "name": page.topology_name,
        "component": component,
        "error": found[-1] if found else None,
    }


async def _counted(call: PageCall, recent: Struct) -> Struct | None:
    """The topology's page without the system's streams, as the looks of the last hour are taken; None for a component
    of the system, of which there are none.
    """
    if is_system_id(call.path["component"]):
        return None
    if not call.view.include_system:
        return recent
    return await call.nimbus.read_lately(TOPOLOGY_AGE_SECS, "getTopologyPageInfo", call.path["id"], WINDOW, False)


def sparklines(history: History, shown: dict[str, Any], recent: Struct) -> list[dict[str, Any]]:
    """Of the last hour; `recent` is the topology's page over `WINDOW`, without the system's streams."""
    topology_id, component = shown["topologyId"], shown["id"]
    at = history.looked_at(topology_id) or 0.0
    counted = component_looks(recent, at).get(component, Look(at, 0, 0, 0, 0.0, {}))
    fields = SPOUTS_LINES if shown["componentType"] == "spout" else BOLTS_LINES
    return lines(fields, history.rates(topology_id, component), counted, figures_secs(recent))


def ends(text: str) -> str:
    """Its beginning and its end, where the error is named, with how much is left out between."""
    left_out = len(text) - 2 * ENDS_CHARS
    if left_out <= 0:
        return text
    return f"{text[:ENDS_CHARS]}\n... {left_out:,} characters ...\n{text[-ENDS_CHARS:]}"


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


def profiled(active: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Workers of which a profile goes on, as the REST API has them: `at` and the seconds that are left."""
    return [
        {"at": joined(one["host"], int(one["port"])), "left_secs": max(0, -one["timestamp"] // 1_000)} for one in active
    ]


def executors(page: Struct, shown: dict[str, Any]) -> list[dict[str, Any]]:
    """As the REST API has them, with what each does at the moment where its worker tells that."""
    told = [getattr(one.exec_summary, "insight", None) for one in page.exec_stats or []]
    return [
        {**one, "doing": "" if its is None else its.text or ""}
        for one, its in zip(shown["executorStats"], told, strict=True)
    ]
