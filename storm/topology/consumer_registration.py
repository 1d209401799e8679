"""Who is given a topology's metrics: consumers, registered by `topology.metrics.consumer.register` as in Apache Storm.

Nimbus adds a bolt for each when the topology is submitted, and stores it with the topology: so tasks have the same
numbers everywhere, whatever the settings of other hosts say, and a topology that was submitted to a release without
consumers stays as it is. The bolt's object is empty, as the acker's is: workers know it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storm.errors import InvalidTopologyError
from storm.ids import METRICS_STREAM, GlobalStreamId
from storm.topology.parallelism import TASKS_KEY
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, StormTopology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import ComponentId

REGISTER_KEY = "topology.metrics.consumer.register"
CONSUMER_KEY = "storm.metrics.consumer"  # in the conf of a consumer's bolt: which entry of REGISTER_KEY is its own
PREFIX = "__metrics_"
CONSUMERS_MAX = 20
EXECUTORS_MAX = 100
KEPT_MAX = 100_000
CLASS = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")
CLASS_CHARS_MAX = 110  # the bolt's id is a component's, and has 128 at most


@dataclass(frozen=True, slots=True)
class Registration:
    """One consumer. `kept`: reports that may wait for it; the oldest are dropped. Of names, `only` are given if it is
    not empty, and none that one of `but` is found in.
    """

    class_name: str
    argument: Any = None
    parallelism: int = 1
    kept: int = 100
    only: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    expand: bool = False
    separator: str = "."

    @classmethod
    def of(cls, entry: Any) -> Registration:
        """An entry of `topology.metrics.consumer.register`. Raises InvalidTopologyError."""
        if not isinstance(entry, dict):
            raise wrong(f"expected a mapping with class, argument and parallelism.hint, got {entry!r:.60}")
        unknown = sorted(str(key) for key in entry if key not in _KEYS)
        if unknown:
            raise wrong(f"{unknown[0]!r} is none of {', '.join(_KEYS)}")
        name = entry.get("class")
        if not isinstance(name, str) or not CLASS.fullmatch(name) or len(name) > CLASS_CHARS_MAX:
            raise wrong(f"class must name a class, such as my_module.MyConsumer, log or http, got {name!r:.80}")
        return cls(
            name,
            entry.get("argument"),
            _count(entry, "parallelism.hint", 1, EXECUTORS_MAX),
            _count(entry, "max.retain.metric.tuples", 100, KEPT_MAX),
            _patterns(entry, "whitelist"),
            _patterns(entry, "blacklist"),
            bool(entry.get("expandMapType", False)),
            str(entry.get("metricNameSeparator", ".")),
        )


_KEYS = (
    "class", "argument", "parallelism.hint", "max.retain.metric.tuples", "whitelist", "blacklist", "expandMapType",
    "metricNameSeparator",
)  # fmt: skip


def with_consumers(topology: StormTopology, conf: Mapping[str, Any]) -> StormTopology:
    """`topology` with the bolts of the consumers that `conf` registers. Raises InvalidTopologyError."""
    entries = conf.get(REGISTER_KEY) or []
    if len(entries) > CONSUMERS_MAX:
        raise wrong(f"{len(entries)} consumers; {CONSUMERS_MAX} is the most")
    inputs = {
        GlobalStreamId(component_id, METRICS_STREAM): Grouping(GroupingKind.SHUFFLE)
        for component_id in topology.components()
    }
    bolts = dict(topology.bolts)
    for i, entry in enumerate(entries):
        found = Registration.of(entry)
        count = found.parallelism
        bolts[_new_id(found.class_name, bolts)] = ComponentSpec(
            PythonObject(b""), inputs, {}, count, {TASKS_KEY: count, CONSUMER_KEY: i}
        )
    return StormTopology(topology.spouts, bolts) if entries else topology


def without_consumers(topology: StormTopology) -> StormTopology:
    """`topology` as its user built it."""
    bolts = {component_id: spec for component_id, spec in topology.bolts.items() if not is_consumer(component_id)}
    return StormTopology(topology.spouts, bolts)


def is_consumer(component_id: ComponentId) -> bool:
    """Whether this is the bolt of a metrics consumer."""
    return component_id.startswith(PREFIX)


def _new_id(class_name: str, taken: Mapping[ComponentId, Any]) -> ComponentId:
    """Storm's: of two with one class the second ends in #2."""
    first = PREFIX + class_name.replace(":", ".")
    number, found = 1, first
    while found in taken:
        number += 1
        found = f"{first}#{number}"
    return found


def _count(entry: Mapping[str, Any], key: str, default: int, most: int) -> int:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise wrong(f"{key} must be 1..{most}, got {value!r:.60}")
    return value


def _patterns(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = entry.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise wrong(f"{key} must be a list of regular expressions, got {value!r:.60}")
    for each in value:
        try:
            re.compile(each)
        except re.error as error:
            raise wrong(f"{key}: {each!r:.60} is no regular expression: {error}") from None
    return tuple(value)


def wrong(what: str) -> InvalidTopologyError:
    """The error for what is not as it should be."""
    return InvalidTopologyError(f"{REGISTER_KEY}: {what}")
