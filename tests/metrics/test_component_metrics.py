from __future__ import annotations

import json

from storm.metrics.component_metrics import component_metrics, left_out
from storm.metrics.instruments import Histogram, Reading
from storm.metrics.measured import instrument_series
from storm.metrics.series import Series, components_part, encode


def told(task: int, count: int, secs: float) -> str:
    times = Histogram()
    times.update(secs)
    readings = [Reading("lines", "counter", count), Reading("db", "timer", times.read()), Reading("age", "gauge", secs)]
    return components_part(encode([], instrument_series([("count", task, readings), ("other", 9, readings)])))


def test_all_workers_of_a_component_together() -> None:
    found = json.loads(component_metrics([told(1, 2, 0.25), "", told(2, 3, 4.0)], "count"))
    assert [(one["name"], one["kind"]) for one in found] == [
        ("age", "gauge"),
        ("age", "gauge"),
        ("db", "timer"),
        ("lines", "count"),
    ]
    assert found[0] == {"name": "age", "kind": "gauge", "task": "1", "value": 0.25}
    assert found[3] == {"name": "lines", "kind": "count", "value": 5.0}
    timer = found[2]
    assert (timer["count"], timer["mean"], timer["min"], timer["max"]) == (2, 2.125, 0.25, 4.0)
    assert timer["p50"] < 0.3 < 3.7 < timer["p99"]


def test_a_component_that_measures_nothing_has_no_text() -> None:
    assert component_metrics([told(1, 2, 0.25)], "spout") == ""


def test_what_had_no_room_is_counted_over_all_workers() -> None:
    many = [Series("storm_metric_value", {"component": "b" * 100, "name": f"n{i}"}, i) for i in range(2_000)]
    cut = components_part(encode([], many))
    kept = cut.count("storm_metric_value")
    assert left_out([cut, told(1, 2, 0.25), "", cut]) == 2 * (2_000 - kept)
    assert left_out([told(1, 2, 0.25)]) == 0


def test_no_worker_tells_of_more_left_out_than_an_answer_has_room_for() -> None:
    told_of = [f'\n[["storm_worker_series_left_out",{{}},{number}]]' for number in ("1e12", "5", "-7", "NaN")]
    assert left_out(components_part(text) for text in told_of) == (1 << 30) + 5
    assert left_out(components_part(told_of[0]) for _ in range(3)) == (1 << 31) - 1
