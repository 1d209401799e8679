from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click
import pytest
from worker_log import OTHER, SOURCE, LogFile, line, stamp

from storm.cli.logs import Reading, as_dict, duration_secs, pattern, shown
from storm.cli.merged_logs import Choice
from storm.cli.worker_files import FOLLOW_SECS, LOOK_SECS, LogReader
from storm.errors import ThriftConnectionError
from storm.log_lines import json_line, records
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from storm.cli.worker_files import LogSource


class Site:
    """Two workers' logs, and what is printed of them."""

    def __init__(self, choice: Choice | None = None, **options: Any) -> None:
        self.logs = {SOURCE: LogFile(), OTHER: LogFile()}
        self.sources: list[LogSource] = [SOURCE, OTHER]
        self.reading = Reading(
            lambda: self.sources,
            lambda source: LogReader(source, self.logs[source]),
            SimulatedClock(now=100.0),
            choice or Choice(),
            **options,
        )
        self.rounds = self.reading.rounds()

    def begin(self) -> list[str]:
        return [record.message for _, record in [*next(self.rounds), *self.reading.merge.rest()]]


def test_logs_of_all_workers_are_one() -> None:
    site = Site()
    site.logs[SOURCE].data = line(1, "a") + line(3, "c") + b"Traceback\n"
    site.logs[OTHER].data = line(2, "b") + line(4, "d")
    assert site.begin() == ["a", "b", "c\nTraceback", "d"]


def test_of_each_log_the_last_that_are_chosen() -> None:
    site = Site(Choice("split", "WARNING"), lines=2)
    noise = b"".join(line(9, "x" * 1000) for _ in range(200))
    for number, log in enumerate(site.logs.values()):
        warnings = b"".join(line(2 * second + number, f"{number}.{second}", "split", "ERROR") for second in range(3))
        log.data = warnings + noise + line(10, "fine", "split") + line(11, "another's", "count", "ERROR")
    assert site.begin() == ["0.1", "1.1", "0.2", "1.2"]


def test_since_a_time() -> None:
    site = Site(lines=None, since=stamp(2))
    site.logs[SOURCE].data = line(1, "early") + b"".join(line(2, "x" * 1000) for _ in range(200))
    site.logs[OTHER].data = line(3, "late")
    found = site.begin()
    assert (len(found), found[-1]) == (201, "late")


def test_what_is_added_comes_in_order_and_workers_come_and_go() -> None:
    site = Site()
    assert site.begin() == []
    site.logs[SOURCE].data += line(2, "two")
    site.logs[OTHER].data += line(1, "one")
    shown_so_far: list[str] = []
    third = SOURCE._replace(port=6702)
    for turn in range(int(4 * LOOK_SECS / FOLLOW_SECS)):
        if turn == 1:
            site.logs[third] = LogFile(line(3, "of a new worker"))
            site.sources = [SOURCE, third]
            site.logs[OTHER].data += line(2.5, "its last")
        shown_so_far += [record.message for _, record in next(site.rounds)]
    assert shown_so_far == ["one", "two", "its last", "of a new worker"]
    assert set(site.reading.files.readers) == {SOURCE, third}


def test_a_log_that_cannot_be_read_is_told_and_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    site = Site()
    site.logs[SOURCE].failure = ThriftConnectionError("h:6628 does not answer")
    site.logs[OTHER].data = line(1, "one")
    assert site.begin() == ["one"]
    assert capsys.readouterr().err == "the log of h:6700 cannot be read: h:6628 does not answer\n"
    assert not site.reading.files.knows_none()


def test_a_record_is_shown_with_level_worker_component_and_task() -> None:
    [record] = records(line(1, "took 3\n  of 5", "split", "WARNING").decode().splitlines())
    assert click.unstyle(shown(record, "h:6700")) == (
        "2026-01-31T00:00:01.000Z WARNING h:6700 split/3 app: took 3\n  of 5"
    )
    assert click.unstyle(shown(record, None)) == "2026-01-31T00:00:01.000Z WARNING split/3 app: took 3\n  of 5"
    assert "\x1b[33m" in shown(record, None)
    fields = {"time": stamp(1), "level": "INFO", "logger": "app", "message": "m"}
    [as_json] = records([json_line(None, fields, {})])
    assert click.unstyle(shown(as_json, "h:6700")) == "2026-01-31T00:00:01.000Z INFO    h:6700 app: m"


def test_lines_of_other_forms_are_shown_as_they_are() -> None:
    other, *_ = records(["2026-01-31 00:00:01,000 INFO x [MainThread] y", "more"])
    assert click.unstyle(shown(other, "h:6700")) == "h:6700 2026-01-31 00:00:01,000 INFO x [MainThread] y\nmore"
    [printed] = records(["printed"])
    assert (click.unstyle(shown(printed, "h:6700")), shown(printed, None)) == ("h:6700 printed", "printed")


def test_as_plain_data() -> None:
    [record] = records(line(1, "took 3", "split").decode().splitlines())
    told = json.loads(json.dumps(as_dict(SOURCE, record)))
    assert told["line"] == line(1, "took 3", "split").decode().rstrip()
    assert (told["worker"], told["component"], told["task"], told["level"]) == ("h:6700", "split", 3, "INFO")


def test_times_and_patterns_are_checked() -> None:
    assert [duration_secs(None, None, text) for text in ("90s", "10m", "2h", "1d")] == [90, 600, 7_200, 86_400]
    for text in ("10", "m", "-1m", "1.5h", "10 minutes", ""):
        with pytest.raises(click.BadParameter, match="expected a time such as 90s, 10m, 2h or 1d"):
            duration_secs(None, None, text)
    assert pattern(None, None, "a+") == re.compile("a+")
    with pytest.raises(click.BadParameter, match="is no regular expression"):
        pattern(None, None, "(")
    assert duration_secs(None, None, None) is pattern(None, None, None) is None


def test_colours_of_users_are_shown_and_nothing_else_that_a_terminal_obeys() -> None:
    [record] = records(line(1, "\x1b[31mred\x1b]0;title\x07").decode().split("\n")[:1])
    assert shown(record, None).endswith("app: \x1b[31mred" + r"\x1b]0;title\x07" + "\x1b[0m")
    [printed] = records(["over\rwritten\x1b[H"])
    assert shown(printed, None) == r"over\rwritten\x1b[H"
