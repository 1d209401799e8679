"""A spout that sends again what failed, later and later, and gives up in the end; and a bolt that fails often.

    storm local storm/examples/replay.py
    storm submit storm/examples/replay.py --name replay

Settings, all optional:
    replay.attempts_max   how often an order is sent before it is given up, 5 by default
    replay.failure_rate   how often shipping fails, 0.3 by default
"""

from __future__ import annotations

import logging
import random
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from storm import BasicBolt, FailedError, Retries, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, Failure, SpoutOutputCollector, TopologyContext

log = logging.getLogger(__name__)

ORDERS_A_SECOND = 100


class OrderSpout(Spout):
    """Sends numbered orders. What fails is sent again after 0.5 s, 1 s, 2 s ... and given up after some attempts.

    The waiting, the counting and the dead letters are the system's, by `retries`: the spout only sends again what it is
    told. `open_orders` stands for the source that orders would come from, and be deleted from.
    """

    outputs = {"default": ["number"], "dead-letter": ["number", "attempts", "reason"]}

    def __init__(self, attempts_max: int = 5) -> None:
        self.retries = Retries(first_secs=0.5, factor=2.0, max_secs=30.0, attempts=attempts_max)

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.next_number = context.task_index
        self.step = len(context.tasks_of(context.component_id))
        self.next_due = monotonic()
        self.open_orders: set[int] = set()
        self.again: deque[int] = deque()

    def next_tuple(self) -> None:
        if self.again:
            self.send(self.again.popleft())
        elif self.next_due <= monotonic():
            self.next_due += 1 / ORDERS_A_SECOND
            self.open_orders.add(self.next_number)
            self.send(self.next_number)
            self.next_number += self.step

    def send(self, number: int) -> None:
        self.collector.emit([number], message_id=number)

    def ack(self, message_id: int) -> None:
        self.open_orders.remove(message_id)

    def failed(self, message_id: int, failure: Failure) -> None:
        log.debug("order %d again: %s", message_id, failure.text)
        self.again.append(message_id)

    def give_up(self, message_id: int, failure: Failure) -> None:
        self.open_orders.remove(message_id)


class ShipBolt(BasicBolt):
    """Ships orders, which fails often: FailedError makes the spout hear of it."""

    outputs = ["number"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.collector = collector
        self.failure_rate = conf.get("replay.failure_rate", 0.3)
        self.random = random.Random(context.task_id)

    def execute(self, tup: Tuple) -> None:
        if self.random.random() < self.failure_rate:
            raise FailedError(f"no ship for order {tup.number}")
        self.collector.emit([tup.number])


class ShippedBolt(BasicBolt):
    """Knows which orders were shipped. One that was shipped and then timed out comes twice: it is counted once."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.shipped: set[int] = set()
        self.twice = 0

    def component_configuration(self) -> Mapping[str, Any]:
        return {"topology.tick.tuple.freq.secs": 10}

    def execute(self, tup: Tuple) -> None:
        if tup.is_tick():
            log.info("%d orders shipped, %d of them more than once", len(self.shipped), self.twice)
        elif tup.number in self.shipped:
            self.twice += 1
        else:
            self.shipped.add(tup.number)


class GivenUpBolt(BasicBolt):
    """Tells people of orders that could not be shipped: see `storm get-errors`."""

    def execute(self, tup: Tuple) -> None:
        text = f"order {tup.number} was given up after {tup.attempts} attempts: {tup.reason}"
        self.collector.report_error(RuntimeError(text))


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("orders", OrderSpout(conf.get("replay.attempts_max", 5)))
    builder.set_bolt("ship", ShipBolt(), 2).shuffle_grouping("orders")
    builder.set_bolt("shipped", ShippedBolt()).global_grouping("ship")
    builder.set_bolt("given_up", GivenUpBolt()).shuffle_grouping("orders", stream="dead-letter")
    return builder.create_topology()
