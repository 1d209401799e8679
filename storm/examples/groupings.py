"""Every grouping side by side: nine bolts of three tasks each get the same numbers, each by another grouping.

    storm local storm/examples/groupings.py
    storm submit storm/examples/groupings.py --name groupings -c groupings.report_dir=/tmp/groupings

Settings, all optional:
    groupings.count        how many numbers are sent, 1,000 by default
    groupings.report_dir   every task writes there each second what it got, as JSON; made where it is not there
"""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from storm import BasicBolt, CustomGrouping, DirectStream, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm import BasicOutputCollector, SpoutOutputCollector, TopologyContext

TASKS = 3
KEYS = 10
REPORT_SECS = 1.0
DIRECT = "direct"  # the stream, and the bolt that listens to it


def key_of(number: int) -> str:
    """Ten keys; half of all numbers have the first, as real keys are uneven."""
    return f"key-{number % KEYS if number % 2 else 0}"


class NumberSpout(Spout):
    """Sends each number twice: to all bolts, and on a direct stream to the task that the number says."""

    outputs = {"default": ["number", "key"], DIRECT: DirectStream(["number", "key"])}

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.direct_tasks = context.tasks_of(DIRECT)
        streams = ("default", DIRECT)
        self.waiting = deque((stream, n) for n in range(conf.get("groupings.count", 1000)) for stream in streams)
        self.emitted = self.acked = self.failures = 0
        self.report = TaskReport(conf, context)

    def next_tuple(self) -> None:
        if self.waiting:
            stream, number = message_id = self.waiting.popleft()
            values = [number, key_of(number)]
            if stream == DIRECT:
                task = self.direct_tasks[number % len(self.direct_tasks)]
                self.collector.emit_direct(task, values, message_id, stream)
            else:
                self.collector.emit(values, message_id)
            self.emitted += 1
        if self.report.is_due():
            self.report.write({"emitted": self.emitted, "acked": self.acked, "failed": self.failures})

    def ack(self, message_id: Any) -> None:
        self.acked += 1

    def fail(self, message_id: Any) -> None:
        self.failures += 1
        self.waiting.append(message_id)


class RecordBolt(BasicBolt):
    """Writes down what it gets."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.numbers: list[int] = []
        self.report = TaskReport(conf, context)

    def component_configuration(self) -> Mapping[str, Any]:
        return {"topology.tick.tuple.freq.secs": REPORT_SECS}

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick():
            self.report.write({"numbers": self.numbers})
        else:
            self.numbers.append(tup.number)

    def cleanup(self) -> None:
        self.report.write({"numbers": self.numbers})


class EndsGrouping(CustomGrouping):
    """A grouping of our own: even numbers go to the first task, odd ones to the last, and multiples of ten to both."""

    def choose_tasks(self, task_id: int, values: Sequence[Any]) -> Sequence[int]:
        number = values[0]
        first, last = self.target_tasks[0], self.target_tasks[-1]
        if number % 10 == 0:
            return [first, last]
        return [last if number % 2 else first]


class TaskReport:
    """What one task got, in a file that is replaced as a whole, so that readers never see half of it."""

    def __init__(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        directory = conf.get("groupings.report_dir")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
        self.file = Path(directory, f"{context.component_id}-{context.task_id}.json") if directory else None
        self.head = {
            "component": context.component_id,
            "task": context.task_id,
            "tasks": context.tasks_of(context.component_id),
            "worker_port": context.worker_port,
            "worker_tasks": list(context.worker_tasks),
        }
        self.due = 0.0

    def is_due(self) -> bool:
        return monotonic() >= self.due

    def write(self, figures: Mapping[str, Any]) -> None:
        self.due = monotonic() + REPORT_SECS
        if self.file is not None:
            temporary = self.file.with_suffix(".tmp")
            temporary.write_text(json.dumps({**self.head, **figures}))
            os.replace(temporary, self.file)


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("numbers", NumberSpout())
    builder.set_bolt("shuffle", RecordBolt(), TASKS).shuffle_grouping("numbers")
    builder.set_bolt("fields", RecordBolt(), TASKS).fields_grouping("numbers", ["key"])
    builder.set_bolt("partial_key", RecordBolt(), TASKS).partial_key_grouping("numbers", ["key"])
    builder.set_bolt("all", RecordBolt(), TASKS).all_grouping("numbers")
    builder.set_bolt("global", RecordBolt(), TASKS).global_grouping("numbers")
    builder.set_bolt("none", RecordBolt(), TASKS).none_grouping("numbers")
    builder.set_bolt("local_or_shuffle", RecordBolt(), TASKS).local_or_shuffle_grouping("numbers")
    builder.set_bolt("custom", RecordBolt(), TASKS).custom_grouping("numbers", EndsGrouping())
    builder.set_bolt(DIRECT, RecordBolt(), TASKS).direct_grouping("numbers", stream=DIRECT)
    return builder.create_topology()
