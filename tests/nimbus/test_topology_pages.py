from __future__ import annotations

from typing import Any

from storm.cluster.records import ErrorInfo, SlotFailure, SupervisorInfo
from storm.environment_spec import NOT_BUILT
from storm.ids import ExecutorId
from storm.metrics.insight_records import ExecutorInsight, WorkerInsight
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats, SpoutStats
from storm.nimbus.topology_pages import slot_failures, topology_info, topology_page
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
    page = topology_page(view(two_nodes), ALL_TIME, False, {"count": BOOM}, [])
    assert page.topology_stats.window_to_acked == {ALL_TIME: 8, "600": 0, "10800": 0, "86400": 0}
    assert page.topology_stats.window_to_transferred[ALL_TIME] == 40
    assert page.topology_stats.window_to_complete_latencies_ms[ALL_TIME] == 4.5
    assert set(page.id_to_bolt_agg_stats) == {"count"}
    assert page.id_to_bolt_agg_stats["count"].last_error.error == "boom"
    words = page.id_to_spout_agg_stats["words"]
    assert (words.common_stats.num_executors, words.common_stats.num_tasks, words.common_stats.failed) == (2, 2, 2)
    assert (page.notices, page.ended_workers, page.num_workers_wanted) == ([], [], 2)


def test_a_page_shows_what_components_and_workers_do(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    full = ExecutorInsight(queued=300, queue_max=200, queue_mark=100, full=True, unsettled=2)
    stats = ExecutorStats({}, {}, BoltStats(), insight=full)
    two_nodes.beat(topology_id, {ExecutorId(3, 3): stats}, WorkerInsight(slow_peers=("b:6700",), peers=1))
    core = two_nodes.core
    shown = view_topology(core.snapshot, core.heartbeats, topology_id, two_nodes.clock.wall_secs())
    page = topology_page(shown, ALL_TIME, False, {}, [])
    count = page.id_to_bolt_agg_stats["count"].insight
    assert (count.known, count.full, count.queued, count.queue_max, count.queue_mark) == (1, 1, 300, 200, 100)
    assert page.id_to_spout_agg_stats["words"].insight is None
    assert [(worker.insight.slow_peers, worker.insight.peers) for worker in page.workers] == [(["b:6700"], 1)] * 2
    info = topology_info(shown, {}, [])
    assert [one.insight.queued for one in info.executors if one.insight is not None] == [300]


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
    since = shown.wall_secs - 600
    errors = [
        ErrorInfo("It exited with 13\nits log", since, "h", 6700, "exited with 13"),
        ErrorInfo("as the former release tells it", since, "h", 6701),
        ErrorInfo("x", since - 1, "h", 6702),
    ]
    page = topology_page(shown, ALL_TIME, False, {}, errors)
    assert page.notices == ["h:6700: It exited with 13\nits log", "h:6701: as the former release tells it"]
    ended = [(one.host, one.port, one.reason) for one in page.ended_workers]
    assert ended == [("h", 6700, "exited with 13"), ("h", 6701, "ended")]
    assert topology_info(shown, {}, errors).notices == page.notices


def test_errors_tell_that_an_environment_was_not_built_as_each_release_does(two_nodes: Any) -> None:
    errors = [
        ErrorInfo("x", 1, "h", 6700, "has none", lacks_environment=True),
        ErrorInfo("x", 1, "h", 6700, f"{NOT_BUILT}: no pip"),
        ErrorInfo(f"exited with 1\n{NOT_BUILT}", 1, "h", 6700, "exited with 1"),
    ]
    told = topology_info(view(two_nodes), {"__system": errors}, []).errors["__system"]
    assert [one.lacks_environment for one in told] == [True, True, None]


def test_how_many_workers_it_wants_is_told_where_it_lacks_some(cluster: Any) -> None:
    topology_id = cluster.submit()
    cluster.start_supervisor("a", [6700])
    cluster.core.step()
    shown = view_topology(cluster.core.snapshot, cluster.core.heartbeats, topology_id, cluster.clock.wall_secs())
    page = topology_page(shown, ALL_TIME, False, {}, [])
    assert (page.num_workers, page.num_workers_wanted, page.lacks_slots) == (1, 2, True)
    assert page.notices == [page.sched_status]


def test_failing_slots_are_those_of_the_topology_with_the_time_that_is_left(two_nodes: Any) -> None:
    shown = view(two_nodes)
    mine, now = shown.base.topology_id, shown.wall_secs
    told = [
        SlotFailure(6700, mine, "backing-off", 3, "exited with code 13", "last", now - 5, now + 7),
        SlotFailure(6701, "another", "backing-off", 1, "died", "", now, now),
        SlotFailure(6702, mine, "backing-off", 2, "died", "", now - 9, now - 1, lacks_environment=True),
        SlotFailure(6703, mine, "running", 2, "died", "", now - 9),
        SlotFailure(6704, mine, "backing-off", 2, f"{NOT_BUILT}: as the former release tells it", "", now, now),
    ]
    info = SupervisorInfo("a", "host-a", (6700,), (), 6628, 0, "1", failures=tuple(told))
    found = slot_failures(shown, [info])
    assert [(one.port, one.retry_secs) for one in found] == [(6700, 7), (6702, 0), (6703, None), (6704, 0)]
    assert [one.lacks_environment for one in found] == [False, True, False, True]
    assert (found[0].host, found[0].supervisor_id, found[0].reason) == ("host-a", "a", "exited with code 13")
    assert topology_page(shown, ALL_TIME, False, {}, [], found).slot_failures == found
