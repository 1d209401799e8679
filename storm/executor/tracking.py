"""Tracking on its way to trees that are not held in this lane: folded per root and batch, then packed as pairs."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from storm.executor.transfer import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from storm.ids import TaskId

    SendTracking: TypeAlias = Callable[[Tracking, TaskId, TaskId, array[int]], None]

PAIRS_MIN = 64
RECENT = 1024  # pairs of one list that are found again; a power of two


class Pairs:
    """Roots and values for one task, as they will travel: array("Q") root, value, root, value, ...

    `recent` remembers, by the roots' lowest bits, where the latest pairs stand. It is a guess that is checked: what it
    misses travels as a pair of its own, which means the same.
    """

    __slots__ = ("count", "numbers", "recent")

    def __init__(self) -> None:
        self.numbers = array("Q", bytes(16 * PAIRS_MIN))
        self.recent = array("i", bytes(4 * RECENT))
        self.count = 0

    def add(self, root: int, value: int) -> None:
        end = self.count + self.count
        if end == len(self.numbers):
            self.numbers = array("Q", bytes(self.numbers) + bytes(8 * end))
        self.numbers[end] = root
        self.numbers[end + 1] = value
        self.count += 1

    def fold(self, root: int, value: int) -> None:
        """XOR `value` into the root's if it is here already: acks need no order."""
        place = root & (len(self.recent) - 1)
        i = self.recent[place]
        if i < self.count and self.numbers[i + i] == root:
            self.numbers[i + i + 1] = self.numbers[i + i + 1] ^ value
        else:
            self.recent[place] = self.count
            self.add(root, value)

    def take(self) -> array[int]:
        """All pairs; there are none afterwards."""
        taken = array("Q", bytes(self.numbers[: self.count + self.count]))
        self.count = 0
        return taken


class TrackingOut:
    """What an executor has to say of trees held elsewhere; `flush` sends it, one message per kind and task."""

    __slots__ = ("acks", "acks_holder", "acks_to", "inits", "others", "waiting")

    def __init__(self) -> None:
        self.inits: dict[tuple[int, int], Pairs] = {}  # by holder and spout
        self.acks: dict[int, Pairs] = {}  # by holder
        self.others: dict[Tracking, dict[int, Pairs]] = {}  # by task
        self.acks_to: Pairs | None = None  # those for `acks_holder`: the last ones
        self.acks_holder = 0
        self.waiting = False

    def init(self, root: int, value: int) -> None:
        """A spout emitted; `value` is the XOR of the first edges."""
        key = root >> 48, root >> 32 & 0xFFFF
        pairs = self.inits.get(key)
        if pairs is None:
            pairs = self.inits[key] = Pairs()
        pairs.add(root, value)
        self.waiting = True

    def ack(self, root: int, value: int) -> None:
        """Acks of one tree fold into one value."""
        holder = root >> 48
        if holder != self.acks_holder or self.acks_to is None:
            self.acks_holder = holder
            self.acks_to = self.acks.get(holder)
            if self.acks_to is None:
                self.acks_to = self.acks[holder] = Pairs()
        self.acks_to.fold(root, value)
        self.waiting = True

    def note(self, kind: Tracking, root: int, value: int = 0) -> None:
        """FAIL or RESET, for the holder; or what an acker found, for the spout: ACKED, FAILED, RESET_DONE."""
        by_task = self.others.get(kind)
        if by_task is None:
            by_task = self.others[kind] = {}
        task = root >> 48 if kind is Tracking.FAIL or kind is Tracking.RESET else root >> 32 & 0xFFFF
        pairs = by_task.get(task)
        if pairs is None:
            pairs = by_task[task] = Pairs()
        pairs.add(root, value)
        self.waiting = True

    def flush(self, source: TaskId, send: SendTracking) -> bool:
        """Send all; `source` is the sender's task. False: there was nothing."""
        if not self.waiting:
            return False
        self.waiting = False
        for (holder, spout), pairs in self.inits.items():
            if pairs.count:
                send(Tracking.INIT, holder, spout, pairs.take())
        for holder, pairs in self.acks.items():
            if pairs.count:
                send(Tracking.ACK, holder, source, pairs.take())
        for kind, by_task in self.others.items():
            for task, pairs in by_task.items():
                if pairs.count:
                    send(kind, task, source, pairs.take())
        return True
