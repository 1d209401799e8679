from __future__ import annotations

from storm.ids import GlobalStreamId
from storm.metrics.executor_stats import StatsWindows, Totals
from storm.metrics.stats_records import ALL_TIME, BoltStats, SpoutStats

SOURCE = GlobalStreamId("words", "default")


def bolt_totals(executed: int, secs: float) -> Totals:
    totals = Totals()
    totals.count_output("default", executed, 2 * executed)
    totals.count_output("default", 1, 1)  # a second task of the executor
    times = {SOURCE: (secs, executed)}
    totals.count_bolt({SOURCE: executed}, {SOURCE: executed}, {SOURCE: 0}, times, times)
    return totals


def test_a_bolts_counts_and_averages() -> None:
    windows = StatsWindows(is_spout=False)
    windows.update(1000, bolt_totals(10, 0.1))
    windows.update(2000, bolt_totals(40, 0.4 + 0.3))
    stats = windows.snapshot(2000)
    assert stats.emitted["600"] == {"default": 30}
    assert stats.emitted[ALL_TIME] == {"default": 41}
    assert stats.transferred[ALL_TIME] == {"default": 81}
    assert isinstance(stats.specific, BoltStats)
    assert stats.specific.executed["600"] == {SOURCE: 30}
    assert stats.specific.failed[ALL_TIME] == {}
    assert round(stats.specific.execute_ms_avg["600"][SOURCE], 6) == 20
    assert round(stats.specific.process_ms_avg[ALL_TIME][SOURCE], 6) == 17.5
    assert stats.rate == 1.0


def test_a_spouts_counts_and_averages() -> None:
    windows = StatsWindows(is_spout=True)
    totals = Totals()
    totals.count_output("default", 5, 5)
    totals.count_spout("default", 3, 1, 0.03)
    totals.count_spout("default", 1, 0, 0.05)
    windows.update(1000, totals)
    stats = windows.snapshot(1000)
    assert isinstance(stats.specific, SpoutStats)
    assert stats.specific.acked["600"] == {"default": 4}
    assert stats.specific.failed["600"] == {"default": 1}
    assert round(stats.specific.complete_ms_avg["600"]["default"], 6) == 20


def test_the_same_totals_again_add_nothing() -> None:
    windows = StatsWindows(is_spout=False)
    for _ in range(3):
        windows.update(1000, bolt_totals(10, 0.1))
    assert windows.snapshot(1000).emitted[ALL_TIME] == {"default": 11}
