from __future__ import annotations

from typing import NamedTuple

from storm.cli.logs import LogReader, LogSource


class Part(NamedTuple):
    data: bytes
    offset: int
    size: int


class LogFile:
    """A supervisor's answer to readWorkerLog, over bytes that grow."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def call(self, method: str, topology_id: str, host: str, port: int, offset: int, length: int) -> Part:
        assert (method, topology_id, host, port) == ("readWorkerLog", "w-1-2", "h", 6700)
        start = max(0, len(self.data) + offset) if offset < 0 else min(offset, len(self.data))
        return Part(self.data[start : start + length], start, len(self.data))


SOURCE = LogSource("w-1-2", "h", 6700, 6628)


def test_the_last_lines_come_first_and_then_what_is_added() -> None:
    log = LogFile(b"one\ntwo\nthree\n")
    reader = LogReader(SOURCE, log, lines=2)
    assert reader.more() == ["two", "three"]
    assert reader.more() == []
    log.data += b"four\nfi"
    assert reader.more() == ["four"]
    log.data += b"ve\n"
    assert reader.more() == ["five"]


def test_a_log_that_was_rotated_is_read_from_its_new_beginning() -> None:
    log = LogFile(b"one\ntwo\n")
    reader = LogReader(SOURCE, log, lines=10)
    assert reader.more() == ["one", "two"]
    log.data = b"a\n"
    lines = [*reader.more(), *reader.more()]
    assert lines == ["a"]


def test_bytes_that_are_not_text_do_not_stop_it() -> None:
    assert LogReader(SOURCE, LogFile(b"\xff\xfe\n"), lines=5).more() == ["\ufffd\ufffd"]
