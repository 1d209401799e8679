from __future__ import annotations

from typing import Any

from storm.cluster.records import ErrorInfo
from storm.ids import ExecutorId
from storm.metrics.stats_records import ALL_TIME, ExecutorStats, SpoutStats
from storm.nimbus.topology_pages import notices, topology_info, topology_page
from storm.nimbus.topology_view import TopologyView, view_topology

SPOUT = ExecutorStats(
    {ALL_TIME: {"default": 20}},
    {ALL_TIME: {"default": 40}},
    SpoutStats({ALL_TIME: {"default": 8}}, {ALL_TIME: {"default": 2}}, {ALL_TIME: {"default": 4.5}}),
)
BOOM = ErrorInfo("boom", 1_700_001_000, "h", 6700)


def view(cluster: Any) -> TopologyView:
    topology_id = cluster.submit()
    cluster.beat(topology_id, {ExecutorId(6, 6): SPOUT})
    return view_topology(cluster.core.snapshot, cluster.core.heartbeats, topology_id, cluster.clock.wall_secs())


def test_a_page_shows_the_spouts_acks_and_everybodys_emits(two_nodes: Any) -> None:
    page = topology_page(view(two_nodes), ALL_TIME, False, {"count": BOOM}, ["look"])
    assert page.topology_stats.window_to_acked == {ALL_TIME: 8, "600": 0, "10800": 0, "86400": 0}
    assert page.topology_stats.window_to_transferred[ALL_TIME] == 40
    assert page.topology_stats.window_to_complete_latencies_ms[ALL_TIME] == 4.5
    assert set(page.id_to_bolt_agg_stats) == {"count"}
    assert page.id_to_bolt_agg_stats["count"].last_error.error == "boom"
    words = page.id_to_spout_agg_stats["words"]
    assert (words.common_stats.num_executors, words.common_stats.num_tasks, words.common_stats.failed) == (2, 2, 2)
    assert page.notices == ["look"]


def test_system_components_are_shown_on_request(two_nodes: Any) -> None:
    page = topology_page(view(two_nodes), ALL_TIME, True, {}, [])
    assert set(page.id_to_bolt_agg_stats) == {"__acker", "count"}


def test_an_info_holds_each_executor_and_the_errors(two_nodes: Any) -> None:
    info = topology_info(view(two_nodes), {"count": [BOOM]}, [])
    assert len(info.executors) == 7
    assert [executor.stats is not None for executor in info.executors].count(True) == 1
    assert info.errors["count"][0].error == "boom"


def test_workers_that_could_not_run_are_told_of_for_ten_minutes(two_nodes: Any) -> None:
    shown = view(two_nodes)
    fresh, old = ErrorInfo("exit 13", shown.wall_secs - 600, "h", 6700), ErrorInfo("x", shown.wall_secs - 601, "h", 1)
    assert notices(shown, [fresh, old]) == ["h:6700: exit 13"]
