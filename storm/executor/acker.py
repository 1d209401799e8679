"""The acker's bookkeeping for spouts whose own worker has no acker: which trees are complete.

XOR in, remember that the spout's INIT came, settle at zero or at a failure, forget by rotation. Messages of a tree may
come in any order and INIT twice; a doubled ACK cannot complete a tree, since INIT counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.executor.root_table import RootTable
from storm.executor.transfer import Tracking

if TYPE_CHECKING:
    from array import array

    from storm.executor.tracking import TrackingOut

BUCKETS = 3  # an entry that nothing has touched for 2 to 3 timeouts is forgotten: the spout's own came earlier


class AckLedger:
    """The trees that one acker task holds.

    A tree's mark: bit 0, INIT came; bit 1, it failed; from bit 2 on, the generation in which something touched it last.
    """

    __slots__ = ("failed_by", "generation", "trees")

    def __init__(self, salt: int = 0) -> None:
        """`salt`: a random number, so that nobody can choose roots that meet in one place of the table."""
        self.trees = RootTable(salt)
        self.generation = 0  # 0 to BUCKETS - 1
        self.failed_by: dict[int, int] = {}  # root -> task, of trees that failed before their INIT came

    def receive(self, kind: Tracking, pairs: array[int], out: TrackingOut) -> None:
        """INIT, ACK, FAIL or RESET of these roots, array("Q") root, value, ...; the verdicts go to `out`.

        INIT: the spout emitted; `value` is the XOR of the first edges. ACK: a tuple was acked; `value` is its edge
        XORed with those of the tuples anchored to it. FAIL: a tuple was failed, by the task `value`; legal before INIT.
        """
        if kind is Tracking.RESET:
            for i in range(0, len(pairs), 2):
                self.reset(pairs[i], out)
            return
        is_init = kind is Tracking.INIT
        is_fail = kind is Tracking.FAIL
        for i in range(0, len(pairs), 2):
            verdict = self.take(pairs[i], pairs[i + 1], is_init, is_fail)
            if verdict:
                if verdict == 1:
                    out.note(Tracking.ACKED, pairs[i])
                else:
                    out.note(Tracking.FAILED, pairs[i], pairs[i + 1] if is_fail else self.failed_by.pop(pairs[i], 0))
            elif is_fail and pairs[i]:
                self.failed_by[pairs[i]] = pairs[i + 1]

    def take(self, root: int, value: int, is_init: bool, is_fail: bool) -> int:
        """1: the tree is complete, 2: it failed, 0: neither yet. A tree that ended is forgotten."""
        if not root:  # a frame's: no tree has it
            return 0
        trees = self.trees
        place = trees.place(root)
        flags = trees.marks[place] & 3
        if is_init:
            if not flags & 1:
                flags |= 1
                trees.values[place] = trees.values[place] ^ value
        elif is_fail:
            flags |= 2
        else:
            trees.values[place] = trees.values[place] ^ value
        if flags == 3:
            trees.remove(place)
            return 2
        if flags == 1 and not trees.values[place]:
            trees.remove(place)
            return 1
        trees.marks[place] = flags | self.generation * 4
        return 0

    def reset(self, root: int, out: TrackingOut) -> None:
        """The tree's time starts anew: RESET_DONE for the spout; nothing when no such tree is known."""
        place = self.trees.find(root)
        if root and place >= 0:
            self.trees.marks[place] = self.trees.marks[place] & 3 | self.generation * 4
            out.note(Tracking.RESET_DONE, root)

    def rotate(self, only_remains: bool = False) -> int:
        """Age every tree by one; answers how many were forgotten.

        `only_remains`: no tree that has begun, for its spout waits without a limit. What comes of a tree after its end
        never gets an INIT.
        """
        self.generation = (self.generation + 1) % BUCKETS
        old = self.trees.roots_marked(self.generation * 4, 0xFD if only_remains else 0xFC)
        for root in old:
            self.trees.remove(self.trees.find(root))
            self.failed_by.pop(root, None)
        return len(old)

    def __len__(self) -> int:
        return self.trees.count
