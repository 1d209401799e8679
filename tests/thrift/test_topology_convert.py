from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import InvalidTopologyError, ThriftProtocolError
from storm.ids import GlobalStreamId
from storm.thrift.interface import storm_thrift
from storm.thrift.topology_convert import (
    topology_from_bytes,
    topology_from_thrift,
    topology_to_bytes,
    topology_to_thrift,
)
from storm.topology.structure import (
    ComponentSpec,
    ForeignObject,
    Grouping,
    GroupingKind,
    PythonObject,
    ShellObject,
    StormTopology,
    StreamInfo,
)

names = st.text(min_size=1, max_size=6)
fields = st.lists(names, min_size=1, max_size=3).map(tuple)
groupings = st.one_of(
    st.sampled_from(
        [
            GroupingKind.SHUFFLE,
            GroupingKind.ALL,
            GroupingKind.GLOBAL,
            GroupingKind.NONE,
            GroupingKind.DIRECT,
            GroupingKind.LOCAL_OR_SHUFFLE,
        ]
    ).map(Grouping),
    st.builds(Grouping, st.sampled_from([GroupingKind.FIELDS, GroupingKind.PARTIAL_KEY]), fields),
    st.binary().map(lambda data: Grouping(GroupingKind.CUSTOM, serialized=b"\x80" + data)),
)
components = st.one_of(
    st.builds(PythonObject, st.binary()), st.builds(ShellObject, names, names), st.builds(ForeignObject, names)
)
specs = st.builds(
    ComponentSpec,
    component=components,
    inputs=st.dictionaries(st.builds(GlobalStreamId, names, names), groupings, max_size=3),
    streams=st.dictionaries(names, st.builds(StreamInfo, fields, st.booleans()), max_size=3),
    parallelism=st.integers(0, 2**31 - 1),
    conf=st.dictionaries(names, st.none() | st.integers() | names, max_size=3),
)
topologies = st.builds(
    StormTopology, st.dictionaries(names, specs, max_size=3), st.dictionaries(names, specs, max_size=3)
)


@given(topologies)
def test_a_topology_comes_back_from_its_bytes(topology: StormTopology) -> None:
    assert topology_from_bytes(topology_to_bytes(topology)) == topology


def one_bolt(**changes: object) -> object:
    """A topology with the bolt "count", as some client may send it."""
    t = storm_thrift()
    common = t.ComponentCommon(inputs={}, streams={})
    parts = {"bolt_object": t.ComponentObject(serialized_python=b"x"), "common": common}
    for name, value in changes.items():
        if name == "bolt_object":
            parts[name] = value
        else:
            setattr(common, name, value)
    return t.StormTopology(spouts={}, bolts={"count": t.Bolt(**parts)}, state_spouts={})


def test_what_a_client_leaves_out_is_storms_default() -> None:
    spec = topology_from_thrift(one_bolt()).bolts["count"]
    assert (spec.parallelism, spec.conf) == (1, {})


def test_a_shell_component_as_streamparse_sends_it() -> None:
    t = storm_thrift()
    shell = t.ShellComponent(execution_command="streamparse_run", script="-s json words.Count")
    spec = topology_from_thrift(one_bolt(bolt_object=t.ComponentObject(shell=shell))).bolts["count"]
    assert spec.component == ShellObject("streamparse_run", "-s json words.Count")


def test_java_objects_are_kept_by_description() -> None:
    t = storm_thrift()
    java = t.ComponentObject(serialized_java=b"\xac\xed\x00\x05")
    assert topology_from_thrift(one_bolt(bolt_object=java)).bolts["count"].component == ForeignObject(
        "a serialized Java object of 4 bytes"
    )


@pytest.mark.parametrize(
    ("grouping", "complaint"),
    [
        ({"custom_serialized": b"\xac\xed\x00\x05sr"}, "a grouping written in Java"),
        ({"custom_object": ("com.example.Mine", [])}, "the Java grouping com.example.Mine"),
        ({"custom_object": ("org.apache.storm.grouping.PartialKeyGrouping", [])}, "names its fields"),
        ({}, "does not know"),
    ],
)
def test_groupings_that_cannot_run_here_are_refused(grouping: dict[str, object], complaint: str) -> None:
    t = storm_thrift()
    if "custom_object" in grouping:
        name, arguments = grouping["custom_object"]  # type: ignore[misc]
        grouping = {"custom_object": t.JavaObject(full_class_name=name, args_list=arguments)}
    source = t.GlobalStreamId(componentId="lines", streamId="default")
    with pytest.raises(InvalidTopologyError, match=f"'count', input lines:default: .*{complaint}"):
        topology_from_thrift(one_bolt(inputs={source: t.Grouping(**grouping)}))


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_settings_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(InvalidTopologyError, match="the settings of component 'count' are not"):
        topology_from_thrift(one_bolt(json_conf=text))


def test_a_component_without_an_object_is_refused() -> None:
    with pytest.raises(InvalidTopologyError, match="'count' has no object"):
        topology_from_thrift(one_bolt(bolt_object=storm_thrift().ComponentObject()))


def test_state_spouts_are_refused() -> None:
    struct = topology_to_thrift(StormTopology())
    struct.state_spouts = {"s": None}
    with pytest.raises(InvalidTopologyError, match="state spouts are not supported: s"):
        topology_from_thrift(struct)


def test_bytes_that_are_no_topology_are_refused() -> None:
    with pytest.raises(ThriftProtocolError):
        topology_from_bytes(b"PK\x03\x04")
