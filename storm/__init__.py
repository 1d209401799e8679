"""Storm for Python: a distributed real-time computation system.

Everything that a topology needs is imported from here; modules load when they are first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from storm import hot_path

if TYPE_CHECKING:
    from storm.client.submitter import submit_topology
    from storm.config.keys import Config
    from storm.errors import (
        ConfigError,
        FailedError,
        InvalidTopologyError,
        ReportedFailedError,
        StormError,
    )
    from storm.local.local_cluster import LocalCluster
    from storm.messaging.tuple_codec import register_type
    from storm.topology.builder import BoltDeclarer, SpoutDeclarer, TopologyBuilder
    from storm.topology.component import (
        BasicBolt,
        BasicOutputCollector,
        Bolt,
        CustomGrouping,
        OutputCollector,
        Spout,
        SpoutOutputCollector,
    )
    from storm.topology.context import TopologyContext
    from storm.topology.failures import Failure, Retries
    from storm.topology.metrics_consumer import MetricsConsumer, metrics_consumer
    from storm.topology.output_fields import DirectStream, OutputFieldsDeclarer
    from storm.topology.structure import StormTopology
    from storm.topology.task_hooks import TaskHook
    from storm.tuples import Tuple

__version__ = "0.1.0"

hot_path.choose(os.environ.get("STORM_PURE"))

# Name -> module. The imports above tell type checkers the same.
_MODULES = {
    "BasicBolt": "storm.topology.component",
    "BasicOutputCollector": "storm.topology.component",
    "Bolt": "storm.topology.component",
    "BoltDeclarer": "storm.topology.builder",
    "Config": "storm.config.keys",
    "ConfigError": "storm.errors",
    "CustomGrouping": "storm.topology.component",
    "DirectStream": "storm.topology.output_fields",
    "FailedError": "storm.errors",
    "Failure": "storm.topology.failures",
    "InvalidTopologyError": "storm.errors",
    "LocalCluster": "storm.local.local_cluster",
    "MetricsConsumer": "storm.topology.metrics_consumer",
    "OutputCollector": "storm.topology.component",
    "OutputFieldsDeclarer": "storm.topology.output_fields",
    "ReportedFailedError": "storm.errors",
    "Retries": "storm.topology.failures",
    "Spout": "storm.topology.component",
    "SpoutDeclarer": "storm.topology.builder",
    "SpoutOutputCollector": "storm.topology.component",
    "StormError": "storm.errors",
    "StormTopology": "storm.topology.structure",
    "TaskHook": "storm.topology.task_hooks",
    "TopologyBuilder": "storm.topology.builder",
    "TopologyContext": "storm.topology.context",
    "Tuple": "storm.tuples",
    "metrics_consumer": "storm.topology.metrics_consumer",
    "register_type": "storm.messaging.tuple_codec",
    "submit_topology": "storm.client.submitter",
}

__all__ = [
    "BasicBolt",
    "BasicOutputCollector",
    "Bolt",
    "BoltDeclarer",
    "Config",
    "ConfigError",
    "CustomGrouping",
    "DirectStream",
    "FailedError",
    "Failure",
    "InvalidTopologyError",
    "LocalCluster",
    "MetricsConsumer",
    "OutputCollector",
    "OutputFieldsDeclarer",
    "ReportedFailedError",
    "Retries",
    "Spout",
    "SpoutDeclarer",
    "SpoutOutputCollector",
    "StormError",
    "StormTopology",
    "TaskHook",
    "TopologyBuilder",
    "TopologyContext",
    "Tuple",
    "metrics_consumer",
    "register_type",
    "submit_topology",
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'storm' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
