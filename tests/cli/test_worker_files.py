from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from worker_log import OTHER, SOURCE, LogFile, line, stamp

from storm.cli.worker_files import (
    CHUNK_BYTES,
    FOLLOW_SECS,
    LOOK_SECS,
    RETRY_SECS,
    LogReader,
    LogSource,
    WorkerFiles,
    log_sources,
    supervisor_of,
)
from storm.errors import NimbusUnreachableError, StormError, ThriftConnectionError
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from storm.log_lines import Record


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


def test_a_worker_whose_supervisor_is_not_seen_is_no_worker_less() -> None:
    one, two = log_sources(Nimbus("of-6700"), "w", None)
    assert (one, two) == (SOURCE, OTHER._replace(supervisor_port=None))
    with pytest.raises(StormError, match="the supervisor of h:6701 is not seen by Nimbus; its log is on that host"):
        supervisor_of(two, 1.0).call("readWorkerLog")
    with pytest.raises(StormError, match="w has no worker yet: nothing is assigned"):
        log_sources(Nimbus("of-6700", ports=()), "w", None)


class Numbers:
    """Each worker tells a number, one more at each look; who is away raises its failure."""

    def __init__(self) -> None:
        self.workers = [SOURCE, OTHER]
        self.failures: dict[LogSource, StormError] = {}
        self.silence: StormError | None = None
        self.asked: list[LogSource] = []
        self.files = WorkerFiles("the number", self.look, _Number, self.next, SimulatedClock(now=100.0))
        self.rounds = self.files.rounds()

    def look(self) -> list[LogSource]:
        if self.silence is not None:
            raise self.silence
        return self.workers

    def next(self, number: _Number) -> int:
        self.asked.append(number.source)
        if number.source in self.failures:
            raise self.failures[number.source]
        number.value += 1
        return number.value


class _Number:
    def __init__(self, source: LogSource) -> None:
        self.source = source
        self.value = 0


def rounds_in(secs: float) -> range:
    return range(int(secs / FOLLOW_SECS) + 1)


def test_who_is_gone_is_read_once_more_and_who_stays_is_read_on() -> None:
    numbers = Numbers()
    assert next(numbers.rounds) == [(SOURCE, 1), (OTHER, 1)]
    third = SOURCE._replace(port=6702)
    numbers.workers = [SOURCE, third]
    found = [one for _ in rounds_in(LOOK_SECS) for one in next(numbers.rounds)]
    looks = int(LOOK_SECS / FOLLOW_SECS)
    assert [value for source, value in found if source == OTHER] == list(range(2, looks + 2))
    assert found[-2:] == [(SOURCE, looks + 2), (third, 1)]
    assert set(numbers.files.readers) == {SOURCE, third}


def test_who_is_away_is_told_of_once_and_asked_again_after_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = Numbers()
    numbers.failures[OTHER] = ThriftConnectionError("h:6628 does not answer")
    assert next(numbers.rounds) == [(SOURCE, 1)]
    assert not numbers.files.knows_none()
    numbers.silence = NimbusUnreachableError("no Nimbus")
    for _ in rounds_in(2 * RETRY_SECS):
        next(numbers.rounds)
    assert numbers.asked.count(OTHER) == 3
    told = capsys.readouterr().err.splitlines()
    of_numbers = [text for text in told if "number" in text]
    assert of_numbers == ["the number of h:6701 cannot be read: h:6628 does not answer"]
    assert len([text for text in told if "no Nimbus" in text]) == 1
    numbers.failures.clear()
    numbers.silence = None
    found = [one for _ in rounds_in(RETRY_SECS) for one in next(numbers.rounds)]
    assert (OTHER, 1) in found
    assert capsys.readouterr().err == ""


def test_where_nothing_can_be_read_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = Numbers()
    numbers.failures = dict.fromkeys(numbers.workers, StormError("no worker has logged here"))
    assert next(numbers.rounds) == []
    assert numbers.files.knows_none()
    assert "h:6701" in capsys.readouterr().err


def test_without_a_first_look_there_is_nothing_to_read() -> None:
    numbers = Numbers()
    numbers.silence = NimbusUnreachableError("no Nimbus")
    with pytest.raises(NimbusUnreachableError):
        next(numbers.rounds)
