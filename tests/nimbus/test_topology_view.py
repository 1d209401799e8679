from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from storm.cluster.records import BUILDING_ENVIRONMENT, FETCHING, SlotFailure
from storm.environment_spec import NOT_BUILT
from storm.errors import StormError
from storm.ids import ExecutorId
from storm.metrics.stats_records import ExecutorStats, SpoutStats
from storm.nimbus import drains
from storm.nimbus.topology_view import Lack, TopologyView, view_topology

STATS = {ExecutorId(6, 6): ExecutorStats({}, {}, SpoutStats())}


def view(cluster: Any, topology_id: str) -> TopologyView:
    return view_topology(cluster.core.snapshot, cluster.core.heartbeats, topology_id, cluster.clock.wall_secs())


def test_a_view_joins_the_assignment_with_what_workers_told(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    two_nodes.clock.secs += 20
    before = view(two_nodes, topology_id)
    assert before.uptime_secs == 20
    assert [worker.uptime_secs for worker in before.workers] == [None, None]
    assert {report.uptime_secs for report in before.reports} == {20}
    assert [report.component_id for report in before.reports] == ["__acker"] * 2 + ["count"] * 3 + ["words"] * 2
    assert all(report.stats is None for report in before.reports)
    two_nodes.beat(topology_id, STATS)
    after = view(two_nodes, topology_id)
    assert [worker.uptime_secs for worker in after.workers] == [60, 60]
    assert [report.stats for report in after.reports_of("words")] == [STATS[ExecutorId(6, 6)], None]
    assert sum(sum(after.component_tasks_on(worker).values()) for worker in after.workers) == 7


def test_too_few_slots_are_told_in_words(cluster: Any) -> None:
    topology_id = cluster.submit()
    assert view(cluster, topology_id).lack() == Lack("Not scheduled: no supervisor has a free slot.", of_slots=True)
    cluster.start_supervisor("a", [6700])
    cluster.core.step()
    some = "Runs on 1 of 2 workers: no supervisor has another free slot."
    assert view(cluster, topology_id).lack() == Lack(some, of_slots=True)
    cluster.start_supervisor("b", [6700])
    cluster.core.step()
    assert view(cluster, topology_id).lack() == Lack()


def test_a_topology_whose_code_is_unreadable_is_shown_all_the_same(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.snapshot = replace(two_nodes.core.snapshot, plans={})
    shown = view(two_nodes, topology_id)
    assert {report.component_id for report in shown.reports} == {"?"}
    with pytest.raises(StormError, match="code of topology"):
        _ = shown.known_plan


def test_hosts_that_lack_its_environment_are_told_until_its_workers_run_there(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    slots = {worker.slot.node_id: worker.slot for worker in view(two_nodes, topology_id).workers}
    assert view(two_nodes, topology_id).lack() == Lack()
    for node_id, state, deaths, is_unbuilt in [("a", BUILDING_ENVIRONMENT, 0, False), ("b", "backing-off", 2, True)]:
        port = slots[node_id].port
        failure = SlotFailure(port, topology_id, state, deaths, "says why", "", 0, lacks_environment=is_unbuilt)
        info = replace(two_nodes.core.snapshot.supervisors[node_id], failures=(failure,))
        two_nodes.supervisors[node_id].put_supervisor(info)
    two_nodes.core.step()
    hosts = [two_nodes.core.snapshot.supervisors[node_id].host for node_id in ("a", "b")]
    assert view(two_nodes, topology_id).lack() == Lack(
        f"Not ready: {hosts[0]} is building its environment, {hosts[1]} {NOT_BUILT}."
    )
    info = two_nodes.core.snapshot.supervisors["a"]
    fetching = replace(info.failures[0], state=FETCHING)
    two_nodes.supervisors["a"].put_supervisor(replace(info, failures=(fetching,)))
    two_nodes.core.step()
    assert view(two_nodes, topology_id).lack() == Lack(f"Not ready: {hosts[1]} {NOT_BUILT}.")  # that is no trouble
    info = two_nodes.core.snapshot.supervisors["b"]
    former = replace(info.failures[0], reason=f"{NOT_BUILT}: no pip", lacks_environment=False)
    two_nodes.supervisors["b"].put_supervisor(replace(info, failures=(former,)))
    two_nodes.core.step()
    assert view(two_nodes, topology_id).lack().text.endswith(f"{hosts[1]} {NOT_BUILT}.")
    two_nodes.beat(topology_id, STATS)
    assert view(two_nodes, topology_id).lack() == Lack()


def builds(cluster: Any, topology_id: str, node_id: str) -> str:
    """This supervisor tells that it builds the topology's environment; how that is shown."""
    port = next(worker.slot.port for worker in view(cluster, topology_id).workers if worker.slot.node_id == node_id)
    failure = SlotFailure(port, topology_id, BUILDING_ENVIRONMENT, 0, "says why", "", 0)
    info = replace(cluster.core.snapshot.supervisors[node_id], failures=(failure,))
    cluster.supervisors[node_id].put_supervisor(info)
    cluster.core.step()
    return f"Not ready: {info.host} is building its environment."


def test_where_slots_are_few_hosts_that_are_not_ready_are_told_too(cluster: Any) -> None:
    topology_id = cluster.submit()
    cluster.start_supervisor("a", [6700])
    cluster.core.step()
    not_ready = builds(cluster, topology_id, "a")
    few = "Has 1 of 2 workers: no supervisor has another free slot."
    assert view(cluster, topology_id).lack() == Lack(f"{few} {not_ready}", of_slots=True)


def test_a_host_that_a_topology_shall_leave_may_not_be_ready(cluster: Any) -> None:
    topology_id = cluster.submit()
    cluster.start_supervisor("a", [6700, 6701])
    cluster.core.step()
    drains.drain(cluster.core, "host-a", 5)
    not_ready = builds(cluster, topology_id, "a")
    leaves = "Shall leave host-a (drained), and no other supervisor has a free slot."
    assert view(cluster, topology_id).lack() == Lack(f"{leaves} {not_ready}", of_slots=True)
