"""Topologies leave hosts that are drained or lack their tags: when, whereto, and what stays as it is meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.nimbus import departures, drains
from storm.nimbus.heartbeats import WorkerBeat
from storm.nimbus.topology_status import Delay
from storm.nimbus.topology_view import view_topology
from storm.scheduler.even import schedule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import Cluster

ACTIVE, REBALANCING = TopologyStatus.ACTIVE, TopologyStatus.REBALANCING


def nodes(cluster: Cluster, topology_id: str) -> Counter[str]:
    return Counter(slot.node_id for slot in cluster.assignment(topology_id).slot_epochs)


def status(cluster: Cluster, topology_id: str) -> TopologyStatus:
    return cluster.core.snapshot.bases[topology_id].status


def problem(cluster: Cluster, topology_id: str) -> str:
    snapshot = cluster.core.snapshot
    return view_topology(snapshot, cluster.core.heartbeats, topology_id, cluster.clock.wall_secs()).lack().text


def seen(cluster: Cluster, secs: int, topology_ids: Iterable[str]) -> list[tuple[TopologyStatus, ...]]:
    """The statuses of these topologies, second by second, while their workers beat."""
    found = []
    for _ in range(secs):
        cluster.pass_time(1, beating=topology_ids)
        found.append(tuple(status(cluster, topology_id) for topology_id in topology_ids))
    return found


def test_workers_leave_a_drained_host_after_the_wait_and_nobody_else_moves(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 2})
    before = two_nodes.assignment(topology_id)
    drains.drain(two_nodes.core, "host-a", 5)
    two_nodes.core.step()
    assert status(two_nodes, topology_id) is REBALANCING
    assert problem(two_nodes, topology_id) == "Leaves host-a (drained), once what is under way is done."
    two_nodes.pass_time(4, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == before
    two_nodes.pass_time(1, beating=[topology_id])
    assert status(two_nodes, topology_id) is ACTIVE
    assert nodes(two_nodes, topology_id) == {"b": 2}
    after = two_nodes.assignment(topology_id)
    stayed = {executor for executor, slot in before.executor_slots.items() if slot.node_id == "b"}
    assert all(after.executor_slots[executor] == before.executor_slots[executor] for executor in stayed)
    assert problem(two_nodes, topology_id) == ""


def test_the_wait_is_the_message_timeout_if_nobody_says_how_long(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.message.timeout.secs": 12})
    drains.drain(two_nodes.core, "host-a")
    two_nodes.core.step()
    assert two_nodes.core.snapshot.bases[topology_id].wait_secs == 12


def test_nothing_is_assigned_to_a_drained_host(two_nodes: Cluster) -> None:
    drains.drain(two_nodes.core, "a", 0)
    two_nodes.core.step()
    topology_id = two_nodes.submit(conf={"topology.workers": 6})
    assert nodes(two_nodes, topology_id) == {"b": 4}
    two_nodes.core.rebalance("wc", RebalanceRequest(5), 0)
    two_nodes.core.step()
    assert nodes(two_nodes, topology_id) == {"b": 4}
    drains.undrain(two_nodes.core, "a")
    two_nodes.core.step()
    assert nodes(two_nodes, topology_id) == {"a": 1, "b": 4}


def test_where_there_is_no_room_a_topology_stays_and_its_spouts_go_on_until_there_is(cluster: Cluster) -> None:
    cluster.start_supervisor("a")
    cluster.core.step()
    topology_id = cluster.submit(conf={"topology.workers": 2})
    before = cluster.assignment(topology_id)
    drains.drain(cluster.core, "host-a", 3)
    cluster.pass_time(10, beating=[topology_id])
    assert status(cluster, topology_id) is ACTIVE
    assert cluster.assignment(topology_id) == before
    assert problem(cluster, topology_id) == "Shall leave host-a (drained), and no other supervisor has a free slot."
    cluster.start_supervisor("b", [6700])
    cluster.pass_time(4, beating=[topology_id])
    assert nodes(cluster, topology_id) == {"b": 1}
    assert status(cluster, topology_id) is ACTIVE


def test_an_inactive_topology_leaves_and_stays_inactive(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(active=False)
    drains.drain(two_nodes.core, "host-a", 0)
    two_nodes.core.step()
    assert status(two_nodes, topology_id) is TopologyStatus.INACTIVE
    assert nodes(two_nodes, topology_id) == {"b": 2}


def test_what_is_killed_or_being_rebalanced_is_not_disturbed(two_nodes: Cluster) -> None:
    killed, moving = two_nodes.submit("killed"), two_nodes.submit("moving")
    two_nodes.core.kill("killed", 20)
    two_nodes.core.rebalance("moving", RebalanceRequest(3), 5)
    drains.drain(two_nodes.core, "host-a", 0)
    two_nodes.core.step()
    assert status(two_nodes, killed) is TopologyStatus.KILLED
    assert two_nodes.core.snapshot.bases[moving].rebalance == RebalanceRequest(3)
    two_nodes.pass_time(5, beating=[killed, moving])
    assert nodes(two_nodes, moving) == {"b": 3}, "the rebalance that people asked for leaves too"
    two_nodes.pass_time(15)
    assert killed not in two_nodes.core.snapshot.bases


def test_a_new_leader_goes_on_with_what_the_former_one_began(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    drains.drain(two_nodes.core, "host-a", 5)
    two_nodes.core.step()
    follower = two_nodes.start_nimbus("nimbus-2")
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.core, two_nodes.state = follower.core, follower.state
    two_nodes.pass_time(8, beating=[topology_id])
    assert nodes(two_nodes, topology_id) == {"b": 2}


def test_a_topology_runs_only_on_hosts_with_its_tags(two_nodes: Cluster) -> None:
    two_nodes.start_supervisor("gpu", tags="gpu, ssd", zone="east")
    two_nodes.core.step()
    topology_id = two_nodes.submit(conf={"topology.scheduler.tags": ["gpu", "zone=east"], "topology.workers": 6})
    assert nodes(two_nodes, topology_id) == {"gpu": 4}
    expected = "Runs on 4 of 6 workers: no supervisor with the tags gpu, zone=east has another free slot."
    assert problem(two_nodes, topology_id) == expected


def test_without_any_host_with_its_tags_it_is_not_scheduled_and_says_so(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit(conf={"topology.scheduler.tags": ["gpu"]})
    assert two_nodes.state.assignment(topology_id) is None
    assert problem(two_nodes, topology_id) == "Not scheduled: no supervisor with the tags gpu has a free slot."
    two_nodes.start_supervisor("c", tags="gpu")
    two_nodes.core.step()
    assert nodes(two_nodes, topology_id) == {"c": 2}


def test_tags_that_change_move_workers_in_order(two_nodes: Cluster) -> None:
    """A supervisor was started anew with others."""
    two_nodes.start_supervisor("c", tags="gpu")
    two_nodes.start_supervisor("d", tags="gpu")
    two_nodes.core.step()
    topology_id = two_nodes.submit(conf={"topology.scheduler.tags": ["gpu"], "topology.message.timeout.secs": 3})
    assert nodes(two_nodes, topology_id) == {"c": 1, "d": 1}
    two_nodes.start_supervisor("c")
    two_nodes.core.step()
    assert status(two_nodes, topology_id) is REBALANCING
    assert problem(two_nodes, topology_id) == "Leaves host-c (without its tags), once what is under way is done."
    two_nodes.pass_time(3, beating=[topology_id])
    assert nodes(two_nodes, topology_id) == {"d": 2}


def test_a_rebalance_may_change_the_tags(two_nodes: Cluster) -> None:
    two_nodes.start_supervisor("c", tags="gpu")
    two_nodes.core.step()
    topology_id = two_nodes.submit()
    overrides = json.loads('{"topology.scheduler.tags": ["gpu"]}')
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides=overrides), 0)
    two_nodes.core.step()
    assert nodes(two_nodes, topology_id) == {"c": 2}


def test_an_ill_host_is_left_at_once_where_there_is_room(two_nodes: Cluster) -> None:
    """It offers no port any more, and has ended its workers."""
    topology_id = two_nodes.submit(conf={"topology.workers": 2})
    ill = replace(two_nodes.core.snapshot.supervisors["a"], slot_ports=(), illness="disk.sh says ERROR sda")
    two_nodes.supervisors["a"].put_supervisor(ill)
    two_nodes.core.step()
    assert nodes(two_nodes, topology_id) == {"b": 2}
    other = replace(two_nodes.core.snapshot.supervisors["b"], slot_ports=(), illness="memory.sh says ERROR")
    two_nodes.supervisors["b"].put_supervisor(other)
    two_nodes.core.step()
    assert problem(two_nodes, topology_id) == "Shall leave host-b (ill), and no other supervisor has a free slot."
    two_nodes.supervisors["a"].put_supervisor(replace(ill, slot_ports=(6700,), illness=""))
    two_nodes.core.step()
    assert nodes(two_nodes, topology_id) == {"a": 1}


@pytest.mark.parametrize("waits", [(1, 4), (4, 1)])
def test_the_longest_wait_counts_where_two_hosts_are_drained(two_nodes: Cluster, waits: tuple[int, int]) -> None:
    topology_id = two_nodes.submit()
    two_nodes.start_supervisor("c")
    two_nodes.core.step()
    for node, wait in zip("ab", waits, strict=True):
        drains.drain(two_nodes.core, node, wait)
    two_nodes.core._refresh()
    asked: list[int | None] = []

    def delay(base: object, wait_secs: int | None) -> Delay:
        asked.append(wait_secs)
        return Delay(0, wait_secs or 0)

    [base] = departures.begun(two_nodes.core.snapshot, schedule, frozenset, delay)
    assert (base.topology_id, base.wait_secs, asked) == (topology_id, 4, [4])
    assert base.rebalance == RebalanceRequest(spread=False)


def test_slots_of_a_topology_that_can_go_nowhere_are_no_place_to_go(cluster: Cluster) -> None:
    """Else the spouts of another would stop and start for ever."""
    cluster.start_supervisor("a", [6700])
    cluster.core.step()
    leaves = cluster.submit("leaves", conf={"topology.workers": 1, "topology.message.timeout.secs": 3})
    cluster.start_supervisor("b", [6700], tags="x")
    cluster.core.step()
    stays = cluster.submit("stays", conf={"topology.scheduler.tags": ["x"], "topology.message.timeout.secs": 3})
    before = [cluster.assignment(topology_id) for topology_id in (leaves, stays)]
    cluster.start_supervisor("b", [6700])
    drains.drain(cluster.core, "a")
    assert set(seen(cluster, 12, (leaves, stays))) == {(ACTIVE, ACTIVE)}
    assert [cluster.assignment(topology_id) for topology_id in (leaves, stays)] == before


def test_nobody_begins_to_leave_for_a_slot_that_another_waits_for(cluster: Cluster) -> None:
    cluster.start_supervisor("a", range(6700, 6703))
    cluster.start_supervisor("c", [6700])
    cluster.core.step()
    first = cluster.submit("first", conf={"topology.workers": 1})
    others = [cluster.submit(name, conf={"topology.workers": 1}) for name in ("second", "third")]
    cluster.start_supervisor("b", [6700])
    drains.drain(cluster.core, "c", 20)
    drains.drain(cluster.core, "a", 20)
    topology_ids = (first, *others)
    statuses = seen(cluster, 30, topology_ids)
    assert all(each.count(REBALANCING) <= 1 for each in statuses)
    assert sum(REBALANCING in each for each in zip(*statuses, strict=True)) == 1
    assert sorted(node for topology_id in topology_ids for node in nodes(cluster, topology_id)).count("b") == 1


def test_who_is_drained_later_does_not_take_what_another_waits_for(cluster: Cluster) -> None:
    """Although it is older, so that it is placed first."""
    cluster.start_supervisor("a", [6700])
    cluster.core.step()
    older = cluster.submit("older", conf={"topology.workers": 1})
    cluster.start_supervisor("b", [6700])
    cluster.core.step()
    newer = cluster.submit("newer", conf={"topology.workers": 1})
    cluster.start_supervisor("c", [6700])
    drains.drain(cluster.core, "b", 20)
    cluster.core.step()
    drains.drain(cluster.core, "a", 5)
    statuses = seen(cluster, 30, (older, newer))
    assert {each[0] for each in statuses} == {ACTIVE}
    assert statuses[0][1] is REBALANCING
    assert nodes(cluster, newer) == {"c": 1}


def one_drained_and_one_without_supervisor(cluster: Cluster) -> tuple[str, str]:
    """The older topology's worker has beaten 9 s ago, without a supervisor; the newer's host is drained."""
    topology_ids = []
    for node in ("c", "a"):
        cluster.start_supervisor(node, [6700])
        cluster.pass_time(1)
        topology_ids.append(cluster.submit(f"on-{node}", conf={"topology.workers": 1}))
    older, newer = topology_ids
    cluster.pass_time(40, beating=topology_ids)
    drains.drain(cluster.core, "a", 5)
    cluster.stop_supervisor("c")
    cluster.pass_time(9, beating=[newer])
    assert (status(cluster, newer), cluster.core.silent) == (ACTIVE, frozenset())
    return older, newer


def test_nobody_leaves_for_a_slot_that_another_needs_who_died_since_the_last_round(cluster: Cluster) -> None:
    """Its spouts would stand still, and then it has nowhere to go."""
    older, newer = one_drained_and_one_without_supervisor(cluster)
    cluster.clock.secs += 2
    cluster.start_supervisor("b", [6700])
    cluster.core.step()
    assert nodes(cluster, older) == {"b": 1}
    assert (status(cluster, newer), nodes(cluster, newer)) == (ACTIVE, {"a": 1})


def test_who_was_silent_at_the_last_round_and_beats_again_keeps_nobody_from_leaving(cluster: Cluster) -> None:
    older, newer = one_drained_and_one_without_supervisor(cluster)
    cluster.pass_time(2, beating=[newer])
    assert [used.topology_id for used in cluster.core.silent] == [older]
    [executors] = cluster.assignment(older).slot_executors().values()
    cluster.core.hear([WorkerBeat(older, frozenset(executors), cluster.clock.wall_secs())])
    cluster.start_supervisor("b", [6700])
    cluster.core.step()
    assert (status(cluster, newer), nodes(cluster, older)) == (REBALANCING, {"c": 1})


def test_two_topologies_whose_hosts_exchange_tags_change_places_at_once(cluster: Cluster) -> None:
    """However long each would wait: neither can move before the other."""
    topology_ids = []
    for node, tag, secs in [("a", "x", 3), ("b", "y", 8)]:
        cluster.start_supervisor(node, [6700], tags=tag)
        cluster.core.step()
        conf = {"topology.scheduler.tags": [tag], "topology.message.timeout.secs": secs}
        topology_ids.append(cluster.submit(tag, conf=conf))
    cluster.start_supervisor("a", [6700], tags="y")
    cluster.start_supervisor("b", [6700], tags="x")
    statuses = seen(cluster, 20, topology_ids)
    assert statuses == [(REBALANCING, REBALANCING)] * 8 + [(ACTIVE, ACTIVE)] * 12
    assert [nodes(cluster, topology_id) for topology_id in topology_ids] == [{"b": 1}, {"a": 1}]


@pytest.mark.parametrize("is_beating", [True, False])
def test_a_rebalance_with_new_conf_where_there_is_no_room_starts_workers_anew_before_spouts_go_on(
    two_nodes: Cluster, is_beating: bool
) -> None:
    drains.drain(two_nodes.core, "b")
    topology_id = two_nodes.submit()
    two_nodes.beat(topology_id)
    drains.drain(two_nodes.core, "a")
    two_nodes.pass_time(1, beating=[topology_id])
    before = two_nodes.assignment(topology_id)
    if not is_beating:
        two_nodes.pass_time(130)
        assert two_nodes.core.silent
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides={"my.key": 2}), 0)
    two_nodes.core.step()
    assert status(two_nodes, topology_id) is ACTIVE
    after = two_nodes.assignment(topology_id)
    assert (after.version, after.executor_slots) == (2, before.executor_slots)
    assert set(after.slot_epochs.values()) == {2}
    assert after.blob_hashes == two_nodes.core.snapshot.bases[topology_id].blob_hashes != before.blob_hashes
    two_nodes.pass_time(20, beating=[topology_id])
    assert two_nodes.assignment(topology_id) == after
