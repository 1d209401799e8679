from __future__ import annotations

from typing import Any

from storm.metrics.families import NIMBUS
from storm.nimbus.measures import STEP_LATE_SECS, cluster_series, problem


def shown(cluster: Any) -> dict[tuple[str, ...], Any]:
    """{(family, labels' values...): value}."""
    found: dict[tuple[str, ...], Any] = {}
    for name, labels, value in cluster_series(cluster.core.snapshot, len(cluster.core.silent)):
        assert set(labels) == set(NIMBUS[name].labels)
        found[name, *labels.values()] = value
    return found


def test_the_cluster_as_it_is(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    found = shown(two_nodes)
    assert (found["storm_nimbus_supervisors",], found["storm_nimbus_slots_used",]) == (2, 2)
    assert found["storm_nimbus_slots",] == sum(
        len(each.slot_ports) for each in two_nodes.core.snapshot.supervisors.values()
    )
    assert (found["storm_nimbus_topologies", "ACTIVE"], found["storm_nimbus_topologies", "KILLED"]) == (1, 0)
    assert found["storm_topology_workers", topology_id] == found["storm_topology_workers_wanted", topology_id] == 2
    assert (
        found["storm_topology_executors", topology_id] == found["storm_topology_executors_assigned", topology_id] == 7
    )


def test_workers_that_do_not_beat_are_counted(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    two_nodes.beat(topology_id, {})
    assert shown(two_nodes)["storm_nimbus_silent_workers",] == 0
    two_nodes.clock.secs += 200
    two_nodes.core.step()
    assert shown(two_nodes)["storm_nimbus_silent_workers",] == 2


def test_a_topology_without_a_slot_lacks_executors(cluster: Any) -> None:
    topology_id = cluster.submit()
    found = shown(cluster)
    assert (
        found["storm_topology_executors", topology_id],
        found["storm_topology_executors_assigned", topology_id],
    ) == (
        7,
        0,
    )


def test_what_keeps_it_from_its_work_is_a_sentence() -> None:
    assert problem("", STEP_LATE_SECS, 10.0) == ""
    assert problem("ZooKeeper is away", 5.0, 10.0) == "It cannot go on, and tries again: ZooKeeper is away"
    late = problem("", STEP_LATE_SECS + 11.0, 10.0)
    assert late == "Its last round was 71 s ago, and there is to be one every 10 s."
