from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cli.merged_logs import WAIT_SECS, Choice, Merge, last_of
from storm.log_lines import Record


def record(time: str, text: str = "", component: str | None = None, level: str | None = "INFO") -> Record:
    return Record(time, level, "app", component, None, text, (text,))


def texts(taken: list[tuple[object, Record]]) -> list[str]:
    return [found.message for _, found in taken]


@given(st.lists(st.lists(st.integers(0, 30), max_size=8), min_size=1, max_size=4))
def test_all_come_out_once_in_order_of_time_and_those_of_a_log_in_its_order(logs: list[list[int]]) -> None:
    merge = Merge()
    merge.keep(range(len(logs)))
    for log, times in enumerate(logs):
        merge.add(log, [record(f"{time:02}", f"{log}.{i}") for i, time in enumerate(sorted(times))], 0.0)
    taken = merge.take(0.0) + merge.rest()
    assert sorted(texts(taken)) == sorted(f"{log}.{i}" for log, times in enumerate(logs) for i in range(len(times)))
    assert [found.time for _, found in taken] == sorted(found.time for _, found in taken)
    for log in range(len(logs)):
        own = [int(found.message.partition(".")[2]) for source, found in taken if source == log]
        assert own == sorted(own)


def test_a_record_waits_for_an_earlier_one_of_another_log_but_not_for_ever() -> None:
    merge = Merge()
    merge.keep("ab")
    merge.add("a", [record("2", "two"), record("3", "three")], 0.0)
    assert merge.take(0.5) == []
    merge.add("b", [record("1", "one"), record("4", "four")], 0.5)
    assert texts(merge.take(0.5)) == ["one", "two"]
    assert merge.take(WAIT_SECS - 0.01) == []
    assert texts(merge.take(WAIT_SECS)) == ["three"]
    assert texts(merge.take(0.51 + WAIT_SECS)) == ["four"]


def test_the_last_record_waits_for_lines_that_belong_to_it() -> None:
    merge = Merge()
    merge.keep("a")
    merge.add("a", [record("1", "one")], 0.0)
    assert merge.take(0.5) == []
    merge.add("a", [record("1", "more of one"), record("2", "two")], 0.5)
    assert texts(merge.take(0.5)) == ["one", "more of one"]


def test_a_clock_that_is_wrong_holds_nothing_back() -> None:
    """Log `a` is hours ahead, and `b` goes on logging."""
    merge = Merge()
    merge.keep("ab")
    merge.add("a", [record("9", "ahead")], 0.0)
    taken = []
    for turn in range(10):
        now = turn * 0.5
        merge.add("b", [record("1", f"{turn}"), record("1", f"{turn}")], now)
        taken += texts(merge.take(now))
    assert "ahead" in taken


def test_a_log_that_is_gone_is_not_waited_for_but_what_it_said_is_shown() -> None:
    merge = Merge()
    merge.keep("ab")
    merge.add("a", [record("1", "one"), record("3", "three")], 0.0)
    merge.add("b", [record("2", "two")], 0.0)
    merge.keep("a")
    assert texts(merge.take(0.0)) == ["one"]
    assert texts(merge.take(WAIT_SECS)) == ["two", "three"]
    merge.keep("a")
    merge.add("a", [record("4", "four"), record("5", "five")], WAIT_SECS)
    assert texts(merge.take(WAIT_SECS)) == ["four"]


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(), ["ours", "split", "split failed", "printed"]),
        (Choice("split"), ["split", "split failed"]),
        (Choice(level="WARNING"), ["split failed"]),
        (Choice("split", "INFO", re.compile("^spl.*d$")), ["split failed"]),
        (Choice(pattern=re.compile("nothing")), []),
    ],
)
def test_what_is_shown(choice: Choice, taken: list[str]) -> None:
    records = [
        record("1", "ours"),
        record("2", "split", "split", "Level 15"),
        record("3", "split failed", "split", "ERROR"),
        record("4", "printed", level=None),
    ]
    assert [each.message for each in records if choice.takes(each)] == taken


def test_the_last_ones_are_whole_records() -> None:
    long = Record("2", "ERROR", "app", None, None, "a\nb\nc", ("a", "b", "c"))
    records = [record("1", "one"), long, record("3", "three")]
    assert last_of(records, 1, None) == records[2:]
    assert last_of(records, 3, None) == records[2:]
    assert last_of(records, 4, None) == records[1:]
    assert last_of([long], 1, None) == [long]
    assert last_of(records, None, "2") == records[1:]
    assert last_of(records, 1, "2") == records[2:]
    assert last_of([], 5, None) == []
