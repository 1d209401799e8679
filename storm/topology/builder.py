"""TopologyBuilder: spouts and bolts, how many of each, and who gets whose tuples.

    builder = TopologyBuilder()
    builder.set_spout("lines", LineSpout())
    builder.set_bolt("split", SplitBolt(), 2).shuffle_grouping("lines")
    builder.set_bolt("count", CountBolt(), 4).fields_grouping("split", ["word"])
    topology = builder.create_topology()

Whatever is wrong raises InvalidTopologyError, which names the component.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from storm.config.options import OPTIONS
from storm.config.topology_conf import checked_conf
from storm.config.topology_options import COMPONENT_KEYS, TASKS_MAX
from storm.errors import ConfigError, InvalidTopologyError
from storm.ids import DEFAULT_STREAM, GlobalStreamId
from storm.topology import pickling
from storm.topology.component import BasicBolt, Bolt, CustomGrouping, Spout
from storm.topology.failures import check_retries
from storm.topology.output_fields import OutputFieldsDeclarer, checked_fields
from storm.topology.parallelism import TASKS_KEY
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, StormTopology
from storm.topology.validation import validate, validate_component_id
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.ids import ComponentId, StreamId

    D = TypeVar("D", bound="ComponentDeclarer")

log = logging.getLogger(__name__)

_OF_EVERY_TUPLE = frozenset(name for name in dir(Tuple) if not name.startswith("_"))


@dataclass
class _Declaration:
    """One component as declared so far; CUSTOM groupings are pickled when the topology is created."""

    component_id: ComponentId
    component: Spout | Bolt | BasicBolt
    parallelism: int
    conf: dict[str, Any] = field(default_factory=dict)
    inputs: dict[GlobalStreamId, Grouping | CustomGrouping] = field(default_factory=dict)


class ComponentDeclarer:
    """What can be said of a spout or bolt; every method returns the declarer, so that calls can be chained."""

    def __init__(self, declaration: _Declaration) -> None:
        self._declaration = declaration

    def set_num_tasks(self: D, tasks: int) -> D:
        """Have so many tasks, shared out among the executors (default: one each). Their number stays for life."""
        self._declaration.conf[TASKS_KEY] = _checked_count(tasks, f"component {self._id!r}: its number of tasks")
        return self

    def configure(self: D, conf: Mapping[str, Any] | None = None, **own: Any) -> D:
        """Set keys for this component alone: `topology.*` keys by a mapping, keys of your own also by name."""
        self._declaration.conf.update(_checked({**(conf or {}), **own}, self._id))
        return self

    @property
    def _id(self) -> ComponentId:
        return self._declaration.component_id


class SpoutDeclarer(ComponentDeclarer):
    """What can be said of a spout."""


class BoltDeclarer(ComponentDeclarer):
    """What can be said of a bolt: each grouping subscribes it to a stream of a component."""

    def shuffle_grouping(self, component: ComponentId, stream: StreamId = DEFAULT_STREAM) -> BoltDeclarer:
        """Tuples go to the bolt's tasks in turn, so that each gets as many."""
        return self._subscribe(component, stream, Grouping(GroupingKind.SHUFFLE))

    def fields_grouping(
        self, component: ComponentId, fields: Sequence[str], stream: StreamId = DEFAULT_STREAM
    ) -> BoltDeclarer:
        """Tuples with equal values in these fields go to the same task."""
        return self._subscribe(component, stream, Grouping(GroupingKind.FIELDS, self._fields(fields, component)))

    def partial_key_grouping(
        self, component: ComponentId, fields: Sequence[str], stream: StreamId = DEFAULT_STREAM
    ) -> BoltDeclarer:
        """Tuples with equal values in these fields go to one of two tasks, the less used one: for skewed keys."""
        return self._subscribe(component, stream, Grouping(GroupingKind.PARTIAL_KEY, self._fields(fields, component)))

    def all_grouping(self, component: ComponentId, stream: StreamId = DEFAULT_STREAM) -> BoltDeclarer:
        """Every task gets every tuple."""
        return self._subscribe(component, stream, Grouping(GroupingKind.ALL))

    def global_grouping(self, component: ComponentId, stream: StreamId = DEFAULT_STREAM) -> BoltDeclarer:
        """All tuples go to one task, the one with the lowest id."""
        return self._subscribe(component, stream, Grouping(GroupingKind.GLOBAL))

    def none_grouping(self, component: ComponentId, stream: StreamId = DEFAULT_STREAM) -> BoltDeclarer:
        """It does not matter which task: the system takes what is cheapest, and may call the bolt directly."""
        return self._subscribe(component, stream, Grouping(GroupingKind.NONE))

    def direct_grouping(self, component: ComponentId, stream: StreamId = DEFAULT_STREAM) -> BoltDeclarer:
        """The emitter names the task, by `emit_direct` on a direct stream."""
        return self._subscribe(component, stream, Grouping(GroupingKind.DIRECT))

    def local_or_shuffle_grouping(self, component: ComponentId, stream: StreamId = DEFAULT_STREAM) -> BoltDeclarer:
        """In turn to the tasks in the emitter's own worker, where there are any, else to all."""
        return self._subscribe(component, stream, Grouping(GroupingKind.LOCAL_OR_SHUFFLE))

    def custom_grouping(
        self, component: ComponentId, grouping: CustomGrouping, stream: StreamId = DEFAULT_STREAM
    ) -> BoltDeclarer:
        """`grouping` chooses the tasks."""
        if not isinstance(grouping, CustomGrouping):
            raise InvalidTopologyError(f"bolt {self._id!r}: expected a CustomGrouping, got {_kind(grouping)}")
        return self._subscribe(component, stream, grouping)

    def _subscribe(self, component: ComponentId, stream: StreamId, grouping: Grouping | CustomGrouping) -> BoltDeclarer:
        source = GlobalStreamId(component, stream)
        if source in self._declaration.inputs:
            raise InvalidTopologyError(f"bolt {self._id!r} subscribes to {component!r} (stream {stream!r}) twice")
        self._declaration.inputs[source] = grouping
        return self

    def _fields(self, fields: Sequence[str], component: ComponentId) -> tuple[str, ...]:
        return checked_fields(fields, f"bolt {self._id!r}, fields grouping on {component!r}")


class TopologyBuilder:
    """Collects the spouts and bolts of a topology."""

    def __init__(self) -> None:
        self._declarations: dict[ComponentId, _Declaration] = {}

    def set_spout(self, component_id: ComponentId, spout: Spout, parallelism: int = 1) -> SpoutDeclarer:
        """Add a spout, run by so many executors."""
        if not isinstance(spout, Spout):
            raise InvalidTopologyError(f"spout {component_id!r}: expected a Spout, got {_kind(spout)}")
        return SpoutDeclarer(self._declare(component_id, spout, parallelism))

    def set_bolt(self, component_id: ComponentId, bolt: Bolt | BasicBolt, parallelism: int = 1) -> BoltDeclarer:
        """Add a bolt, run by so many executors."""
        if not isinstance(bolt, Bolt | BasicBolt):
            raise InvalidTopologyError(f"bolt {component_id!r}: expected a Bolt or BasicBolt, got {_kind(bolt)}")
        return BoltDeclarer(self._declare(component_id, bolt, parallelism))

    def create_topology(self) -> StormTopology:
        """The topology, checked, with every component pickled as it is now.

        Logs a warning for each name of a field that an attribute of tuples hides.
        """
        specs = {component_id: _spec(declared) for component_id, declared in self._declarations.items()}
        spouts = {each: spec for each, spec in specs.items() if isinstance(self._declarations[each].component, Spout)}
        topology = StormTopology(spouts, {each: spec for each, spec in specs.items() if each not in spouts})
        validate(topology)
        _warn_of_hidden_fields(specs)
        return topology

    def _declare(
        self, component_id: ComponentId, component: Spout | Bolt | BasicBolt, parallelism: int
    ) -> _Declaration:
        validate_component_id(component_id)
        if component_id in self._declarations:
            raise InvalidTopologyError(f"component {component_id!r} is declared twice")
        count = _checked_count(parallelism, f"component {component_id!r}: its parallelism")
        declared = _Declaration(component_id, component, count)
        self._declarations[component_id] = declared
        return declared


def _spec(declared: _Declaration) -> ComponentSpec:
    component_id, component = declared.component_id, declared.component
    declarer = OutputFieldsDeclarer(component_id)
    component.declare_output_fields(declarer)
    if isinstance(component, Spout):
        check_retries(component_id, component, declarer.streams)
    return ComponentSpec(
        PythonObject(pickling.dump(component_id, component)),
        {source: _grouping(component_id, grouping) for source, grouping in declared.inputs.items()},
        declarer.streams,
        declared.parallelism,
        {**_checked(component.component_configuration() or {}, component_id), **declared.conf},
    )


def _warn_of_hidden_fields(specs: Mapping[ComponentId, ComponentSpec]) -> None:
    where: dict[str, str] = {}
    for component_id, spec in specs.items():
        for stream, info in spec.streams.items():
            for name in _OF_EVERY_TUPLE.intersection(info.fields):
                where.setdefault(name, f"component {component_id!r}, stream {stream!r}")
    for name, found in sorted(where.items()):
        log.warning(
            "%s: read the field %r by tup[%r]; tup.%s is something else, which every tuple has",
            found, name, name, name,
        )  # fmt: skip


def _grouping(component_id: ComponentId, grouping: Grouping | CustomGrouping) -> Grouping:
    if isinstance(grouping, Grouping):
        return grouping
    return Grouping(GroupingKind.CUSTOM, serialized=pickling.dump(component_id, grouping))


def _checked(conf: Mapping[str, Any], component_id: ComponentId) -> dict[str, Any]:
    for key in conf:
        if key in OPTIONS and key not in COMPONENT_KEYS:
            raise InvalidTopologyError(
                f"component {component_id!r}: {key} is set for a whole topology, not for one component"
            )
    try:
        checked, warnings = checked_conf(conf, f"component {component_id!r}")
    except ConfigError as error:
        raise InvalidTopologyError(str(error)) from None
    for warning in warnings:
        log.warning("%s", warning)
    return checked


def _checked_count(count: object, what: str) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= TASKS_MAX:
        raise InvalidTopologyError(f"{what} must be 1..{TASKS_MAX}, got {count!r}")
    return count


def _kind(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}: pass an object of it, {value.__name__}()"
    return f"{type(value).__name__} ({value!r})"[:120]
