from __future__ import annotations

import json
from typing import Any

import click

from storm.cli.status import (
    Seen,
    component_table,
    last_errors,
    look_as_dict,
    look_at,
    page_as_dict,
    rates,
    set_levels,
    status_text,
    untold,
    worker_table,
)
from storm.cli.watch import Look
from storm.diagnosis.nimbus_pages import facts
from storm.diagnosis.topology import troubles
from storm.thrift.interface import storm_thrift


def aggregate(**specific: Any) -> Any:
    t = storm_thrift()
    common = t.CommonAggregateStats(num_executors=2, num_tasks=4, emitted=1_000, transferred=2_000, acked=990, failed=1)
    return t.ComponentAggregateStats(common_stats=common, specific_stats=t.SpecificAggregateStats(**specific))


def page() -> Any:
    t = storm_thrift()
    bolt = aggregate(bolt=t.BoltAggregateStats(process_latency_ms=0.25, capacity=0.5, executed=12))
    worker = t.WorkerSummary(
        host="h", port=6700, num_executors=3, uptime_secs=61, component_to_num_tasks={"split": 2}, used_mem=1234.5,
        used_cpu=87.6,
    )  # fmt: skip
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


def test_components_have_a_line_each() -> None:
    lines = [line.split() for line in click.unstyle(component_table(page())).splitlines()]
    assert lines[1] == ["words", "spout", "2", "4", "1,000", "2,000", "990", "1", "1.500", "-"]
    assert lines[2] == ["split", "bolt", "2", "4", "1,000", "2,000", "990", "1", "0.250", "0.500"]


def test_a_latency_of_what_was_not_acked_is_not_known() -> None:
    told = page()
    for stats in (told.id_to_spout_agg_stats["words"], told.id_to_bolt_agg_stats["split"]):
        stats.common_stats.acked = 0
    lines = [line.split() for line in click.unstyle(component_table(told)).splitlines()]
    assert [line[-2:] for line in lines[1:]] == [["-", "-"], ["-", "0.500"]]


def test_workers_say_what_they_run() -> None:
    told = page()
    assert worker_table(told).splitlines()[1] == "h:6700          3  1 m 1 s      1,234     88  split x2"
    told.workers[0].used_mem = told.workers[0].used_cpu = None
    assert worker_table(told).splitlines()[1].split()[6:8] == ["-", "-"]
    told.workers[0].insight = storm_thrift().WorkerInsight(opening_components=["split"])
    assert worker_table(told).splitlines()[1].split()[2] == "preparing"
    told.workers[0].uptime_secs = None
    assert worker_table(told).splitlines()[1].split()[2] == "starting"


def test_what_is_wrong_is_told_as_in_the_ui_with_what_a_dead_worker_wrote_last() -> None:
    nimbus = Nimbus()
    shown = click.unstyle(status_text([Look(0, look_at(nimbus, "w", "all", False))], None))
    assert "trouble: Worker h:6701 died 7 times in a row" in shown
    assert "it was killed by signal 11 (SIGSEGV)." in shown
    assert "it is tried again in 1m 1s." in shown
    assert "h:6701 wrote last:\n" + "\n".join(f"    line {number}" for number in range(4, 9)) in shown
    assert "line 3" not in shown


def test_what_a_worker_wrote_does_nothing_to_the_terminal() -> None:
    nimbus = Nimbus()
    seen = look_at(nimbus, "w", "all", False)
    (failure,) = seen.page.slot_failures
    failure.reason, failure.last_lines = "said \x1b]0;reason\x07", "a\x1b[2J\tb\n"
    shown = status_text([Look(0, seen._replace(troubles=troubles(facts(seen.page, seen.wall_secs))))], None)
    assert "it said \\x1b]0;reason\\x07." in shown
    assert "    a\\x1b[2J\tb" in shown
    assert "\x1b" not in click.unstyle(shown)


def test_last_errors_that_no_trouble_tells_of_are_shown() -> None:
    now = 1_700_000_000
    error = {"error": "Traceback\n x\nValueError: no", "time_secs": now - 5, "host": "h", "port": 6700}
    errors = {"split": error, "words": {**error, "time_secs": now - 601}, "__system": error}
    seen = seen_of(page())._replace(errors=errors, wall_secs=now)
    assert list(untold(seen)) == ["words", "__system"]
    shown = click.unstyle(status_text([Look(0, seen)], None))
    assert "last error of words on h:6700: ValueError: no" in shown
    assert "last error of split" not in shown


def test_last_errors_are_by_component() -> None:
    t = storm_thrift()
    error = t.ErrorInfo(error="no", error_time_secs=5, host="h", port=6700)
    info = t.TopologyInfo(errors={"split": [error], "__system": [error], "words": []})
    shown = {"error": "no", "time_secs": 5, "host": "h", "port": 6700}
    assert last_errors(info) == {"__system": shown, "split": shown}
    assert last_errors(t.TopologyInfo()) == {}


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


def seen_of(its: Any, levels: dict[str, str] | None = None) -> Seen:
    """A page at which nothing else was seen."""
    return Seen(its, its, {}, levels or {}, [], 0)


def later(secs: float, **more: int) -> Look:
    """A look at that time, with so many more of split's counts."""
    seen = page()
    counts = seen.id_to_bolt_agg_stats["split"].common_stats
    for name, count in more.items():
        setattr(counts, name, getattr(counts, name) + count)
    return Look(secs, seen_of(seen))


def test_rates_are_between_the_looks() -> None:
    found = rates([later(10), later(12, emitted=50), later(14, emitted=100, failed=2)])
    assert found["split"] == {"emitted": 25.0, "acked": 0.0, "failed": 0.5}
    assert found["words"] == {"emitted": 0.0, "acked": 0.0, "failed": 0.0}
    shown = click.unstyle(status_text([later(10), later(14, emitted=100, failed=2)], None)).splitlines()
    head, row = next((shown[i].split(), shown[i + 2].split()) for i, line in enumerate(shown) if "emitted/s" in line)
    cells = dict(zip([*head[:-3], "latency", "capacity"], row, strict=True))
    assert (cells["emitted"], cells["emitted/s"], cells["failed"], cells["failed/s"]) == ("1,100", "25", "3", "1")


def test_no_rate_is_told_where_counts_began_anew() -> None:
    assert set(rates([later(10), later(14, emitted=-1)])["split"].values()) == {None}
    assert set(rates([later(10)])["split"].values()) == {None}
    another, now = later(10), later(14, emitted=100)
    another.seen.page.id = "w-2-3"
    assert set(rates([another, now])["split"].values()) == {None}


def test_trouble_is_coloured() -> None:
    calm, trouble = page(), page()
    calm.id_to_bolt_agg_stats["split"].common_stats.failed = 0
    trouble.status = "INACTIVE"
    trouble.id_to_bolt_agg_stats["split"].specific_stats.bolt.capacity = 0.97
    assert "\x1b[31m" in component_table(trouble).splitlines()[2]
    assert "\x1b[33m" in status_text([Look(0, seen_of(trouble))], None).splitlines()[0]
    row = component_table(calm).splitlines()[2]
    assert row == click.unstyle(row)


def test_a_narrow_window_has_the_columns_that_matter() -> None:
    shown = click.unstyle(status_text([later(0), later(4, failed=4)], 70))
    table = [line for line in shown.splitlines() if line.startswith(("component", "split", "words"))]
    assert max(map(len, table)) <= 70
    assert {"component", "emitted/s", "failed/s", "capacity"} <= set(table[0].split())


def test_levels_that_were_set_are_shown_with_their_time() -> None:
    t = storm_thrift()

    def level(name: str, secs: int | None = None, reset: str | None = None) -> Any:
        return t.LogLevel(
            action=t.LogLevelAction.UPDATE,
            target_log_level=name,
            reset_log_level_timeout_secs=secs,
            reset_log_level=reset,
        )

    named = {"b": level("DEBUG", 90), "a": level("ERROR"), "over": level("DEBUG", 0), "c": level("DEBUG", 0, "WARN")}
    levels = set_levels(t.LogConfig(named_logger_level=named))
    assert levels == {"a": "ERROR", "b": "DEBUG for 1 m 30 s", "c": "WARN"}
    look = Look(0, seen_of(page(), levels))
    assert "log levels: a ERROR, b DEBUG for 1 m 30 s, c WARN" in status_text([look], None)
    assert look_as_dict(look.seen)["log_levels"] == levels
    assert r"log levels: a\x1b[31m ERROR" in status_text([Look(0, seen_of(page(), {"a\x1b[31m": "ERROR"}))], None)
    assert set_levels(t.LogConfig()) == {}
    assert "log levels" not in status_text([Look(0, seen_of(page()))], None)


class Nimbus:
    """Answers as Nimbus does; `asked` are the methods with their arguments."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def call(self, method: str, *arguments: Any) -> Any:
        t = storm_thrift()
        self.asked.append((method, *arguments[:2]))
        answers = {"getTopologyInfoWithOpts": t.TopologyInfo(), "getLogConfig": t.LogConfig()}
        return answers.get(method) or page()


def test_rates_are_of_all_time_whatever_window_is_shown() -> None:
    nimbus = Nimbus()
    look_at(nimbus, "w", "10m", False)
    assert ("getTopologyPageInfo", "w-1-2", "600") in nimbus.asked
    assert ("getTopologyPageInfo", "w-1-2", ":all-time") in nimbus.asked
    assert [words[0] for words in nimbus.asked].count("getTopologyPageInfo") == 2
    nimbus.asked.clear()
    seen = look_at(nimbus, "w", "all", False)
    assert [words[0] for words in nimbus.asked].count("getTopologyPageInfo") == 2  # what is wrong is of 10 minutes
    assert seen.page is seen.ever
