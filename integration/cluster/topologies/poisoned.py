"""Orders from a source that forgets none, one of which ends the process of the bolt that gets it, as broken native code
does.

Settings: `poisoned.dir`, where what was acked, given up and buried is written; `poisoned.order`, the deadly one;
`poisoned.orders`, how many there are.
"""

from __future__ import annotations

import ctypes
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm import BasicBolt, Retries, Spout, TopologyBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import BasicOutputCollector, Failure, SpoutOutputCollector, StormTopology, TopologyContext, Tuple

AT_ONCE = 10


class Orders(Spout):
    outputs = {"default": ["order"], "dead-letter": ["order", "attempts", "reason"]}
    retries = Retries(first_secs=0.1, attempts=3)

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        self.directory = Path(conf["poisoned.dir"])
        done = {int(path.name.partition("-")[2]) for path in self.directory.iterdir()}
        self.left = deque(order for order in range(conf["poisoned.orders"]) if order not in done)

    def next_tuple(self) -> None:
        for _ in range(min(AT_ONCE, len(self.left))):
            order = self.left.popleft()
            self.collector.emit([order], message_id=order)

    def ack(self, message_id: int) -> None:
        (self.directory / f"acked-{message_id}").touch()

    def fail(self, message_id: int) -> None:
        self.left.append(message_id)

    def give_up(self, message_id: int, failure: Failure) -> None:
        (self.directory / f"given_up-{message_id}").write_text(failure.text)


class Deadly(BasicBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.deadly = conf["poisoned.order"]

    def execute(self, tup: Tuple) -> None:
        if tup.order == self.deadly:
            ctypes.string_at(0)


class Grave(BasicBolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> None:
        self.directory = Path(conf["poisoned.dir"])

    def execute(self, tup: Tuple) -> None:
        (self.directory / f"buried-{tup.order}").touch()


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("orders", Orders())
    builder.set_bolt("deadly", Deadly(), 2).shuffle_grouping("orders")
    builder.set_bolt("grave", Grave()).shuffle_grouping("orders", stream="dead-letter")
    return builder.create_topology()
