from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from storm.ui.pages import samples_reader
from storm.ui.pages.samples_reader import SamplesReader, Told
from storm.ui.supervisor_link import SupervisorLink

PLACE = ("h", 6628, "t-1-1", 6700)


class Supervisor:
    """Tells `data`, which begins at `offset`, once `may_answer`."""

    def __init__(self, data: bytes = b"", offset: int = 0) -> None:
        self.part = SimpleNamespace(data=data, offset=offset, size=offset + len(data))
        self.calls = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.began = threading.Event()

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls += 1
        self.began.set()
        assert (method, arguments[:3]) == ("readWorkerEvents", ("t-1-1", "h", 6700))
        assert self.may_answer.wait(30)
        return self.part

    def close(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.secs = 0.0

    def now(self) -> float:
        return self.secs

    def wall_secs(self) -> int:
        return int(self.secs)

    def sleep(self, secs: float) -> None:
        self.secs += secs


def reader_of(supervisor: Supervisor) -> tuple[SamplesReader, Clock, SupervisorLink]:
    clock, link = Clock(), SupervisorLink(lambda host, port, secs: supervisor)
    return SamplesReader(link, clock), clock, link


def test_many_who_look_cost_a_supervisor_one_call_in_a_while() -> None:
    async def look() -> None:
        supervisor = Supervisor(b"a\nb\n")
        reader, clock, link = reader_of(supervisor)
        found = await asyncio.gather(*(reader.last(*PLACE) for _ in range(9)))
        assert (set(found), supervisor.calls) == ({Told(("a", "b"))}, 1)
        clock.secs += samples_reader.FRESH_SECS
        await reader.last(*PLACE)
        assert supervisor.calls == 2
        link.close()

    asyncio.run(look())


def test_only_whole_lines_are_told() -> None:
    async def look() -> None:
        reader, _, link = reader_of(Supervisor(b"alf\nwhole\nbegin", offset=7))
        assert await reader.last(*PLACE) == Told(("whole",))
        link.close()

    asyncio.run(look())


def test_a_supervisor_that_hangs_is_not_waited_for_and_not_asked_twice(monkeypatch: Any) -> None:
    monkeypatch.setattr(samples_reader, "PATIENCE_SECS", 0.0)

    async def look() -> None:
        supervisor = Supervisor(b"a\n")
        supervisor.may_answer.clear()
        reader, clock, link = reader_of(supervisor)
        for _ in range(3):
            assert (await reader.last(*PLACE)).problem == "its supervisor has not answered yet"
            clock.secs += 100
        assert supervisor.began.wait(30)
        assert supervisor.calls == 1
        supervisor.may_answer.set()
        link.close()

    asyncio.run(look())


def test_a_worker_whose_supervisor_is_gone() -> None:
    async def look() -> None:
        supervisor = Supervisor()
        reader, _, link = reader_of(supervisor)
        assert "gone" in (await reader.last("h", 0, "t-1-1", 6700)).problem
        assert supervisor.calls == 0
        link.close()

    asyncio.run(look())
