"""The word count whose answers of Storm's REST API are known (tests/contracts/storm_rest_contract.py)."""

from __future__ import annotations

import time
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from storm import Bolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext

LINE = "the quick brown fox jumps over"
LINES_A_TURN = 10  # of each spout, each PAUSE_SECS: other tests run beside it
PAUSE_SECS = 0.02


class Words(Spout):
    outputs = {"default": ["line", "number"], "side": ["number"]}

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.numbers = count(1)
        self.due = time.monotonic()

    def next_tuple(self) -> None:
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + PAUSE_SECS
        for number in islice(self.numbers, LINES_A_TURN):
            self.collector.emit([LINE, number], message_id=number)
            if number % 10 == 0:
                self.collector.emit([number], stream="side")


class Split(Bolt):
    outputs = ["word"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector

    def execute(self, tup: Tuple) -> None:
        if tup["number"] % 500 == 0:
            self.collector.report_error(ValueError(f"bad line {tup['number']}"))
        if tup["number"] % 50 == 0:
            self.collector.fail(tup)
            return
        for word in tup["line"].split():
            self.collector.emit([word], anchors=tup)
        self.collector.ack(tup)


class Count(Bolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector

    def execute(self, tup: Tuple) -> None:
        self.collector.ack(tup)


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("words", Words(), 2)
    builder.set_bolt("split", Split(), 2).set_num_tasks(4).shuffle_grouping("words")
    builder.set_bolt("count", Count(), 2).fields_grouping("split", ["word"]).all_grouping("words", "side")
    return builder.create_topology()
