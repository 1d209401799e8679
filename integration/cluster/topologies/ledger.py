"""Numbers from a source that forgets nothing: whatever was not acked comes again, in the next process too.

Settings: ledger.dir, where the spouts and sinks write; ledger.rate, new numbers a second and spout task (50).
Spouts send no new numbers once there is a file `stop` in the directory.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from storm import Bolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext

log = logging.getLogger("ledger")
REPORT_SECS = 0.1
PENDING_MAX = 200


class NumberSpout(Spout):
    outputs = ["spout_task", "number"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector, self.task = collector, context.task_id
        self.directory = Path(conf["ledger.dir"])
        acked_path = self.directory / f"acked-{self.task}"
        acked = {int(line) for line in acked_path.read_text().split()} if acked_path.exists() else set()
        self.acked_file = acked_path.open("a", buffering=1)
        self.failed_file = (self.directory / f"failed-{self.task}").open("a", buffering=1)
        self.next_number = max(acked, default=-1) + 1
        self.waiting = deque(number for number in range(self.next_number) if number not in acked)
        self.pending: set[int] = set()
        self.gap_secs = 1 / conf.get("ledger.rate", 50)
        self.next_due = self.report_due = 0.0
        self.stopping = self.active = False
        self.calls_file = (self.directory / f"calls-{self.task}").open("a", buffering=1)

    def activate(self) -> None:
        self.active = True
        self.calls_file.write("activate\n")

    def deactivate(self) -> None:
        self.active = False
        self.report()
        self.calls_file.write("deactivate\n")

    def next_tuple(self) -> None:
        if not self.active:
            self.calls_file.write("next_tuple\n")
        now = monotonic()
        if now >= self.report_due:
            self.stopping = (self.directory / "stop").exists()
            self.report()
            self.report_due = now + REPORT_SECS
        if self.waiting:
            self.send(self.waiting.popleft())
        elif now >= self.next_due and not self.stopping and len(self.pending) < PENDING_MAX:
            self.next_due = now + self.gap_secs
            self.next_number += 1
            self.send(self.next_number - 1)

    def send(self, number: int) -> None:
        self.pending.add(number)
        self.collector.emit([self.task, number], message_id=number)

    def ack(self, message_id: Any) -> None:
        self.pending.discard(message_id)
        self.acked_file.write(f"{message_id}\n")

    def fail(self, message_id: Any) -> None:
        self.failed_file.write(f"{message_id}\n")
        self.waiting.append(message_id)

    def report(self) -> None:
        state = {
            "sent": self.next_number,
            "is_done": self.stopping and not self.pending and not self.waiting,
            "process": os.getpid(),
        }
        log.debug("a line for those who look closely: %s", state)
        temporary = self.directory / f"spout-{self.task}.tmp"
        temporary.write_text(json.dumps(state))
        os.replace(temporary, self.directory / f"spout-{self.task}.json")


class ForwardBolt(Bolt):
    outputs = ["spout_task", "number"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector

    def execute(self, tup: Tuple) -> None:
        self.collector.emit(list(tup.values), anchors=tup)
        self.collector.ack(tup)


class SinkBolt(Bolt):
    """Writes a number down before it acks it."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        self.file = open(f"{conf['ledger.dir']}/sink-{context.task_id}", "a", buffering=1)  # noqa: SIM115

    def execute(self, tup: Tuple) -> None:
        self.file.write(f"{tup.spout_task} {tup.number}\n")
        self.collector.ack(tup)


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("numbers", NumberSpout(), 2)
    builder.set_bolt("forward", ForwardBolt(), 2).set_num_tasks(4).shuffle_grouping("numbers")
    builder.set_bolt("sink", SinkBolt(), 2).set_num_tasks(4).fields_grouping("forward", ["number"])
    return builder.create_topology()
