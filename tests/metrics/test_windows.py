from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.metrics.stats_records import ALL_TIME, WINDOWS
from storm.metrics.windows import BUCKETS, RollingSums


def test_an_amount_leaves_each_window_in_time() -> None:
    sums: RollingSums[str] = RollingSums()
    sums.add(1000, "a", 5)
    assert sums.sums(1000) == {window: {"a": 5} for window in WINDOWS}
    assert sums.sums(1000 + 601)["600"] == {}
    assert sums.sums(1000 + 601)["10800"] == {"a": 5}
    assert sums.sums(1000 + 10_801)["10800"] == {}
    assert sums.sums(1000 + 86_401) == {"600": {}, "10800": {}, "86400": {}, ALL_TIME: {"a": 5}}


def test_keys_add_up_apart() -> None:
    sums: RollingSums[str] = RollingSums()
    for now, key in ((10, "a"), (20, "b"), (100, "a")):
        sums.add(now, key, 1)
    assert sums.sums(100)["600"] == {"a": 2, "b": 1}


@given(gaps=st.lists(st.floats(0, 200), min_size=1, max_size=60))
def test_a_window_misses_at_most_one_bucket_of_its_length(gaps: list[float]) -> None:
    sums: RollingSums[str] = RollingSums()
    now, times = 5000.0, []
    for gap in gaps:
        now += gap
        times.append(now)
        sums.add(now, "a", 1)
    found = sums.sums(now)["600"].get("a", 0)
    assert (
        sum(time > now - 600 * (1 - 1 / BUCKETS) for time in times) <= found <= sum(time > now - 600 for time in times)
    )
