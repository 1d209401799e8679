from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from storm.ids import ExecutorId, WorkerSlot
from storm.scheduler.even import schedule
from storm.scheduler.scheduling_state import SchedulingState, TopologyNeeds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.scheduler.scheduling_state import Placement

A, B, C = "node-a", "node-b", "node-c"


def executors(count: int, first: int = 1) -> tuple[ExecutorId, ...]:
    return tuple(ExecutorId(task, task) for task in range(first, first + count))


def slots(*nodes: str, ports: int = 4) -> tuple[WorkerSlot, ...]:
    return tuple(WorkerSlot(node, 6700 + port) for node in nodes for port in range(ports))


def place(
    needs: TopologyNeeds, available: tuple[WorkerSlot, ...], avoid: Mapping[WorkerSlot, int] | None = None
) -> Placement:
    return schedule(SchedulingState((needs,), available, avoid or {}))[needs.topology_id]


def loads(placement: Placement) -> list[int]:
    return sorted(Counter(placement.values()).values())


def nodes(placement: Placement) -> Counter[str]:
    return Counter(slot.node_id for slot in set(placement.values()))


def moved(before: Placement, after: Placement) -> int:
    return sum(before[executor] != slot for executor, slot in after.items() if executor in before)


def test_three_hundred_tasks_on_fifty_workers_are_six_each() -> None:
    available = slots(*(f"node-{n:02}" for n in range(13)))
    placement = place(TopologyNeeds("t", 50, executors(300)), available)
    assert loads(placement) == [6] * 50


def test_workers_are_interleaved_over_nodes_and_executors_dealt_round() -> None:
    placement = place(TopologyNeeds("t", 4, executors(6)), slots(A, B))
    assert [placement[executor] for executor in executors(6)] == [
        WorkerSlot(A, 6700), WorkerSlot(B, 6700), WorkerSlot(A, 6701), WorkerSlot(B, 6701),
        WorkerSlot(A, 6700), WorkerSlot(B, 6700),
    ]  # fmt: skip


def test_the_node_with_the_most_free_slots_is_used_first() -> None:
    available = (WorkerSlot(A, 6700), *slots(B, ports=3))
    assert place(TopologyNeeds("t", 1, executors(2)), available)[ExecutorId(1, 1)] == WorkerSlot(B, 6700)


def test_fewer_slots_than_wanted_are_all_used() -> None:
    assert loads(place(TopologyNeeds("t", 5, executors(7)), slots(A, ports=2))) == [3, 4]


def test_no_slot_at_all_means_no_placement() -> None:
    assert place(TopologyNeeds("t", 2, executors(3)), ()) == {}


def test_there_are_never_more_workers_than_executors() -> None:
    assert loads(place(TopologyNeeds("t", 4, executors(2)), slots(A))) == [1, 1]


def test_a_new_node_is_used_once_a_topology_lacks_workers() -> None:
    few = place(TopologyNeeds("t", 4, executors(8)), slots(A, ports=2))
    more = place(TopologyNeeds("t", 4, executors(8), few), slots(A, ports=2) + slots(B, ports=2))
    assert loads(more) == [2, 2, 2, 2]
    assert moved(few, more) == 4


def test_a_new_node_moves_nothing_of_a_topology_that_has_its_workers() -> None:
    before = place(TopologyNeeds("t", 2, executors(4)), slots(A))
    assert place(TopologyNeeds("t", 2, executors(4), before), slots(A, B)) == before


def test_a_rebalance_spreads_workers_over_a_new_node_and_moves_only_what_it_must() -> None:
    before = place(TopologyNeeds("t", 4, executors(8)), slots(A))
    after = place(TopologyNeeds("t", 4, executors(8), before, spread=True), slots(A, B))
    assert nodes(after) == {A: 2, B: 2}
    assert moved(before, after) == 4


def test_a_rebalance_of_what_is_even_moves_nothing() -> None:
    before = place(TopologyNeeds("t", 3, executors(7)), slots(A, B))
    assert place(TopologyNeeds("t", 3, executors(7), before, spread=True), slots(A, B, C)[:9]) != {}
    assert place(TopologyNeeds("t", 3, executors(7), before, spread=True), slots(A, B)) == before


def test_fewer_workers_stay_on_different_nodes() -> None:
    before = place(TopologyNeeds("t", 4, executors(8)), slots(A, B))
    after = place(TopologyNeeds("t", 2, executors(8), before), slots(A, B))
    assert nodes(after) == {A: 1, B: 1}
    assert moved(before, after) == 4


def test_a_worker_that_gives_up_executors_keeps_some_of_each_component() -> None:
    before = place(TopologyNeeds("t", 1, executors(8)), slots(A))
    after = place(TopologyNeeds("t", 2, executors(8), before), slots(A))
    stayed = [executor for executor in executors(8) if after[executor] == before[executor]]
    assert stayed == [ExecutorId(task, task) for task in (1, 3, 5, 7)]


def test_the_slot_of_a_dead_worker_is_used_only_if_nothing_else_is_free() -> None:
    dead = WorkerSlot(A, 6700)
    needs = TopologyNeeds("t", 1, executors(2))
    assert set(place(needs, slots(A, ports=2), {dead: 1}).values()) == {WorkerSlot(A, 6701)}
    assert set(place(needs, slots(A, ports=1), {dead: 1}).values()) == {dead}


def test_of_slots_to_avoid_those_come_first_that_are_the_least() -> None:
    needs = TopologyNeeds("t", 2, executors(4))
    avoid = {slot: 3 - turn for turn, slot in enumerate(slots(A, ports=3))}
    assert set(place(needs, slots(A, ports=3), avoid).values()) == {WorkerSlot(A, 6701), WorkerSlot(A, 6702)}
    assert len(set(place(replace(needs, num_workers=3), slots(A, ports=3), avoid).values())) == 3


def test_a_worker_that_has_its_share_is_left_alone_when_another_is_replaced() -> None:
    before = place(TopologyNeeds("t", 2, executors(7)), slots(A, B))
    smaller = Counter(before.values()).most_common()[-1][0]
    kept = {executor: slot for executor, slot in before.items() if slot == smaller}
    after = place(TopologyNeeds("t", 2, executors(7), kept), slots(A, B)[1:])
    assert {executor for executor, slot in after.items() if slot == smaller} == set(kept)


def test_who_has_no_slot_comes_before_who_wants_more() -> None:
    grown = TopologyNeeds("old", 4, executors(4), place(TopologyNeeds("old", 1, executors(4)), slots(A)))
    placements = schedule(SchedulingState((grown, TopologyNeeds("new", 2, executors(2))), slots(A, ports=3)))
    assert len(set(placements["new"].values())) == 2
    assert len(set(placements["old"].values())) == 1


def test_of_two_that_claim_a_slot_the_first_keeps_it() -> None:
    contested = WorkerSlot(A, 6700)
    first = TopologyNeeds("1", 1, executors(1), {ExecutorId(1, 1): contested})
    second = TopologyNeeds("2", 1, executors(1), {ExecutorId(1, 1): contested})
    placements = schedule(SchedulingState((first, second), slots(A)))
    assert placements["1"] == {ExecutorId(1, 1): contested}
    assert placements["2"] == {ExecutorId(1, 1): WorkerSlot(A, 6701)}


def test_slots_of_other_nodes_are_not_given_and_may_be_kept() -> None:
    on_a = place(TopologyNeeds("t", 2, executors(4), nodes=frozenset({A})), slots(A, B))
    assert nodes(on_a) == {A: 2}
    assert place(TopologyNeeds("t", 2, executors(4), on_a, nodes=frozenset({B})), slots(A, B)) == on_a
    assert place(TopologyNeeds("t", 2, executors(4), nodes=frozenset({C})), slots(A, B)) == {}


def test_who_may_not_run_everywhere_comes_before_who_may() -> None:
    anywhere, on_b = TopologyNeeds("1", 1, executors(2)), TopologyNeeds("2", 1, executors(2), nodes=frozenset({B}))
    placements = schedule(SchedulingState((anywhere, on_b), slots(A, B, ports=1)))
    assert nodes(placements["1"]) == {A: 1}
    assert nodes(placements["2"]) == {B: 1}


available_slots = st.lists(st.integers(1, 5), max_size=5).map(
    lambda counts: tuple(WorkerSlot(f"n{n}", 6700 + p) for n, count in enumerate(counts) for p in range(count))
)


@st.composite
def states(draw: st.DrawFn) -> SchedulingState:
    """Topologies, some placed by an earlier round from which slots were lost, counts were changed, or both."""
    wishes = draw(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 24)), min_size=1, max_size=4))
    earlier = schedule(
        SchedulingState(
            tuple(TopologyNeeds(f"t{n}", workers, executors(count)) for n, (workers, count) in enumerate(wishes)),
            draw(available_slots),
        )
    )
    available = draw(available_slots)
    live = set(available)
    needs = []
    for n, (workers, count) in enumerate(wishes):
        kept = {executor: slot for executor, slot in earlier[f"t{n}"].items() if slot in live}
        wanted = draw(st.one_of(st.just(workers), st.integers(1, 8)))
        needs.append(TopologyNeeds(f"t{n}", wanted, executors(count), kept, spread=draw(st.booleans())))
    levels = st.dictionaries(st.sampled_from(available), st.integers(1, 3), max_size=4) if available else st.just({})
    avoid = draw(levels)
    return SchedulingState(tuple(needs), available, avoid)


@given(states())
def test_every_executor_has_one_live_slot_and_shares_are_even(state: SchedulingState) -> None:
    for needs in state.topologies:
        placement = schedule(state)[needs.topology_id]
        if placement:
            assert set(placement) == set(needs.executors)
            assert set(placement.values()) <= set(state.slots)
            assert loads(placement)[-1] - loads(placement)[0] <= 1
            assert len(loads(placement)) <= needs.num_workers


@given(states(), st.data())
def test_a_topology_is_given_only_slots_of_nodes_that_it_may_use(state: SchedulingState, data: st.DataObject) -> None:
    some = st.frozensets(st.sampled_from([f"n{n}" for n in range(5)]))
    restricted = tuple(replace(needs, nodes=data.draw(st.none() | some)) for needs in state.topologies)
    placements = schedule(replace(state, topologies=restricted))
    used = [slot for placement in placements.values() for slot in set(placement.values())]
    assert len(used) == len(set(used))
    for needs in restricted:
        given = set(placements[needs.topology_id].values()) - set(needs.placed.values())
        assert needs.nodes is None or {slot.node_id for slot in given} <= needs.nodes


@given(states())
def test_no_slot_is_used_by_two_topologies(state: SchedulingState) -> None:
    used = [slot for placement in schedule(state).values() for slot in set(placement.values())]
    assert len(used) == len(set(used))


@given(states())
def test_slots_are_left_free_only_if_nobody_wants_them(state: SchedulingState) -> None:
    placements = schedule(state)
    used = {slot for placement in placements.values() for slot in placement.values()}
    if set(state.slots) - used and not any(needs.placed for needs in state.topologies):
        for needs in state.topologies:
            assert len(loads(placements[needs.topology_id])) == min(needs.num_workers, len(needs.executors))


@given(states())
def test_what_was_scheduled_stays_when_nothing_changes(state: SchedulingState) -> None:
    first = schedule(state)
    settled = tuple(
        TopologyNeeds(n.topology_id, n.num_workers, n.executors, first[n.topology_id]) for n in state.topologies
    )
    second = schedule(SchedulingState(settled, state.slots))
    third = schedule(
        SchedulingState(
            tuple(
                TopologyNeeds(n.topology_id, n.num_workers, n.executors, second[n.topology_id])
                for n in state.topologies
            ),
            state.slots,
        )
    )
    assert third == second  # one round may still hand out slots that a later topology gave up in the first
    for needs in settled:
        if len(loads(first[needs.topology_id])) == len(loads(second[needs.topology_id])):
            assert second[needs.topology_id] == first[needs.topology_id]


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 8))
def test_the_fewest_executors_move_when_the_number_of_workers_changes(count: int, before: int, after: int) -> None:
    available = slots(A, B)
    old = place(TopologyNeeds("t", before, executors(count)), available)
    new = place(TopologyNeeds("t", after, executors(count), old), available)
    share, larger = divmod(count, len(loads(new)))
    targets = [share + (n < larger) for n in range(len(loads(new)))]
    stay_at_most = sum(min(a, b) for a, b in zip(sorted(loads(old), reverse=True), targets, strict=False))
    assert moved(old, new) == count - stay_at_most
