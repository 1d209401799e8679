from __future__ import annotations

import json
from typing import Any

import click
import pytest

from storm.cli.status import component_table, failure_text, headline, last_errors, page_as_dict, worker_table
from storm.thrift.interface import storm_thrift


def aggregate(**specific: Any) -> Any:
    t = storm_thrift()
    common = t.CommonAggregateStats(num_executors=2, num_tasks=4, emitted=1_000, transferred=2_000, acked=990, failed=1)
    return t.ComponentAggregateStats(common_stats=common, specific_stats=t.SpecificAggregateStats(**specific))


def page() -> Any:
    t = storm_thrift()
    bolt = aggregate(bolt=t.BoltAggregateStats(process_latency_ms=0.25, capacity=0.5, executed=12))
    worker = t.WorkerSummary(host="h", port=6700, num_executors=3, uptime_secs=61, component_to_num_tasks={"split": 2})
    return t.TopologyPageInfo(
        id="w-1-2",
        name="w",
        status="ACTIVE",
        uptime_secs=61,
        num_workers=1,
        num_executors=4,
        num_tasks=8,
        id_to_spout_agg_stats={"words": aggregate(spout=t.SpoutAggregateStats(complete_latency_ms=1.5))},
        id_to_bolt_agg_stats={"split": bolt},
        workers=[worker],
        slot_failures=[slot_failure("backing-off", 61)],
    )


def slot_failure(state: str, retry_secs: int | None) -> Any:
    return storm_thrift().SlotFailure(
        supervisor_id="n",
        host="h",
        port=6701,
        state=state,
        deaths=7,
        reason="was killed by signal 11 (SIGSEGV)",
        last_lines="".join(f"line {number}\n" for number in range(9)),
        time_secs=1_700_000_000,
        retry_secs=retry_secs,
    )


def test_a_slot_that_waits_says_for_what_and_has_not_died() -> None:
    waiting = slot_failure("building-environment", None)
    waiting.deaths, waiting.reason, waiting.last_lines = 0, "waits for its environment, which this host is building", ""
    assert failure_text(waiting) == "h:6701 waits for its environment, which this host is building"


def test_components_have_a_line_each() -> None:
    lines = [line.split() for line in component_table(page()).splitlines()]
    assert lines[1] == ["words", "spout", "2", "4", "1,000", "2,000", "990", "1", "1.500", "-"]
    assert lines[2] == ["split", "bolt", "2", "4", "1,000", "2,000", "990", "1", "0.250", "0.500"]


def test_workers_say_what_they_run() -> None:
    assert worker_table(page()).splitlines()[1].split() == ["h:6700", "3", "1", "m", "1", "s", "split", "x2"]


@pytest.mark.parametrize(
    ("state", "retry_secs", "now"),
    [
        ("backing-off", 61, "is tried again in 1 m 1 s"),
        ("running", None, "runs again"),
        ("waiting-for-worker-start", None, "is starting again"),
        ("something-new", None, "something-new"),
    ],
)
def test_a_failing_slot_says_how_often_why_and_what_follows(state: str, retry_secs: int | None, now: str) -> None:
    lines = click.unstyle(failure_text(slot_failure(state, retry_secs))).splitlines()
    assert lines[0] == f"h:6701 died 7 times in a row and {now}: it was killed by signal 11 (SIGSEGV)"
    assert lines[1:] == [f"    line {number}" for number in range(4, 9)]


def test_last_errors_are_by_component() -> None:
    t = storm_thrift()
    error = t.ErrorInfo(error="no", error_time_secs=5, host="h", port=6700)
    info = t.TopologyInfo(errors={"split": [error], "__system": [error], "words": []})
    shown = {"error": "no", "time_secs": 5, "host": "h", "port": 6700}
    assert last_errors(info) == {"__system": shown, "split": shown}
    assert last_errors(t.TopologyInfo()) == {}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        (
            "The worker on port 6700 exited with code 13.\nLast lines of its log:\nx",
            "The worker on port 6700 exited with code 13.",
        ),
        ("", ""),
    ],
)
def test_one_line_tells_of_an_error(error: str, line: str) -> None:
    assert headline(error) == line


def test_what_components_and_workers_do_is_plain_data_too() -> None:
    t = storm_thrift()
    found = page()
    found.id_to_bolt_agg_stats["split"].insight = t.ComponentInsight(reasons={"in-call": 1}, known=2, queued=0)
    found.workers[0].insight = t.WorkerInsight(slow_peers=["h:6701"], dropped={"why": 3})
    shown = json.loads(json.dumps(page_as_dict(found)))
    assert shown["bolts"]["split"]["insight"] == {"reasons": {"in-call": 1}, "known": 2, "queued": 0}
    assert shown["workers"][0]["insight"] == {"slow_peers": ["h:6701"], "dropped": {"why": 3}}
    assert "insight" not in shown["spouts"]["words"]


def test_as_plain_data() -> None:
    shown = page_as_dict(page())
    assert shown["bolts"]["split"]["executed"] == 12
    assert shown["spouts"]["words"]["complete_latency_ms"] == 1.5
    assert shown["workers"][0]["port"] == 6700
    (failure,) = shown["slot_failures"]
    assert (failure["deaths"], failure["retry_secs"], failure["state"]) == (7, 61, "backing-off")
