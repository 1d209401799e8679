from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.ids import GlobalStreamId
from storm.metrics.executor_stats import StatsWindows, Totals
from storm.metrics.stats_records import ALL_TIME, WINDOWS, BoltStats, SpoutStats

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


@given(
    steps=st.lists(
        st.tuples(st.sampled_from([1, 5, 30, 540, 570, 4_320, 9_000, 100_000]), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=20,
    )
)
def test_each_window_has_the_counts_and_the_mean_of_what_came_in_it(steps: list[tuple[int, int, int]]) -> None:
    """Compared with what an executor's own count says of each window's twenty buckets and a share of the one before."""
    windows = StatsWindows(is_spout=False)
    now, executed, secs, came = 0, 0, 0.0, list[tuple[int, int, float]]()
    for gap, number, ms in steps:
        now, executed, secs = now + gap, executed + number, secs + number * ms / 1_000
        came.append((now, number, number * ms / 1_000))
        windows.update(now, bolt_totals(executed, secs))
        stats = windows.snapshot(now)
        assert isinstance(stats.specific, BoltStats)
        for window in WINDOWS:
            bucket_secs = 10**9 if window == ALL_TIME else int(window) // 20
            shares = {now // bucket_secs - 20: 1 - now % bucket_secs / bucket_secs}  # of the bucket it begins in
            within = [
                (shares.get(at // bucket_secs, 1) * number, shares.get(at // bucket_secs, 1) * secs)
                for at, number, secs in came
                if at // bucket_secs >= now // bucket_secs - 20
            ]
            count = sum(number for number, _ in within)
            assert abs(stats.specific.executed[window].get(SOURCE, 0) - count) <= 0.5 + 1e-9
            assert 0 not in stats.specific.executed[window].values()
            assert stats.specific.executed[window] == stats.specific.acked[window]
            mean = sum(secs for _, secs in within) * 1_000 / count if count else 0.0
            assert abs(stats.specific.execute_ms_avg[window].get(SOURCE, 0.0) - mean) < 1e-6
