"""Topologies: structs of storm.thrift and our dataclasses. Component objects stay bytes: nobody unpickles here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from storm.errors import InvalidTopologyError
from storm.ids import GlobalStreamId
from storm.thrift.binary_protocol import deserialize, serialize
from storm.thrift.interface import storm_thrift
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

if TYPE_CHECKING:
    from storm.ids import ComponentId
    from storm.thrift.interface import Struct
    from storm.topology.structure import ComponentObject

PARTIAL_KEY_CLASS = "org.apache.storm.grouping.PartialKeyGrouping"
_JAVA_SERIALIZED = b"\xac\xed\x00\x05"  # how Java's object streams begin
_PLAIN_ARMS = {  # the kinds of which nothing but the arm's name travels
    GroupingKind.SHUFFLE: "shuffle",
    GroupingKind.ALL: "all",
    GroupingKind.NONE: "none",
    GroupingKind.DIRECT: "direct",
    GroupingKind.LOCAL_OR_SHUFFLE: "local_or_shuffle",
}


def topology_to_bytes(topology: StormTopology) -> bytes:
    """A topology as its blob holds it: StormTopology in the binary protocol."""
    return serialize(topology_to_thrift(topology))


def topology_from_bytes(data: bytes) -> StormTopology:
    """Raises ThriftProtocolError if `data` is no StormTopology, InvalidTopologyError if it cannot run here."""
    return topology_from_thrift(deserialize(storm_thrift().StormTopology, data))


def topology_to_thrift(topology: StormTopology) -> Struct:
    """A StormTopology struct."""
    t = storm_thrift()
    return t.StormTopology(
        spouts={
            name: t.SpoutSpec(spout_object=_object_to_thrift(spec.component), common=_common_to_thrift(spec))
            for name, spec in topology.spouts.items()
        },
        bolts={
            name: t.Bolt(bolt_object=_object_to_thrift(spec.component), common=_common_to_thrift(spec))
            for name, spec in topology.bolts.items()
        },
        state_spouts={},
    )


def topology_from_thrift(struct: Struct) -> StormTopology:
    """Our topology for a StormTopology struct.

    What only a JVM can use (worker hooks, dependency jars) is left out. Raises InvalidTopologyError, naming the
    component, for what has no equal here: state spouts, Java groupings, settings that are no JSON object.
    """
    if struct.state_spouts:
        raise InvalidTopologyError(f"state spouts are not supported: {', '.join(sorted(struct.state_spouts))}")
    return StormTopology(
        spouts={name: _component(name, spec.spout_object, spec.common) for name, spec in struct.spouts.items()},
        bolts={name: _component(name, bolt.bolt_object, bolt.common) for name, bolt in struct.bolts.items()},
    )


def _component(name: ComponentId, component: Struct, common: Struct) -> ComponentSpec:
    return ComponentSpec(
        component=_object_from_thrift(name, component),
        inputs={
            GlobalStreamId(source.componentId, source.streamId): _grouping_from_thrift(name, source, grouping)
            for source, grouping in common.inputs.items()
        },
        streams={stream: StreamInfo(tuple(info.output_fields), info.direct) for stream, info in common.streams.items()},
        parallelism=1 if common.parallelism_hint is None else common.parallelism_hint,
        conf=_conf_from_json(name, common.json_conf),
    )


def _common_to_thrift(spec: ComponentSpec) -> Struct:
    t = storm_thrift()
    return t.ComponentCommon(
        inputs={
            t.GlobalStreamId(componentId=source.component_id, streamId=source.stream_id): _grouping_to_thrift(grouping)
            for source, grouping in spec.inputs.items()
        },
        streams={
            stream: t.StreamInfo(output_fields=list(info.fields), direct=info.direct)
            for stream, info in spec.streams.items()
        },
        parallelism_hint=spec.parallelism,
        json_conf=json.dumps(dict(spec.conf)),
    )


def _conf_from_json(name: ComponentId, text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        conf = json.loads(text)
    except ValueError as error:
        raise InvalidTopologyError(f"the settings of component {name!r} are not JSON: {error}") from error
    if not isinstance(conf, dict):
        raise InvalidTopologyError(f"the settings of component {name!r} are not a JSON object")
    return conf


def _object_to_thrift(component: ComponentObject) -> Struct:
    t = storm_thrift()
    match component:
        case PythonObject(serialized):
            return t.ComponentObject(serialized_python=serialized)
        case ShellObject(command, script):
            return t.ComponentObject(shell=t.ShellComponent(execution_command=command, script=script))
        case ForeignObject(description):
            return t.ComponentObject(java_object=t.JavaObject(full_class_name=description, args_list=[]))


def _object_from_thrift(name: ComponentId, component: Struct) -> ComponentObject:
    if component.serialized_python is not None:
        return PythonObject(component.serialized_python)
    if component.shell is not None:
        return ShellObject(component.shell.execution_command or "", component.shell.script or "")
    if component.java_object is not None:
        return ForeignObject(component.java_object.full_class_name)
    if component.serialized_java is not None:
        return ForeignObject(f"a serialized Java object of {len(component.serialized_java)} bytes")
    raise InvalidTopologyError(f"component {name!r} has no object, or one of a kind that this release does not know")


def _grouping_to_thrift(grouping: Grouping) -> Struct:
    t = storm_thrift()
    arm = _PLAIN_ARMS.get(grouping.kind)
    if arm is not None:
        return t.Grouping(**{arm: t.NullStruct()})
    if grouping.kind is GroupingKind.GLOBAL:
        return t.Grouping(fields=[])
    if grouping.kind is GroupingKind.CUSTOM:
        return t.Grouping(custom_serialized=grouping.serialized)
    if not grouping.fields:
        raise InvalidTopologyError(f"a {grouping.kind.value} grouping names no field")
    if grouping.kind is GroupingKind.FIELDS:
        return t.Grouping(fields=list(grouping.fields))
    arguments = [t.JavaObjectArg(string_arg=field) for field in grouping.fields]
    return t.Grouping(custom_object=t.JavaObject(full_class_name=PARTIAL_KEY_CLASS, args_list=arguments))


def _grouping_from_thrift(name: ComponentId, source: Struct, grouping: Struct) -> Grouping:
    for kind, arm in _PLAIN_ARMS.items():
        if getattr(grouping, arm) is not None:
            return Grouping(kind)
    if grouping.fields is not None:
        fields = tuple(grouping.fields)
        return Grouping(GroupingKind.FIELDS, fields) if fields else Grouping(GroupingKind.GLOBAL)
    place = f"component {name!r}, input {source.componentId}:{source.streamId}"
    if grouping.custom_serialized is not None:
        if grouping.custom_serialized.startswith(_JAVA_SERIALIZED):
            raise InvalidTopologyError(f"{place}: a grouping written in Java cannot run here")
        return Grouping(GroupingKind.CUSTOM, serialized=grouping.custom_serialized)
    if grouping.custom_object is not None:
        if grouping.custom_object.full_class_name != PARTIAL_KEY_CLASS:
            raise InvalidTopologyError(
                f"{place}: the Java grouping {grouping.custom_object.full_class_name} cannot run here"
            )
        fields = tuple(argument.string_arg for argument in grouping.custom_object.args_list)
        if not fields or None in fields:
            raise InvalidTopologyError(f"{place}: a partial key grouping names its fields by strings")
        return Grouping(GroupingKind.PARTIAL_KEY, fields)
    raise InvalidTopologyError(f"{place}: a grouping of a kind that this release does not know")
