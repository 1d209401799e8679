from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.metrics.stats_records import ALL_TIME, WINDOWS
from storm.metrics.windows import BUCKETS, RollingSums


def test_an_amount_leaves_each_window_in_time() -> None:
    sums: RollingSums[str] = RollingSums()
    sums.add(1000, "a", 5)
    assert sums.sums(1000) == {window: {"a": 5} for window in WINDOWS}
    assert sums.sums(990 + 600)["600"] == {"a": 5}  # its bucket of 30 s begins with the window
    assert sums.sums(990 + 615)["600"] == {"a": 2.5}
    assert sums.sums(990 + 630)["600"] == {}
    assert sums.sums(990 + 630)["10800"] == {"a": 5}
    assert sums.sums(1000 + 10_801 + 540)["10800"] == {}
    assert sums.sums(1000 + 86_401 + 4_320) == {"600": {}, "10800": {}, "86400": {}, ALL_TIME: {"a": 5}}


def test_keys_add_up_apart() -> None:
    sums: RollingSums[str] = RollingSums()
    for now, key in ((10, "a"), (20, "b"), (100, "a")):
        sums.add(now, key, 1)
    assert sums.sums(100)["600"] == {"a": 2, "b": 1}


def test_a_constant_rate_is_told_at_every_moment() -> None:
    """Ten a second: none of the moments of a bucket says less, or more."""
    sums: RollingSums[str] = RollingSums()
    for now in range(3_000):
        sums.add(now, "a", 10)
        if now >= 700:
            assert abs(sums.sums(now)["600"]["a"] / 600 - 10) <= 0.1, now


# Times are eighths of seconds, so that nothing is rounded: close together, at borders of buckets, after long silences.
BUCKET_SECS = {window: int(window) / BUCKETS for window in WINDOWS if window != ALL_TIME}
GAPS = st.one_of(
    st.integers(0, 8 * 200).map(lambda eighths: eighths / 8),
    st.builds(lambda secs, count: secs * count, st.sampled_from(sorted(BUCKET_SECS.values())), st.integers(0, 45)),
    st.integers(0, 8 * 200_000).map(lambda eighths: eighths / 8),
)
AMOUNTS = st.tuples(GAPS, st.sampled_from("ab"), st.integers(1, 1_000))
LOOKS = st.tuples(GAPS, st.none(), st.just(0))


@given(start=st.integers(0, 8 * 100_000), steps=st.lists(st.one_of(AMOUNTS, LOOKS), min_size=1, max_size=60))
def test_a_window_tells_what_was_counted_in_it_but_for_at_most_one_bucket(
    start: int, steps: list[tuple[float, str | None, int]]
) -> None:
    """At each time, whatever was looked at before, and however long nothing came."""
    sums: RollingSums[str] = RollingSums()
    now, counted = start / 8, list[tuple[float, str, int]]()
    for gap, key, amount in steps:
        now += gap
        if key is not None:
            counted.append((now, key, amount))
            sums.add(now, key, amount)
        found = sums.sums(now)
        assert found[ALL_TIME] == since(float("-inf"), counted)
        for window, bucket_secs in BUCKET_SECS.items():
            least = since(now - int(window) + bucket_secs, counted)
            most = since(now - int(window) - bucket_secs + 1 / 8, counted)
            assert least.keys() <= found[window].keys() <= most.keys()
            assert all(least.get(one, 0) <= number <= most[one] for one, number in found[window].items())


def since(begin: float, counted: list[tuple[float, str, int]]) -> dict[str, int]:
    """{key: amounts from `begin` on}"""
    found: dict[str, int] = {}
    for at, key, amount in counted:
        if at >= begin:
            found[key] = found.get(key, 0) + amount
    return found
