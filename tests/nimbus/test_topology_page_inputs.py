"""The graph that a topology's page tells: what each bolt subscribes to, and what it took of it."""

from __future__ import annotations

from typing import Any

from storm.ids import GlobalStreamId
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats
from storm.nimbus.topology_pages import topology_page
from storm.nimbus.topology_view import TopologyView, view_topology

SOURCE = GlobalStreamId("words", "default")


def view(cluster: Any, topology_id: str) -> TopologyView:
    return view_topology(cluster.core.snapshot, cluster.core.heartbeats, topology_id, cluster.clock.wall_secs())


def test_it_has_each_input_with_what_the_executors_took_together(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    stats = ExecutorStats(
        {},
        {},
        BoltStats(acked={"600": {SOURCE: 20}}, failed={"600": {SOURCE: 10}}, executed={"600": {SOURCE: 30}}),
    )
    counting = [one.executor for one in view(two_nodes, topology_id).reports_of("count")]
    two_nodes.beat(topology_id, dict.fromkeys(counting[:2], stats))
    shown = view(two_nodes, topology_id)
    [edge] = topology_page(shown, "600", False, {}, []).inputs
    assert (edge.component, edge.stream.componentId, edge.stream.streamId) == ("count", "words", "default")
    assert (edge.grouping, edge.fields) == ("fields", ["word"])
    assert (edge.executed, edge.acked, edge.failed) == (60, 40, 20)
    assert topology_page(shown, ALL_TIME, False, {}, []).inputs[0].executed == 0


def test_those_of_the_system_are_there_on_request(two_nodes: Any) -> None:
    shown = view(two_nodes, two_nodes.submit())
    plain, whole = (topology_page(shown, "600", system, {}, []).inputs for system in (False, True))
    assert {one.component for one in plain} == {"count"}
    assert {one.component for one in whole} == {"__acker", "count"}
