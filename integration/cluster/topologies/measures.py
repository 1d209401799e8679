"""Numbers, whose bolt counts and times them by itself. Setting: measures.url, where metrics are to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm import BasicBolt, Spout, StormTopology, TopologyBuilder, metrics_consumer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, TopologyContext, Tuple


class Numbers(Spout):
    outputs = ["number"]
    next_number = 0

    def next_tuple(self) -> None:
        if self.next_number < 100:
            self.collector.emit([self.next_number], message_id=self.next_number)
            self.next_number += 1


class Measures(BasicBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.lines = context.metrics.counter("lines")
        self.work = context.metrics.timer("work")
        context.metrics.gauge("index", lambda: context.task_index)

    def execute(self, tup: Tuple) -> None:
        with self.work:
            self.lines.inc()


def topology(conf: dict[str, Any]) -> StormTopology:
    conf["topology.metrics.consumer.register"] = [metrics_consumer("http", conf["measures.url"])]
    conf["topology.builtin.metrics.bucket.size.secs"] = 1
    builder = TopologyBuilder()
    builder.set_spout("numbers", Numbers(), parallelism=2)
    builder.set_bolt("measure", Measures(), parallelism=2).shuffle_grouping("numbers")
    return builder.create_topology()
