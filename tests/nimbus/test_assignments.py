"""Laws of assignments. Stories are in test_core, laws of the shares in scheduler/test_even."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storm.cluster.records import (
    BUILDING_ENVIRONMENT,
    FETCHING,
    Assignment,
    Drain,
    SlotFailure,
    StormBase,
    SupervisorInfo,
    TopologyStatus,
)
from storm.ids import ExecutorId, WorkerSlot
from storm.nimbus.assignments import (
    FETCHING_SECS_MAX,
    Round,
    dying,
    new_assignments,
    preparing,
    scheduling_state,
    wanted_executors,
)
from storm.nimbus.cluster_snapshot import ClusterSnapshot, plan_of
from storm.nimbus.heartbeats import AssignedSlot
from storm.scheduler.even import schedule
from storm.topology.parallelism import component_executors, normalise
from storm.topology.structure import ComponentSpec, PythonObject, StormTopology, StreamInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

CONF: dict[str, Any] = {"topology.workers": 1, "topology.acker.executors": 1}


def supervisor(node_id: str, ports: Iterable[int]) -> SupervisorInfo:
    return SupervisorInfo(node_id, f"host-{node_id}", tuple(ports), (), 6628, 0, "0.1.0")


def snapshot(nodes: dict[str, int], **topologies: tuple[int, int]) -> ClusterSnapshot:
    """`nodes`: numbers of slots; `topologies`: (workers, parallelism of the only spout)."""
    plans, bases = {}, {}
    for turn, (name, (workers, spouts)) in enumerate(topologies.items()):
        spec = ComponentSpec(PythonObject(b""), {}, {"default": StreamInfo(("x",))}, spouts)
        plans[name] = plan_of(normalise(StormTopology({"spout": spec}), CONF), CONF)
        counts = component_executors(plans[name].system, CONF)
        bases[name] = StormBase(name, name, TopologyStatus.ACTIVE, workers, counts, turn)
    supervisors = {node: supervisor(node, range(6700, 6700 + count)) for node, count in nodes.items()}
    return ClusterSnapshot(bases=bases, plans=plans, supervisors=supervisors)


def carried_out(before: ClusterSnapshot, this: Round) -> ClusterSnapshot:
    written = {one.topology_id: one for one in new_assignments(before, schedule, this)}
    return replace(before, assignments={**before.assignments, **written})


def test_every_executor_of_the_system_topology_is_wanted() -> None:
    assert wanted_executors(snapshot({}, t=(1, 3)), "t") == tuple(ExecutorId(n, n) for n in (1, 2, 3, 4))


def test_slots_count_as_being_prepared_until_that_has_failed_too_often() -> None:
    failures = tuple(
        SlotFailure(port, "t", state, deaths, "waits", "", 0)
        for port, state, deaths in [
            (6700, BUILDING_ENVIRONMENT, 0),
            (6701, BUILDING_ENVIRONMENT, 1),
            (6702, "backing-off", 0),
            (6703, FETCHING, 0),
            (6704, FETCHING, 2),
            (6705, FETCHING, 3),
        ]
    )
    info = replace(supervisor("a", range(6700, 6706)), failures=failures)
    found = preparing(replace(snapshot({}), supervisors={"a": info}))
    assert {used.slot.port: secs for used, secs in found.items()} == {
        6700: math.inf, 6703: FETCHING_SECS_MAX, 6704: FETCHING_SECS_MAX,
    }  # fmt: skip


def test_a_port_that_a_supervisor_no_longer_offers_is_left() -> None:
    first = carried_out(snapshot({"a": 2}, t=(2, 3)), Round(100))
    shrunk = replace(first, supervisors={"a": supervisor("a", [6701])})
    after = carried_out(shrunk, Round(200)).assignments["t"]
    assert set(after.slot_epochs) == {WorkerSlot("a", 6701)}


def test_a_dead_worker_in_its_place_gets_a_new_epoch_and_start() -> None:
    first = carried_out(snapshot({"a": 1}, t=(1, 3)), Round(100))
    slot = WorkerSlot("a", 6700)
    after = carried_out(first, Round(200, frozenset({AssignedSlot("t", slot)}))).assignments["t"]
    assert (after.version, after.slot_epochs) == (2, {slot: 2})
    assert set(after.executor_start_wall_secs.values()) == {200}


def test_workers_are_told_where_a_host_is_that_has_another_name_now_and_run_on() -> None:
    first = carried_out(snapshot({"a": 1, "b": 1}, t=(2, 3)), Round(100))
    moved = replace(first.supervisors["b"], host="b.example.org")
    after = carried_out(replace(first, supervisors={**first.supervisors, "b": moved}), Round(200)).assignments["t"]
    before = first.assignments["t"]
    hosts = {"a": "host-a", "b": "b.example.org"}
    assert after == replace(before, version=2, node_hosts=hosts)


def with_taken(state: ClusterSnapshot, *slots: WorkerSlot) -> ClusterSnapshot:
    """The same, where somebody else has these ports and no others."""
    found = {
        node: replace(info, taken_ports=tuple(slot.port for slot in slots if slot.node_id == node))
        for node, info in state.supervisors.items()
    }
    return replace(state, supervisors=found)


A0, A1, B0, B1 = WorkerSlot("a", 6700), WorkerSlot("a", 6701), WorkerSlot("b", 6700), WorkerSlot("b", 6701)


def test_who_cannot_have_a_port_moves_and_nobody_else_does_nor_does_it_move_again() -> None:
    first = carried_out(snapshot({"a": 2, "b": 1}, t=(2, 5)), Round(100))
    before = first.assignments["t"]
    assert set(before.slot_epochs) == {A0, B0}
    moved = carried_out(with_taken(first, A0), Round(200))
    after = moved.assignments["t"]
    assert after.slot_executors() == {A1: before.slot_executors()[A0], B0: before.slot_executors()[B0]}
    assert after.slot_epochs == {A1: 2, B0: 1}
    for taken in ([A0], [A0, A1], [A1], []):
        state = with_taken(moved, *taken)
        is_back = set(carried_out(state, Round(300)).assignments["t"].slot_epochs) != {A1, B0}
        assert is_back == (taken == [A1]), taken


def test_who_cannot_have_a_port_stays_where_nothing_else_is_free_and_loses_it_to_nobody() -> None:
    first = carried_out(snapshot({"a": 2}, t=(2, 4)), Round(100))
    both = with_taken(first, A0, A1)
    assert new_assignments(both, schedule, Round(200)) == []
    younger = snapshot({}, t=(1, 1), u=(1, 1))
    waiting = replace(both, bases={**younger.bases, **first.bases}, plans={**younger.plans, **first.plans})
    assert new_assignments(waiting, schedule, Round(200)) == []
    joined = replace(waiting, supervisors={**both.supervisors, "b": supervisor("b", [6700])})
    after = carried_out(joined, Round(200)).assignments["t"]
    assert len(after.slot_epochs) == 2
    assert sum(epoch == 2 for slot, epoch in after.slot_epochs.items() if slot == B0) == 1, "one of the two moves"


def test_a_port_that_somebody_has_is_given_away_last() -> None:
    state = with_taken(snapshot({"a": 2}, t=(1, 4)), A0)
    assert set(carried_out(state, Round(100)).assignments["t"].slot_epochs) == {A1}
    state = with_taken(snapshot({"a": 2}, t=(2, 4)), A0)
    assert set(carried_out(state, Round(100)).assignments["t"].slot_epochs) == {A0, A1}


def with_deaths(state: ClusterSnapshot, slot: WorkerSlot, deaths: int) -> ClusterSnapshot:
    failure = SlotFailure(slot.port, "t", "backing-off", deaths, "exited with code 1", "", 0)
    info = replace(state.supervisors[slot.node_id], failures=(failure,))
    return replace(state, supervisors={**state.supervisors, slot.node_id: info})


@pytest.mark.parametrize(("deaths", "goes_to"), [(2, A1), (3, B1), (9, B1)])
def test_who_died_again_and_again_goes_to_another_host(deaths: int, goes_to: WorkerSlot) -> None:
    first = carried_out(snapshot({"a": 2, "b": 2}, t=(2, 5)), Round(100))
    assert set(first.assignments["t"].slot_epochs) == {A0, B0}
    dead = Round(200, frozenset({AssignedSlot("t", A0)}))
    assert set(carried_out(with_deaths(first, A0, deaths), dead).assignments["t"].slot_epochs) == {B0, goes_to}


def test_who_died_again_and_again_stays_where_no_other_host_has_a_slot_and_nobody_else_moves() -> None:
    first = carried_out(snapshot({"a": 3, "b": 1}, t=(2, 5), u=(1, 2)), Round(100))
    before = {slot for one in first.assignments.values() for slot in one.slot_epochs}
    assert before == {A0, A1, B0}
    used = next(slot for slot in first.assignments["t"].slot_epochs if slot.node_id == "a")
    after = carried_out(with_deaths(first, used, 9), Round(200, frozenset({AssignedSlot("t", used)})))
    assert set(after.assignments["t"].slot_epochs) == {B0, WorkerSlot("a", 6702)}
    assert after.assignments["u"] == first.assignments["u"]


def with_left(state: ClusterSnapshot, node_id: str, **deaths: int) -> ClusterSnapshot:
    info = replace(state.supervisors[node_id], left=deaths)
    return replace(state, supervisors={**state.supervisors, node_id: info})


def test_each_host_is_tried_before_one_that_was_left_for_its_deaths() -> None:
    """Where the first two of four lack something."""
    there = carried_out(snapshot({"a": 4, "b": 3, "c": 2, "d": 1}, t=(1, 2)), Round(100))
    homes = []
    for wall_secs in (200, 300, 400, 500):
        (slot,) = there.assignments["t"].slot_epochs
        homes.append(slot.node_id)
        told = with_left(with_deaths(there, slot, 9), slot.node_id, t=9)
        there = carried_out(told, Round(wall_secs, frozenset({AssignedSlot("t", slot)})))
    assert homes == ["a", "b", "c", "d"]


def test_what_one_topology_left_is_good_for_another() -> None:
    there = snapshot({"a": 4, "b": 1}, t=(1, 2), u=(1, 2))
    after = carried_out(with_left(there, "a", u=9), Round(100))
    assert set(after.assignments["t"].slot_epochs) == {A0}
    assert set(after.assignments["u"].slot_epochs) == {B0}


def test_who_is_spread_anew_may_go_where_it_died_before_it_left() -> None:
    first = carried_out(snapshot({"a": 2}, t=(2, 4)), Round(100))
    joined = with_left(replace(first, supervisors={**first.supervisors, "b": supervisor("b", [6700])}), "b", t=9)
    assert new_assignments(joined, schedule, Round(200)) == []
    (spread,) = new_assignments(joined, schedule, Round(200, spread=frozenset({"t"})))
    assert len({slot.node_id for slot in spread.slot_epochs}) == 2
    still = with_deaths(joined, B0, 3)
    assert new_assignments(still, schedule, Round(200, spread=frozenset({"t"}))) == []


def test_where_an_environment_cannot_be_built_nothing_new_goes() -> None:
    failure = SlotFailure(6700, "t", "waiting-for-blobs", 1, "no such package", "", 0, lacks_environment=True)
    there = snapshot({"a": 4, "b": 2}, t=(1, 2))
    unfit = replace(there.supervisors["a"], failures=(failure,))
    after = carried_out(replace(there, supervisors={**there.supervisors, "a": unfit}), Round(100))
    assert set(after.assignments["t"].slot_epochs) == {B0}


def test_who_dies_for_a_minute_and_waits_to_be_started_is_dying() -> None:
    failures = tuple(
        SlotFailure(port, "t", state, deaths, "exited with code 1", "", 0, retry)
        for port, state, deaths, retry in [
            (6700, "backing-off", 6, 30),
            (6701, "backing-off", 7, 30),
            (6702, "running", 9, None),
        ]
    )
    info = replace(supervisor("a", range(6700, 6704)), failures=failures)
    assert dying(replace(snapshot({}), supervisors={"a": info})) == {AssignedSlot("t", A1)}


def test_a_dead_workers_slot_is_used_before_a_port_that_somebody_has() -> None:
    first = carried_out(snapshot({"a": 1}, t=(1, 2)), Round(100))
    joined = replace(first, supervisors={**first.supervisors, "b": supervisor("b", [6700])})
    dead = Round(200, frozenset({AssignedSlot("t", A0)}))
    assert set(carried_out(joined, dead).assignments["t"].slot_epochs) == {B0}
    assert set(carried_out(with_taken(joined, B0), dead).assignments["t"].slot_epochs) == {A0}


def test_what_dies_in_silence_goes_to_another_host_however_many_ports_its_own_has() -> None:
    first = carried_out(snapshot({"a": 4}, t=(1, 2)), Round(100))
    dead = Round(200, frozenset({AssignedSlot("t", A0)}))
    assert set(carried_out(first, dead).assignments["t"].slot_epochs) == {A1}, "there is no other"
    joined = replace(first, supervisors={**first.supervisors, "b": supervisor("b", [6700])})
    assert set(carried_out(joined, dead).assignments["t"].slot_epochs) == {B0}
    assert set(carried_out(with_deaths(joined, A0, 1), dead).assignments["t"].slot_epochs) == {A1}


@pytest.mark.parametrize("hidden", ["killed", "unreadable", "no plan"])
def test_slots_of_topologies_that_are_left_alone_are_not_given_away(hidden: str) -> None:
    first = carried_out(snapshot({"a": 1}, old=(1, 1), new=(1, 1)), Round(100))
    assert "new" not in first.assignments
    if hidden == "killed":
        after = replace(first, bases={**first.bases, "old": replace(first.bases["old"], status=TopologyStatus.KILLED)})
    elif hidden == "unreadable":
        after = replace(first, bases={"new": first.bases["new"]}, unreadable=frozenset({"old"}))
    else:
        after = replace(first, plans={"new": first.plans["new"]})
    assert scheduling_state(after, Round(200)).slots == ()
    assert new_assignments(after, schedule, Round(200)) == []


def test_an_assignment_that_could_not_be_read_is_followed_by_a_higher_version() -> None:
    broken = replace(snapshot({"a": 1}, t=(1, 1)), unreadable_assignments=frozenset({"t"}))
    assert carried_out(broken, Round(1_700_000_000)).assignments["t"].version == 1_700_000_000


def test_slots_lost_to_another_topology_end_in_an_empty_assignment() -> None:
    first = carried_out(snapshot({"a": 1}, t=(1, 1), u=(1, 1)), Round(100))
    slot = WorkerSlot("a", 6700)
    both = replace(first.assignments["t"], topology_id="u")
    contested = replace(first, assignments={"t": first.assignments["t"], "u": both})
    after = carried_out(contested, Round(200)).assignments
    assert set(after["t"].slot_epochs) == {slot}
    assert after["u"].executor_slots == {}
    assert after["u"].version == 2


@pytest.mark.parametrize("why", ["a dead worker", "a rebalance"])
def test_a_topology_that_can_go_nowhere_keeps_what_it_has_on_a_host_that_lost_its_tags(why: str) -> None:
    first = carried_out(snapshot({"a": 2}, old=(2, 4)), Round(100))
    tagged = replace(first.plans["old"], conf={**CONF, "topology.scheduler.tags": ["x"]})
    new = snapshot({}, old=(1, 1), new=(1, 1))
    state = replace(first, bases={**new.bases, **first.bases}, plans={**new.plans, "old": tagged})
    dead = frozenset({AssignedSlot("old", WorkerSlot("a", 6701))})
    this = Round(200, dead) if why == "a dead worker" else Round(200, moving=frozenset({"old"}))
    assert new_assignments(state, schedule, this) == []


def test_a_slot_is_given_to_another_topology_only_once_the_one_that_should_not_be_there_has_left() -> None:
    first = carried_out(snapshot({"a": 1, "b": 0}, old=(1, 4)), Round(100))
    tagged = replace(first.plans["old"], conf={**CONF, "topology.scheduler.tags": ["x"]})
    new = snapshot({}, old=(1, 1), new=(1, 1))
    fits = replace(supervisor("b", [6700]), meta={"tags": "x"})
    state = replace(
        first,
        bases={**new.bases, **first.bases},
        plans={**new.plans, "old": tagged},
        supervisors={**first.supervisors, "b": fits},
        drains={"b": Drain("b", "host-b", 0)},
    )
    assert new_assignments(state, schedule, Round(200)) == []
    state = carried_out(replace(state, drains={}), Round(200, moving=frozenset({"old"})))
    assert set(state.assignments["old"].slot_epochs) == {WorkerSlot("b", 6700)}
    assert set(state.assignments["new"].slot_epochs) == {WorkerSlot("a", 6700)}


@pytest.mark.parametrize("conf", ["same", "other"])
def test_a_rebalance_of_what_is_even_restarts_workers_only_for_new_bytes(conf: str) -> None:
    first = carried_out(snapshot({"a": 2, "b": 2}, t=(3, 6), u=(1, 2)), Round(100))
    base = replace(first.bases["t"], blob_hashes={"t-stormconf.ser": "1" if conf == "other" else ""})
    same = {"t-stormconf.ser": ""}
    known = replace(first, assignments={**first.assignments, "t": replace(first.assignments["t"], blob_hashes=same)})
    changed = new_assignments(
        replace(known, bases={**first.bases, "t": base}), schedule, Round(200, spread=frozenset("t"))
    )
    if conf == "same":
        assert changed == []
    else:
        assert [one.executor_slots for one in changed] == [first.assignments["t"].executor_slots]
        assert set(changed[0].slot_epochs.values()) == {2}


def test_workers_of_one_topology_run_on_while_another_is_rebalanced_around_them() -> None:
    first = carried_out(snapshot({"a": 4}, t=(2, 5), u=(2, 3)), Round(100))
    grown = replace(first.bases["u"], num_workers=4)
    joined = replace(
        first, bases={**first.bases, "u": grown}, supervisors={n: supervisor(n, range(6700, 6704)) for n in "ab"}
    )
    assert [one.topology_id for one in new_assignments(joined, schedule, Round(200, spread=frozenset("u")))] == ["u"]


def test_a_change_of_parallelism_leaves_other_executors_alone_and_uses_the_same_slots() -> None:
    first = carried_out(snapshot({"a": 4}, t=(3, 2)), Round(100))
    before = first.assignments["t"]
    one_spout = replace(first.bases["t"], component_executors={**first.bases["t"].component_executors, "spout": 1})
    joined = {**first.supervisors, "b": supervisor("b", range(6700, 6708))}
    after = carried_out(replace(first, bases={"t": one_spout}, supervisors=joined), Round(200)).assignments["t"]
    acker = ExecutorId(1, 1)
    assert after.executor_slots[acker] == before.executor_slots[acker]
    assert sorted(after.slot_epochs.values()) == [1, 2]
    assert after.executor_start_wall_secs == {acker: 100, ExecutorId(2, 3): 200}
    assert set(after.slot_epochs) < set(before.slot_epochs), "their machines have the code"


events = st.lists(
    st.one_of(
        st.tuples(st.just("node"), st.sampled_from("abcd"), st.integers(0, 4)),
        st.tuples(st.just("workers"), st.sampled_from(["t", "u"]), st.integers(1, 6)),
        st.tuples(st.just("dead"), st.sampled_from(["t", "u"]), st.integers(0, 5)),
        st.tuples(st.just("spread"), st.sampled_from(["t", "u"]), st.just(0)),
        st.tuples(st.just("taken"), st.sampled_from("abcd"), st.integers(0, 15)),
    ),
    max_size=12,
)


def after_event(state: ClusterSnapshot, event: tuple[str, str, int]) -> tuple[ClusterSnapshot, Round]:
    kind, who, number = event
    if kind == "node":
        others = {node: info for node, info in state.supervisors.items() if node != who}
        offered = range(6700, 6700 + number)
        more = {who: replace(supervisor(who, offered), host=f"host-{who}-{number}")} if number else {}
        gone = {
            AssignedSlot(topology_id, slot)
            for topology_id, assignment in state.assignments.items()
            for slot in assignment.executor_slots.values()
            if slot.node_id == who and not number
        }
        return replace(state, supervisors={**others, **more}), Round(0, frozenset(gone))
    if kind == "taken":
        ports = tuple(6700 + bit for bit in range(4) if number >> bit & 1)
        info = state.supervisors.get(who)
        more = {} if info is None else {who: replace(info, taken_ports=ports)}
        return replace(state, supervisors={**state.supervisors, **more}), Round(0)
    if kind == "workers":
        return replace(state, bases={**state.bases, who: replace(state.bases[who], num_workers=number)}), Round(0)
    if kind == "spread":
        return state, Round(0, spread=frozenset({who}))
    slots = sorted(state.assignments[who].slot_epochs) if who in state.assignments else []
    return state, Round(0, frozenset(AssignedSlot(who, slot) for slot in slots[number : number + 1]))


def check(before: dict[str, Assignment], state: ClusterSnapshot, dead: frozenset[AssignedSlot]) -> None:
    used = [slot for assignment in state.assignments.values() for slot in assignment.slot_epochs]
    assert len(used) == len(set(used)), "a slot is used by two topologies"
    for topology_id, assignment in state.assignments.items():
        assert set(assignment.slot_epochs) == set(assignment.executor_slots.values())
        assert set(assignment.executor_start_wall_secs) == set(assignment.executor_slots)
        assert {slot.node_id for slot in assignment.slot_epochs} == set(assignment.node_hosts)
        assert set(assignment.executor_slots) in (set(wanted_executors(state, topology_id)), set())
        old = before.get(topology_id)
        if old is None or old == assignment:
            continue
        assert assignment.version == old.version + 1
        for slot, executors in assignment.slot_executors().items():
            is_same = old.slot_executors().get(slot) == executors and AssignedSlot(topology_id, slot) not in dead
            epoch = old.slot_epochs[slot] if is_same else assignment.version
            assert assignment.slot_epochs[slot] == epoch, "a worker is started anew if, and only if, it must be"
            if is_same:
                starts = [one.executor_start_wall_secs[executors[0]] for one in (old, assignment)]
                assert starts[0] == starts[1]


@settings(max_examples=150)
@given(events, st.integers(1, 6), st.integers(1, 6))
def test_whatever_happens_assignments_are_sound_and_come_to_rest(
    happened: list[tuple[str, str, int]], workers: int, spouts: int
) -> None:
    state = snapshot({"a": 2, "b": 2}, t=(workers, spouts), u=(2, 3))
    for event in happened:
        state, this = after_event(state, event)
        before = dict(state.assignments)
        state = carried_out(state, this)
        check(before, state, this.dead)
    for _ in range(3):
        state = carried_out(state, Round(0))
    assert new_assignments(state, schedule, Round(0)) == []
    if sum(len(info.slot_ports) for info in state.supervisors.values()) >= 2:
        live = {WorkerSlot(node, port) for node, info in state.supervisors.items() for port in info.slot_ports}
        homes = [set(assignment.slot_epochs) & live for assignment in state.assignments.values()]
        taken = {WorkerSlot(node, port) for node, info in state.supervisors.items() for port in info.taken_ports}
        if live.difference(taken, *homes):
            assert taken.isdisjoint(set[WorkerSlot]().union(*homes)), "who cannot have its port moves, where it can"
        assert any(homes), "with slots, somebody runs"
        for assignment in state.assignments.values():
            for node in {slot.node_id for slot in set(assignment.slot_epochs) & live}:
                assert assignment.node_hosts[node] == state.supervisors[node].host
