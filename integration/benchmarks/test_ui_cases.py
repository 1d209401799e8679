"""A page of the large topology is measured, and what is compared is told. No speed is asserted."""

from __future__ import annotations

import io
import math
import subprocess
from collections import Counter
from pathlib import Path

import bars
import pytest
import ui_cases
from case import Result
from ui_cases import Span, compared, percentiles, requests, watching_percent
from ui_site import LARGE_WORKERS, SIDE, TOPOLOGIES, ui_in_memory
from windows import Windows


def test_requests_are_measured_on_the_large_cluster() -> None:
    with ui_in_memory() as site:
        summary = site.get("/api/v1/topology/summary").json()["topologies"]
        assert len(summary) == TOPOLOGIES
        [large] = [one for one in summary if one["id"] == site.large]
        assert (large["workersTotal"], large["executorsTotal"] >= 3 * SIDE) == (LARGE_WORKERS, True)
        for name in ("page-cluster", "page-worker", "page-worker-wide", "api-component"):
            result = requests(name, site, ui_cases.PATHS[name][0], 2)
            assert result.case == name
            assert 0 < result.latency_ms["p50"] <= result.latency_ms["p99"]
            assert "with shared answers p50" in result.notes
            assert result.rss_mb["ui"] > 0
            assert result.others["kB"] > 0


def test_the_command_measures_a_page(tmp_path: Path) -> None:
    """Without what pytest puts on the path."""
    words = [Path(ui_cases.__file__).with_name("run"), "ui-page-owners", "--seconds", "1", "--json", tmp_path / "found"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ui-page-owners" in done.stdout


def test_percentiles() -> None:
    assert percentiles([float(i) for i in range(101)]) == {"p50": 50.0, "p99": 99.0}


def span(rate: float, cpu_secs: float, ui: float) -> Span:
    """Two seconds of a worker's, and what the UI took of a core."""
    windows = Windows({"acked": (rate, rate)}, {"acked": int(2 * rate)}, Counter(), (cpu_secs / 2,) * 2, [1.0])
    return Span(windows, {"ui": ui})


@pytest.mark.parametrize(("rate", "ratio"), [(100.0, "1.000"), (98.0, "0.980")])
def test_watched_spans_are_compared_with_those_between(rate: float, ratio: str) -> None:
    result = compared([span(100.0, 0.2, 0.0)] * 2, [span(rate, 0.2, 0.05)] * 2)
    assert result.rates == (rate,) * 4
    assert f"{ratio} of the 100 tuples/s that nobody watches" in result.notes
    assert "of a core: ui 0.0% to 5.0%" in result.notes
    assert 0 < result.others["cost"] < 10


def test_watching_costs_what_the_daemons_and_the_worker_take_more_whatever_the_rate_does() -> None:
    """The second pair of spans has other work beside it, the third a hundredth that the worker takes more."""
    alone = [span(100.0, 0.2, 0.01), span(80.0, 0.2, 0.01), span(100.0, 0.2, 0.01)]
    beside = [span(90.0, 0.18, 0.03), span(50.0, 0.125, 0.03), span(100.0, 0.202, 0.03)]
    assert watching_percent(alone, beside, cores=2) == pytest.approx(1.0)
    dearer = [span(100.0, 0.202, 0.01)] * 3
    assert watching_percent(alone[:1] * 3, dearer, cores=2) == pytest.approx(1.0)


EMPTY = Span(Windows({}, {}, Counter(), (), []), {"ui": 0.0})


def test_spans_without_a_figure_are_no_ratio() -> None:
    assert "no second" in compared([EMPTY], [EMPTY]).notes


def test_a_pair_of_which_one_has_no_figure_is_left_out() -> None:
    known = span(100.0, 0.2, 0.0)
    dearer = [span(100.0, 0.202, 0.0)] * 3
    assert watching_percent([known, EMPTY, known], dearer, cores=2) == pytest.approx(1.0)
    result = compared([known, EMPTY, known], [*dearer[:2], EMPTY])
    assert result.others["cost"] == pytest.approx(1.0)
    assert result.cpu_secs_per_million == pytest.approx(0.202 / 200 * 1e6)
    assert math.isnan(watching_percent([EMPTY, known], [known, EMPTY], cores=2))


def test_every_page_that_is_measured_has_its_limits() -> None:
    pages = [f"ui-{name}" for name in ui_cases.PATHS if name.startswith("page-")]
    assert list(bars.UI_PAGES) == pages
    measured = [Result(page, "ms", (1.0,), latency_ms={"p99": 151.0}, others={"kB": 299.0}) for page in pages]
    out = io.StringIO()
    bars.print_bars([*measured, Result("ui-watched", "tuples/s", (1.0,), others={"cost": 0.9})], [], [], False, out)
    verdicts = {line[:44].strip(): line.split()[-1] for line in out.getvalue().splitlines() if line.startswith("ui-")}
    assert verdicts == {f"{page} p99, ms": "REACHED" for page in pages} | {
        f"{page}, its size, kB": "reached" for page in pages
    }
    assert "0.9" in next(line for line in out.getvalue().splitlines() if line.startswith("a topology is watched"))
