"""What REST and pages tell of a window is what executors, which are older than a day, have counted in it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from storm.ids import GlobalStreamId
from storm.metrics.executor_stats import StatsWindows, Totals
from storm.metrics.stats_records import ALL_TIME, WINDOWS, ExecutorStats

LINES = GlobalStreamId("words", "default")
NOW = 1_000_000
CAME = {30 * 3600: (1, 8), 20 * 3600: (10, 4), 2 * 3600: (100, 2), 300: (1_000, 1)}  # {secs ago: (tuples, ms each)}


def within(window: str) -> list[tuple[int, int]]:
    return [came for ago, came in CAME.items() if window == ALL_TIME or ago < int(window)]


def number(window: str) -> int:
    """Of both executors of a component."""
    return 2 * sum(number for number, _ in within(window))


def mean_ms(window: str) -> str:
    came = within(window)
    return f"{sum(number * ms for number, ms in came) / sum(number for number, _ in came):.3f}"


def executor_stats(is_spout: bool) -> ExecutorStats:
    windows, count, secs = StatsWindows(is_spout), 0, 0.0
    for ago, (number, ms) in CAME.items():
        count, secs = count + number, secs + number * ms / 1_000
        totals = Totals()
        totals.count_output("default", count, 3 * count)
        if is_spout:
            totals.count_spout("default", count, 2 * count, secs)
        else:
            of_all, times = {LINES: count}, {LINES: (secs, count)}
            totals.count_bolt(of_all, of_all, {LINES: 2 * count}, times, times)
        windows.update(NOW - ago, totals)
    return windows.snapshot(NOW)


@pytest.fixture
def topology(site: Any, topology_id: str) -> str:
    """The path of its page; executors of `words` and `split` have told what they counted."""
    plan = site.cluster.core.snapshot.plans[topology_id]
    stats = {"words": executor_stats(True), "split": executor_stats(False)}
    executors = site.cluster.assignment(topology_id).executor_slots
    own = {one: stats[name] for one in executors if (name := plan.component_of(one)) in stats}
    site.cluster.clock.secs += 3
    site.cluster.beat(topology_id, own)
    return f"/topology/{topology_id}"


@pytest.mark.parametrize("window", WINDOWS)
def test_rest_tells_of_a_window_what_was_counted_in_it(window: str, client: Any, topology: str) -> None:
    wanted = {"emitted": number(window), "transferred": 3 * number(window)}
    settled = {"acked": number(window), "failed": 2 * number(window)}
    latency = mean_ms(window)

    def ask(path: str) -> Any:
        return client.get(f"/api/v1{path}?window={window}").json()

    page, words, split = (ask(topology + path) for path in ("", "/component/words", "/component/split"))
    of_all = next(one for one in page["topologyStats"] if one["window"] == window)
    [spout], [bolt] = page["spouts"], [one for one in page["bolts"] if one["boltId"] == "split"]
    of_spout = [spout, next(one for one in words["spoutSummary"] if one["window"] == window), *words["outputStats"]]
    of_bolt = [bolt, next(one for one in split["boltStats"] if one["window"] == window)]
    for one in of_spout:
        assert (wanted | settled).items() <= one.items()
        assert f"{float(one['completeLatency']):.3f}" == latency
    for one in of_bolt:
        assert (wanted | settled | {"executed": number(window)}).items() <= one.items()
        assert (one["executeLatency"], one["processLatency"]) == (latency, latency)
    assert settled.items() <= of_all.items()
    assert of_all["emitted"] == 2 * number(window)
    assert of_all["completeLatency"] == latency
    [source] = split["inputStats"]
    assert (settled | {"executed": number(window), "executeLatency": latency}).items() <= source.items()
    for one in words["executorStats"] + split["executorStats"]:
        assert one["emitted"] == number(window) / 2


@pytest.mark.parametrize("window", WINDOWS)
def test_pages_show_of_a_window_what_was_counted_in_it(window: str, client: Any, topology: str) -> None:
    wanted = [f"{number(window):,}", f"{3 * number(window):,}", f"{2 * number(window):,}"]
    html = client.get(f"{topology}?window={window}").text
    for component in ("words", "split"):
        assert contains(cells(html, component), wanted), component
        page = client.get(f"{topology}/component/{component}?window={window}").text
        assert contains(cells(page, window), wanted), component
        assert f"{number(window) // 2:,}" in cells(page, "[")


def cells(html: str, key: str) -> list[str]:
    """The numbers in rows whose key begins so."""
    rows = re.findall(rf'<tr data-key="{re.escape(key)}.*?</tr>', html, re.DOTALL)
    return [cell.strip() for row in rows for cell in re.findall(r">\s*([\d,]+)\s*<", row)]


def contains(found: list[str], wanted: list[str]) -> bool:
    return bool(found) and set(wanted) <= set(found)
