from __future__ import annotations

import json
from typing import Any, NamedTuple

import click
import pytest

from storm.cli.events import EventReader, event_files, event_lines, sampled_by_themselves, sampling_ended
from storm.cli.worker_files import FOLLOW_SECS, RETRY_SECS, LogSource
from storm.errors import (
    NimbusUnreachableError,
    NotServedError,
    StormError,
    ThriftConnectionError,
    TopologyNotAliveError,
)
from storm.testing.simulated_clock import SimulatedClock
from storm.thrift.interface import storm_thrift

SOURCE = LogSource("w-1-2", "h", 6700, 6628)
SPLIT = json.dumps({"time": 1_700_000_000, "component": "split", "task": 3, "stream": "default", "values": "['a', 1]"})
WORDS = json.dumps({"time": 1_700_000_000, "component": "words", "task": 1, "stream": "default", "values": "['a b']"})
DROPPED = json.dumps({"time": 1_700_000_000, "dropped": 1_200})


class Part(NamedTuple):
    data: bytes
    offset: int
    size: int


class Supervisor:
    """Answers readWorkerEvents; `data` None: nothing was sampled yet."""

    def __init__(self, data: bytes | None) -> None:
        self.data = data

    def call(self, method: str, *arguments: Any) -> Part:
        assert (method, arguments[:3]) == ("readWorkerEvents", ("w-1-2", "h", 6700))
        if self.data is None:
            raise TopologyNotAliveError("no worker has logged")
        offset = max(0, len(self.data) + arguments[3]) if arguments[3] < 0 else min(arguments[3], len(self.data))
        return Part(self.data[offset:], offset, len(self.data))


class OlderSupervisor:
    def call(self, method: str, *arguments: Any) -> Part:
        raise NotServedError(f"Supervisor has no method {method!r}")


def test_samples_are_read_once_there_are_any() -> None:
    supervisor = Supervisor(None)
    reader = EventReader(SOURCE, supervisor, lines=2)
    assert reader.more() == []
    supervisor.data = f"{WORDS}\n{SPLIT}\n{SPLIT}\n".encode()
    assert reader.more() == [SPLIT, SPLIT]
    supervisor.data += f"{WORDS}\n".encode()
    assert reader.more() == [WORDS]


def test_a_supervisor_of_an_older_release_is_told_as_such() -> None:
    with pytest.raises(StormError, match="older release"):
        EventReader(SOURCE, OlderSupervisor(), lines=2).more()


def shown(component: str | None = None, as_json: bool = False) -> list[str]:
    lines = ["half of a li", WORDS, "[]", "{}", SPLIT, DROPPED]
    return [click.unstyle(line) for line in event_lines(lines, "h:6700", component, as_json)]


def test_a_line_for_each_sample_and_none_for_what_is_none() -> None:
    words, split, dropped = shown()
    assert words.endswith("  h:6700  words (task 1, default)  ['a b']")
    assert split.endswith("  h:6700  split (task 3, default)  ['a', 1]")
    assert dropped.endswith("  h:6700  1,200 samples too many, left out")


def test_only_those_of_one_component() -> None:
    [split] = shown("split")
    assert "split (task 3" in split
    [as_json] = shown("split", as_json=True)
    assert json.loads(as_json) == {"worker": "h:6700", **json.loads(SPLIT)}


def test_values_of_users_move_no_terminal() -> None:
    event = {"time": 1_700_000_000, "component": "a\x1b[2J", "task": 3, "stream": "s", "values": "\x07\r['a']"}
    [line] = event_lines([json.dumps(event)], "h:6700", None, False)
    assert click.unstyle(line).endswith(r"a\x1b[2J (task 3, s)  \x07\r['a']")


class Nimbus:
    """Tells what of w-1-2 is sampled."""

    def __init__(self, **debug: tuple[bool, float]) -> None:
        self.debug = debug

    def call(self, method: str, *arguments: Any) -> Any:
        assert method == "getTopologyInfoByNameWithOpts"
        t = storm_thrift()
        options = {name: t.DebugOptions(enable=on, samplingpct=percent) for name, (on, percent) in self.debug.items()}
        return t.TopologyInfo(id="w-1-2", name="w", component_debug=options)


def test_what_is_still_sampled_once_the_topology_is_not() -> None:
    whole = {"w-1-2": (True, 10.0)}
    assert sampled_by_themselves(Nimbus(**whole, count=(False, 10.0), none=(True, 0.0)), "w") == []
    assert sampled_by_themselves(Nimbus(**whole, words=(True, 5.0), split=(True, 100.0)), "w") == ["split", "words"]


def test_the_commands_that_end_all_sampling_are_told() -> None:
    assert sampling_ended("w", []) == "w: no samples any more"
    said = sampling_ended("w", ["a b", "split"])
    assert said.startswith("w: no samples any more, but of components that are sampled by themselves:\n")
    assert said.splitlines()[1:] == ["  storm debug w 'a b' --off", "  storm debug w split --off"]


class Workers:
    """Two workers with samples, each with a supervisor of its own; what `failures` has for one is raised."""

    def __init__(self) -> None:
        self.supervisors = {SOURCE: Supervisor(f"{WORDS}\n".encode()), OTHER: Supervisor(f"{SPLIT}\n".encode())}
        self.failures: dict[LogSource, StormError] = {}
        self.silence: StormError | None = None
        self.clock = SimulatedClock()
        self.asked: list[LogSource] = []
        self.files = event_files(self.look, self.opened, self.clock)

    def look(self) -> list[LogSource]:
        if self.silence is not None:
            raise self.silence
        return list(self.supervisors)

    def opened(self, source: LogSource) -> EventReader:
        return EventReader(source, _Asked(self, source), lines=5)


class _Asked:
    def __init__(self, workers: Workers, source: LogSource) -> None:
        self._workers = workers
        self._source = source

    def call(self, method: str, *arguments: Any) -> Part:
        self._workers.asked.append(self._source)
        if self._source in self._workers.failures:
            raise self._workers.failures[self._source]
        return self._workers.supervisors[self._source].call(method, *arguments)


OTHER = SOURCE._replace(supervisor_port=6629)


def test_who_is_away_is_told_of_once_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    workers = Workers()
    workers.failures[OTHER] = ThriftConnectionError("h:6629: nothing listens there")
    following = workers.files.rounds()
    assert next(following) == [(SOURCE, [WORDS])]
    assert not workers.files.knows_none()
    workers.silence = NimbusUnreachableError("no Nimbus")
    shown_so_far: list[tuple[LogSource, list[str]]] = []
    for turn in range(int(4 * RETRY_SECS / FOLLOW_SECS)):
        if turn == 2:
            workers.supervisors[SOURCE].data = f"{WORDS}\n{SPLIT}\n".encode()
        if turn == int(2 * RETRY_SECS / FOLLOW_SECS):
            workers.failures.clear()
            workers.silence = None
        shown_so_far += [found for found in next(following) if found[1]]
    assert shown_so_far == [(SOURCE, [SPLIT]), (OTHER, [SPLIT])]
    told = capsys.readouterr().err.splitlines()
    assert [("6629" in text, "no Nimbus" in text) for text in told] == [(True, False), (False, True)]


def test_a_supervisor_of_an_older_release_hides_nobody_else(capsys: pytest.CaptureFixture[str]) -> None:
    workers = Workers()
    workers.failures[OTHER] = NotServedError("no such method")
    assert next(workers.files.rounds()) == [(SOURCE, [WORDS])]
    assert "older release" in capsys.readouterr().err


def test_where_nobody_can_be_asked_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    workers = Workers()
    workers.failures = dict.fromkeys((SOURCE, OTHER), ThriftConnectionError("nothing listens there"))
    assert next(workers.files.rounds()) == []
    assert workers.files.knows_none()
