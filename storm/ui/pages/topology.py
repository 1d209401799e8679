"""A topology's page: what is the trouble, its graph, its last hour, figures of components and workers, settings."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined, split
from storm.ids import is_system_id
from storm.ui.pages import diagnosis, topology_facts
from storm.ui.pages.graph import drawing
from storm.ui.pages.history import sparkline
from storm.ui.pages.links import Links
from storm.ui.pages.topology_settings import OWN, settings
from storm.ui.rest.topology_page import topology_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.thrift.interface import Struct
    from storm.ui.pages.diagnosis import Topology, Trouble
    from storm.ui.pages.history import History
    from storm.ui.pages.page import PageCall

CLUSTER_CONF_AGE_SECS = 60.0  # it changes when Nimbus starts anew
LEVELS = {
    diagnosis.Severity.CRITICAL: "bad",
    diagnosis.Severity.WARNING: "warn",
    diagnosis.Severity.NOTE: "info",
}
TROUBLES_SHOWN = 12
LAST_LINES_SHOWN = 20  # of a dead worker's log
SPARKLINES = (
    ("Emitted", "emitted", "tuples a second"),
    ("Acked", "acked", "tuples a second"),
    ("Failed", "failed", "tuples a second"),
    ("Complete latency", "complete_ms", "ms"),
)


async def context(call: PageCall) -> dict[str, Any]:
    topology_id, view = call.path["id"], call.view
    recent, page, cluster_conf = await asyncio.gather(
        call.nimbus.read("getTopologyPageInfo", topology_id, topology_facts.WINDOW, view.include_system),
        call.nimbus.read("getTopologyPageInfo", topology_id, view.window, view.include_system),
        call.nimbus.read_lately(CLUSTER_CONF_AGE_SECS, "getNimbusConf"),
    )
    facts = topology_facts.facts(recent, view.wall_secs)
    shown = topology_page(page, view)
    streams = topology_facts.streams(recent)
    rows = settings(shown["configuration"], json.loads(cluster_conf))
    return {
        "topology": shown,
        "troubles": troubles(facts, topology_id, call),
        "drawing": drawing(facts.components, streams, topology_facts.figures_secs(recent)),
        "streams": sorted(streams),
        "tells_streams": getattr(recent, "inputs", None) is not None,
        "sparklines": sparklines(call.history, topology_id),
        "insights": {one.name: one.insight for one in facts.components},
        "spouts_wait": any(one.insight.text for one in facts.components if one.is_spout),
        "bolts_wait": any(one.insight.text for one in facts.components if not one.is_spout),
        "dead_workers": {one.at: one.last_lines[-LAST_LINES_SHOWN:] for one in facts.dead_workers if one.last_lines},
        "workers": workers(page, shown),
        "executor_counts": {one.name: one.executors for one in facts.components if not is_system_id(one.name)},
        "settings": rows,
        "own_settings": sum(one.origin == OWN for one in rows),
    }


def troubles(
    facts: Topology, topology_id: str, call: PageCall, component: str | None = None, worker: str | None = None
) -> list[dict[str, str]]:
    """For the templates; only those of one component or worker, where it is named."""
    found = [
        one
        for one in diagnosis.troubles(facts)
        if component in (None, one.component, *one.concerns) and worker in (None, one.worker)
    ]
    link = Links(call.view.window, call.view.include_system)
    shown = [_trouble(one, topology_id, link, here=component) for one in found[:TROUBLES_SHOWN]]
    if len(found) > TROUBLES_SHOWN:
        more = f"And {len(found) - TROUBLES_SHOWN} more like these."
        shown.append({"level": "info", "text": more, "advice": "", "href": "", "to": ""})
    return shown


def _trouble(one: Trouble, topology_id: str, link: Links, here: str | None) -> dict[str, str]:
    """`here`: the component on whose page it stands."""
    href = to = ""
    if one.component and one.component != here:
        href, to = link.component(topology_id, one.component), one.component
    elif one.worker:
        href, to = link.worker(topology_id, *split(one.worker)), f"worker {one.worker}"
    return {"level": LEVELS[one.severity], "text": one.what, "advice": one.advice, "href": href, "to": to}


def sparklines(history: History, topology_id: str) -> list[dict[str, Any]]:
    """Of the last hour up to the last look, so that they are the same until the next one."""
    rates = history.rates(topology_id)
    at = history.looked_at(topology_id) or 0.0
    found = []
    for name, field, unit in SPARKLINES:
        points = [
            None if rate is None or (value := getattr(rate, field)) is None else (rate.at, value) for rate in rates
        ]
        found.append({"name": name, "unit": unit, "line": sparkline(points, at)})
    return found


def workers(page: Struct, shown: dict[str, Any]) -> list[dict[str, Any]]:
    """As the REST API has them, with what they tell of their peers; by host and port."""
    told = {(one.host, one.port): one for one in page.workers or []}
    found = [
        {
            **one,
            "at": joined(one["host"], one["port"]),
            "has_told": told[one["host"], one["port"]].uptime_secs is not None,
            **_peers(told[one["host"], one["port"]]),
        }
        for one in shown["workers"]
    ]
    return sorted(found, key=lambda one: (one["host"], one["port"]))


def _peers(worker: Struct) -> dict[str, Any]:
    told = getattr(worker, "insight", None)
    return {
        "peers": None if told is None else told.peers or 0,
        "reconnects": None if told is None else told.reconnects or 0,
        "dropped": None if told is None else sum((told.dropped or {}).values()),
        "missing_peers": _names(told, "missing_peers"),
        "slow_peers": _names(told, "slow_peers"),
        "full_components": _names(told, "full_components"),
    }


def _names(told: Struct | None, field: str) -> list[str]:
    found: Iterable[str] = () if told is None else getattr(told, field) or ()
    return sorted(found)
