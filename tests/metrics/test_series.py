from __future__ import annotations

import json

import pytest

from storm.metrics.distribution import Distribution
from storm.metrics.families import HISTOGRAM, WORKER
from storm.metrics.series import LATENCIES, LINE_BYTES_MAX, Series, components_part, decode, encode

LATENCY = Distribution(3, 1.5, buckets={7: 1, 23: 2})
OWN = [
    Series("storm_worker_uptime_seconds", {}, 12.5),
    Series("storm_bolt_execute_seconds", {"component": "zähler", "source": "a", "stream": "s"}, LATENCY),
    Series("storm_bolt_process_seconds", {"component": "zähler", "source": "a", "stream": "s"}, Distribution(2, 0.5)),
]
TIMER = Series("storm_metric_seconds", {"component": "b", "name": "db"}, Distribution(2, 3.0, 1.0, 2.0, {8: 1, 16: 1}))


def test_what_is_encoded_is_decoded_the_same() -> None:
    text = encode(OWN, [TIMER])
    assert text.isascii()
    assert decode(text) == [*OWN, TIMER]
    assert decode(components_part(text)) == [TIMER]
    assert components_part(encode(OWN, [])) == ""


def as_the_release_before_read(line: str) -> list[tuple[str, list[float]]]:
    """Entries of three parts, latencies as sum and number; it passed over what it could not take apart."""
    found = []
    for entry in json.loads(line):
        try:
            name, _, (secs, number) = entry
            found.append((name, [float(secs), int(number)]))
        except (ValueError, TypeError):
            continue
    return found


def test_the_release_before_reads_sums_and_numbers_of_latencies_and_is_read() -> None:
    own, _, _ = encode(OWN, [TIMER]).partition("\n")
    assert as_the_release_before_read(own) == [
        ("storm_bolt_execute_seconds", [1.5, 3]),
        ("storm_bolt_process_seconds", [0.5, 2]),
    ]
    of_before = json.dumps([["storm_spout_complete_seconds", {"component": "words", "stream": "default"}, [2.5, 4]]])
    assert [each.value for each in decode(of_before)] == [Distribution(4, 2.5)]


def test_buckets_belong_to_the_entry_before_them_or_to_none() -> None:
    times = ["storm_spout_complete_seconds", {"component": "words", "stream": "default"}, [2.5, 4]]
    for wrong in (["of another release", {}, 1], ["storm_worker_peers", {}, 3], ["buckets", [[7, 1]]], 5):
        found = decode(json.dumps([times, wrong, ["buckets", [[7, 4]]]]))
        assert Distribution(4, 2.5, buckets={7: 4}) not in [each.value for each in found]
    for spoilt in (5, [[1e9, 1]], [["x", 1]], [[7]], {"a": 1}, None):
        assert decode(json.dumps([times, ["buckets", spoilt]]))[0].value == Distribution(4, 2.5)


def test_latencies_are_families_that_there_are() -> None:
    assert all(WORKER[name].kind == HISTOGRAM for name in LATENCIES)


def test_a_line_is_bounded_and_tells_how_much_it_lacks() -> None:
    many = [
        Series("storm_metric_value", {"component": "b" * 100, "name": f"n{i}", "task": "1"}, i) for i in range(2_000)
    ]
    text = encode(OWN, many)
    assert len(components_part(text)) <= LINE_BYTES_MAX
    found = decode(text)
    kept = [each for each in found if each.name == "storm_metric_value"]
    assert kept == [Series(each.name, each.labels, float(str(each.value))) for each in many[: len(kept)]]
    assert found[-1] == Series("storm_worker_series_left_out", {}, 2_000 - len(kept))


def test_both_lines_together_tell_how_much_they_lack() -> None:
    many = [
        Series("storm_metric_value", {"component": "b" * 100, "name": f"n{i}", "task": "1"}, i) for i in range(2_000)
    ]
    found = decode(encode(many, many))
    kept = [each for each in found if each.name == "storm_metric_value"]
    assert [each for each in found if each not in kept] == [
        Series("storm_worker_series_left_out", {}, 4_000 - len(kept))
    ]


@pytest.mark.parametrize(
    "text",
    ["", "\n", "{}", "[1, [], null]", "[" * 60_000, '[["of another release", {}, 1]]', "x" * (LINE_BYTES_MAX + 1)]
    + [json.dumps([["storm_worker_peers", {}, value]]) for value in (None, "many", [1, 2, 3], {})]
    + [json.dumps([["storm_metric_seconds", {}, value]]) for value in (1, [1, 2], [1, 2, 3, 4, [5]])]
    + [f"[[{json.dumps('storm_worker_reconnects_total')}, {{}}, {10**400}]]"]
    + [json.dumps([["storm_metric_seconds", {}, [1, 1.0, 1.0, 1.0, [[bucket, 1]]]]]) for bucket in (1e6, -1e6, 1e999)]
    + [json.dumps([["storm_metric_value", {"component": "\ud800", "name": "n", "task": "1"}, 1]])]
    + ['[["storm_worker_peers", [], 1]]', '[["storm_worker_peers", 1]]']
    + [f'[["storm_worker_series_left_out",{{}},{number}]]' for number in ("NaN", "1e999", "-7", "-1e999", "null")],
)  # fmt: skip
def test_what_cannot_be_read_is_passed_over(text: str) -> None:
    assert decode(text) == []


def test_what_can_be_read_beside_it_is_not() -> None:
    assert decode('[["of another release",{},1],["storm_worker_peers",{},3]]\nnonsense') == [
        Series("storm_worker_peers", {}, 3.0)
    ]
