"""A spout task's tuples under way: a ring indexed by the roots' counter, with timeouts by rotation.

A root is 64 bits: the task that holds the tree's ledger (16) | the spout's task (16) | a counter (32). Counters of one
task follow one another, so that a ring finds them without hashing; a tree that stays while the ring comes round moves
to a dict.

Where the worker has an acker, the spout's task holds the ledger itself: what the acker in its worker would do, without
a message. Then `fold` completes trees. Otherwise an acker elsewhere holds it (`acker.AckLedger`) and tells by `settle`.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from storm.ids import TaskId

RING_SIZE_MIN = 1024
RING_SIZE_MAX = 1 << 20

Entry: TypeAlias = tuple[Any, Any, float]  # message id, what was emitted on, when (seconds)


def root_base(holder: TaskId, spout_task: TaskId) -> int:
    """The upper 32 bits, in place, of every root of `spout_task`."""
    return (holder << 48) | (spout_task << 32)


def holder_of(root: int) -> TaskId:
    """The task that holds the ledger of this tree: an acker, or the spout's own task."""
    return root >> 48


def spout_of(root: int) -> TaskId:
    """The spout's task that emitted this tree's first tuple."""
    return (root >> 32) & 0xFFFF


class Pending:
    """The trees of one spout task that are neither complete, failed nor timed out.

    Trees that ended wait in `acked` and `failed` (timed out too) until the spout's executor takes them.
    """

    __slots__ = ("acked", "ages", "count", "entries", "failed", "generation", "mask", "old", "roots", "values")

    def __init__(self, size: int = RING_SIZE_MIN) -> None:
        """`size`: of the ring at first, a power of two."""
        self.mask = size - 1
        self.roots = array("Q", bytes(8 * size))  # 0: a free place
        self.values = array("Q", bytes(8 * size))
        self.ages = bytearray(size)
        self.entries: list[Entry | None] = [None] * size
        self.old: dict[int, tuple[int, int, Entry]] = {}  # root -> value, age, entry
        self.count = 0
        self.generation = 0
        self.acked: list[Entry] = []
        self.failed: list[Entry] = []

    def add(self, root: int, value: int, entry: Entry) -> None:
        """A tree begins; `value` is the XOR of its first edges."""
        place = root & self.mask
        while self.roots[place]:
            self.make_room(place)
            place = root & self.mask
        self.roots[place] = root
        self.values[place] = value
        self.ages[place] = self.generation
        self.entries[place] = entry
        self.count += 1

    def fold(self, root: int, value: int) -> None:
        """XOR `value` into the tree's; at zero it is complete. What is not pending (any more) is nobody's concern."""
        place = root & self.mask
        if self.roots[place] != root:
            if root in self.old:
                self.fold_old(root, value)
            return
        value ^= self.values[place]
        if value:
            self.values[place] = value
            return
        self.roots[place] = 0
        self.count -= 1
        self.acked.append(self.entries[place])  # type: ignore[arg-type]
        self.entries[place] = None

    def fold_old(self, root: int, value: int) -> None:
        before, age, entry = self.old[root]
        if before ^ value:
            self.old[root] = (before ^ value, age, entry)
        else:
            self.settle(root, True)

    def settle(self, root: int, acked: bool) -> None:
        """The tree ended, whatever its value."""
        entry = self.remove(root)
        if entry is not None:
            (self.acked if acked else self.failed).append(entry)

    def remove(self, root: int) -> Entry | None:
        place = root & self.mask
        if self.roots[place] == root:
            entry = self.entries[place]
            self.roots[place] = 0
            self.entries[place] = None
            self.count -= 1
            return entry
        found = self.old.pop(root, None)
        if found is None:
            return None
        self.count -= 1
        return found[2]

    def reset(self, root: int) -> None:
        """The tree's time starts anew."""
        place = root & self.mask
        if self.roots[place] == root:
            self.ages[place] = self.generation
        elif root in self.old:
            value, _, entry = self.old[root]
            self.old[root] = (value, self.generation, entry)

    def rotate(self) -> int:
        """One timeout has passed: trees that were there at the last rotation already fail. Answers how many.

        Called every T, a tree lives between T and 2 T (Storm's rotating map of two buckets).
        """
        previous = self.generation
        expired = [root for place, root in enumerate(self.roots) if root and self.ages[place] != previous]
        expired += [root for root, (_, age, _) in self.old.items() if age != previous]
        self.generation = (previous + 1) & 3
        for root in expired:
            self.settle(root, False)
        return len(expired)

    def make_room(self, place: int) -> None:
        """A place is taken: the ring is too small and grows, or its tree stays longer than others and moves away."""
        size = self.mask + 1
        if self.count * 2 > size and size < RING_SIZE_MAX:
            self.grow()
        else:
            root = self.roots[place]
            entry = self.entries[place]
            assert entry is not None
            self.old[root] = (self.values[place], self.ages[place], entry)
            self.roots[place] = 0

    def grow(self) -> None:
        """Twice the size; every tree in the ring has its own place there too."""
        size = self.mask + 1
        self.mask = 2 * size - 1
        roots, values, ages, entries = self.roots, self.values, self.ages, self.entries
        self.roots = array("Q", bytes(16 * size))
        self.values = array("Q", bytes(16 * size))
        self.ages = bytearray(2 * size)
        self.entries = [None] * (2 * size)
        for place, root in enumerate(roots):
            if root:
                new = root & self.mask
                self.roots[new] = root
                self.values[new] = values[place]
                self.ages[new] = ages[place]
                self.entries[new] = entries[place]
