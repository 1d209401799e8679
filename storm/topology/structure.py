"""A topology as data: what the builder makes, what travels to Nimbus, what workers run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import ComponentId, GlobalStreamId, StreamId


class GroupingKind(Enum):
    """How the tuples of a stream are shared out among the tasks that subscribe to it."""

    SHUFFLE = "shuffle"
    FIELDS = "fields"
    ALL = "all"
    GLOBAL = "global"
    NONE = "none"
    DIRECT = "direct"
    LOCAL_OR_SHUFFLE = "local_or_shuffle"
    PARTIAL_KEY = "partial_key"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Grouping:
    """`fields` for FIELDS and PARTIAL_KEY; `serialized` holds a pickled `CustomGrouping` for CUSTOM."""

    kind: GroupingKind
    fields: tuple[str, ...] = ()
    serialized: bytes | None = None


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The fields of a stream, in order; tuples of a direct stream name their target task."""

    fields: tuple[str, ...]
    direct: bool = False


@dataclass(frozen=True, slots=True)
class PythonObject:
    """A spout or bolt, pickled by cloudpickle; only a worker ever opens it."""

    serialized: bytes


@dataclass(frozen=True, slots=True)
class ShellObject:
    """A component in another language: a command and its script."""

    execution_command: str
    script: str


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """A Java component (Storm's arms 1 and 3 of ComponentObject): kept as it came, runs nowhere here."""

    description: str


ComponentObject = PythonObject | ShellObject | ForeignObject


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One spout or bolt: its object, where its tuples come from, its own streams, and its settings.

    `parallelism` is the number of executors asked for; `conf` holds the component's own `topology.*` settings,
    `topology.tasks` among them when it is not the same as the parallelism.
    """

    component: ComponentObject
    inputs: Mapping[GlobalStreamId, Grouping] = field(default_factory=dict)
    streams: Mapping[StreamId, StreamInfo] = field(default_factory=dict)
    parallelism: int = 1
    conf: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StormTopology:
    """Spouts and bolts by id. The system's own components are added by `topology.system_topology`."""

    spouts: Mapping[ComponentId, ComponentSpec] = field(default_factory=dict)
    bolts: Mapping[ComponentId, ComponentSpec] = field(default_factory=dict)

    def component(self, component_id: ComponentId) -> ComponentSpec:
        """Raises KeyError."""
        return self.spouts[component_id] if component_id in self.spouts else self.bolts[component_id]

    def components(self) -> dict[ComponentId, ComponentSpec]:
        """All of them, by id."""
        return {**self.spouts, **self.bolts}
