"""Which streams a component emits: its `outputs`, or what its `declare_output_fields` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from storm.errors import InvalidTopologyError
from storm.ids import DEFAULT_STREAM, is_system_id
from storm.topology.structure import StreamInfo

if TYPE_CHECKING:
    from storm.ids import ComponentId, StreamId


@dataclass(frozen=True, slots=True)
class DirectStream:
    """In `outputs`: a stream whose tuples name the task that they go to (`collector.emit_direct`)."""

    fields: Sequence[str]


StreamFields: TypeAlias = Sequence[str] | DirectStream | StreamInfo
Outputs: TypeAlias = Sequence[str] | Mapping[str, StreamFields]


class OutputFieldsDeclarer:
    """Collects the streams of one component. Its methods raise InvalidTopologyError that names the component."""

    def __init__(self, component_id: ComponentId) -> None:
        self._component_id = component_id
        self.streams: dict[StreamId, StreamInfo] = {}

    def declare(self, fields: Sequence[str], *, direct: bool = False) -> None:
        """Declare the default stream."""
        self.declare_stream(DEFAULT_STREAM, fields, direct=direct)

    def declare_stream(self, stream: StreamId, fields: Sequence[str], *, direct: bool = False) -> None:
        """Declare a stream of another name."""
        where = f"component {self._component_id!r}"
        if not isinstance(stream, str) or not stream or not stream.isprintable():
            raise InvalidTopologyError(f"{where}: expected the name of a stream, got {stream!r}")
        if is_system_id(stream):
            raise InvalidTopologyError(f"{where}: stream {stream!r}: names that begin with __ are the system's")
        if stream in self.streams:
            raise InvalidTopologyError(f"{where} declares stream {stream!r} twice")
        self.streams[stream] = StreamInfo(checked_fields(fields, f"{where}, stream {stream!r}"), direct)


def checked_fields(fields: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of a tuple's values. Raises InvalidTopologyError, beginning with `where`."""
    if isinstance(fields, str) or not isinstance(fields, Sequence):
        raise InvalidTopologyError(f'{where}: expected a list of field names such as ["word", "count"], got {fields!r}')
    for name in fields:
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InvalidTopologyError(f"{where}: expected the name of a field, got {name!r}")
    twice = {name for name in fields if list(fields).count(name) > 1}
    if twice:
        raise InvalidTopologyError(f"{where}: field {min(twice)!r} stands there twice")
    return tuple(fields)


def declare_outputs(outputs: Outputs, declarer: OutputFieldsDeclarer) -> None:
    """Declare what an `outputs` attribute says: fields of the default stream, or a mapping of streams."""
    if not isinstance(outputs, Mapping):
        if isinstance(outputs, str) or len(outputs) > 0:
            declarer.declare(outputs)
        return
    for stream, declared in outputs.items():
        if isinstance(declared, DirectStream):
            declarer.declare_stream(stream, declared.fields, direct=True)
        elif isinstance(declared, StreamInfo):
            declarer.declare_stream(stream, declared.fields, direct=declared.direct)
        else:
            declarer.declare_stream(stream, declared)
