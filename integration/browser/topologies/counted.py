"""A count that ends, and that every task keeps by itself: what the UI shows is compared with it.

Each spout task emits LINES lines and some tuples on a stream `side`, and is silent from then on. Every task writes what
it counted to `counted.dir`, as {name: number}, whenever that changes: `emitted/STREAM`, `executed/COMPONENT/STREAM`,
`acked`, `failed`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm import Bolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext

LINES = 100
WORDS = ("one", "two", "three")


class Tally:
    """What one task counted, and the file of it."""

    def __init__(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        self.counts: Counter[str] = Counter()
        self.file = Path(conf["counted.dir"]) / f"{context.component_id}-{context.task_id}.json"

    def add(self, *names: str) -> None:
        self.counts.update(names)
        written = self.file.with_suffix(".new")
        written.write_text(json.dumps(self.counts))
        os.replace(written, self.file)


class Lines(Spout):
    outputs = {"default": ["number"], "side": ["number"]}

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector, self.tally, self.next = collector, Tally(conf, context), 0

    def next_tuple(self) -> None:
        if self.next == LINES:
            return
        self.collector.emit([self.next], message_id=self.next)
        self.tally.add("emitted/default")
        if self.next % 10 == 0:
            self.collector.emit([self.next], stream="side")
            self.tally.add("emitted/side")
        self.next += 1

    def ack(self, message_id: Any) -> None:
        self.tally.add("acked")

    def fail(self, message_id: Any) -> None:
        self.tally.add("failed")


class Split(Bolt):
    outputs = ["word"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector, self.tally = collector, Tally(conf, context)

    def execute(self, tup: Tuple) -> None:
        executed = f"executed/{tup.component}/{tup.stream}"
        if tup["number"] % 10 == 9:
            self.collector.fail(tup)
            self.tally.add(executed, "failed")
            return
        for word in WORDS:
            self.collector.emit([word], anchors=tup)
        self.collector.ack(tup)
        self.tally.add(executed, "acked", *["emitted/default"] * len(WORDS))


class Count(Bolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector, self.tally = collector, Tally(conf, context)

    def execute(self, tup: Tuple) -> None:
        self.collector.ack(tup)
        self.tally.add(f"executed/{tup.component}/{tup.stream}", "acked")


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("lines", Lines(), 2)
    builder.set_bolt("split", Split(), 2).shuffle_grouping("lines")
    builder.set_bolt("count", Count(), 2).fields_grouping("split", ["word"]).all_grouping("lines", "side")
    return builder.create_topology()
