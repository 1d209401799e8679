from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import click
import pytest

from storm.cli.logs import (
    CHUNK_BYTES,
    FOLLOW_SECS,
    LOOK_SECS,
    LogReader,
    LogSource,
    Reading,
    as_dict,
    duration_secs,
    log_sources,
    open_log,
    pattern,
    shown,
)
from storm.cli.merged_logs import Choice
from storm.errors import NimbusUnreachableError, StormError, ThriftConnectionError
from storm.log_lines import Place, Record, json_line, records, text_line
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.interface import storm_thrift


class Part(NamedTuple):
    data: bytes
    offset: int
    size: int


class LogFile:
    """A supervisor's answer to readWorkerLog, over bytes that grow. While `failure` is set it is raised."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.failure: StormError | None = None
        self.calls = 0

    def call(self, method: str, topology_id: str, host: str, port: int, offset: int, length: int) -> Part:
        assert (method, topology_id, host) == ("readWorkerLog", "w-1-2", "h")
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        start = max(0, len(self.data) + offset) if offset < 0 else min(offset, len(self.data))
        return Part(self.data[start : start + length], start, len(self.data))


SOURCE = LogSource("w-1-2", "h", 6700, 6628)
OTHER = SOURCE._replace(port=6701)


def stamp(second: float) -> str:
    return f"2026-01-31T00:00:{second:06.3f}Z"


def line(second: float, text: str, component: str | None = None, level: str = "INFO") -> bytes:
    place = Place("w-1-2", "h:6700", component, 3 if component else None)
    return text_line(place, stamp(second), level, "app", text).encode() + b"\n"


def begun(log: LogFile) -> LogReader:
    """One that has read what there is."""
    reader = LogReader(SOURCE, log)
    reader.last(lambda found: False)
    return reader


def messages(found: list[Record]) -> list[str]:
    return [record.message for record in found]


def test_what_is_there_comes_first_and_then_what_is_added() -> None:
    log = LogFile(line(1, "one") + line(2, "two") + b"printed\n" + b"half of")
    reader = LogReader(SOURCE, log)
    assert messages(reader.last(lambda found: False)) == ["one", "two\nprinted"]
    assert reader.more() == []
    log.data += b" a line\n" + line(3, "three")
    assert messages(reader.more()) == ["half of a line", "three"]
    log.data += b"only printed\n"
    [more] = reader.more()
    assert (more.message, more.continues, more.time) == ("only printed", True, stamp(3)[:-1])


def test_no_more_is_read_than_is_enough() -> None:
    log = LogFile(b"".join(line(1, f"{number} {'x' * 1000}") for number in range(400)))
    first = LogReader(SOURCE, log).last(lambda found: True)
    assert 0 < len(first) < 100
    assert log.calls == 1
    reader = LogReader(SOURCE, log)
    assert len(reader.last(lambda found: len(found) >= 400)) == 400
    assert reader.more() == []
    log.data += line(2, "added")
    assert messages(reader.more()) == ["added"]


def test_much_is_read_in_one_look() -> None:
    log = LogFile()
    reader = begun(log)
    log.data = b"".join(line(1, "x" * 1000) for _ in range(3 * CHUNK_BYTES // 1000))
    assert len(reader.more()) == 3 * CHUNK_BYTES // 1000


def test_a_log_that_was_emptied_is_read_from_its_new_beginning() -> None:
    log = LogFile(line(1, "one") + line(2, "two"))
    reader = begun(log)
    log.data = line(3, "a")
    assert messages(reader.more()) == ["a"]


def test_odd_characters_stop_nothing_and_break_no_line() -> None:
    log = LogFile(b"\xff\xfe\n" + line(1, "a\u2028b\x85c"))
    assert messages(LogReader(SOURCE, log).last(lambda found: False)) == ["\ufffd\ufffd", "a\u2028b\x85c"]


class Site:
    """Two workers' logs, and what is printed of them."""

    def __init__(self, choice: Choice | None = None, **options: Any) -> None:
        self.logs = {SOURCE: LogFile(), OTHER: LogFile()}
        self.clock = SimulatedClock(now=100.0)
        self.sources: list[LogSource] = [SOURCE, OTHER]
        self.failure: StormError | None = None
        self.reading = Reading(
            lambda source: LogReader(source, self.logs[source]), self.clock, choice or Choice(), **options
        )

    def look(self) -> list[LogSource]:
        if self.failure is not None:
            raise self.failure
        return self.sources

    def begin(self) -> list[str]:
        self.reading.look(self.look())
        self.reading.read()
        return [record.message for _, record in self.reading.merge.rest()]


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
    site.begin()
    following = site.reading.follow(site.look)
    next(following)
    site.logs[SOURCE].data += line(2, "two")
    site.logs[OTHER].data += line(1, "one")
    shown_so_far: list[str] = []
    third = SOURCE._replace(port=6702)
    for turn in range(int(4 * LOOK_SECS / FOLLOW_SECS)):
        if turn == 1:
            site.logs[third] = LogFile(line(3, "of a new worker"))
            site.sources = [SOURCE, third]
            site.logs[OTHER].data += line(2.5, "its last")
        shown_so_far += [record.message for _, record in next(following)]
    assert shown_so_far == ["one", "two", "its last", "of a new worker"]
    assert set(site.reading.readers) == {SOURCE, third}


def test_who_does_not_answer_is_told_once_and_hides_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    site = Site()
    site.logs[SOURCE].failure = ThriftConnectionError("h:6628 does not answer")
    site.logs[OTHER].data = line(1, "one")
    assert site.begin() == ["one"]
    assert not site.reading.knows_none()
    site.failure = NimbusUnreachableError("no Nimbus")
    following = site.reading.follow(site.look)
    shown_so_far: list[str] = []
    for turn in range(60):
        if turn == 20:
            site.logs[SOURCE].failure = site.failure = None
            site.logs[SOURCE].data = line(2, "back")
        shown_so_far += [record.message for _, record in next(following)]
    assert shown_so_far == ["back"]
    told = capsys.readouterr().err.splitlines()
    assert [text for text in told if "h:6628 does not answer" in text] == told[:1]
    assert len([text for text in told if "no Nimbus" in text]) == 1
    assert site.logs[SOURCE].calls < 60  # it keeps everybody waiting


def test_where_no_log_can_be_read_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    site = Site()
    for log in site.logs.values():
        log.failure = StormError("no worker has logged here")
    assert site.begin() == []
    assert site.reading.knows_none()
    assert "h:6701" in capsys.readouterr().err


class Nimbus:
    """Tells of two workers of w, and sees the supervisors that `seen` names."""

    def __init__(self, *seen: str, ports: tuple[int, ...] = (6700, 6701)) -> None:
        self.seen = seen
        self.ports = ports

    def call(self, method: str, *arguments: Any) -> Any:
        t = storm_thrift()
        if method == "getTopologySummaryByName":
            return t.TopologySummary(id="w-1-2", name="w")
        if method == "getTopologyPageInfo":
            workers = [t.WorkerSummary(supervisor_id=f"of-{port}", host="h", port=port) for port in self.ports]
            return t.TopologyPageInfo(id="w-1-2", workers=workers)
        assert method == "getClusterInfo"
        return t.ClusterSummary(
            supervisors=[t.SupervisorSummary(supervisor_id=one, thrift_port=6628) for one in self.seen]
        )


def test_a_worker_whose_supervisor_is_not_seen_is_told_and_is_no_worker_less(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two = log_sources(Nimbus("of-6700"), "w", None)
    assert (one, two) == (SOURCE, OTHER._replace(supervisor_port=None))
    site = Site()
    unseen = open_log(two)
    reading = Reading(lambda source: unseen if source == two else LogReader(source, LogFile(b"")), site.clock, Choice())
    reading.look([one, two])
    for _ in range(3):
        reading.read()
    [told] = capsys.readouterr().err.splitlines()
    assert "the log of h:6701 cannot be read: the supervisor of h:6701 is not seen by Nimbus" in told
    assert not reading.knows_none()
    reading.look([two])
    assert reading.knows_none()
    with pytest.raises(StormError, match="w has no worker yet: nothing is assigned"):
        log_sources(Nimbus("of-6700", ports=()), "w", None)


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
