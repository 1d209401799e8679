from __future__ import annotations

from typing import Any

import pytest

from storm.cluster.records import ErrorInfo
from storm.errors import TopologyNotAliveError
from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.insight_records import BACK_PRESSURE, ExecutorInsight, FailedTuple, Hindrance
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats, SpoutStats
from storm.nimbus.component_pages import component_page, executor_summary
from storm.nimbus.topology_view import TopologyView, view_topology
from storm.thrift.interface import storm_thrift

WORDS = GlobalStreamId("words", "default")
BOLT = ExecutorStats(
    {ALL_TIME: {"out": 5}},
    {},
    BoltStats(
        acked={ALL_TIME: {WORDS: 10}},
        executed={ALL_TIME: {WORDS: 12}, "600": {WORDS: 12}},
        process_ms_avg={ALL_TIME: {WORDS: 3.0}},
        execute_ms_avg={ALL_TIME: {WORDS: 100.0}, "600": {WORDS: 100.0}},
    ),
)


@pytest.fixture
def view(two_nodes: Any) -> TopologyView:
    topology_id = two_nodes.submit()
    two_nodes.beat(topology_id, {ExecutorId(3, 3): BOLT})
    return seen(two_nodes, topology_id)


def seen(cluster: Any, topology_id: str) -> TopologyView:
    core = cluster.core
    return view_topology(core.snapshot, core.heartbeats, topology_id, cluster.clock.wall_secs())


def test_a_bolts_page_has_its_inputs_outputs_and_executors(view: TopologyView) -> None:
    t = storm_thrift()
    page = component_page(view, "count", ALL_TIME, False, [ErrorInfo("boom", 1, "h", 6700)])
    assert page.component_type == t.ComponentType.BOLT
    stream = t.GlobalStreamId(componentId="words", streamId="default")
    assert page.gsid_to_input_stats[stream].specific_stats.bolt.executed == 12
    assert page.sid_to_output_stats["out"].common_stats.emitted == 5
    assert [one.exec_summary.executor_info.task_start for one in page.exec_stats] == [3, 4, 5]
    assert page.window_to_stats[ALL_TIME].specific_stats.bolt.process_latency_ms == 3.0
    assert page.window_to_stats[ALL_TIME].specific_stats.bolt.capacity == pytest.approx(12 * 100 / 60_000)
    assert [error.error for error in page.errors] == ["boom"]


def test_a_spouts_page_says_so(view: TopologyView) -> None:
    page = component_page(view, "words", "600", False, [])
    assert page.component_type == storm_thrift().ComponentType.SPOUT
    assert page.gsid_to_input_stats == {}
    assert page.window_to_stats["600"].specific_stats.spout.complete_latency_ms == 0.0


def failed(task: int, number: int, wall_secs: int) -> FailedTuple:
    return FailedTuple(task, repr(number), "failed", "count", "'count' (task 3) failed it", 1.5, wall_secs)


def told(insight: ExecutorInsight, *failures: FailedTuple) -> ExecutorStats:
    return ExecutorStats({}, {}, SpoutStats(), 1.0, insight, failures)


def test_what_executors_do_and_what_failed_is_on_a_spouts_page(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    held = ExecutorInsight(Hindrance(BACK_PRESSURE, ("count",), ("b:6700",)), silent=True, pending=4, pending_max=5)
    one, two = (
        told(held, failed(6, 1, 100), failed(6, 2, 120)),
        told(ExecutorInsight(silent=False, pending=1, pending_max=5), failed(7, 3, 110)),
    )
    two_nodes.beat(topology_id, {ExecutorId(6, 6): one, ExecutorId(7, 7): two})
    page = component_page(seen(two_nodes, topology_id), "words", ALL_TIME, False, [])
    insight = page.insight
    assert (insight.known, insight.silent, insight.pending, insight.pending_max) == (2, 1, 5, 10)
    assert (insight.reasons, insight.held_by_workers) == ({BACK_PRESSURE: 1}, ["b:6700"])
    assert insight.text == "back pressure: the queues of 'count' at b:6700 are full"
    summaries = [one.exec_summary.insight for one in page.exec_stats]
    assert [(each.reason, each.silent, each.pending) for each in summaries] == [
        (BACK_PRESSURE, True, 4),
        (None, False, 1),
    ]
    assert [(each.message_id, each.task, each.time_secs) for each in page.failures] == [
        ("2", 6, 120),
        ("3", 7, 110),
        ("1", 6, 100),
    ]
    assert {(each.host, each.port) for each in page.failures} <= {("host-a", 6700), ("host-b", 6700)}


def test_of_executors_that_told_nothing_of_it_nothing_is_said(view: TopologyView) -> None:
    page = component_page(view, "count", ALL_TIME, False, [])
    assert (page.insight, page.failures) == (None, None)
    assert [one.exec_summary.insight for one in page.exec_stats] == [None, None, None]


def test_what_stands_beside_an_executors_figures_is_not_in_them(two_nodes: Any) -> None:
    topology_id = two_nodes.submit()
    two_nodes.beat(topology_id, {ExecutorId(6, 6): told(ExecutorInsight(pending=4), failed(6, 1, 100))})
    [report] = [one for one in seen(two_nodes, topology_id).reports if one.stats is not None]
    summary = executor_summary(report)
    assert (summary.insight.pending, summary.stats.insight, summary.stats.failures) == (4, None, None)


def test_the_acker_has_a_page_too(view: TopologyView) -> None:
    assert component_page(view, "__acker", ALL_TIME, True, []).num_tasks == 2


def test_an_unknown_component_is_refused_with_a_hint(view: TopologyView) -> None:
    with pytest.raises(TopologyNotAliveError, match="Did you mean 'count'"):
        component_page(view, "counts", ALL_TIME, False, [])
