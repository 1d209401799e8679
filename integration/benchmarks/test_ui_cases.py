"""A page of the large topology is measured, and what is compared is told. No speed is asserted."""

from __future__ import annotations

from collections import Counter

import pytest
import ui_cases
from ui_cases import Span, compared, percentiles, requests
from ui_site import LARGE_WORKERS, SIDE, TOPOLOGIES, ui_in_memory
from windows import Windows


def test_requests_are_measured_on_the_large_cluster() -> None:
    with ui_in_memory() as site:
        summary = site.get("/api/v1/topology/summary").json()["topologies"]
        assert len(summary) == TOPOLOGIES
        [large] = [one for one in summary if one["id"] == site.large]
        assert (large["workersTotal"], large["executorsTotal"] >= 3 * SIDE) == (LARGE_WORKERS, True)
        for name in ("page-cluster", "page-worker", "api-component"):
            result = requests(name, site, ui_cases.PATHS[name][0], 2)
            assert result.case == name
            assert 0 < result.latency_ms["p50"] <= result.latency_ms["p99"]
            assert "with shared answers p50" in result.notes
            assert result.rss_mb["ui"] > 0


def test_percentiles() -> None:
    assert percentiles([float(i) for i in range(101)]) == {"p50": 50.0, "p99": 99.0}


@pytest.mark.parametrize(("rate", "ratio"), [(100.0, "1.000"), (98.0, "0.980")])
def test_watched_spans_are_compared_with_those_between(rate: float, ratio: str) -> None:
    def span(rate: float, cpu: float) -> Span:
        windows = Windows({"acked": (rate, rate)}, {"acked": 200}, Counter(), (0.1, 0.1), [1.0])
        return Span(windows, {"ui": cpu})

    result = compared([span(100.0, 0.0)] * 2, [span(rate, 0.05)] * 2)
    assert result.rates == (rate,) * 4
    assert f"{ratio} of the 100 tuples/s that nobody watches" in result.notes
    assert "of a core: ui 0.0% to 5.0%" in result.notes


def test_spans_without_a_figure_are_no_ratio() -> None:
    empty = Span(Windows({}, {}, Counter(), (), []), {"ui": 0.0})
    assert "no second" in compared([empty], [empty]).notes
