"""TopologyBuilder: spouts and bolts, who listens to whom, and how many of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from storm.config.topology_conf import checked_conf
from storm.config.topology_options import COMPONENT_KEYS
from storm.errors import ConfigError, InvalidTopologyError
from storm.ids import DEFAULT_STREAM, GlobalStreamId
from storm.topology import pickling
from storm.topology.component import BasicBolt, Bolt, CustomGrouping, Spout
from storm.topology.output_fields import OutputFieldsDeclarer, checked_fields
from storm.topology.parallelism import TASKS_KEY
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, ShellObject, StormTopology
from storm.topology.validation import validate, validate_component_id

if TYPE_CHECKING:
    from storm.ids import ComponentId, StreamId
    from storm.topology.component import Component

D = TypeVar("D", bound="ComponentDeclarer")
