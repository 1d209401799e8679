"""`/topology/ID/visualization` and `/visualization-init`: the graph, with what flows on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from storm.ids import is_system_id
from storm.metrics.aggregation import ExecutorReport, component_figures
from storm.thrift import convert
from storm.ui.rest.formats import encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storm.metrics.aggregation import Figures
    from storm.thrift.interface import Struct
    from storm.ui.rest.view import View

IN_NO_NAME = re.compile(r"[^A-Za-z_\-:.]")  # Storm's rule of what may stand in a stream's name on the page
ROW = 4  # streams a row in the table of Storm's page
GROUPINGS = (
    "fields",
    "shuffle",
    "all",
    "none",
    "direct",
    "custom_object",
    "custom_serialized",
    "local_or_shuffle",
)


def visualization(topology: Struct, info: Struct, view: View) -> dict[str, Any]:
    """{component: its kind, figures over `view.window`, executors and inputs}.

    `topology` is a StormTopology with the system's components, `info` a TopologyInfo with executors' statistics.
    Components without an executor are left out; so are the system's, unless the view includes them.
    """
    found: dict[str, Any] = {}
    for kind, component_id, spec in _components(topology):
        executors = [one for one in info.executors if one.component_id == component_id]
        if executors and (view.include_system or not is_system_id(component_id)):
            reports = [executor_report(executor) for executor in executors]
            figures = component_figures(reports, view.window, view.include_system)
            found[component_id] = {
                ":type": kind,
                **_figures(kind, figures),
                ":stats": [_executor(executor) for executor in executors],
                ":link": f"/component.html?id={encoded(component_id)}&topology_id={encoded(info.id)}",
                ":inputs": [_input(stream, grouping) for stream, grouping in spec.common.inputs.items()],
            }
    return found


def visualization_init(graph: Mapping[str, Any]) -> dict[str, Any]:
    """Every stream of a `visualization` once, in rows; the system's are not ticked."""
    streams = sorted({each[":stream"] for component in graph.values() for each in component[":inputs"]})
    boxes = [
        {"stream": stream, "sani-stream": sanitized(stream), "checked": not is_system_id(stream)} for stream in streams
    ]
    return {"visualizationTable": [boxes[i : i + ROW] for i in range(0, len(boxes), ROW)]}


def sanitized(stream: str) -> str:
    """`default`; `_s__ack_ack` for `__ack_ack`: Storm puts `\\s` in front of what begins with no letter."""
    begins_well = re.match(r"[A-Za-z]", stream) is not None
    return IN_NO_NAME.sub("_", stream if begins_well else f"\\s{stream}")


def _components(topology: Struct) -> Iterator[tuple[str, str, Struct]]:
    for component_id, spec in topology.spouts.items():
        yield "spout", component_id, spec
    for component_id, spec in topology.bolts.items():
        yield "bolt", component_id, spec


def _figures(kind: str, figures: Figures) -> dict[str, Any]:
    if kind == "spout":
        return {":capacity": 0, ":latency": figures.complete_ms, ":transferred": figures.transferred}
    return {":capacity": figures.capacity, ":latency": figures.process_ms, ":transferred": figures.transferred}


def executor_report(executor: Struct) -> ExecutorReport:
    """Of an ExecutorSummary."""
    return ExecutorReport(
        convert.executor_from_thrift(executor.executor_info),
        executor.component_id,
        executor.host,
        executor.port,
        executor.uptime_secs,
        None if executor.stats is None else convert.executor_stats_from_thrift(executor.stats),
    )


def _executor(executor: Struct) -> dict[str, Any]:
    stats = executor.stats
    return {
        ":host": executor.host,
        ":port": executor.port,
        ":uptime_secs": executor.uptime_secs,
        ":transferred": None if stats is None else _sanitized_streams(stats.transferred),
    }


def _sanitized_streams(windows: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {
        window: {sanitized(stream): number for stream, number in streams.items()} for window, streams in windows.items()
    }


def _input(stream: Struct, grouping: Struct) -> dict[str, str]:
    return {
        ":component": stream.componentId,
        ":stream": stream.streamId,
        ":sani-stream": sanitized(stream.streamId),
        ":grouping": _grouping(grouping),
    }


def _grouping(grouping: Struct) -> str:
    return next((kind for kind in GROUPINGS if getattr(grouping, kind) is not None), "none")
