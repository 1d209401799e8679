"""The topology that really runs: the user's, with the ackers and the system's own streams.

The acker's object is empty: workers know it. Tracking between tasks travels packed and not as tuples, but the streams
are declared under Storm's names, so that whoever reads a topology (the UI, Storm's own tools) finds them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from storm.ids import (
    ACKER_ACK_STREAM,
    ACKER_COMPONENT,
    ACKER_FAIL_STREAM,
    ACKER_INIT_STREAM,
    ACKER_RESET_TIMEOUT_STREAM,
    METRICS_STREAM,
    SYSTEM_STREAM,
    GlobalStreamId,
)
from storm.topology.parallelism import TASKS_KEY, acker_count
from storm.topology.structure import (
    ComponentSpec,
    Grouping,
    GroupingKind,
    PythonObject,
    StormTopology,
    StreamInfo,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storm.ids import StreamId

COMMON_STREAMS = {
    METRICS_STREAM: StreamInfo(("task-info", "data-points")),
    SYSTEM_STREAM: StreamInfo(("event",)),
}
SPOUT_STREAMS = {ACKER_INIT_STREAM: StreamInfo(("id", "init-val", "spout-task"))}
BOLT_STREAMS = {
    ACKER_ACK_STREAM: StreamInfo(("id", "ack-val")),
    ACKER_FAIL_STREAM: StreamInfo(("id",)),
    ACKER_RESET_TIMEOUT_STREAM: StreamInfo(("id",)),
}
ACKER_STREAMS = {
    stream: StreamInfo(("id", "time-delta-ms"), direct=True)
    for stream in (ACKER_ACK_STREAM, ACKER_FAIL_STREAM, ACKER_RESET_TIMEOUT_STREAM)
}
BY_ID = Grouping(GroupingKind.FIELDS, ("id",))
TO_SPOUT = {GlobalStreamId(ACKER_COMPONENT, stream): Grouping(GroupingKind.DIRECT) for stream in ACKER_STREAMS}


def system_topology(topology: StormTopology, conf: Mapping[str, Any]) -> StormTopology:
    """`topology` with the system's parts. Without ackers (`topology.acker.executors` 0) no tracking is declared."""
    ackers = acker_count(conf)
    spouts, bolts = dict(topology.spouts), dict(topology.bolts)
    if ackers > 0:
        acker = ComponentSpec(
            PythonObject(b""), dict(_acker_inputs(topology)), ACKER_STREAMS, ackers, {TASKS_KEY: ackers}
        )
        spouts = {
            component_id: replace(_with_streams(spec, SPOUT_STREAMS), inputs={**spec.inputs, **TO_SPOUT})
            for component_id, spec in spouts.items()
        }
        bolts = {component_id: _with_streams(spec, BOLT_STREAMS) for component_id, spec in bolts.items()}
        bolts[ACKER_COMPONENT] = acker
    return StormTopology(
        {component_id: _with_streams(spec, COMMON_STREAMS) for component_id, spec in spouts.items()},
        {component_id: _with_streams(spec, COMMON_STREAMS) for component_id, spec in bolts.items()},
    )


def _acker_inputs(topology: StormTopology) -> Iterator[tuple[GlobalStreamId, Grouping]]:
    for streams, components in ((SPOUT_STREAMS, topology.spouts), (BOLT_STREAMS, topology.bolts)):
        for component_id in components:
            for stream in streams:
                yield GlobalStreamId(component_id, stream), BY_ID


def _with_streams(spec: ComponentSpec, streams: Mapping[StreamId, StreamInfo]) -> ComponentSpec:
    return replace(spec, streams={**spec.streams, **streams})
