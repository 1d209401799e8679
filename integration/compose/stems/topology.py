"""Counts the words of a text by their stems, which a package finds that is on no host.

Settings: word_count.text and word_count.report_dir, as of storm/examples/word_count.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm import BasicBolt, StormTopology, TopologyBuilder, Tuple
from storm.examples.word_count import CountBolt, LineSpout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, TopologyContext


class StemBolt(BasicBolt):
    outputs = ["word"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        import snowballstemmer  # who submits need not have it

        super().prepare(conf, context, collector)
        self.stemmer = snowballstemmer.stemmer("english")

    def execute(self, tup: Tuple) -> None:
        self.collector.emit_many([[stem] for stem in self.stemmer.stemWords(tup.line.lower().split())])


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("lines", LineSpout())
    builder.set_bolt("stem", StemBolt(), 3).shuffle_grouping("lines")
    builder.set_bolt("count", CountBolt(), 3).fields_grouping("stem", ["word"])
    return builder.create_topology()
