"""Fifty tuples a second, of which one in ten fails and one in fifty is an error, for ever.

`troubled.marked: true` gives it names and errors that are markup to whoever does not escape them.
"""

from __future__ import annotations

from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from storm import Bolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext

GAP_SECS = 0.02


class Names(NamedTuple):
    spout: str
    bolt: str
    stream: str
    error: str


PLAIN = Names("numbers", "check", "checked", "a bad number")
MARKED = Names(
    "<img src=x onerror=hacked=1>", '"><svg onload=hacked=1>', "<b onclick=hacked=1>", "<script>hacked = 1</script>"
)


def names_of(conf: Mapping[str, Any]) -> Names:
    return MARKED if conf.get("troubled.marked") else PLAIN


class Numbers(Spout):
    outputs = ["number"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector, self.numbers, self.due = collector, count(1), monotonic()

    def next_tuple(self) -> None:
        if monotonic() < self.due:
            return
        self.due += GAP_SECS
        number = next(self.numbers)
        self.collector.emit([number], message_id=number)


class Check(Bolt):
    def __init__(self, stream: str) -> None:
        self.outputs = {stream: ["number"]}
        self.stream = stream

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector, self.error = collector, names_of(conf).error

    def execute(self, tup: Tuple) -> None:
        if tup["number"] % 50 == 0:
            self.collector.report_error(ValueError(f"{self.error} {tup['number']}"))
        if tup["number"] % 10 == 0:
            self.collector.fail(tup)
            return
        self.collector.emit([tup["number"]], anchors=tup, stream=self.stream)
        self.collector.ack(tup)


class Sink(Bolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector

    def execute(self, tup: Tuple) -> None:
        self.collector.ack(tup)


def topology(conf: Mapping[str, Any]) -> StormTopology:
    names = names_of(conf)
    builder = TopologyBuilder()
    builder.set_spout(names.spout, Numbers())
    builder.set_bolt(names.bolt, Check(names.stream)).set_num_tasks(2).shuffle_grouping(names.spout)
    builder.set_bolt("sink", Sink()).shuffle_grouping(names.bolt, names.stream)
    return builder.create_topology()
