"""`/topology/ID/component/COMPONENT`, from Nimbus's ComponentPageInfo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storm.diagnosis.wording import headline, pretty_secs
from storm.metrics.stats_records import WINDOWS
from storm.thrift.interface import storm_thrift
from storm.ui.rest.formats import decimals, encoded, pretty_window
from storm.ui.rest.topology_page import bolt_figures, counts, debugging, error_place
from storm.ui.rest.view import NO_RESOURCES_SHOWN, REQUESTED_NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View


def component_page(page: Struct, view: View, profiles: Sequence[Struct] = ()) -> dict[str, Any]:
    """A spout's page has `spoutSummary`, a bolt's `boltStats` and `inputStats`; both over `view.window`.

    `profiles`: ProfileRequests to end those that go on.
    """
    is_spout = page.component_type == storm_thrift().ComponentType.SPOUT
    return {
        "user": None,
        "id": page.component_id,
        "encodedId": encoded(page.component_id),
        "name": page.topology_name,
        "executors": page.num_executors,
        "tasks": page.num_tasks,
        **REQUESTED_NOTHING,
        "requestedGenericResources": "",
        **NO_RESOURCES_SHOWN,
        "topologyId": page.topology_id,
        "encodedTopologyId": encoded(page.topology_id),
        "topologyStatus": page.topology_status,
        "window": view.window,
        "windowHint": pretty_window(view.window),
        "componentType": "spout" if is_spout else "bolt",
        **debugging(page.debug_options),
        **_event_log(page, view),
        "profilingAndDebuggingCapable": True,
        "profileActionEnabled": True,
        "profilerActive": [active_profile(one, page.topology_id, view) for one in profiles],
        **(_spout(page, view) if is_spout else _bolt(page, view)),
        "componentErrors": component_errors(page.errors or [], page.topology_id, view),
        **({"metrics": json.loads(page.metrics)} if page.metrics else {}),
        **({"metricsLeftOut": left_out} if (left_out := getattr(page, "metrics_left_out", None)) else {}),
    }


def component_errors(errors: Sequence[Struct], topology_id: str, view: View) -> list[dict[str, Any]]:
    """The oldest first, with their whole text. `errors` are the newest first, also those of the same second."""
    newest_first = sorted(errors, key=_time, reverse=True)
    return [{"error": error.error, **error_place(error, topology_id, view)} for error in reversed(newest_first)]


def active_profile(request: Struct, topology_id: str, view: View) -> dict[str, Any]:
    """`request`: to end it. `timestamp`: the milliseconds since it ended, as in Storm: below 0 while it goes on."""
    host, port = request.nodeInfo.node, min(request.nodeInfo.port)
    return {
        "host": host,
        "port": str(port),
        "dumplink": view.links.dumps(host, topology_id, port),
        "timestamp": 1_000 * view.wall_secs - (request.time_stamp or 0),
    }


def _event_log(page: Struct, view: View) -> dict[str, str]:
    """While its tuples are sampled: where the worker of its first executor writes them; each worker has its own."""
    is_sampled = page.debug_options is not None and page.debug_options.enable
    first = next((one.exec_summary for one in page.exec_stats or [] if one.exec_summary.host), None)
    if not is_sampled or first is None:
        return {}
    return {"eventLogLink": view.links.events(first.host, first.port, page.topology_id)}


def _spout(page: Struct, view: View) -> dict[str, Any]:
    return {
        "spoutSummary": [
            {
                **_window(window),
                **counts(stats.common_stats),
                "completeLatency": float(stats.specific_stats.spout.complete_latency_ms or 0.0),
                "lastError": headline(stats.last_error.error) if stats.last_error else "",
            }
            for window, stats in _windows(page)
        ],
        "outputStats": [
            {"stream": stream, **_spout_figures(stats)} for stream, stats in sorted(page.sid_to_output_stats.items())
        ],
        "executorStats": [
            {**_executor(one.exec_summary, page.topology_id, view), **_spout_figures(one.stats)}
            for one in page.exec_stats or []
        ],
    }


def _bolt(page: Struct, view: View) -> dict[str, Any]:
    return {
        "boltStats": [
            {**_window(window), **counts(stats.common_stats), **bolt_figures(stats)} for window, stats in _windows(page)
        ],
        "inputStats": [
            _input(stream, stats) for stream, stats in sorted(page.gsid_to_input_stats.items(), key=_by_stream)
        ],
        "outputStats": [
            {"stream": stream, **{key: counts(stats.common_stats)[key] for key in ("emitted", "transferred")}}
            for stream, stats in sorted(page.sid_to_output_stats.items())
        ],
        "executorStats": [
            {
                **_executor(one.exec_summary, page.topology_id, view),
                **counts(one.stats.common_stats),
                **bolt_figures(one.stats),
            }
            for one in page.exec_stats or []
        ],
    }


def _spout_figures(stats: Struct) -> dict[str, Any]:
    latency = decimals(stats.specific_stats.spout.complete_latency_ms)
    return {**counts(stats.common_stats), "completeLatency": latency}


def _input(stream: Struct, stats: Struct) -> dict[str, Any]:
    figures = bolt_figures(stats)
    return {
        "component": stream.componentId,
        "encodedComponentId": encoded(stream.componentId),
        "stream": stream.streamId,
        **{key: figures[key] for key in ("executeLatency", "processLatency", "executed")},
        **{key: counts(stats.common_stats)[key] for key in ("acked", "failed")},
    }


def _executor(summary: Struct, topology_id: str, view: View) -> dict[str, Any]:
    info = summary.executor_info
    executor_id = f"[{info.task_start}-{info.task_end}]"
    return {
        "id": executor_id,
        "encodedId": encoded(executor_id),
        "uptime": pretty_secs(summary.uptime_secs),
        "uptimeSeconds": summary.uptime_secs,
        "host": summary.host,
        "port": summary.port,
        "workerLogLink": view.links.worker(summary.host, summary.port, topology_id),
    }


def _window(window: str) -> dict[str, str]:
    return {"windowPretty": pretty_window(window), "window": window}


def _windows(page: Struct) -> list[tuple[str, Struct]]:
    return [(window, page.window_to_stats[window]) for window in WINDOWS if window in (page.window_to_stats or {})]


def _by_stream(item: tuple[Struct, Struct]) -> tuple[str, str]:
    return item[0].componentId, item[0].streamId


def _time(error: Struct) -> int:
    return int(error.error_time_secs)
