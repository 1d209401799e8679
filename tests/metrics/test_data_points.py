from __future__ import annotations

import math

import pytest

from storm.ids import GlobalStreamId
from storm.metrics.data_points import DataPoint, Instruments, Rates, executor_points
from storm.metrics.executor_stats import Totals
from storm.metrics.instruments import Histogram, Reading

WORDS = GlobalStreamId("words", "default")


def bolt(executed: int, acked: int, secs: float, emitted: int) -> Totals:
    totals = Totals()
    totals.count_output("default", emitted, 2 * emitted)
    totals.count_bolt({WORDS: executed}, {WORDS: acked}, {WORDS: 0}, {WORDS: (secs, executed)}, {WORDS: (0.0, 0)})
    return totals


def test_an_executor_is_told_under_storms_names_since_the_last_time() -> None:
    before, after = bolt(100, 90, 1.0, 10), bolt(150, 140, 1.5, 10)
    assert executor_points(before, after) == [
        DataPoint("__execute-count", {"words:default": 50}),
        DataPoint("__ack-count", {"words:default": 50}),
        DataPoint("__execute-latency", {"words:default": pytest.approx(10.0)}),
    ]
    assert executor_points(None, before)[:2] == [
        DataPoint("__emit-count", {"default": 10}),
        DataPoint("__transfer-count", {"default": 20}),
    ]
    assert executor_points(after, after) == []


def test_a_spout_has_a_complete_latency() -> None:
    totals = Totals()
    totals.count_spout("default", acked=4, failed=1, complete_secs=2.0)
    assert executor_points(None, totals) == [
        DataPoint("__ack-count", {"default": 4}),
        DataPoint("__fail-count", {"default": 1}),
        DataPoint("__complete-latency", {"default": 500.0}),
    ]


def test_how_long_a_spout_was_not_asked_is_told_in_milliseconds_since_the_last_time() -> None:
    before, after = Totals(), Totals()
    before.skipped_secs = {"inactive": 3.0, "max-pending": 1.0}
    after.skipped_secs = {"inactive": 3.0, "max-pending": 1.5, "back-pressure": 0.25}
    assert executor_points(before, after) == [
        DataPoint("__skipped-max-spout-ms", 500.0),
        DataPoint("__skipped-backpressure-ms", 250.0),
        DataPoint("__skipped-inactive-ms", 0.0),
    ]


def test_counts_are_totals_and_distributions_those_of_the_interval() -> None:
    instruments, sizes = Instruments(), Histogram()
    sizes.update(100.0)
    instruments.points([Reading("sizes", "histogram", sizes.read())], 60.0)
    sizes.update(8.0)
    points = dict(
        instruments.points([Reading("lines", "counter", 7), Reading("sizes", "histogram", sizes.read())], 60.0)
    )
    assert (points["lines"], points["sizes.count"]) == (7, 2)
    assert points["sizes.max"] == pytest.approx(8.0, rel=1 / 8)  # as far as its bucket tells
    assert points["sizes.p99"] == pytest.approx(8.0, rel=0.1)
    quiet = dict(instruments.points([Reading("sizes", "histogram", sizes.read())], 60.0))
    assert quiet == {"sizes.count": 2}


def test_a_timer_is_told_in_milliseconds() -> None:
    secs = Histogram()
    secs.update(0.25)
    points = dict(Instruments().points([Reading("db", "timer", secs.read())], 60.0))
    assert points["db.p50"] == pytest.approx(250.0, rel=1 / 15)
    assert sorted(points) == sorted(
        ["db.count", "db.max", "db.mean", "db.min", "db.stddev"]
        + [f"db.p{share}" for share in ("50", "75", "95", "98", "99", "999")]
    )


def test_rates_follow_what_happens_the_short_ones_sooner() -> None:
    rates = Rates()
    rates.update(600, 60.0)
    steady = dict(rates.points("hits"))
    assert steady == {f"hits.{name}": 10.0 for name in ("m1_rate", "m5_rate", "m15_rate", "mean_rate")}
    rates.update(600, 60.0)
    quiet = dict(rates.points("hits"))
    assert quiet["hits.m1_rate"] == pytest.approx(10.0 * math.exp(-1))
    assert quiet["hits.m1_rate"] < quiet["hits.m5_rate"] < quiet["hits.m15_rate"] < 10.0
    assert quiet["hits.mean_rate"] == 5.0
