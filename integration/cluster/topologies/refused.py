"""Orders that a bolt refuses: some each time, and all of them while there is a file `refuse-all`.

Settings: `refused.dir`, where spouts write what they send and hear, and the grave what is buried. Spouts send the
orders below the number in the file `limit`, each its part; those that are not done come again in the next process.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from storm import BasicBolt, FailedError, Retries, Spout, TopologyBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, Failure, SpoutOutputCollector, StormTopology, TopologyContext, Tuple

RETRIES = Retries(first_secs=0.2, factor=2.0, max_secs=0.5, attempts=4)
REFUSED_EACH = 10  # an order in so many is refused each time
GAP_SECS = 0.02


class Orders(Spout):
    outputs = {"default": ["order"], "dead-letter": ["order", "attempts", "reason"]}
    retries = RETRIES

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.directory = Path(conf["refused.dir"])
        self.next_order, self.step = context.task_index, len(context.tasks_of(context.component_id))
        before = [line.split() for path in self.directory.glob("spout-*") for line in path.read_text().splitlines()]
        self.done = {int(order) for what, order, *_ in before if what != "sent"}
        self.events = (self.directory / f"spout-{context.task_id}-{os.getpid()}").open("a", buffering=1)
        self.limit = 0
        self.due = 0.0

    def next_tuple(self) -> None:
        if (now := monotonic()) < self.due:
            return
        self.due = now + GAP_SECS
        self.limit = int((self.directory / "limit").read_text())
        while self.next_order in self.done:
            self.next_order += self.step
        if self.next_order < self.limit:
            self.send(self.next_order)
            self.next_order += self.step

    def send(self, order: int) -> None:
        self.events.write(f"sent {order} {monotonic()}\n")
        self.collector.emit([order], message_id=order)

    def ack(self, message_id: int) -> None:
        self.events.write(f"acked {message_id}\n")

    def fail(self, message_id: int) -> None:
        self.send(message_id)

    def give_up(self, message_id: int, failure: Failure) -> None:
        self.events.write(f"given-up {message_id}\n")


class Refuses(BasicBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.directory = Path(conf["refused.dir"])

    def execute(self, tup: Tuple) -> None:
        if tup.order % REFUSED_EACH == 0 or (self.directory / "refuse-all").exists():
            raise FailedError(f"no ship for order {tup.order}")


class Grave(BasicBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.letters = (Path(conf["refused.dir"]) / f"letters-{os.getpid()}").open("a", buffering=1)

    def execute(self, tup: Tuple) -> None:
        self.letters.write(f"{tup.order} {tup.attempts} {tup.reason}\n")


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("orders", Orders(), 2)
    builder.set_bolt("refuses", Refuses(), 2).shuffle_grouping("orders")
    builder.set_bolt("grave", Grave()).shuffle_grouping("orders", stream="dead-letter")
    return builder.create_topology()
