from __future__ import annotations

from dataclasses import replace
from typing import Any

from storm.cluster.records import NimbusInfo, SupervisorInfo
from storm.metrics.insight_records import Usage
from storm.nimbus import cluster_summaries, drains
from storm.nimbus.topology_view import view_topology
from storm.thrift import convert


def test_a_nimbus_counts_its_uptime(cluster: Any) -> None:
    summary = cluster_summaries.nimbus_summary(NimbusInfo("h", 6627, 100, "0.1.0", is_leader=True), 160)
    assert (summary.host, summary.port, summary.uptime_secs, summary.isLeader) == ("h", 6627, 60, True)


def test_slots_count_as_used_when_they_are_assigned(two_nodes: Any) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 3})
    snapshot, wall_secs = two_nodes.core.snapshot, two_nodes.clock.wall_secs()
    summaries = [
        cluster_summaries.supervisor_summary(info, snapshot.assignments, two_nodes.core.heartbeats, wall_secs)
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


def test_a_host_uses_what_its_workers_told(two_nodes: Any) -> None:
    topology_id = two_nodes.submit(conf={"topology.workers": 3})
    snapshot, heartbeats = two_nodes.core.snapshot, two_nodes.core.heartbeats

    def used() -> list[tuple[float | None, float | None]]:
        summaries = [
            cluster_summaries.supervisor_summary(info, snapshot.assignments, heartbeats, 0)
            for _, info in sorted(snapshot.supervisors.items())
        ]
        return [(one.used_mem, one.used_cpu) for one in summaries]

    assert used() == [(None, None), (None, None)]  # they have not told yet
    two_nodes.beat(topology_id, usage=Usage(100.0, 7.5))
    assert used() == [(200.0, 15.0), (100.0, 7.5)]
    view = view_topology(snapshot, heartbeats, topology_id, 0)
    workers = [cluster_summaries.worker_summary(view, worker, include_system=True) for worker in view.workers]
    assert [(one.used_mem, one.used_cpu) for one in workers] == [(100.0, 7.5)] * 3


def test_a_host_tells_what_it_has_and_without_workers_uses_nothing(two_nodes: Any) -> None:
    info = SupervisorInfo("c", "h", (6700,), (), 6628, 0, "1", resources={"memory.mb": 2000.0})
    summary = cluster_summaries.supervisor_summary(info, {}, two_nodes.core.heartbeats, 0)
    assert (summary.total_resources, summary.used_mem, summary.used_cpu) == ({"memory.mb": 2000.0}, 0.0, 0.0)


def test_a_host_tells_what_topologies_and_wheels_must_be_made_for(two_nodes: Any) -> None:
    info = SupervisorInfo("c", "h", (6700,), (), 6628, 0, "1", python="3.11", architecture="aarch64")
    summary = cluster_summaries.supervisor_summary(info, {}, two_nodes.core.heartbeats, 0)
    assert (summary.python_version, summary.architecture) == ("3.11", "aarch64")
    silent = SupervisorInfo("c", "h", (6700,), (), 6628, 0, "1")  # of a former release
    summary = cluster_summaries.supervisor_summary(silent, {}, two_nodes.core.heartbeats, 0)
    assert (summary.python_version, summary.architecture) == (None, None)


def test_a_supervisor_tells_of_the_log_viewer_beside_it(two_nodes: Any) -> None:
    snapshot = two_nodes.core.snapshot
    told = replace(snapshot.supervisors["a"], logviewer_port=8001, daemon_logs=("nimbus.log",))
    found = [
        cluster_summaries.supervisor_summary(info, {}, two_nodes.core.heartbeats, 0)
        for info in (told, snapshot.supervisors["b"])
    ]
    assert [(one.logviewer_port, one.daemon_logs) for one in found] == [(8001, ["nimbus.log"]), (None, [])]
    assert found[0].slot_ports == [6700, 6701, 6702, 6703]


def test_a_topology_counts_its_system_tasks_too(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    snapshot = two_nodes.core.snapshot
    view = view_topology(snapshot, two_nodes.core.heartbeats, topology_id, two_nodes.clock.wall_secs() + 5)
    summary = cluster_summaries.topology_summary(view)
    assert (summary.num_tasks, summary.num_executors, summary.num_workers) == (7, 7, 2)
    assert (summary.name, summary.status, summary.uptime_secs) == ("wc", "ACTIVE", 5)
    worker = cluster_summaries.worker_summary(view, view.workers[0], include_system=True)
    assert worker.component_to_num_tasks["__acker"] == 1


def test_a_topology_tells_which_supervisors_it_leaves(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()

    def leaving() -> list[str]:
        snapshot = two_nodes.core.snapshot
        view = view_topology(snapshot, two_nodes.core.heartbeats, topology_id, two_nodes.clock.wall_secs())
        found: list[str] = cluster_summaries.topology_summary(view).leaving_supervisors
        return found

    assert leaving() == []
    drains.drain(two_nodes.core, "host-a", 5)
    two_nodes.core.step()
    assert leaving() == ["a"]


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
    assert (summary.memory_usage, summary.cpu_usage) == (None, None)  # their workers have not told yet
    assert convert.deserialize(type(summary), convert.serialize(summary)) == summary


def test_an_owner_uses_what_the_workers_of_his_topologies_told(two_nodes: Any) -> None:
    for name, owner in (("one", "ann"), ("two", "ann"), ("three", "bob")):
        topology_id = two_nodes.submit(name, conf={"topology.submitter.user": owner})
        two_nodes.beat(topology_id, usage=Usage(100.0, 7.5))
    snapshot = two_nodes.core.snapshot
    views = [view_topology(snapshot, two_nodes.core.heartbeats, one, 0) for one in snapshot.launch_order()]
    found = cluster_summaries.owner_summaries(views)
    assert [(one.owner, one.memory_usage, one.cpu_usage) for one in found] == [
        ("ann", 400.0, 30.0),
        ("bob", 200.0, 15.0),
    ]
    assert found[0].requested_total_memory is None
    assert found[0].assigned_on_heap_memory is None
