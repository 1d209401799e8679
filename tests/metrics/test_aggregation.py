from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.aggregation import (
    ExecutorReport,
    Figures,
    capacity,
    component_figures,
    input_figures,
    output_figures,
    topology_figures,
    total,
)
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats, SpoutStats

WORDS = GlobalStreamId("words", "default")
SIDE = GlobalStreamId("words", "side")


def spout(task: int, acked: int, complete_ms: float, emitted: int = 0) -> ExecutorReport:
    stats = ExecutorStats(
        {ALL_TIME: {"default": emitted, "__metrics": 5}},
        {ALL_TIME: {"default": emitted * 2}},
        SpoutStats({ALL_TIME: {"default": acked}}, {ALL_TIME: {"default": 1}}, {ALL_TIME: {"default": complete_ms}}),
    )
    return ExecutorReport(ExecutorId(task, task), "words", "h", 6700, 100, stats)


def bolt(task: int, executed: int, execute_ms: float, uptime_secs: int = 1000) -> ExecutorReport:
    window = {WORDS: executed, SIDE: 0}
    specific = BoltStats(
        acked={ALL_TIME: {WORDS: executed}, "600": {WORDS: executed}},
        executed={ALL_TIME: window, "600": window},
        process_ms_avg={ALL_TIME: {WORDS: execute_ms * 2}},
        execute_ms_avg={ALL_TIME: {WORDS: execute_ms}, "600": {WORDS: execute_ms}},
    )
    stats = ExecutorStats({ALL_TIME: {"default": 3}}, {}, specific)
    return ExecutorReport(ExecutorId(task, task), "count", "h", 6700, uptime_secs, stats)


SILENT = ExecutorReport(ExecutorId(9, 9), "count", "h", 6700, 0)


def test_latencies_are_weighted_by_what_was_timed() -> None:
    figures = component_figures([spout(1, 10, 3.0), spout(2, 30, 1.0)], ALL_TIME)
    assert (figures.acked, figures.failed, figures.complete_ms) == (40, 2, 1.5)


def test_a_topologys_acks_are_those_of_its_spouts_and_its_emits_those_of_all() -> None:
    reports = [spout(1, 10, 3.0, emitted=20), bolt(3, 100, 0.5), SILENT]
    assert topology_figures(reports, ALL_TIME) == Figures(23, 40, 10, 1, complete_ms=3.0)
    assert topology_figures(reports, ALL_TIME, include_system=True).emitted == 28


def test_streams_are_told_apart() -> None:
    assert set(input_figures([bolt(3, 4, 0.5), SILENT], ALL_TIME)) == {WORDS, SIDE}
    assert input_figures([bolt(3, 4, 0.5), bolt(4, 4, 1.5)], ALL_TIME)[WORDS] == Figures(
        acked=8, executed=8, execute_ms=1.0, process_ms=2.0
    )
    assert set(output_figures([spout(1, 1, 1.0)], ALL_TIME)) == {"default"}
    assert set(output_figures([spout(1, 1, 1.0)], ALL_TIME, include_system=True)) == {"default", "__metrics"}


def test_capacity_is_the_busy_share_of_ten_minutes_or_of_a_shorter_life() -> None:
    assert capacity(bolt(3, 60_000, 5.0), "600") == 0.5
    assert capacity(bolt(3, 10_000, 5.0, uptime_secs=100), "600") == 0.5
    assert capacity(SILENT, "600") == 0.0


def test_a_components_capacity_is_that_of_its_busiest_executor() -> None:
    assert component_figures([bolt(3, 60_000, 5.0), bolt(4, 60_000, 1.0)], ALL_TIME).capacity == 0.5


def test_a_window_without_figures_is_all_zero() -> None:
    assert component_figures([spout(1, 10, 3.0)], "10800") == Figures()


def test_an_unknown_window_is_no_error() -> None:
    assert topology_figures([SILENT], "600") == Figures()


parts = st.lists(
    st.builds(Figures, *(st.integers(0, 10**9) for _ in range(5)), *(st.floats(0, 10**6) for _ in range(4))),
    max_size=6,
)


@given(parts, parts)
def test_totals_of_totals_are_totals(left: list[Figures], right: list[Figures]) -> None:
    at_once, in_steps = total(left + right), total([total(left), total(right)])
    assert at_once.executed == in_steps.executed
    assert at_once.capacity == in_steps.capacity
    assert in_steps.execute_ms == pytest.approx(at_once.execute_ms)
    assert in_steps.complete_ms == pytest.approx(at_once.complete_ms)
