from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storm.executor.root_table import RootTable

ROOTS = st.one_of(st.integers(1, 300), st.integers(1, 300).map(lambda n: n << 50), st.integers(1, (1 << 64) - 1))


class Roots(RuleBasedStateMachine):
    """Against a set: whatever the roots, and whatever their order."""

    def __init__(self) -> None:
        super().__init__()
        self.table = RootTable()
        self.model: set[int] = set()

    @rule(root=ROOTS, following=st.integers(0, 60))
    def place(self, root: int, following: int) -> None:
        for each in range(root, min(root + following, 1 << 64)):
            place = self.table.place(each)
            assert self.table.find(each) == place
            self.model.add(each)

    @rule(root=ROOTS)
    def remove(self, root: int) -> None:
        place = self.table.find(root)
        assert (place >= 0) is (root in self.model)
        if place >= 0:
            self.table.remove(place)
            self.model.discard(root)

    @rule()
    def remove_every_other(self) -> None:
        for root in sorted(self.model)[::2]:
            self.table.remove(self.table.find(root))
            self.model.discard(root)

    @invariant()
    def agrees(self) -> None:
        assert self.table.count == len(self.model)
        assert all(self.table.find(root) >= 0 for root in self.model)
        assert set(self.table.roots_marked(0, 0xFF)) == self.model


TestRoots = Roots.TestCase
TestRoots.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
