from __future__ import annotations

from storm.ids import GlobalStreamId
from storm.topology.structure import (
    ComponentSpec,
    Grouping,
    GroupingKind,
    PythonObject,
    StormTopology,
    StreamInfo,
)
from storm.topology.system_topology import system_topology

WORDS = GlobalStreamId("words", "default")
TOPOLOGY = StormTopology(
    {"words": ComponentSpec(PythonObject(b"w"), streams={"default": StreamInfo(("word",))})},
    {"count": ComponentSpec(PythonObject(b"c"), {WORDS: Grouping(GroupingKind.SHUFFLE)})},
)


def test_one_acker_a_worker_gets_every_tracking_stream_by_root() -> None:
    found = system_topology(TOPOLOGY, {"topology.workers": 3})
    acker = found.component("__acker")
    assert acker.parallelism == 3
    assert acker.conf["topology.tasks"] == 3
    assert set(acker.inputs) == {
        GlobalStreamId("words", "__ack_init"),
        GlobalStreamId("count", "__ack_ack"),
        GlobalStreamId("count", "__ack_fail"),
        GlobalStreamId("count", "__ack_reset_timeout"),
    }
    assert {(grouping.kind, grouping.fields) for grouping in acker.inputs.values()} == {(GroupingKind.FIELDS, ("id",))}
    for source in acker.inputs:
        assert found.component(source.component_id).streams[source.stream_id].fields[0] == "id"


def test_ackers_answer_spouts_directly() -> None:
    found = system_topology(TOPOLOGY, {})
    for source, grouping in found.spouts["words"].inputs.items():
        assert grouping.kind is GroupingKind.DIRECT
        assert found.component(source.component_id).streams[source.stream_id].direct


def test_without_ackers_nothing_is_tracked() -> None:
    found = system_topology(TOPOLOGY, {"topology.acker.executors": 0})
    assert "__acker" not in found.bolts
    assert "__ack_init" not in found.spouts["words"].streams
    assert found.spouts["words"].inputs == {}


def test_the_users_part_stays_as_it_is() -> None:
    found = system_topology(TOPOLOGY, {})
    assert set(found.components()) == {"words", "count", "__acker"}
    assert found.bolts["count"].inputs == TOPOLOGY.bolts["count"].inputs
    assert found.spouts["words"].streams["default"] == StreamInfo(("word",))
    assert all({"__system", "__metrics"} <= set(spec.streams) for spec in found.components().values())
