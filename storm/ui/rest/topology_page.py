"""`/topology/ID` and `/topology/ID/metrics`, from Nimbus's TopologyPageInfo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storm.diagnosis.nimbus_pages import TIMEOUT_KEY, TIMEOUT_SECS
from storm.diagnosis.wording import headline
from storm.metrics.stats_records import WINDOWS
from storm.ui.rest.formats import decimals, encoded, pretty_window
from storm.ui.rest.supervisors import worker
from storm.ui.rest.topologies import overview
from storm.ui.rest.view import NO_RESOURCES_SHOWN, REQUESTED_NOTHING

if TYPE_CHECKING:
    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View

SAMPLING_PERCENT = 10.0  # what Storm shows where nobody has set any
MEMORY_KINDS = {
    f"{what}{kind}{place}Mem": f"{what}_{kind.lower()}_{field}_memory"
    for what in ("requested", "assigned")
    for kind in ("Regular", "Shared")
    for place, field in (("OnHeap", "on_heap"), ("OffHeap", "off_heap"))
}


def topology_page(page: Struct, view: View) -> dict[str, Any]:
    """The page over `view.window`. Secrets in the configuration were masked by Nimbus."""
    conf = json.loads(page.topology_conf or "{}")
    debug = page.debug_options
    return {
        **overview(page),
        "requestedGenericResources": None,
        "assignedGenericResources": None,
        **{key: float(getattr(page, field) or 0.0) for key, field in MEMORY_KINDS.items()},
        "user": None,
        "window": view.window,
        "windowHint": pretty_window(view.window),
        "msgTimeout": conf.get(TIMEOUT_KEY) or TIMEOUT_SECS,
        "configuration": conf,
        "visualizationTable": [],
        **debugging(debug),
        "bugtracker-url": None,
        "central-log-url": None,
        **NO_RESOURCES_SHOWN,
        "topologyStats": [topology_window(page.topology_stats, window) for window in WINDOWS],
        "workers": [worker(summary, view) for summary in page.workers or []],
        "spouts": [
            spout(stats, component_id, page.id, view)
            for component_id, stats in sorted((page.id_to_spout_agg_stats or {}).items())
        ],
        "bolts": [
            bolt(stats, component_id, page.id, view)
            for component_id, stats in sorted((page.id_to_bolt_agg_stats or {}).items())
        ],
    }


def debugging(options: Struct | None) -> dict[str, Any]:
    """Whether tuples are logged, and which share; of a DebugOptions."""
    percent = None if options is None else options.samplingpct
    return {
        "debug": bool(options is not None and options.enable),
        "samplingPct": SAMPLING_PERCENT if percent is None else float(percent),
    }


def topology_window(stats: Struct | None, window: str) -> dict[str, Any]:
    def figure(name: str) -> Any:
        return (getattr(stats, f"window_to_{name}", None) or {}).get(window, 0)

    return {
        "windowPretty": pretty_window(window),
        "window": window,
        "emitted": figure("emitted"),
        "transferred": figure("transferred"),
        "completeLatency": decimals(figure("complete_latencies_ms")),
        "acked": figure("acked"),
        "failed": figure("failed"),
    }


def spout(stats: Struct, component_id: str, topology_id: str, view: View) -> dict[str, Any]:
    return {
        "spoutId": component_id,
        "encodedSpoutId": encoded(component_id),
        **_parallelism(stats.common_stats),
        **counts(stats.common_stats),
        "completeLatency": decimals(stats.specific_stats.spout.complete_latency_ms),
        **_wishes(),
        **last_error(stats.last_error, topology_id, view),
    }


def bolt(stats: Struct, component_id: str, topology_id: str, view: View) -> dict[str, Any]:
    return {
        "boltId": component_id,
        "encodedBoltId": encoded(component_id),
        **_parallelism(stats.common_stats),
        **counts(stats.common_stats),
        **bolt_figures(stats),
        **_wishes(),
        **last_error(stats.last_error, topology_id, view),
    }


def counts(common: Struct) -> dict[str, int]:
    """Of a CommonAggregateStats."""
    return {name: getattr(common, name) or 0 for name in ("emitted", "transferred", "acked", "failed")}


def bolt_figures(stats: Struct) -> dict[str, Any]:
    """Of a bolt's ComponentAggregateStats: latencies in milliseconds."""
    own = stats.specific_stats.bolt
    return {
        "capacity": decimals(own.capacity),
        "executeLatency": decimals(own.execute_latency_ms),
        "executed": own.executed or 0,
        "processLatency": decimals(own.process_latency_ms),
    }


def last_error(error: Struct | None, topology_id: str, view: View) -> dict[str, Any]:
    if error is None:
        nowhere = {"errorHost": "", "errorPort": None, "errorWorkerLogLink": ""}
        return {"lastError": "", "errorTime": None, "errorLapsedSecs": None, **nowhere}
    return {"lastError": headline(error.error), **error_place(error, topology_id, view)}


def error_place(error: Struct, topology_id: str, view: View) -> dict[str, Any]:
    """When and where an ErrorInfo came from."""
    host, port = error.host or "", error.port or 0
    return {
        "errorTime": error.error_time_secs,
        "errorLapsedSecs": max(0, view.wall_secs - error.error_time_secs),
        "errorHost": host,
        "errorPort": port,
        "errorWorkerLogLink": view.links.worker(host, port, topology_id) if host else "",
    }


def _parallelism(common: Struct) -> dict[str, int]:
    return {"executors": common.num_executors or 0, "tasks": common.num_tasks or 0}


def _wishes() -> dict[str, Any]:
    return {**REQUESTED_NOTHING, "requestedGenericResourcesComp": ""}
