"""Numbers, whose bolt counts and times them by itself, and fails one in ten.

Settings: measures.url, where metrics are to go, and measures.dir, where a consumer and the tasks' hooks write what they
are told: points.jsonl, a line a report, and hooks-COMPONENT-TASK.json, {what: how often}.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm import (
    BasicBolt,
    FailedError,
    MetricsConsumer,
    Spout,
    StormTopology,
    TaskHook,
    TopologyBuilder,
    metrics_consumer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm import BasicOutputCollector, TopologyContext, Tuple

LOG_OF_STORM = "org.apache.storm.metric.LoggingMetricsConsumer"


class Numbers(Spout):
    outputs = ["number"]
    next_number = 0

    def next_tuple(self) -> None:
        if self.next_number < 100:
            self.collector.emit([self.next_number], message_id=self.next_number)
            self.next_number += 1


class Measures(BasicBolt):
    outputs = ["number"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        super().prepare(conf, context, collector)
        self.lines = context.metrics.counter("lines")
        self.work = context.metrics.timer("work")
        context.metrics.gauge("index", lambda: context.task_index)

    def execute(self, tup: Tuple) -> None:
        with self.work:
            self.lines.inc()
        if tup.number % 10 == 9:
            raise FailedError
        self.collector.emit([tup.number])


class ToFile(MetricsConsumer):
    """Its argument is the directory."""

    def prepare(self, conf: Mapping[str, Any], argument: Any, context: TopologyContext) -> None:
        self.file = Path(argument) / "points.jsonl"

    def handle_data_points(self, task_info: Any, data_points: Sequence[Any]) -> None:
        told = {**task_info._asdict(), "points": dict(data_points)}
        with self.file.open("a") as file:
            file.write(json.dumps(told) + "\n")


class Counts(TaskHook):
    """How often a task's hooks are called."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        self.counts: Counter[str] = Counter()
        self.file = Path(conf["measures.dir"]) / f"hooks-{context.component_id}-{context.task_id}.json"

    def count(self, what: str) -> None:
        self.counts[what] += 1
        written = self.file.with_suffix(".new")
        written.write_text(json.dumps(self.counts))
        os.replace(written, self.file)

    def emit(self, info: Any) -> None:
        self.count("emit")

    def spout_ack(self, info: Any) -> None:
        self.count("ack")

    def spout_fail(self, info: Any) -> None:
        self.count("fail")

    def bolt_execute(self, info: Any) -> None:
        self.count("execute")

    def bolt_ack(self, info: Any) -> None:
        self.count("ack")

    def bolt_fail(self, info: Any) -> None:
        self.count("fail")


def topology(conf: dict[str, Any]) -> StormTopology:
    conf["topology.metrics.consumer.register"] = [
        metrics_consumer("http", conf["measures.url"]),
        metrics_consumer(LOG_OF_STORM),
        metrics_consumer(ToFile, conf["measures.dir"]),
    ]
    conf["topology.auto.task.hooks"] = [f"{Counts.__module__}.{Counts.__qualname__}"]
    conf["topology.builtin.metrics.bucket.size.secs"] = 1
    builder = TopologyBuilder()
    builder.set_spout("numbers", Numbers(), parallelism=2)
    builder.set_bolt("measure", Measures(), parallelism=2).shuffle_grouping("numbers")
    return builder.create_topology()
