"""A spout that sends again what failed, later and later, and gives up in the end; and a bolt that fails often.

    storm local storm/examples/replay.py
    storm submit storm/examples/replay.py --name replay

Settings, all optional:
    replay.attempts_max   how often an order is sent before it is given up, 5 by default
    replay.failure_rate   how often shipping fails, 0.3 by default
"""

from __future__ import annotations

import heapq
import logging
import random
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from storm import BasicBolt, FailedError, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, SpoutOutputCollector, TopologyContext

log = logging.getLogger(__name__)

ORDERS_A_SECOND = 100
FIRST_DELAY_SECS = 0.5
DELAY_MAX_SECS = 30.0


class Attempt(NamedTuple):
    """An order that is to be sent again at a time; first in order of time."""

    due: float
    number: int


class OrderSpout(Spout):
    """Sends numbered orders. What fails is sent again after 0.5 s, 1 s, 2 s ... and given up after some attempts."""

    outputs = {"default": ["number", "attempt"], "given_up": ["number", "attempts"]}

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.attempts_max = conf.get("replay.attempts_max", 5)
        self.next_number = context.task_index
        self.step = len(context.tasks_of(context.component_id))
        self.next_due = monotonic()
        self.attempts: dict[int, int] = {}  # of every order that is under way or waits to be sent again
        self.waiting: list[Attempt] = []

    def next_tuple(self) -> None:
        now = monotonic()
        if self.waiting and self.waiting[0].due <= now:
            self.send(heapq.heappop(self.waiting).number)
        elif self.next_due <= now:
            self.next_due += 1 / ORDERS_A_SECOND
            self.send(self.next_number)
            self.next_number += self.step

    def send(self, number: int) -> None:
        attempt = self.attempts[number] = self.attempts.get(number, 0) + 1
        self.collector.emit([number, attempt], message_id=number)

    def ack(self, message_id: int) -> None:
        del self.attempts[message_id]

    def fail(self, message_id: int) -> None:
        attempts = self.attempts[message_id]
        if attempts >= self.attempts_max:
            del self.attempts[message_id]
            self.collector.emit([message_id, attempts], stream="given_up")
            return
        delay = min(FIRST_DELAY_SECS * 2 ** (attempts - 1), DELAY_MAX_SECS)
        heapq.heappush(self.waiting, Attempt(monotonic() + delay, message_id))


class ShipBolt(BasicBolt):
    """Ships orders, which fails often: FailedError makes the spout hear of it at once."""

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
        self.collector.report_error(RuntimeError(f"order {tup.number} was given up after {tup.attempts} attempts"))


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("orders", OrderSpout())
    builder.set_bolt("ship", ShipBolt(), 2).shuffle_grouping("orders")
    builder.set_bolt("shipped", ShippedBolt()).global_grouping("ship")
    builder.set_bolt("given_up", GivenUpBolt()).shuffle_grouping("orders", stream="given_up")
    return builder.create_topology()
