"""Numbers from a spout in one worker to bolts in another and back as acks; what happens is written to files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from storm import Bolt, Spout
from storm.topology.builder import TopologyBuilder

POISON = -1


class Notes:
    """Lines of a file, appended and written at once."""

    def __init__(self, directory: str, name: str) -> None:
        self._file = (Path(directory) / name).open("a")

    def add(self, *words: object) -> None:
        print(*words, file=self._file, flush=True)


class Numbers(Spout):
    """Emits 1, 2, 3, ... (or only `poison`, once), at most `window` in flight; replays what failed."""

    outputs = ("number", "text")

    def __init__(self, directory: str, window: int, poison: bool) -> None:
        self.directory = directory
        self.window = window
        self.poison = poison

    def open(self, conf: Any, context: Any, collector: Any) -> None:
        self.collector = collector
        self.notes = Notes(self.directory, "spout")
        self.notes.add("opened")
        self.next = 0
        self.pending: set[int] = set()
        self.again: list[int] = []

    def next_tuple(self) -> None:
        if len(self.pending) >= self.window:
            return
        if self.again:
            number = self.again.pop()
        else:
            self.next += 1
            number = POISON if self.poison else self.next
        self.pending.add(number)
        self.collector.emit([number, "some text"], message_id=number)

    def ack(self, message_id: Any) -> None:
        self.pending.discard(message_id)
        self.notes.add("acked", message_id)

    def fail(self, message_id: Any) -> None:
        self.pending.discard(message_id)
        self.again.append(message_id)
        self.notes.add("failed", message_id)

    def close(self) -> None:
        self.notes.add("closed")


class HearingNumbers(Numbers):
    """Notes why numbers failed."""

    def failed(self, message_id: Any, failure: Any) -> None:
        self.notes.add("why", message_id, failure.kind, failure.component)
        self.fail(message_id)


class Check(Bolt):
    """Acks what arrives; dies of POISON.

    `hangs`: its first process never returns from the number 5. `busy`: computes without end on its first number until a
    file `enough` is there, and a little on all others, so that there is always more for it to do.
    """

    outputs = ()

    def __init__(self, directory: str, busy: bool, hangs: bool) -> None:
        self.directory = directory
        self.busy = busy
        self.hangs = hangs

    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        self.collector = collector
        self.notes = Notes(self.directory, f"bolt-{context.task_id}")
        self.notes.add("prepared")

    def execute(self, tup: Any) -> None:
        if tup.is_tick():
            self.notes.add("tick")
            return
        if tup.number == POISON:
            raise ValueError("poison was drunk")
        assert tup.text == "some text"
        self.notes.add("got", tup.number)
        if self.hangs and tup.number == 5:
            self.hang()
        if self.busy:
            self.compute()
        self.collector.ack(tup)

    def hang(self) -> None:
        hung = Path(self.directory) / "hung"
        if not hung.exists():
            hung.touch()
            threading.Event().wait()

    def compute(self) -> None:
        enough = Path(self.directory) / "enough"
        found = 0
        while True:
            for number in range(100_000):
                found ^= number
            if enough.exists():
                return

    def cleanup(self) -> None:
        self.notes.add("cleaned")


def build(directory: str, window: int = 100, poison: bool = False, busy: bool = False, hangs: bool = False) -> Any:
    builder = TopologyBuilder()
    builder.set_spout("numbers", (HearingNumbers if hangs else Numbers)(directory, window, poison))
    builder.set_bolt("check", Check(directory, busy, hangs), parallelism=2).shuffle_grouping("numbers")
    return builder.create_topology()
