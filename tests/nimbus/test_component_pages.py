from __future__ import annotations

from typing import Any

import pytest

from storm.cluster.records import ErrorInfo
from storm.errors import TopologyNotAliveError
from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats
from storm.nimbus.component_pages import component_page
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
    core = two_nodes.core
    return view_topology(core.snapshot, core.heartbeats, topology_id, two_nodes.clock.wall_secs())


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


def test_the_acker_has_a_page_too(view: TopologyView) -> None:
    assert component_page(view, "__acker", ALL_TIME, True, []).num_tasks == 2


def test_an_unknown_component_is_refused_with_a_hint(view: TopologyView) -> None:
    with pytest.raises(TopologyNotAliveError, match="Did you mean 'count'"):
        component_page(view, "counts", ALL_TIME, False, [])
