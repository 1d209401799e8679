"""A topology's page: what is the trouble, its graph, its last hour, figures of components and workers, settings."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from storm.config.addresses import joined
from storm.diagnosis.nimbus_pages import WINDOW, facts
from storm.diagnosis.topology import troubles
from storm.ids import is_system_id
from storm.ui.pages import topology_streams
from storm.ui.pages.graph import drawing
from storm.ui.pages.history import lines
from storm.ui.pages.links import Links
from storm.ui.pages.topology_settings import OWN, settings
from storm.ui.pages.troubles import rows as trouble_rows
from storm.ui.pages.watch import look_of
from storm.ui.rest.log_levels import log_config as log_levels_of
from storm.ui.rest.supervisors import used
from storm.ui.rest.topology_page import topology_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.thrift.interface import Struct
    from storm.ui.pages.history import History
    from storm.ui.pages.page import PageCall

CLUSTER_CONF_AGE_SECS = 60.0  # it changes when Nimbus starts anew
LAST_LINES_SHOWN = 20  # of a dead worker's log
SPARKLINES = (
    ("Emitted", "emitted", "tuples a second"),
    ("Acked", "acked", "tuples a second"),
    ("Failed", "failed", "tuples a second"),
    ("Complete latency", "complete_ms", "ms"),
)


async def context(call: PageCall) -> dict[str, Any]:
    topology_id, view = call.path["id"], call.view
    recent, page, cluster_conf, log_config = await asyncio.gather(
        call.nimbus.read("getTopologyPageInfo", topology_id, WINDOW, view.include_system),
        call.nimbus.read("getTopologyPageInfo", topology_id, view.window, view.include_system),
        call.nimbus.read_lately(CLUSTER_CONF_AGE_SECS, "getNimbusConf"),
        call.nimbus.read("getLogConfig", topology_id),
    )
    told = facts(recent, view.wall_secs)
    shown = topology_page(page, view)
    streams = topology_streams.streams(recent)
    rows = settings(shown["configuration"], json.loads(cluster_conf))
    return {
        "topology": shown,
        "troubles": trouble_rows(troubles(told), Links(view.window, view.include_system)),
        "drawing": drawing(told.components, streams, topology_streams.figures_secs(recent)),
        "streams": sorted(streams),
        "tells_streams": getattr(recent, "inputs", None) is not None,
        "sparklines": sparklines(call.history, topology_id, recent),
        "insights": {one.name: one.insight for one in told.components},
        "spouts_wait": any(one.insight.text for one in told.components if one.is_spout),
        "bolts_wait": any(one.insight.text for one in told.components if not one.is_spout),
        "dead_workers": {one.at: one.last_lines[-LAST_LINES_SHOWN:] for one in told.dead_workers if one.last_lines},
        "log_levels": log_levels(log_levels_of(log_config)["namedLoggerLevels"], view.wall_secs),
        "workers": workers(page, shown),
        "present": {
            "numWorkers": workers_wanted(recent, shown["configuration"]),
            "executors": {one.name: one.executors for one in told.components if not is_system_id(one.name)},
        },
        "settings": rows,
        "own_settings": sum(one.origin == OWN for one in rows),
    }


def workers_wanted(page: Struct, conf: Mapping[str, Any]) -> int:
    """Where Nimbus, of the former release, does not tell: as many as it has, or else was submitted with."""
    return page.num_workers_wanted or page.num_workers or conf.get("topology.workers") or 0


def log_levels(levels: dict[str, dict[str, Any]], wall_secs: int) -> list[dict[str, Any]]:
    """By logger, of the REST API's `namedLoggerLevels`. `left_secs` None: for good. What is over is left out.

    `reset` is the level that holds then; empty: as it was configured.
    """
    found = []
    for logger, level in sorted(levels.items()):
        until_secs = level["timeout_epoch"] // 1000
        if level["target_level"] is None or (until_secs and until_secs <= wall_secs):
            continue
        left_secs = until_secs - wall_secs if until_secs else None
        reset = level["reset_level"] or ""
        found.append({"logger": logger, "level": level["target_level"], "reset": reset, "left_secs": left_secs})
    return found


def sparklines(history: History, topology_id: str, recent: Struct) -> list[dict[str, Any]]:
    """`recent` is a page over `WINDOW`."""
    at = history.looked_at(topology_id) or 0.0
    secs = topology_streams.figures_secs(recent)
    return lines(SPARKLINES, history.rates(topology_id), look_of(recent, at, WINDOW), secs)


def workers(page: Struct, shown: dict[str, Any]) -> list[dict[str, Any]]:
    """As the REST API has them, with what they take of their hosts and tell of their peers; by host and port."""
    told = {(one.host, one.port): one for one in page.workers or []}
    found = [
        {
            **one,
            "at": joined(one["host"], one["port"]),
            "has_told": told[one["host"], one["port"]].uptime_secs is not None,
            **used(told[one["host"], one["port"]]),
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
        "opening_components": _names(told, "opening_components"),
    }


def _names(told: Struct | None, field: str) -> list[str]:
    found: Iterable[str] = () if told is None else getattr(told, field) or ()
    return sorted(found)
