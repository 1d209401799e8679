"""A spout task's tuples under way: a ring indexed by the roots' counter, with timeouts by rotation.

A root is 64 bits: the task that holds the tree's ledger (16) | the spout's task (16) | a counter (32). Counters of one
task follow one another, so that a ring finds them without hashing; a tree that stays while the ring comes round moves
to a dict.

Where the worker has an acker, the spout's task holds the ledger itself: what the acker in its worker would do, without
a message. Then `fold` completes trees. Otherwise an acker elsewhere holds it (`acker.AckLedger`) and tells by `settle`.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from storm.ids import TaskId
    from storm.topology.failures import FailureKind

RING_SIZE_MIN = 1024
RING_SIZE_MAX = 1 << 20


class EmittedOn(Protocol):
    """What of `task.OutputStream` is needed here."""

    def count_acked(self, since: float) -> object: ...

    def count_failed(self, kind: FailureKind) -> object: ...


def root_base(holder: TaskId, spout_task: TaskId) -> int:
    """The upper 32 bits, in place, of every root of `spout_task`."""
    return (holder << 48) | (spout_task << 32)


class FailedTree(NamedTuple):
    """A tree that failed. `by` is the task that failed it, as another worker may have said; 0: none did.

    `since`: when it was emitted, by the clock's seconds.
    """

    message_id: Any
    root: int
    kind: FailureKind
    by: int
    since: float = 0.0


class OldTree:
    """A tree that stayed longer than the ring took to come round."""

    __slots__ = ("age", "message_id", "out", "since", "value")

    def __init__(self, value: int, age: int, message_id: Any, out: EmittedOn, since: float) -> None:
        self.value = value
        self.age = age
        self.message_id = message_id
        self.out = out
        self.since = since


class Pending:
    """The trees of one spout task that are neither complete, failed nor timed out.

    The message ids of trees that were acked wait in `acked`, and trees that failed (timed out too) in `failed`, until
    the spout's executor takes them; the streams that they were emitted on have counted them already.
    """

    __slots__ = (
        "acked", "ages", "count", "failed", "generation", "mask", "message_ids", "old", "outs", "roots", "since",
        "values",
    )  # fmt: skip

    def __init__(self, size: int = RING_SIZE_MIN) -> None:
        """`size`: of the ring at first, a power of two."""
        self.make_ring(size)
        self.old: dict[int, OldTree] = {}
        self.count = 0
        self.generation = 0
        self.acked: list[Any] = []
        self.failed: list[FailedTree] = []

    def make_ring(self, size: int) -> None:
        self.mask = size - 1
        self.roots = array("Q", bytes(8 * size))  # 0: a free place
        self.values = array("Q", bytes(8 * size))
        self.since = array("d", bytes(8 * size))
        self.ages = bytearray(size)
        self.message_ids: list[Any] = [None] * size
        self.outs: list[EmittedOn | None] = [None] * size

    def add(self, root: int, value: int, message_id: Any, out: EmittedOn, now: float) -> None:
        """A tree begins, emitted on `out` at `now` (seconds); `value` is the XOR of its first edges."""
        place = root & self.mask
        while self.roots[place]:
            self.make_room(place)
            place = root & self.mask
        self.roots[place] = root
        self.values[place] = value
        self.since[place] = now
        self.ages[place] = self.generation
        self.message_ids[place] = message_id
        self.outs[place] = out
        self.count += 1

    def done_at_once(self, message_id: Any, out: EmittedOn, now: float) -> None:
        """A tuple that nobody tracks, or nobody gets, is acked."""
        out.count_acked(now)
        self.acked.append(message_id)

    def fold(self, root: int, value: int) -> None:
        """XOR `value` into the tree's; at zero it is complete. What is not pending (any more) is nobody's concern."""
        place = root & self.mask
        if self.roots[place] != root or not root:
            if self.old:
                self.fold_old(root, value)
            return
        value ^= self.values[place]
        if value:
            self.values[place] = value
            return
        self.roots[place] = 0
        self.count -= 1
        out = self.outs[place]
        out.count_acked(self.since[place])  # type: ignore[union-attr]
        self.acked.append(self.message_ids[place])
        self.message_ids[place] = None

    def fold_all(self, pairs: array[int]) -> None:
        """`pairs` is root, value, root, value, ..."""
        for i in range(0, len(pairs) - 1, 2):
            self.fold(pairs[i], pairs[i + 1])

    def fold_old(self, root: int, value: int) -> None:
        tree = self.old.get(root)
        if tree is not None:
            tree.value ^= value
            if not tree.value:
                self.settle(root, True)

    def settle(self, root: int, acked: bool, by: int = 0) -> None:
        """The tree ended, whatever its value; `by` is the task that failed it, where that is known."""
        if not acked:
            self.fail(root, "failed", by)
            return
        tree = self.remove(root)
        if tree is not None:
            tree.out.count_acked(tree.since)
            self.acked.append(tree.message_id)

    def fail(self, root: int, kind: FailureKind, by: int) -> None:
        tree = self.remove(root)
        if tree is not None:
            tree.out.count_failed(kind)
            self.failed.append(FailedTree(tree.message_id, root, kind, by, tree.since))

    def remove(self, root: int) -> OldTree | None:
        if not root:
            return None
        place = root & self.mask
        tree = self.taken_out(place) if self.roots[place] == root else self.old.pop(root, None)
        if tree is not None:
            self.count -= 1
        return tree

    def taken_out(self, place: int) -> OldTree:
        """The tree at a place of the ring, which is free from now on."""
        out = self.outs[place]
        assert out is not None
        tree = OldTree(self.values[place], self.ages[place], self.message_ids[place], out, self.since[place])
        self.roots[place] = 0
        self.message_ids[place] = None
        return tree

    def reset(self, root: int) -> None:
        """The tree's time starts anew."""
        place = root & self.mask
        if self.roots[place] == root and root:
            self.ages[place] = self.generation
        elif root in self.old:
            self.old[root].age = self.generation

    def rotate(self) -> int:
        """One timeout has passed: trees that were there at the last rotation already fail. Answers how many.

        Called every T, a tree lives between T and 2 T (Storm's rotating map of two buckets).
        """
        previous = self.generation
        expired = [root for place, root in enumerate(self.roots) if root and self.ages[place] != previous]
        expired += [root for root, tree in self.old.items() if tree.age != previous]
        self.generation = (previous + 1) & 3
        for root in expired:
            self.fail(root, "timeout", 0)
        return len(expired)

    def fail_all(self) -> None:
        """A worker died that may have held any of the trees."""
        for root in [root for root in self.roots if root] + list(self.old):
            self.fail(root, "worker-died", 0)

    def make_room(self, place: int) -> None:
        """A place is taken: the ring is too small and grows, or its tree stays longer than others and moves away."""
        size = self.mask + 1
        if self.count > size >> 1 and size < RING_SIZE_MAX:
            self.grow()
        else:
            root = self.roots[place]
            self.old[root] = self.taken_out(place)

    def grow(self) -> None:
        """Twice the size; every tree in the ring has its own place there too."""
        size = self.mask + 1
        roots, values, since, ages = self.roots, self.values, self.since, self.ages
        message_ids, outs = self.message_ids, self.outs
        self.make_ring(2 * size)
        for place in range(size):
            root = roots[place]
            if root:
                new = root & self.mask
                self.roots[new] = root
                self.values[new] = values[place]
                self.since[new] = since[place]
                self.ages[new] = ages[place]
                self.message_ids[new] = message_ids[place]
                self.outs[new] = outs[place]
