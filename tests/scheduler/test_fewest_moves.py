"""The law of a rebalance: nothing moves that need not, nothing is restarted that need not.

`best` tries every choice of slots and every way to share out the executors; storm.scheduler.even must be as good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from storm.ids import ExecutorId, WorkerSlot
from storm.scheduler.even import schedule
from storm.scheduler.scheduling_state import SchedulingState, TopologyNeeds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from storm.scheduler.scheduling_state import Placement


class Cost(NamedTuple):
    """What is to be small, the most important first."""

    lacking_slots: int
    avoided: int
    unevenness: int  # of nodes, if they count
    moves: int
    restarts: int


@dataclass(frozen=True)
class Law:
    """One topology, the slots that it may use, those of them that it had better not, and those of other nodes.

    It may have executors on `elsewhere`: those slots may stay as they are, and none of them can change.
    """

    needs: TopologyNeeds
    available: frozenset[WorkerSlot]
    avoid: Mapping[WorkerSlot, int]
    elsewhere: frozenset[WorkerSlot] = frozenset()

    def held(self) -> set[WorkerSlot]:
        return set(self.needs.placed.values())

    def badness(self, slot: WorkerSlot) -> int:
        return max(self.avoid.get(slot, 0), slot.node_id in self.needs.failing)

    def before(self, slot: WorkerSlot) -> set[ExecutorId]:
        return {executor for executor, there in self.needs.placed.items() if there == slot}

    def staying(self, slot: WorkerSlot) -> set[ExecutorId]:
        return self.before(slot) & set(self.needs.executors)

    def cost_of_slots(self, slots: Collection[WorkerSlot]) -> tuple[int, int, int]:
        nodes = [slot.node_id for slot in slots]
        return (
            self.needs.num_workers - len(slots),
            sum(self.badness(slot) for slot in slots if slot not in self.held()),
            sum(nodes.count(node) ** 2 for node in set(nodes)) if self.needs.spread else 0,
        )

    def cost(self, placement: Placement) -> Cost:
        moves = sum(placement[e] != slot for e, slot in self.needs.placed.items() if e in placement)
        restarts = sum(
            self.before(slot) != {executor for executor, there in placement.items() if there == slot}
            for slot in set(placement.values())
        )
        return Cost(*self.cost_of_slots(set(placement.values())), moves, restarts)

    def best(self) -> Cost:
        """The least cost, by trial."""
        count = min(self.needs.num_workers, len(self.needs.executors), len(self.available))
        return min(
            Cost(*self.cost_of_slots(slots), *self.cost_of_shares(slots, large))
            for slots in combinations(sorted(self.available), count)
            for large in combinations(slots, len(self.needs.executors) % count)
        )

    def cost_of_shares(self, slots: Collection[WorkerSlot], large: Collection[WorkerSlot]) -> tuple[int, int]:
        share = len(self.needs.executors) // len(slots)
        moves = len(self.needs.placed.keys() & set(self.needs.executors))
        restarts = 0
        for slot in slots:
            room = share + (slot in large)
            moves -= min(room, len(self.staying(slot)))
            restarts += len(self.staying(slot)) != room or self.staying(slot) != self.before(slot)
        return moves, restarts


def executors(numbers: Iterable[int]) -> tuple[ExecutorId, ...]:
    return tuple(ExecutorId(number, number) for number in sorted(numbers))


few_slots = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(
    lambda counts: [WorkerSlot(f"n{n}", 6700 + p) for n, count in enumerate(counts) for p in range(count)][:8]
)


@st.composite
def topologies(draw: st.DrawFn, name: str, slots: list[WorkerSlot]) -> TopologyNeeds:
    """Any number of executors on each slot, some wanted no more, some new: as if its parallelism had changed."""
    counts = draw(st.lists(st.integers(0, 4), max_size=len(slots)))
    homes = [slot for slot, count in zip(slots, counts, strict=False) for _ in range(count)]
    placed = dict(zip(executors(range(1, len(homes) + 1)), homes, strict=True))
    dropped = executors(draw(st.sets(st.integers(1, 1 + len(homes)), max_size=2)))
    new = executors(range(1 + len(homes), 1 + len(homes) + draw(st.integers(0, 3))))
    wanted = tuple(executor for executor in placed if executor not in dropped) + new
    nodes = st.sampled_from([slot.node_id for slot in slots]) if slots else st.nothing()
    failing = draw(st.frozensets(nodes, max_size=2))
    return TopologyNeeds(
        name, draw(st.integers(1, 6)), wanted or executors([1]), placed, spread=draw(st.booleans()), failing=failing
    )


@st.composite
def on_some_nodes(draw: st.DrawFn, name: str, slots: list[WorkerSlot]) -> TopologyNeeds:
    """One that may run everywhere, or on some nodes, and that is on none of the others."""
    nodes = draw(st.none() | st.frozensets(st.sampled_from([slot.node_id for slot in slots]), min_size=1))
    needs = draw(topologies(name, slots if nodes is None else [slot for slot in slots if slot.node_id in nodes]))
    return replace(needs, nodes=nodes)


def may_use(needs: TopologyNeeds, slots: Iterable[WorkerSlot]) -> frozenset[WorkerSlot]:
    return frozenset(slot for slot in slots if needs.nodes is None or slot.node_id in needs.nodes)


def avoided(slots: list[WorkerSlot]) -> st.SearchStrategy[dict[WorkerSlot, int]]:
    return st.dictionaries(st.sampled_from(slots), st.integers(1, 3), max_size=4)


@st.composite
def laws(draw: st.DrawFn) -> Law:
    slots = draw(few_slots)
    needs = draw(on_some_nodes("t", slots))
    available = may_use(needs, slots)
    return Law(needs, available, draw(avoided(slots)), frozenset(slots) - available)


def placed_alone(law: Law) -> Placement:
    slots = tuple(sorted(law.available | law.elsewhere))
    return schedule(SchedulingState((law.needs,), slots, law.avoid))[law.needs.topology_id]


@settings(max_examples=600)
@given(laws())
def test_a_topology_gets_what_it_wants_with_the_fewest_moves_and_restarts(law: Law) -> None:
    placement = placed_alone(law)
    assert set(placement) == set(law.needs.executors)
    assert law.cost(placement) == law.best()


def on(node: str, *counts: int) -> dict[ExecutorId, WorkerSlot]:
    """Executors, numbered from 1, on the ports of a node: so many on each."""
    ports = [WorkerSlot(node, 6700 + turn) for turn, count in enumerate(counts) for _ in range(count)]
    return dict(zip(executors(range(1, len(ports) + 1)), ports, strict=True))


def rebalanced(workers: int, count: int, placed: Placement, nodes: str) -> Law:
    """`count` executors that want so many workers, on nodes with four slots each."""
    slots = frozenset(WorkerSlot(node, port) for node in nodes for port in range(6700, 6704))
    return Law(TopologyNeeds("t", workers, executors(range(1, count + 1)), placed, spread=True), slots, {})


@pytest.mark.parametrize(
    ("workers", "count", "before", "moves", "restarts"),
    [
        (4, 8, (2, 2, 2, 2), 4, 2),
        (4, 4, (2, 1, 1), 2, 2),  # the two that have their share stay, not the one that has more
        (2, 7, (2, 5), 3, 2),
        (3, 7, (1, 3, 1, 2), 2, 1),  # a large share and a small one are there already
        (2, 3, (2, 1), 1, 1),  # here the one that has more stays: there is a large share for it
        (3, 10, (5, 4), 2, 2),  # the large share is for the one that has exactly that
        (2, 2, (1, 1), 1, 1),
        (8, 8, (8,), 7, 8),
    ],
)
def test_workers_that_keep_their_executors_run_on_when_a_machine_joins(
    workers: int, count: int, before: tuple[int, ...], moves: int, restarts: int
) -> None:
    law = rebalanced(workers, count, on("a", *before), "ab")
    placement = placed_alone(law)
    assert law.cost(placement)[-2:] == law.best()[-2:] == (moves, restarts)


@settings(max_examples=100)
@given(laws())
def test_to_ask_again_moves_nothing(law: Law) -> None:
    placement = placed_alone(law)
    assert placed_alone(replace(law, needs=replace(law.needs, placed=placement))) == placement


@settings(max_examples=200)
@given(laws(), st.data())
def test_a_worker_whose_supervisor_is_missing_goes_on_as_it_is_or_is_left(law: Law, data: st.DataObject) -> None:
    missing = data.draw(st.sets(st.sampled_from(sorted(law.available))))
    offered = law.available - missing
    assume(len(offered) >= min(law.needs.num_workers, len(law.needs.executors)))
    placement = placed_alone(replace(law, available=offered))
    assert set(placement) == set(law.needs.executors)
    for slot in set(placement.values()) - offered:
        assert {executor for executor, there in placement.items() if there == slot} == law.before(slot)


@st.composite
def drained(draw: st.DrawFn) -> Law:
    """It may not use some nodes any more, on which it has executors or not: a tag was changed, or a host is drained."""
    slots = draw(few_slots)
    nodes = draw(st.frozensets(st.sampled_from([slot.node_id for slot in slots])))
    needs = replace(draw(topologies("t", slots)), nodes=nodes)
    available = may_use(needs, slots)
    return Law(needs, available, draw(avoided(slots)), frozenset(slots) - available)


@settings(max_examples=400)
@given(drained())
def test_on_a_node_that_it_may_not_use_any_more_a_worker_goes_on_as_it_is_or_is_left(law: Law) -> None:
    assume(len(law.available) >= min(law.needs.num_workers, len(law.needs.executors)))
    placement = placed_alone(law)
    assert set(placement) == set(law.needs.executors)
    assert len(set(placement.values())) == min(law.needs.num_workers, len(law.needs.executors))
    for slot in set(placement.values()) & law.elsewhere:
        assert {executor for executor, there in placement.items() if there == slot} == law.before(slot)


@settings(max_examples=200)
@given(drained())
def test_on_such_a_node_nothing_new_is_started_however_few_slots_there_are(law: Law) -> None:
    assert set(placed_alone(law).values()) <= law.available | law.held()


def test_while_every_supervisor_is_missing_nothing_changes() -> None:
    law = rebalanced(1, 4, on("a", 2, 2), "a")
    assert placed_alone(replace(law, available=frozenset())) == {}


def test_a_slot_that_one_topology_gives_up_is_another_ones_in_the_same_round() -> None:
    grows = TopologyNeeds("grows", 2, executors([1, 2]), on("a", 2))
    starts = TopologyNeeds("starts", 1, executors([1]))
    shrinks = TopologyNeeds("shrinks", 1, executors([1, 2, 3]), on("b", 1, 1, 1))
    slots = (WorkerSlot("a", 6700), *(WorkerSlot("b", port) for port in (6700, 6701, 6702)))
    placements = schedule(SchedulingState((grows, starts, shrinks), slots))
    assert {name: len(set(placement.values())) for name, placement in placements.items()} == {
        "shrinks": 1, "starts": 1, "grows": 2,
    }  # fmt: skip


@st.composite
def crowds(draw: st.DrawFn) -> SchedulingState:
    """Two or three topologies on the same few slots, none of which two claim, some of which are to be avoided."""
    slots = draw(few_slots)
    needs = tuple(draw(on_some_nodes(name, slots)) for name in "tuv"[: draw(st.integers(2, 3))])
    owners = {slot: draw(st.sampled_from(needs)).topology_id for slot in slots}
    own = tuple(
        replace(one, placed={e: slot for e, slot in one.placed.items() if owners[slot] == one.topology_id})
        for one in needs
    )
    return SchedulingState(own, tuple(slots), draw(avoided(slots)))


@settings(max_examples=200)
@given(crowds())
def test_so_does_each_beside_others_with_what_they_leave(state: SchedulingState) -> None:
    placements = schedule(state)
    for needs in state.topologies:
        placement = placements[needs.topology_id]
        others = {
            slot
            for other in state.topologies
            if other is not needs
            for slot in (*other.placed.values(), *placements[other.topology_id].values())
        }
        available = may_use(needs, set(state.slots) - others) | set(needs.placed.values()) | set(placement.values())
        assert may_use(needs, available) == available
        if available:
            law = Law(needs, available, state.avoid)
            assert law.cost(placement) == law.best()
        else:
            assert placement == {}
