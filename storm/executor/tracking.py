"""Tracking on its way to trees that are not held in this lane: folded per root and batch, then packed as pairs."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from storm.executor.pending import holder_of, spout_of
from storm.executor.transfer import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from storm.ids import TaskId

    SendTracking: TypeAlias = Callable[[Tracking, TaskId, TaskId, array[int]], None]


class TrackingOut:
    """What an executor has to say of trees held elsewhere; `flush` sends it, one message per kind and task."""

    __slots__ = ("acks", "inits", "others")

    def __init__(self) -> None:
        self.inits: dict[int, int] = {}
        self.acks: dict[int, int] = {}
        self.others: dict[Tracking, list[int]] = {}

    def init(self, root: int, value: int) -> None:
        self.inits[root] = value

    def ack(self, root: int, value: int) -> None:
        """Acks of one tree fold into one value: XOR needs no order."""
        self.acks[root] = self.acks.get(root, 0) ^ value

    def note(self, kind: Tracking, root: int) -> None:
        """FAIL or RESET, or what an acker found: ACKED, FAILED, RESET_DONE."""
        self.others.setdefault(kind, []).append(root)

    def flush(self, source: TaskId, send: SendTracking) -> bool:
        """Send all; `source` is the sender's task. False: there was nothing."""
        if not (self.inits or self.acks or self.others):
            return False
        for kind, values in ((Tracking.INIT, self.inits), (Tracking.ACK, self.acks)):
            packed: dict[tuple[TaskId, TaskId], array[int]] = {}
            for root, value in values.items():
                holder = holder_of(root), spout_of(root) if kind is Tracking.INIT else source
                packed.setdefault(holder, array("Q")).extend((root, value))
            for (target, sender), pairs in packed.items():
                send(kind, target, sender, pairs)
        for kind, roots in self.others.items():
            to_spout = kind in (Tracking.ACKED, Tracking.FAILED, Tracking.RESET_DONE)
            by_target: dict[TaskId, array[int]] = {}
            for root in roots:
                by_target.setdefault(spout_of(root) if to_spout else holder_of(root), array("Q")).extend((root, 0))
            for target, pairs in by_target.items():
                send(kind, target, source, pairs)
        self.inits, self.acks, self.others = {}, {}, {}
        return True
