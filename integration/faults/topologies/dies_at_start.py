"""A topology whose workers end as soon as they load it, as with a library that is not installed where they run."""

from __future__ import annotations

import os

if "STORM_WORKER_ID" in os.environ:
    raise ImportError("the harness asked for it: no module named 'not_installed_here'")

from typing import TYPE_CHECKING

from storm import BasicBolt, TopologyBuilder
from storm.testing.spouts_and_bolts import FixedTupleSpout

if TYPE_CHECKING:
    from storm import Tuple


class Nothing(BasicBolt):
    def execute(self, tup: Tuple) -> None: ...


builder = TopologyBuilder()
builder.set_spout("numbers", FixedTupleSpout([[1]], ["number"]))
builder.set_bolt("nothing", Nothing()).shuffle_grouping("numbers")
topology = builder.create_topology()
