from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storm.exposition.text import VALUE_BOUNDS, Exposition
from storm.metrics.distribution import SECONDS_BOUNDS, Distribution
from storm.metrics.families import LOGVIEWER, NIMBUS, PROCESS, SUPERVISOR, Family, shown_names
from storm.metrics.instruments import Histogram
from storm.metrics.series import Series

WORKER = {"topology": "wc-1-0", "port": "6700"}
LABELS = {**WORKER, "component": "count", "name": "sizes"}


def histogram(*values: float) -> Histogram:
    found = Histogram()
    for value in values:
        found.update(value)
    return found


def shown(
    *series: Series, families: dict[str, Family] = SUPERVISOR
) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """{name of a sample: {labels: value}}, as Prometheus reads it."""
    text = Exposition(families, lambda: series).text().decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_each_kind_is_shown_as_prometheus_wants_it() -> None:
    labels = {**WORKER, "component": "count", "source": "words", "stream": "default"}
    timer = {**WORKER, "component": "count", "name": 'a "b"\\\n'}
    found = shown(
        Series("storm_supervisor_slots", {}, 4),
        Series("storm_bolt_executed_total", labels, 7),
        Series("storm_bolt_execute_seconds", labels, Distribution(7, 1.5, buckets={7: 2})),
        Series("storm_metric_seconds", timer, histogram(0.0009, 0.5, 100.0).read()),
    )
    key = tuple(sorted(labels.items()))
    assert found["storm_supervisor_slots"] == {(): 4.0}
    assert found["storm_bolt_executed_total"] == {key: 7.0}
    assert found["storm_bolt_execute_seconds_sum"] == {key: 1.5}
    assert found["storm_bolt_execute_seconds_count"] == {key: 7.0}
    assert {dict(each)["le"] for each in found["storm_bolt_execute_seconds_bucket"]} >= {"0.25", "1", "+Inf"}
    assert sorted(found["storm_bolt_execute_seconds_bucket"].values()) == [0.0] * 9 + [2.0] * 4 + [7.0]
    buckets = {dict(each)["le"]: value for each, value in found["storm_metric_seconds_bucket"].items()}
    assert (buckets["0.000976562"], buckets["1"], buckets["64"], buckets["+Inf"]) == (1.0, 2.0, 2.0, 3.0)
    assert list(found["storm_metric_seconds_count"].values()) == [3.0]
    assert dict(next(iter(found["storm_metric_seconds_sum"])))["name"] == timer["name"]


def test_values_have_other_bounds_than_seconds() -> None:
    found = shown(Series("storm_metric_distribution", LABELS, histogram(500.0).read()))
    assert len(found["storm_metric_distribution_bucket"]) == len(VALUE_BOUNDS) + 1
    assert set(SECONDS_BOUNDS) != set(VALUE_BOUNDS)


def test_of_two_with_the_same_labels_one_is_shown() -> None:
    found = shown(Series("storm_supervisor_slots", {}, 4), Series("storm_supervisor_slots", {}, 5))
    assert found["storm_supervisor_slots"] == {(): 5.0}


def test_the_process_is_shown_too() -> None:
    assert set(PROCESS) <= shown().keys()


def test_what_cannot_be_made_is_raised() -> None:
    def broken() -> list[Series]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Exposition(NIMBUS, broken).text()


def test_every_family_can_be_shown() -> None:
    for families in (SUPERVISOR, NIMBUS, LOGVIEWER):
        series = []
        for name, family in families.items():
            value = histogram(1.0).read() if family.kind == "histogram" else 1.0
            series.append(Series(name, dict.fromkeys(family.labels, "x"), value))
        assert shown_names(families) <= shown(*series, families=families).keys()
