"""A bolt that cannot be prepared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm import BasicBolt, TopologyBuilder
from storm.testing.spouts_and_bolts import FixedTupleSpout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, TopologyContext, Tuple


class DatabaseBolt(BasicBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        connect("db.example.org")

    def execute(self, tup: Tuple) -> None: ...


def connect(host: str) -> None:
    raise ConnectionRefusedError(f"nobody listens on {host}")


builder = TopologyBuilder()
builder.set_spout("numbers", FixedTupleSpout([[1]], ["number"]))
builder.set_bolt("database", DatabaseBolt()).shuffle_grouping("numbers")
topology = builder.create_topology()
