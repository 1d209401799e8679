"""The acker's bookkeeping for spouts whose own worker has no acker: which trees are complete.

XOR in, remember that the spout's INIT came, settle at zero or at a failure, forget by rotation. Messages of a tree may
come in any order and INIT twice; a doubled ACK cannot complete a tree, since INIT counts once.
"""

from __future__ import annotations

from storm.executor.transfer import Tracking

BUCKETS = 3  # an entry that nothing has touched for 2 to 3 timeouts is forgotten: the spout's own came earlier


class Tree:
    """What is known of one tree."""

    __slots__ = ("failed", "initialised", "value")

    def __init__(self) -> None:
        self.value = 0
        self.initialised = False
        self.failed = False


class AckLedger:
    """The trees that one acker task holds, in buckets that age together."""

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        self.buckets: list[dict[int, Tree]] = [{} for _ in range(BUCKETS)]

    def init(self, root: int, value: int) -> Tracking | None:
        """The spout emitted; `value` is the XOR of the first edges. ACKED or FAILED once the tree ended, else None."""
        tree = self.take(root)
        if not tree.initialised:
            tree.initialised = True
            tree.value ^= value
        return self.verdict(root, tree)

    def ack(self, root: int, value: int) -> Tracking | None:
        """A tuple was acked: `value` is its edge XORed with those of the tuples anchored to it."""
        tree = self.take(root)
        tree.value ^= value
        return self.verdict(root, tree)

    def fail(self, root: int) -> Tracking | None:
        """A tuple was failed; legal before INIT."""
        tree = self.take(root)
        tree.failed = True
        return self.verdict(root, tree)

    def reset(self, root: int) -> Tracking | None:
        """The tree's time starts anew: RESET_DONE for the spout, or None when no such tree is known."""
        if all(root not in bucket for bucket in self.buckets):
            return None
        self.buckets[0][root] = self.take(root)
        return Tracking.RESET_DONE

    def rotate(self) -> int:
        """Age every tree by one bucket; answers how many were forgotten."""
        self.buckets.insert(0, {})
        return len(self.buckets.pop())

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def take(self, root: int) -> Tree:
        for bucket in self.buckets:
            if root in bucket:
                return bucket.pop(root)
        return Tree()

    def verdict(self, root: int, tree: Tree) -> Tracking | None:
        if tree.initialised and tree.failed:
            return Tracking.FAILED
        if tree.initialised and not tree.value:
            return Tracking.ACKED
        self.buckets[0][root] = tree
        return None
