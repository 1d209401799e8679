"""A rebalance as Nimbus carries it out, while other things happen: who moves, who is started anew, when."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.nimbus.heartbeats import WorkerBeat

if TYPE_CHECKING:
    from conftest import Cluster

    from storm.cluster.records import Assignment


def rebalance(cluster: Cluster, name: str, workers: int | None = None, **executors: int) -> None:
    """Asked for; the next step carries it out."""
    cluster.core.rebalance(name, RebalanceRequest(workers, executors), 0)


def nodes(assignment: Assignment) -> Counter[str]:
    return Counter(slot.node_id for slot in assignment.slot_epochs)


def moves(before: Assignment, after: Assignment) -> int:
    return sum(before.executor_slots.get(executor, slot) != slot for executor, slot in after.executor_slots.items())


def restarted(before: Assignment, after: Assignment) -> set[str]:
    """The slots whose worker is a new process."""
    return {
        f"{slot.node_id}:{slot.port}"
        for slot, epoch in after.slot_epochs.items()
        if before.slot_epochs.get(slot) != epoch
    }


def test_a_rebalance_that_asks_for_nothing_new_restarts_nobody(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 4, "my.key": 1})
    before = two_nodes.assignment(topology_id)
    for request in (RebalanceRequest(), RebalanceRequest(4), RebalanceRequest(conf_overrides={"my.key": 1})):
        two_nodes.core.rebalance("wc", request, 0)
        two_nodes.core.step()
        assert two_nodes.core.snapshot.bases[topology_id].status is TopologyStatus.ACTIVE
        assert two_nodes.assignment(topology_id) == before


def test_up_and_down_twenty_times_the_fewest_executors_move(two_nodes: Cluster) -> None:
    topology = two_nodes.word_count(words=4, counts=12)
    topology_id = two_nodes.submit(topology=topology, conf={"topology.workers": 2, "topology.acker.executors": 2})
    for turn in range(20):
        before = two_nodes.assignment(topology_id)
        workers = (3, 4, 1, 2)[turn % 4]
        rebalance(two_nodes, "wc", workers)
        two_nodes.core.step()
        after = two_nodes.assignment(topology_id)
        shares = [len(executors) for executors in after.slot_executors().values()]
        assert len(shares) == workers
        assert max(shares) - min(shares) <= 1
        loads = sorted((len(executors) for executors in before.slot_executors().values()), reverse=True)
        assert moves(before, after) == 18 - sum(map(min, loads, sorted(shares, reverse=True)))


def test_one_topology_takes_in_one_step_what_another_gives_up(two_nodes: Cluster) -> None:
    grows = two_nodes.submit("grows", conf={"topology.workers": 2})
    shrinks = two_nodes.submit("shrinks", conf={"topology.workers": 6})
    before = two_nodes.assignment(shrinks)
    assert len(before.slot_epochs) == 6
    rebalance(two_nodes, "grows", 5)
    rebalance(two_nodes, "shrinks", 3)
    two_nodes.core.step()
    assert len(two_nodes.assignment(grows).slot_epochs) == 5
    after = two_nodes.assignment(shrinks)
    assert len(after.slot_epochs) == 3
    assert set(after.slot_epochs) < set(before.slot_epochs)


def test_a_supervisor_that_joins_during_the_wait_gets_its_part(cluster: Cluster) -> None:
    cluster.start_supervisor("a")
    cluster.core.step()
    topology_id = cluster.submit(conf={"topology.workers": 4})
    before = cluster.assignment(topology_id)
    cluster.core.rebalance("wc", RebalanceRequest(), 5)
    cluster.start_supervisor("b")
    cluster.pass_time(5, beating=[topology_id])
    after = cluster.assignment(topology_id)
    assert nodes(after) == {"a": 2, "b": 2}
    stayed = [slot for slot in before.slot_epochs if slot in after.slot_epochs]
    assert moves(before, after) == len(before.executor_slots) - sum(
        len(before.slot_executors()[slot]) for slot in stayed
    )
    assert restarted(before, after) == {"b:6700", "b:6701"}


def test_a_machine_that_is_lost_during_the_wait_takes_no_part(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 2})
    two_nodes.pass_time(30, beating=[topology_id])  # after that a leader believes that supervisors are gone
    two_nodes.core.rebalance("wc", RebalanceRequest(4), 20)
    two_nodes.stop_supervisor("b")
    two_nodes.pass_time(19, beating=[topology_id])
    assert nodes(two_nodes.assignment(topology_id)) == {"a": 2}
    two_nodes.pass_time(1, beating=[topology_id])
    assert nodes(two_nodes.assignment(topology_id)) == {"a": 4}


@pytest.mark.parametrize(("workers", "after"), [(1, {"a": 1}), (3, {"a": 2, "b": 1}), (4, {"a": 4})])
def test_workers_of_a_missing_supervisor_go_on_as_they_are_or_are_left(
    two_nodes: Cluster, workers: int, after: dict[str, int]
) -> None:
    """It could not start them anew: the others would wait for a peer that does not come."""
    topology_id = two_nodes.submit(conf={"topology.workers": 2})
    two_nodes.pass_time(30, beating=[topology_id])
    two_nodes.stop_supervisor("b")
    before = two_nodes.assignment(topology_id)
    for _ in range(12):
        two_nodes.clock.secs += 1
        two_nodes.beat(topology_id)
        for slot, executors in before.slot_executors().items():  # workers tell Nimbus themselves, if nobody else does
            wall_secs = two_nodes.clock.wall_secs()
            two_nodes.core.record([WorkerBeat(topology_id, frozenset(executors), wall_secs, *slot, 60)])
        two_nodes.core.step()
    assert nodes(before) == nodes(two_nodes.assignment(topology_id)) == {"a": 1, "b": 1}
    two_nodes.core.rebalance("wc", RebalanceRequest(workers), 0)
    two_nodes.core.step()
    now = two_nodes.assignment(topology_id)
    assert nodes(now) == after
    assert not {slot for slot in restarted(before, now) if slot.startswith("b")}
