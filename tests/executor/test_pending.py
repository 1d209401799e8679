from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from storm.executor.pending import FailedTree, Pending, root_base
from storm.executor.task import OutputStream
from storm.tuples import Origin

BASE = root_base(40_000, 65_535)


OUT = OutputStream(Origin("spout", "default", 65_535, ["n"]), False)


def test_a_root_names_its_holder_and_its_spout() -> None:
    assert BASE == (40_000 << 48) | (65_535 << 32)
    assert BASE | 0xFFFFFFFF < 1 << 64


def test_a_tree_is_complete_at_zero() -> None:
    pending = Pending()
    pending.add(BASE | 1, 5, "a", OUT, 0.0)
    pending.fold(BASE | 1, 4)
    assert pending.acked == []
    pending.fold(BASE | 1, 1)
    assert pending.acked == ["a"]
    assert pending.count == 0
    pending.fold(BASE | 1, 1)  # late: nobody's concern
    assert pending.count == 0


def test_a_tree_fails_between_one_and_two_timeouts() -> None:
    pending = Pending()
    pending.add(BASE | 1, 5, "old", OUT, 0.0)
    assert pending.rotate() == 0
    pending.add(BASE | 2, 5, "young", OUT, 0.0)
    assert pending.rotate() == 1
    assert pending.failed == [FailedTree("old", BASE | 1, "timeout", 0)]
    assert pending.rotate() == 1
    assert [tree.message_id for tree in pending.failed] == ["old", "young"]


def test_who_failed_a_tree_is_kept() -> None:
    pending = Pending()
    pending.add(BASE | 1, 5, "a", OUT, 0.0)
    pending.add(BASE | 2, 5, "b", OUT, 0.0)
    pending.settle(BASE | 1, False, 7)
    pending.settle(BASE | 1, False, 8)  # it ended already
    pending.settle(BASE | 2, False, (1 << 64) - 1)  # whatever another worker says
    assert pending.failed == [
        FailedTree("a", BASE | 1, "failed", 7),
        FailedTree("b", BASE | 2, "failed", (1 << 64) - 1),
    ]


def test_all_fail_whatever_their_age_when_a_worker_died() -> None:
    pending = Pending(2)
    for counter in range(1, 9):  # some have moved out of the ring
        pending.add(BASE | counter * 2, 5, counter, OUT, 0.0)
        pending.rotate()
        pending.reset(BASE | counter * 2)
    alive = pending.count
    before = len(pending.failed)
    pending.fail_all()
    assert pending.count == 0
    assert [tree.kind for tree in pending.failed[before:]] == ["worker-died"] * alive
    assert sorted(tree.message_id for tree in pending.failed) == list(range(1, 9))


def test_reset_starts_the_time_anew() -> None:
    pending = Pending()
    pending.add(BASE | 1, 5, "a", OUT, 0.0)
    for _ in range(10):
        assert pending.rotate() == 0
        pending.reset(BASE | 1)
    assert pending.rotate() == 0
    assert pending.rotate() == 1


@pytest.mark.parametrize("size", [4, 1024])
def test_a_tree_that_stays_survives_the_ring_coming_round(size: int) -> None:
    pending = Pending(size)
    pending.add(BASE | 1, 9, "stays", OUT, 0.0)
    for counter in range(2, 5000):
        pending.add(BASE | counter, 1, counter, OUT, 0.0)
        pending.fold(BASE | counter, 1)
    pending.fold(BASE | 1, 8)
    assert pending.count == 1
    pending.fold(BASE | 1, 1)
    assert pending.acked[-1] == "stays"
    assert pending.count == 0


def test_a_root_of_nothing_is_nobodys() -> None:
    """0 marks a free place; a frame may name it all the same."""
    pending = Pending(4)
    pending.add(BASE | 4, 5, "a", OUT, 0.0)
    pending.fold(BASE | 4, 5)
    pending.fold(0, 0)
    pending.settle(0, True)
    pending.settle(0, False)
    pending.reset(0)
    assert (pending.acked, pending.failed, pending.count) == (["a"], [], 0)


class PendingTrees(RuleBasedStateMachine):
    """Against a dict: whatever the size of the ring and the order of calls."""

    roots = Bundle("roots")

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending(2)
        self.model: dict[int, list[Any]] = {}  # root -> value, age
        self.acked: set[int] = set()
        self.failed: set[int] = set()
        self.counter = 0xFFFFFFF0

    @rule(target=roots, value=st.integers(1, 7), skip=st.sampled_from([1, 1, 1, 2, 4]))
    def add(self, value: int, skip: int) -> int:
        self.counter = (self.counter + skip) & 0xFFFFFFFF
        root = BASE | self.counter
        self.pending.add(root, value, root, OUT, 0.0)
        self.model[root] = [value, 0]
        return root

    @rule(root=roots, value=st.integers(0, 7))
    def fold(self, root: int, value: int) -> None:
        self.pending.fold(root, value)
        if root in self.model:
            self.model[root][0] ^= value
            if not self.model[root][0]:
                del self.model[root]
                self.acked.add(root)

    @rule(pairs=st.lists(st.tuples(roots, st.integers(0, 7)), max_size=4))
    def fold_all(self, pairs: list[tuple[int, int]]) -> None:
        self.pending.fold_all(array("Q", [number for pair in pairs for number in pair]))
        for root, value in pairs:
            if root in self.model:
                self.model[root][0] ^= value
                if not self.model[root][0]:
                    del self.model[root]
                    self.acked.add(root)

    @rule(root=consumes(roots), acked=st.booleans())
    def settle(self, root: int, acked: bool) -> None:
        self.pending.settle(root, acked)
        if self.model.pop(root, None):
            (self.acked if acked else self.failed).add(root)

    @rule(root=roots)
    def reset(self, root: int) -> None:
        self.pending.reset(root)
        if root in self.model:
            self.model[root][1] = 0

    @rule()
    def fail_all(self) -> None:
        self.pending.fail_all()
        self.failed |= set(self.model)
        self.model.clear()

    @rule()
    def rotate(self) -> None:
        self.pending.rotate()
        for root, state in list(self.model.items()):
            state[1] += 1
            if state[1] == 2:
                del self.model[root]
                self.failed.add(root)

    @invariant()
    def agrees(self) -> None:
        assert self.pending.count == len(self.model)
        assert set(self.pending.acked) == self.acked
        assert {tree.root for tree in self.pending.failed} == self.failed
        assert all(tree.message_id == tree.root for tree in self.pending.failed)
        assert len(self.pending.acked) + len(self.pending.failed) == len(self.acked) + len(self.failed)


TestPendingTrees = PendingTrees.TestCase
TestPendingTrees.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
