"""The rules of a legal topology. Every error names the component and, where it can, what may have been meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from storm.config.near_names import did_you_mean
from storm.errors import InvalidTopologyError
from storm.ids import GlobalStreamId, is_system_id
from storm.topology.parallelism import MAX_TASKS_KEY, TASKS_KEY, num_tasks
from storm.topology.structure import ForeignObject, GroupingKind, ShellObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import ComponentId
    from storm.topology.structure import ComponentSpec, Grouping, StormTopology, StreamInfo

NAME_CHARS_MAX = 128
ILLEGAL_IN_NAMES = re.compile(r"[/.:\\]")  # Storm's rule for names of topologies
ILLEGAL_IN_IDS = re.compile(r"[/\\\x00-\x1f\x7f]")  # a component's id is a node in ZooKeeper
COMMAND_CHARS_MAX = 200  # of one that a message shows
TASKS_MAX = 32_767  # a task id has 16 bits, as in Storm


def validate_name(name: str) -> None:
    """Raises InvalidTopologyError unless `name` may be a topology's: at most 128 characters, no `/ . : \\`, no control
    characters, no blank at its ends."""
    if not isinstance(name, str) or not name:
        raise InvalidTopologyError("a topology's name must have at least one character")
    if len(name) > NAME_CHARS_MAX:
        raise InvalidTopologyError(f"a topology's name may have {NAME_CHARS_MAX} characters, this one has {len(name)}")
    found = ILLEGAL_IN_NAMES.search(name)
    if found:
        raise InvalidTopologyError(
            f"a topology's name must not contain any of / . : \\, and {name!r} has {found.group()!r}"
        )
    if not name.isprintable() or name != name.strip():
        raise InvalidTopologyError(
            f"a topology's name must not have control characters or blanks at its ends: {name!r}"
        )


def validate_component_id(component_id: str) -> None:
    """Raises InvalidTopologyError unless a user may give this id to a spout or bolt."""
    if not isinstance(component_id, str) or not component_id:
        raise InvalidTopologyError(f"a component's id must be text of at least one character, got {component_id!r}")
    if is_system_id(component_id):
        raise InvalidTopologyError(f"component {component_id!r}: ids that begin with __ are the system's")
    if len(component_id) > NAME_CHARS_MAX:
        raise InvalidTopologyError(f"component {component_id[:40]!r}...: an id may have {NAME_CHARS_MAX} characters")
    if ILLEGAL_IN_IDS.search(component_id) or not component_id.isprintable() or component_id in {".", ".."}:
        raise InvalidTopologyError(
            f"component {component_id!r}: an id must not be a dot or have / \\ or control characters"
        )


def validate(topology: StormTopology, conf: Mapping[str, Any] | None = None) -> None:
    """Raises InvalidTopologyError unless `topology`, as a user declares it, is legal.

    `conf` is the topology's, where it is known: `topology.max.task.parallelism` bounds the tasks.
    """
    if not topology.spouts:
        raise InvalidTopologyError("the topology has no spout: nothing would ever flow; add one with set_spout")
    both = sorted(set(topology.spouts) & set(topology.bolts))
    if both:
        raise InvalidTopologyError(f"component {both[0]!r} is declared twice, as a spout and as a bolt")
    for component_id, spec in topology.components().items():
        validate_component_id(component_id)
        _validate_spec(component_id, spec)
    for component_id, spec in topology.spouts.items():
        if spec.inputs:
            raise InvalidTopologyError(f"spout {component_id!r} has inputs: only bolts may subscribe to streams")
    for component_id, spec in topology.bolts.items():
        for source, grouping in spec.inputs.items():
            _validate_input(component_id, source, grouping, topology)
    _validate_reached(topology)
    _validate_fused(topology)
    tasks = sum(num_tasks(spec, conf or {}) for spec in topology.components().values())
    if tasks > TASKS_MAX:
        raise InvalidTopologyError(f"the topology has {tasks} tasks, and {TASKS_MAX} is the most")


def _validate_spec(component_id: ComponentId, spec: ComponentSpec) -> None:
    tasks = spec.conf.get(TASKS_KEY)
    for number, what in (
        (spec.parallelism, "its parallelism"),
        (tasks, "its number of tasks"),
        (spec.conf.get(MAX_TASKS_KEY), MAX_TASKS_KEY),
    ):
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= TASKS_MAX:
            raise InvalidTopologyError(f"component {component_id!r}: {what} must be 1..{TASKS_MAX}, got {number!r}")
    if tasks is not None and spec.parallelism > tasks:
        raise InvalidTopologyError(
            f"component {component_id!r} asks for {spec.parallelism} executors and has {tasks} tasks: "
            "an executor needs a task; set more tasks or a smaller parallelism"
        )
    if isinstance(spec.component, ForeignObject):
        raise InvalidTopologyError(
            f"component {component_id!r} is written in Java ({spec.component.description}): it cannot run here"
        )
    if isinstance(spec.component, ShellObject):
        command = f"{spec.component.execution_command} {spec.component.script}".strip()
        raise InvalidTopologyError(
            f"component {component_id!r} is a program of its own ({command[:COMMAND_CHARS_MAX]}), which would speak "
            "Storm's multi-lang protocol: it cannot run here; write it as a class of storm.Spout or storm.Bolt, and "
            "submit that with `storm submit` (docs/topologies.md)"
        )
    for stream, info in spec.streams.items():
        if is_system_id(stream):
            raise InvalidTopologyError(
                f"component {component_id!r}, stream {stream!r}: names that begin with __ are the system's"
            )
        if len(set(info.fields)) != len(info.fields):
            raise InvalidTopologyError(f"component {component_id!r}, stream {stream!r}: a field stands there twice")


def _validate_input(
    component_id: ComponentId, source: GlobalStreamId, grouping: Grouping, topology: StormTopology
) -> None:
    where = f"bolt {component_id!r}"
    if source.component_id not in topology.components():
        raise InvalidTopologyError(
            f"{where} subscribes to component {source.component_id!r}, which does not exist"
            + did_you_mean(source.component_id, topology.components())
        )
    streams = topology.component(source.component_id).streams
    if source.stream_id not in streams:
        raise InvalidTopologyError(
            f"{where} subscribes to stream {source.stream_id!r} of {source.component_id!r}, which it does not declare"
            + did_you_mean(source.stream_id, streams)
        )
    _validate_grouping(
        f"{where}, {grouping.kind.value} grouping on {_named(source)}", grouping, streams[source.stream_id]
    )


def _validate_grouping(where: str, grouping: Grouping, stream: StreamInfo) -> None:
    is_direct = grouping.kind is GroupingKind.DIRECT
    if stream.direct and not is_direct:
        raise InvalidTopologyError(
            f"{where}: this is a direct stream, whose emitter names the task: use direct_grouping"
        )
    if is_direct and not stream.direct:
        raise InvalidTopologyError(
            f"{where}: this is not a direct stream: declare it as DirectStream([...]) in its outputs"
        )
    if grouping.kind not in {GroupingKind.FIELDS, GroupingKind.PARTIAL_KEY}:
        return
    if not grouping.fields:
        raise InvalidTopologyError(f"{where}: it needs at least one field (global_grouping sends all to one task)")
    for field in grouping.fields:
        if field not in stream.fields:
            raise InvalidTopologyError(
                f"{where}: the stream has no field {field!r}" + did_you_mean(field, stream.fields)
            )


def _named(source: GlobalStreamId) -> str:
    return f"{source.component_id!r} (stream {source.stream_id!r})"


def _validate_reached(topology: StormTopology) -> None:
    """Bolts may form cycles, as in Storm; but every bolt needs a spout from which tuples come to it."""
    for component_id, spec in topology.bolts.items():
        if not spec.inputs:
            raise InvalidTopologyError(
                f"bolt {component_id!r} subscribes to nothing: give it a grouping, .shuffle_grouping(...)"
            )
    reached = set(topology.spouts)
    waiting = set(topology.bolts)
    while True:
        found = {
            component_id
            for component_id in waiting
            if any(source.component_id in reached for source in topology.bolts[component_id].inputs)
        }
        if not found:
            break
        reached |= found
        waiting -= found
    if waiting:
        names = ", ".join(repr(component_id) for component_id in sorted(waiting))
        raise InvalidTopologyError(f"no tuple of any spout comes to {names}: they only subscribe to one another")


def _validate_fused(topology: StormTopology) -> None:
    """A none grouping may call the subscriber directly, within the call that emits: such calls must not go round."""
    callees: dict[ComponentId, set[ComponentId]] = {}
    for component_id, spec in topology.bolts.items():
        for source, grouping in spec.inputs.items():
            if grouping.kind is GroupingKind.NONE:
                callees.setdefault(source.component_id, set()).add(component_id)
    for start in callees:
        reached: set[ComponentId] = set()
        pending = [start]
        while pending:
            found = callees.get(pending.pop(), set()) - reached
            reached |= found
            pending += found
        if start in reached:
            raise InvalidTopologyError(
                f"bolt {start!r}: a cycle of none groupings would call itself without end; use another grouping in it"
            )
