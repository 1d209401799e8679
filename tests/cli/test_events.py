from __future__ import annotations

import json
from typing import Any, NamedTuple

import click
import pytest

from storm.cli.events import EventReader, event_lines
from storm.cli.logs import LogSource
from storm.errors import NotServedError, StormError, TopologyNotAliveError

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
