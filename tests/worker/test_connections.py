from __future__ import annotations

from dataclasses import replace

import pytest

from storm.cluster.records import BUILDING_ENVIRONMENT, Assignment, SlotFailure, SupervisorInfo
from storm.ids import ExecutorId, WorkerSlot
from storm.messaging.batch import WorkerAddress, node_hash, topology_hash
from storm.worker.connections import Connect, Disconnect, Peer, alone, awaited, own_address, plan, sender, view

MINE = WorkerSlot("a", 6700)
NEAR = WorkerSlot("a", 6701)
FAR = WorkerSlot("b", 6700)
ASSIGNMENT = Assignment(
    topology_id="wc-1-0",
    version=7,
    executor_slots={
        ExecutorId(1, 2): MINE,
        ExecutorId(3, 3): NEAR,
        ExecutorId(4, 5): FAR,
        ExecutorId(6, 6): FAR,
    },
    executor_start_wall_secs={},
    node_hosts={"a": "host-a", "b": "host-b"},
    slot_epochs={MINE: 3, NEAR: 7, FAR: 5},
)
NEAR_PEER = Peer(NEAR, "host-a", 7)
FAR_PEER = Peer(FAR, "host-b", 5)
SEEN = view(ASSIGNMENT, MINE)


def address(slot: WorkerSlot, epoch: int) -> WorkerAddress:
    return WorkerAddress(topology_hash("wc-1-0"), node_hash(slot.node_id), slot.port, epoch)


def test_tasks_of_other_workers_have_their_peers_and_own_tasks_none() -> None:
    assert SEEN.task_peers == {3: NEAR_PEER, 4: FAR_PEER, 5: FAR_PEER, 6: FAR_PEER}
    assert set(SEEN.peers.values()) == {NEAR_PEER, FAR_PEER}


def test_a_slot_without_a_known_host_is_left_out() -> None:
    seen = view(replace(ASSIGNMENT, node_hosts={"a": "host-a"}), MINE)
    assert seen.task_peers == {3: NEAR_PEER}


def test_wanted_connections_are_opened_and_others_closed_first() -> None:
    older = Peer(FAR, "host-b", 4)
    assert plan(SEEN, []) == [Connect(NEAR_PEER), Connect(FAR_PEER)]
    assert plan(SEEN, [NEAR_PEER, older]) == [Disconnect(older), Connect(FAR_PEER)]
    assert plan(SEEN, [NEAR_PEER, FAR_PEER]) == []


def supervisor(node_id: str, *failures: SlotFailure) -> SupervisorInfo:
    return SupervisorInfo(node_id, f"host-{node_id}", (6700, 6701), (), 1, 0, "0", failures=failures)


def test_peers_are_waited_for_unless_they_die_again_and_again_or_nobody_starts_them() -> None:
    failure = SlotFailure(FAR.port, "wc-1-0", "waiting-for-worker-start", 2, "exited with code 1", "", 0)
    peers = [NEAR_PEER, FAR_PEER]
    a, b = supervisor("a"), supervisor("b", failure)
    assert awaited(peers, {"a": a, "b": supervisor("b")}, "wc-1-0") == peers
    assert awaited(peers, {"a": a, "b": b}, "wc-1-0") == [NEAR_PEER]
    assert awaited(peers, {"a": a}, "wc-1-0") == [NEAR_PEER]
    assert awaited(peers, {"b": b}, "wc-1-0") == []


def test_what_died_once_or_waits_for_its_environment_is_waited_for() -> None:
    died = SlotFailure(FAR.port, "wc-1-0", "waiting-for-worker-start", 1, "exited with code 1", "", 0)
    waits = SlotFailure(FAR.port, "wc-1-0", BUILDING_ENVIRONMENT, 0, "waits for its environment", "", 0)
    for failure in (died, waits):
        assert awaited([FAR_PEER], {"b": supervisor("b", failure)}, "wc-1-0") == [FAR_PEER]


def test_what_died_of_another_topology_or_on_another_port_is_waited_for() -> None:
    other = SlotFailure(FAR.port, "wc-2-0", "backing-off", 3, "exited with code 1", "", 0)
    others = supervisor("b", other, replace(other, topology_id="wc-1-0", port=6701))
    assert awaited([FAR_PEER], {"b": others}, "wc-1-0") == [FAR_PEER]


@pytest.mark.parametrize(
    ("slot", "epoch", "fenced", "peer"),
    [
        (FAR, 5, False, FAR_PEER),
        (FAR, 4, True, None),  # replaced at version 5
        (FAR, 7, True, None),  # known not to be the slot's epoch at version 7
        (FAR, 8, False, None),  # of an assignment that we have yet to see
        (WorkerSlot("b", 6702), 6, True, None),  # its slot was taken away
        (WorkerSlot("c", 6700), 8, False, None),
    ],
)
def test_fencing(slot: WorkerSlot, epoch: int, fenced: bool, peer: Peer | None) -> None:
    assert sender(SEEN, address(slot, epoch)) == (fenced, peer)


def test_before_it_saw_an_assignment_a_worker_fences_only_what_is_older_than_itself() -> None:
    seen = alone("wc-1-0", MINE, 3)
    assert sender(seen, address(FAR, 2)).fenced
    assert not sender(seen, address(FAR, 5)).fenced
    assert own_address(seen, MINE, 3) == address(MINE, 3)
