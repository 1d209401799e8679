from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.log_lines import Place, Record, json_line, readable, records, text_line

TIME = "2026-01-31T23:59:59.123Z"
PLACE = Place("words of mine-1-1769900000", "[::1]:6700", "split", 7)
NAMES = st.text(st.characters(categories=("L", "N", "P"), exclude_characters="/\\"), min_size=1, max_size=12)


def test_a_line_begins_with_the_time_and_says_where_it_comes_from() -> None:
    line = text_line(Place("words-1-17", "node-1:6700", "split", 7), TIME, "INFO", "app", "took 3")
    assert line == f"{TIME} INFO [words-1-17/node-1:6700/split/7] app: took 3"
    assert text_line(Place("words-1-17", "node-1:6700"), TIME, "INFO", "app", "x").split()[2] == (
        "[words-1-17/node-1:6700]"
    )
    assert text_line(None, TIME, "INFO", "app", "x") == f"{TIME} INFO [-] app: x"


@given(component=NAMES, task=st.none() | st.integers(1, 99), logger=NAMES, level=st.sampled_from(["INFO", "Level 15"]))
def test_what_is_written_is_read_again(component: str, task: int | None, logger: str, level: str) -> None:
    logger = logger.rstrip(":")
    place = PLACE._replace(component=component, task=task)
    message = "first: [a/b/c/1] x: y\n  second"
    line = text_line(place, TIME, level, logger, message)
    expected = Record(TIME[:-1], level, logger, component, task, message, tuple(line.split("\n")))
    assert records(line.split("\n")) == [expected]
    fields = {"time": TIME, "level": level, "logger": logger, "message": message}
    line = json_line(place, fields, {})
    assert "\n" not in line
    assert records([line]) == [Record(TIME[:-1], level, logger, component, task, message, (line,))]


def test_a_worker_without_a_component_and_a_component_without_a_task() -> None:
    for place, component in ((None, None), (PLACE._replace(component=None, task=None), None), (PLACE, "split")):
        [found] = records([text_line(place and place._replace(task=None), TIME, "ERROR", "app", "no")])
        assert (found.component, found.task, found.message) == (component, None, "no")


def test_json_has_names_for_everything_and_what_was_added() -> None:
    fields = {"time": TIME, "level": "INFO", "logger": "app", "message": "m", "exception": None}
    told = json.loads(json_line(PLACE, fields, {"order": 5, "when": {1}}))
    assert told == {
        "time": TIME, "level": "INFO", "logger": "app", "message": "m", "topology": PLACE.topology,
        "worker": "[::1]:6700", "component": "split", "task": 7, "extra": {"order": 5, "when": "{1}"},
    }  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, {("a", 1): 2}, [[...]]])
def test_what_json_does_not_have_becomes_text(value: object) -> None:
    if isinstance(value, list):
        value.append(value)
    told = json.loads(json_line(None, {"time": TIME}, {"odd": value}))
    assert told["extra"]["odd"] == str(value)


def test_a_long_line_of_brackets_is_read_in_one_go() -> None:
    line = f"{TIME} INFO [wc-1-0/host:6700{'] x' * 50_000}"  # a minute, where each bracket may be the last one
    assert [record.lines for record in records([line])] == [(line,)]


def test_a_value_that_cannot_be_shown_takes_no_record_with_it() -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    told = json.loads(json_line(None, {"time": TIME}, {"odd": Unspeakable(), "order": 5}))
    assert told["extra"] == {"odd": "a value that cannot be shown", "order": "5"}


def test_lines_that_begin_no_record_belong_to_the_one_before() -> None:
    one, two = (text_line(PLACE, TIME, "ERROR", "app", name) for name in ("one", "two"))
    found = records(["stray", one, "Traceback (most recent call last):", "  ValueError", two])
    assert [record.message for record in found] == [
        "stray",
        "one\nTraceback (most recent call last):\n  ValueError",
        "two",
    ]
    assert [record.continues for record in found] == [True, False, False]
    assert found[0].time == ""
    [more] = records(["printed"], found[-1])
    assert (more.message, more.continues, more.time, more.component) == ("printed", True, TIME[:-1], "split")


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (
            "2026-01-31 23:59:59,123 WARNING storm.worker [MainThread] hello",
            "WARNING",
            "storm.worker [MainThread] hello",
        ),
        ("2026-01-31 23:59:59.123 - app - INFO - hello", None, "app - INFO - hello"),
        ("2026-01-31T23:59:59.123Z INFORMAL hello", None, "INFORMAL hello"),
    ],
)
def test_lines_of_other_forms_have_their_time_at_least(line: str, level: str | None, message: str) -> None:
    assert records([line]) == [Record(TIME[:-1], level, None, None, None, message, (line,))]


@pytest.mark.parametrize("line", ['{"time": "', '{"time": "soon"}', '{"time": "x", "message": 3', "", "[]"])
def test_what_only_looks_like_a_record_is_none(line: str) -> None:
    [found] = records([line])
    assert found.continues


def test_json_shows_its_traceback() -> None:
    line = json.dumps({"time": TIME, "level": "ERROR", "logger": "a", "message": "m", "exception": "Traceback\nE"})
    assert records([line])[0].message == "m\nTraceback\nE"
    assert readable([line, "printed", "{}"]) == [f"{TIME} ERROR a: m", "Traceback", "E", "printed", "{}"]
