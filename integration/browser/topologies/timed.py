"""Tuples whose times the topology takes by itself: what the cluster says of latencies has to lie between them.

A spout emits TUPLES tuples, one a turn, and is silent from then on. `work` takes SECS for each; `hold` acks each when
HELD more have come. Executors look at the clock before and after they call a component, so that a time begins after the
call before, and ends before the call after: all these are written to `counted.dir`/timed-COMPONENT.json, in seconds of
one clock, since all run on one host. Ticks come to `work` when nothing else does.
"""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from storm import Bolt, Spout, StormTopology, TopologyBuilder, Tuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm import OutputCollector, SpoutOutputCollector, TopologyContext

TUPLES, HELD, SECS = 60, 3, 0.004


class Notes:
    """Of each tuple, by its number: {what: when}."""

    def __init__(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        self.of: list[dict[str, float]] = [{} for _ in range(TUPLES)]
        self.file = Path(conf["counted.dir"]) / f"timed-{context.component_id}.json"

    def write(self) -> None:
        written = self.file.with_suffix(".new")
        written.write_text(json.dumps(self.of))
        os.replace(written, self.file)


class Numbers(Spout):
    outputs = ["number"]

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector, self.notes, self.next, self.acked = collector, Notes(conf, context), 0, 0
        self.has_emitted, self.ended = False, monotonic()

    def next_tuple(self) -> None:
        if not self.has_emitted and self.next < TUPLES:
            note = self.notes.of[self.next]
            note["call_before_ended"], note["emitted"] = self.ended, monotonic()
            self.collector.emit([self.next], message_id=self.next)
            self.next += 1
            self.has_emitted = True
        else:
            self.has_emitted = False  # a call that emits nothing ends a turn
        self.ended = monotonic()

    def ack(self, message_id: int) -> None:
        self.notes.of[message_id]["acked"] = monotonic()
        self.acked += 1
        if self.acked == TUPLES:
            self.notes.write()


class Work(Bolt):
    outputs = ["number"]

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector, self.notes, self.ended = collector, Notes(conf, context), monotonic()
        self.last: int | None = None

    def execute(self, tup: Tuple) -> None:
        began = monotonic()
        if self.last is not None:
            self.notes.of[self.last]["call_after_began"] = began
            if self.last == TUPLES - 1:
                self.notes.write()
            self.last = None
        if tup.component == "numbers":
            sleep(SECS)
            self.collector.emit([tup["number"]], anchors=tup)
            self.collector.ack(tup)
            self.last = tup["number"]
            self.notes.of[self.last] |= {"call_before_ended": self.ended, "began": began, "ended": monotonic()}
        self.ended = monotonic()


class Hold(Bolt):
    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector, self.notes, self.held = collector, Notes(conf, context), deque[Tuple]()

    def execute(self, tup: Tuple) -> None:
        self.held.append(tup)
        is_last = tup["number"] == TUPLES - 1
        while self.held and (is_last or len(self.held) > HELD):
            done = self.held.popleft()
            self.notes.of[done["number"]]["acked"] = monotonic()
            self.collector.ack(done)
        if is_last:
            self.notes.write()


def topology(conf: Mapping[str, Any]) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("numbers", Numbers())
    work = builder.set_bolt("work", Work()).shuffle_grouping("numbers")
    work.configure({"topology.tick.tuple.freq.secs": 1})
    builder.set_bolt("hold", Hold()).shuffle_grouping("work")
    return builder.create_topology()
