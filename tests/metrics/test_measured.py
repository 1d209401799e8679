from __future__ import annotations

from storm.ids import GlobalStreamId
from storm.metrics.distribution import Distribution
from storm.metrics.executor_stats import Totals
from storm.metrics.families import WORKER
from storm.metrics.instruments import Histogram, Reading
from storm.metrics.measured import ExecutorReading, busy_secs, executor_series, instrument_series, reason_series
from storm.metrics.series import Series

WORDS = GlobalStreamId("words", "default")


def spout(acked: int) -> Totals:
    totals = Totals()
    totals.count_output("default", 10, 20)
    totals.count_output("__ack_init", 0, 0)
    totals.count_latencies("complete", "default", {7: acked - 1})
    totals.count_spout("default", acked, 1, 0.5 * acked)
    totals.count_failures("default", {"timeout": 1})
    totals.skipped_secs = {"inactive": 2.0, "max-pending": 0.5}
    return totals


def bolt(secs: float) -> Totals:
    totals = Totals()
    totals.count_latencies("execute", WORDS, {7: 9, 15: 1})
    totals.count_bolt({WORDS: 10}, {WORDS: 9}, {WORDS: 0}, {WORDS: (secs, 10)}, {WORDS: (0.1, 1)})
    return totals


def test_executors_are_added_up_by_component() -> None:
    executors = [
        ExecutorReading("words", spout(4), 0, pending=3),
        ExecutorReading("words", spout(6), 0, pending=2),
        ExecutorReading("count", bolt(1.0), 5, unsettled=1, capacity=0.25),
        ExecutorReading("count", bolt(2.0), 7, unsettled=0, capacity=0.5),
    ]
    found = executor_series(executors)
    words, count = {"component": "words"}, {"component": "count"}
    out, taken = {**words, "stream": "default"}, {**count, "source": "words", "stream": "default"}
    assert Series("storm_component_emitted_total", out, 20) in found
    assert Series("storm_component_transferred_total", out, 40) in found
    assert Series("storm_spout_acked_total", out, 10) in found
    assert Series("storm_spout_failed_total", out, 2) in found
    assert Series("storm_spout_complete_seconds", out, Distribution(10, 5.0, buckets={7: 8})) in found
    assert Series("storm_spout_failures_total", {**out, "reason": "timeout"}, 2) in found
    assert Series("storm_spout_failures_total", {**out, "reason": "worker-died"}, 0) in found
    assert Series("storm_spout_skipped_seconds_total", {**words, "reason": "max-pending"}, 1.0) in found
    assert Series("storm_spout_pending", words, 5) in found
    assert Series("storm_bolt_executed_total", taken, 20) in found
    assert Series("storm_bolt_acked_total", taken, 18) in found
    assert Series("storm_bolt_failed_total", taken, 0) in found
    assert Series("storm_bolt_execute_seconds", taken, Distribution(20, 3.0, buckets={7: 18, 15: 2})) in found
    assert Series("storm_bolt_process_seconds", taken, Distribution(2, 0.2)) in found
    assert Series("storm_bolt_unsettled", count, 1) in found
    assert Series("storm_bolt_capacity", count, 0.5) in found
    assert Series("storm_component_queue_length", count, 12) in found
    assert Series("storm_component_executors", count, 2) in found
    assert not any(each.labels.get("stream") == "__ack_init" for each in found)
    assert {each.name for each in found} <= WORKER.keys()
    assert all(each.labels.keys() <= set(WORKER[each.name].labels) for each in found)
    assert busy_secs(bolt(2.0)) == 2.0


def test_instruments_of_a_component_are_added_up_but_gauges_are_by_task() -> None:
    sizes, times = Histogram(), Histogram()
    sizes.update(3.0)
    times.update(0.5)
    first = [Reading("lines", "counter", 2), Reading("sizes", "histogram", sizes.read()), Reading("age", "gauge", 1.5)]
    second = [
        Reading("lines", "meter", 3),
        Reading("sizes", "histogram", sizes.read()),
        Reading("db", "timer", times.read()),
        Reading("state", "gauge", "warm"),
    ]
    found = {each.name: each for each in instrument_series([("count", 4, first), ("count", 5, second)])}
    assert found["storm_metric_count_total"] == ("storm_metric_count_total", {"component": "count", "name": "lines"}, 5)
    assert found["storm_metric_value"].labels == {"component": "count", "name": "age", "task": "4"}
    assert found["storm_metric_distribution"].value.count == 2  # type: ignore[union-attr]
    assert found["storm_metric_seconds"].value.total == 0.5  # type: ignore[union-attr]
    assert len(found) == 4


def test_reasons() -> None:
    assert reason_series({"late": 2}) == [Series("storm_worker_dropped_total", {"reason": "late"}, 2)]
