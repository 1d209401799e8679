"""A topology that runs at a steady pace and notes how long each tuple took, for others to be measured beside.

In its directory: `spout` has a line for each ack, as neighbour.py writes them; `bolt-*` one for each number that
arrived, and `wrong` for each that nobody can have emitted. Once there is a file `stop` nothing new is emitted, and
`done` says how many there were, all of them acked.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from storm import Bolt, Spout, TopologyBuilder

GAP_SECS = 0.004
PENDING_MAX = 50


def text_of(number: int) -> str:
    """What travels with a number: a tuple that was changed on the way, or made up, has another one."""
    return hashlib.sha256(b"steady %d" % number).hexdigest()[:16]


class Numbers(Spout):
    outputs = ("number", "text")

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def open(self, conf: Any, context: Any, collector: Any) -> None:
        self.collector = collector
        self.notes = (self.directory / "spout").open("a", buffering=1)
        self.number = 0
        self.due = 0.0
        self.done = False
        self.pending: dict[int, float] = {}
        self.failed: list[int] = []

    def next_tuple(self) -> None:
        now = time.monotonic()
        if self.failed:
            self.send(self.failed.pop(), now)
        elif now >= self.due and len(self.pending) < PENDING_MAX:
            self.due = now + GAP_SECS
            if (self.directory / "stop").exists():
                if not self.pending and not self.done:
                    self.done = True
                    (self.directory / "done.part").write_text(str(self.number))
                    os.replace(self.directory / "done.part", self.directory / "done")
            else:
                self.number += 1
                self.send(self.number, now)

    def send(self, number: int, now: float) -> None:
        self.pending.setdefault(number, now)
        self.collector.emit([number, text_of(number)], message_id=number)

    def ack(self, message_id: Any) -> None:
        started = self.pending.pop(message_id)
        self.notes.write(f"{started:.6f} {time.monotonic() - started:.6f} ok\n")

    def fail(self, message_id: Any) -> None:
        self.failed.append(message_id)


class Check(Bolt):
    outputs = ()

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        self.collector = collector
        self.notes = (self.directory / f"bolt-{context.task_id}").open("a", buffering=1)
        self.wrong = (self.directory / "wrong").open("a", buffering=1)

    def execute(self, tup: Any) -> None:
        if tup.is_tick():
            return
        number, text = tup.values
        if type(number) is int and text == text_of(number):
            self.notes.write(f"{number}\n")
        else:
            self.wrong.write(f"{tup.values!r:.200}\n")
        self.collector.ack(tup)


def build(directory: str) -> Any:
    builder = TopologyBuilder()
    builder.set_spout("numbers", Numbers(directory))
    builder.set_bolt("check", Check(directory), parallelism=2).shuffle_grouping("numbers")
    return builder.create_topology()
