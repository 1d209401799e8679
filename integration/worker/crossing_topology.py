"""Numbers from a spout in one worker to bolts in another and back as acks; what happens is written to files."""

from __future__ import annotations

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
        self.failed: list[int] = []

    def next_tuple(self) -> None:
        if len(self.pending) >= self.window:
            return
        if self.failed:
            number = self.failed.pop()
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
        self.failed.append(message_id)
        self.notes.add("failed", message_id)

    def close(self) -> None:
        self.notes.add("closed")


class Check(Bolt):
    """Acks what arrives; dies of POISON. `busy`: computes without end on its first number until a file `enough` is
    there, and a little on all others, so that there is always more for it to do."""

    outputs = ()

    def __init__(self, directory: str, busy: bool) -> None:
        self.directory = directory
        self.busy = busy

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
        if self.busy:
            self.compute()
        self.collector.ack(tup)

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


def build(directory: str, window: int = 100, poison: bool = False, busy: bool = False) -> Any:
    builder = TopologyBuilder()
    builder.set_spout("numbers", Numbers(directory, window, poison))
    builder.set_bolt("check", Check(directory, busy), parallelism=2).shuffle_grouping("numbers")
    return builder.create_topology()
