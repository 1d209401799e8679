from __future__ import annotations

from typing import Any

from storm.cluster.records import NimbusInfo
from storm.nimbus import cluster_summaries
from storm.nimbus.topology_view import view_topology
from storm.thrift import convert


def test_a_nimbus_counts_its_uptime(cluster: Any) -> None:
    summary = cluster_summaries.nimbus_summary(NimbusInfo("h", 6627, 100, "0.1.0", is_leader=True), 160)
    assert (summary.host, summary.port, summary.uptime_secs, summary.isLeader) == ("h", 6627, 60, True)


def test_slots_count_as_used_when_they_are_assigned(two_nodes: Any) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 3})
    snapshot, wall_secs = two_nodes.core.snapshot, two_nodes.clock.wall_secs()
    summaries = [
        cluster_summaries.supervisor_summary(info, snapshot.assignments, wall_secs)
        for _, info in sorted(snapshot.supervisors.items())
    ]
    assert [(one.num_workers, one.num_used_workers, one.thrift_port) for one in summaries] == [
        (4, 2, 6628),
        (4, 1, 6628),
    ]
    view = view_topology(snapshot, two_nodes.core.heartbeats, topology_id, wall_secs)
    page = cluster_summaries.supervisor_page(summaries[:1], [view], include_system=False)
    assert [(worker.supervisor_id, worker.port) for worker in page.worker_summaries] == [("a", 6700), ("a", 6701)]
    assert all("__acker" not in worker.component_to_num_tasks for worker in page.worker_summaries)


def test_a_topology_counts_its_system_tasks_too(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    snapshot = two_nodes.core.snapshot
    view = view_topology(snapshot, two_nodes.core.heartbeats, topology_id, two_nodes.clock.wall_secs() + 5)
    summary = cluster_summaries.topology_summary(view)
    assert (summary.num_tasks, summary.num_executors, summary.num_workers) == (7, 7, 2)
    assert (summary.name, summary.status, summary.uptime_secs) == ("wc", "ACTIVE", 5)
    worker = cluster_summaries.worker_summary(view, view.workers[0], include_system=True)
    assert worker.component_to_num_tasks["__acker"] == 1


def test_times_of_day_beyond_32_bits_can_be_sent(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    view = view_topology(two_nodes.core.snapshot, two_nodes.core.heartbeats, topology_id, 2_190_542_408)
    worker = cluster_summaries.worker_summary(view, view.workers[0], include_system=True)
    assert worker.time_secs == 2**31 - 1
    assert convert.deserialize(type(worker), convert.serialize(worker)) == worker


def test_an_owner_has_the_sum_of_his_topologies(two_nodes: Any) -> None:
    for name in ("one", "two"):
        two_nodes.submit(name)
    snapshot = two_nodes.core.snapshot
    views = [view_topology(snapshot, two_nodes.core.heartbeats, one, 0) for one in snapshot.launch_order()]
    [summary] = cluster_summaries.owner_summaries(views)
    assert (summary.owner, summary.total_topologies) == (views[0].base.owner, 2)
    assert (summary.total_executors, summary.total_workers, summary.total_tasks) == (14, 4, 14)
    assert convert.deserialize(type(summary), convert.serialize(summary)) == summary
