from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.metrics.distribution import Distribution, bucket_of, middle, together, upper_bound
from storm.metrics.instruments import Histogram

VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50)


def of(values: list[float]) -> Distribution:
    histogram = Histogram()
    for value in values:
        histogram.update(value)
    return histogram.read()


@given(st.floats(2.0**-64, 2.0**63))
def test_a_value_is_in_its_bucket_and_near_its_middle(value: float) -> None:
    bucket = bucket_of(value)
    assert upper_bound(bucket - 1) < value <= upper_bound(bucket)
    assert abs(middle(bucket) - value) <= value / 16


@given(VALUES, st.sampled_from([0.5, 0.75, 0.95, 0.99]))
def test_a_quantile_is_wrong_by_a_sixteenth_at_most(values: list[float], share: float) -> None:
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    assert of(values).quantile(share) == pytest.approx(exact, rel=1 / 15)


@given(VALUES, VALUES)
def test_parts_add_up_and_a_later_reading_tells_what_came_since(first: list[float], then: list[float]) -> None:
    both = of(first + then)
    added = together([of(first), of(then), Distribution()])
    assert (added.buckets, added.count, added.least, added.most) == (both.buckets, both.count, both.least, both.most)
    since = both.since(of(first))
    assert (since.count, dict(since.buckets)) == (len(then), dict(of(then).buckets))
    assert since.total == pytest.approx(sum(then), abs=1e-6)
    assert since.least <= min(then)
    assert since.most >= max(then)


def test_what_is_not_above_zero_counts_as_one_value() -> None:
    found = of([0, -3.5, 2.0])
    assert (found.count, found.least, found.most, found.quantile(0.5)) == (3, -3.5, 2.0, 0.0)


def test_values_beyond_all_bounds_share_the_outermost_buckets() -> None:
    assert bucket_of(1e300) == bucket_of(2.0**200)
    assert bucket_of(1e-300) == bucket_of(2.0**-200)
    assert bucket_of(1e-300) > bucket_of(0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "3", None])
def test_what_is_no_finite_number_is_refused_and_changes_nothing(value: float) -> None:
    histogram = Histogram()
    with pytest.raises((ValueError, OverflowError, TypeError)):
        histogram.update(value)
    assert histogram.read() == Distribution()


def test_counts_up_to_powers_of_two_are_exact_as_prometheus_means_them() -> None:
    assert of([0.3, 0.9, 1.0, 3.9, 64.0, 100.0]).at_most([1.0, 4.0, 64.0]) == [3, 4, 5]


def test_nothing_has_no_quantile_and_no_mean() -> None:
    nothing = Distribution()
    assert (nothing.quantile(0.5), nothing.mean(), nothing.deviation()) == (0.0, 0.0, 0.0)


def test_the_deviation_is_about_that_of_the_values() -> None:
    assert of([1.0, 3.0] * 50).deviation() == pytest.approx(1.0, rel=0.1)
