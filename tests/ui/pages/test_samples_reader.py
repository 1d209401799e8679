from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from storm.testing.simulated_clock import SimulatedClock
from storm.ui.pages import samples_reader
from storm.ui.pages.samples_reader import FAR_BYTES, NEAR_BYTES, SamplesReader, Told
from storm.ui.rest.samples import ALL, Of
from storm.ui.supervisor_link import SupervisorLink

PLACE = ("h", 6628, "t-1-1", 6700)


class Supervisor:
    """Tells of `data` what it is asked for, once `may_answer`. `lengths`: how much it was asked for."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.lengths: list[int] = []
        self.calls = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.began = threading.Event()

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls += 1
        self.began.set()
        assert (method, arguments[:3]) == ("readWorkerEvents", ("t-1-1", "h", 6700))
        assert self.may_answer.wait(30)
        offset, length = arguments[3:]
        self.lengths.append(length)
        start = max(0, len(self.data) + offset)
        return SimpleNamespace(data=self.data[start : start + length], offset=start, size=len(self.data))

    def close(self) -> None:
        pass


class Stacks:
    """Tells which method was called."""

    def call(self, method: str, *arguments: Any) -> Any:
        return method

    def close(self) -> None:
        pass


def reader_of(supervisor: Supervisor) -> tuple[SamplesReader, SimulatedClock, SupervisorLink]:
    clock, link = SimulatedClock(), SupervisorLink(lambda host, port, secs: supervisor)
    return SamplesReader(link, clock), clock, link


def test_many_who_look_cost_a_supervisor_one_call_in_a_while() -> None:
    async def look() -> None:
        supervisor = Supervisor(b"a\nb\n")
        reader, clock, link = reader_of(supervisor)
        found = await asyncio.gather(*(reader.last(PLACE) for _ in range(9)))
        assert (set(found), supervisor.calls) == ({Told(("a", "b"))}, 1)
        clock.advance(samples_reader.FRESH_SECS)
        await reader.last(PLACE)
        assert supervisor.calls == 2
        link.close()

    asyncio.run(look())


def test_only_whole_lines_are_told() -> None:
    async def look() -> None:
        reader, _, link = reader_of(Supervisor(b"x" * samples_reader.NEAR_BYTES + b"\nwhole\nbegin"))
        assert await reader.last(PLACE) == Told(("whole",), is_all=False)
        link.close()

    asyncio.run(look())


def lines_of(component: str, count: int) -> bytes:
    event = {"time": 1, "component": component, "task": 4, "stream": "default", "values": "[1]"}
    return f"{json.dumps(event)}\n".encode() * count


@pytest.mark.parametrize(
    ("data", "of", "found", "lengths"),
    [
        (lines_of("rare", 3) + lines_of("busy", 900), Of("rare"), 3, [NEAR_BYTES, FAR_BYTES]),
        (lines_of("rare", 3) + lines_of("busy", 900), Of("busy"), 199, [NEAR_BYTES]),
        (lines_of("rare", 3) + lines_of("busy", 900), ALL, 199, [NEAR_BYTES]),
        (lines_of("rare", 3) + lines_of("busy", 90), Of("rare"), 3, [NEAR_BYTES]),
        (lines_of("rare", 3) + lines_of("busy", 9_000), Of("rare"), 0, [NEAR_BYTES, FAR_BYTES]),
    ],
    ids=["farther back", "enough is near", "all", "the whole file is near", "too far back"],
)
def test_it_reads_farther_back_where_few_of_those_that_are_meant_are_near(
    data: bytes, of: Of, found: int, lengths: list[int]
) -> None:
    async def look() -> None:
        supervisor = Supervisor(data)
        reader, _, link = reader_of(supervisor)
        told = await reader.last(PLACE, of)
        assert (len(told.lines), told.problem, supervisor.lengths) == (found, "", lengths)
        assert all(of.takes(line) for line in told.lines)
        link.close()

    asyncio.run(look())


def test_whichever_samples_are_meant_a_supervisor_is_asked_for_them_once() -> None:
    async def look() -> None:
        supervisor = Supervisor(lines_of("rare", 3) + lines_of("busy", 900))
        reader, _, link = reader_of(supervisor)
        meant = [ALL, *(Of(stream=f"no-{number}") for number in range(9))]
        await asyncio.gather(*(reader.last(PLACE, of) for of in meant))
        assert sorted(supervisor.lengths) == [NEAR_BYTES, FAR_BYTES]
        link.close()

    asyncio.run(look())


def test_a_supervisor_that_hangs_is_not_waited_for_and_not_asked_twice(monkeypatch: Any) -> None:
    monkeypatch.setattr(samples_reader, "PATIENCE_SECS", 0.0)

    async def look() -> None:
        supervisor = Supervisor(b"a\n")
        supervisor.may_answer.clear()
        reader, clock, link = reader_of(supervisor)
        for _ in range(3):
            assert (await reader.last(PLACE)).problem == "its supervisor has not answered yet"
            clock.advance(100)
        assert supervisor.began.wait(30)
        assert supervisor.calls == 1
        supervisor.may_answer.set()
        link.close()

    asyncio.run(look())


def test_samples_of_a_host_that_hangs_keep_no_action_elsewhere_waiting(monkeypatch: Any) -> None:
    monkeypatch.setattr(samples_reader, "PATIENCE_SECS", 0.0)

    async def look() -> None:
        hanging, healthy = Supervisor(), Stacks()
        hanging.may_answer.clear()
        link = SupervisorLink(lambda host, port, secs: hanging if host == "h" else healthy)
        reader = SamplesReader(link, SimulatedClock())
        for port in range(6700, 6740):
            assert (await reader.last(("h", 6628, "t-1-1", port))).problem
        assert await link.ask("other", 6628, "getWorkerStacks", "t-1-1", 6700) == "getWorkerStacks"
        assert hanging.calls <= 1
        hanging.may_answer.set()
        link.close()

    asyncio.run(look())


def test_a_worker_whose_supervisor_is_gone() -> None:
    async def look() -> None:
        supervisor = Supervisor()
        reader, _, link = reader_of(supervisor)
        assert "gone" in (await reader.last(("h", 0, "t-1-1", 6700))).problem
        assert supervisor.calls == 0
        link.close()

    asyncio.run(look())
