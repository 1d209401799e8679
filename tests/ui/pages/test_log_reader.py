from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from storm.testing.simulated_clock import SimulatedClock
from storm.ui.pages import log_reader
from storm.ui.pages.log_part import Part, Wanted
from storm.ui.pages.log_reader import LogReader, Told
from storm.ui.rest.log_search import RECORDS_MAX
from storm.ui.supervisor_link import SupervisorLink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

AT = ("h", 6628)


def search(reader: LogReader, at: tuple[str, int], topology_id: str, text: str) -> Coroutine[Any, Any, Told]:
    return reader.search(at, topology_id, text, reader.deadline())


class Supervisor:
    """Finds its text once `may_answer`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.began = threading.Event()

    def call(self, method: str, *arguments: Any) -> Any:
        self.calls.append((method, *arguments))
        self.began.set()
        assert self.may_answer.wait(30)
        if method in {"readWorkerLog", "readWorkerDump"}:
            return SimpleNamespace(data=b"x\n", offset=0, size=2)
        return SimpleNamespace(records=[arguments[1]], is_cut=False)

    def close(self) -> None:
        pass


def with_reader(use: Callable[[LogReader, Supervisor, SimulatedClock], Coroutine[Any, Any, None]]) -> None:
    async def used() -> None:
        supervisor, clock = Supervisor(), SimulatedClock()
        link = SupervisorLink(lambda host, port, secs: supervisor)
        try:
            await use(LogReader(link, clock), supervisor, clock)
        finally:
            supervisor.may_answer.set()
            link.close()

    asyncio.run(used())


def test_many_who_look_for_the_same_cost_one_search_in_a_while() -> None:
    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        found = await asyncio.gather(*(search(reader, AT, "t-1", "x") for _ in range(9)))
        assert (set(found), len(supervisor.calls)) == ({Told(("x",))}, 1)
        clock.advance(log_reader.KEPT_SECS)
        await search(reader, AT, "t-1", "x")
        assert len(supervisor.calls) == 2
        assert await search(reader, AT, "t-1", "y") == Told(("y",))
        assert await search(reader, AT, "t-2", "y") == Told(("y",))

    with_reader(use)


def test_a_supervisor_searches_for_one_text_at_a_time_and_is_not_waited_for(monkeypatch: Any) -> None:
    monkeypatch.setattr(log_reader, "PATIENCE_SECS", 0.0)

    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        supervisor.may_answer.clear()
        for _ in range(3):
            assert "still searching" in (await search(reader, AT, "t-1", "x")).problem
            assert "something else" in (await search(reader, AT, "t-1", "y")).problem
            clock.advance(100)
        await asyncio.to_thread(supervisor.began.wait, 30)
        assert len(supervisor.calls) == 1
        supervisor.may_answer.set()
        monkeypatch.setattr(log_reader, "PATIENCE_SECS", 30.0)
        assert await search(reader, AT, "t-1", "x") == Told(("x",))
        assert len(supervisor.calls) == 1

    with_reader(use)


def test_only_some_supervisors_search_at_a_time() -> None:
    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        supervisor.may_answer.clear()
        count = log_reader.SEARCHING_MAX
        searches = [asyncio.create_task(search(reader, (f"h{i}", 6628), "t-1", "x")) for i in range(2 * count)]
        await asyncio.to_thread(supervisor.began.wait, 30)
        assert 0 < len(supervisor.calls) <= count
        supervisor.may_answer.set()
        assert [one.problem for one in await asyncio.gather(*searches)] == [""] * 2 * count

    with_reader(use)


def test_of_searches_whose_turn_has_not_come_the_newest_stays() -> None:
    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        supervisor.may_answer.clear()
        busy = [
            asyncio.create_task(search(reader, (f"h{i}", 6628), "t-1", "x")) for i in range(log_reader.SEARCHING_MAX)
        ]
        older = asyncio.create_task(search(reader, AT, "t-1", "x"))
        await asyncio.to_thread(supervisor.began.wait, 30)
        newer = asyncio.create_task(search(reader, AT, "t-2", "y"))
        told = await older
        assert ("another search" in told.problem, told.is_late) == (True, True)
        assert "something else" in (await search(reader, ("h0", 6628), "t-2", "y")).problem
        supervisor.may_answer.set()
        assert await newer == Told(("y",))
        assert set(await asyncio.gather(*busy)) == {Told(("x",))}
        assert ("searchWorkerLogs", "t-2", "y", RECORDS_MAX) in supervisor.calls
        assert len(supervisor.calls) == log_reader.SEARCHING_MAX + 1

    with_reader(use)


def test_what_some_found_is_kept_while_others_search(monkeypatch: Any) -> None:
    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        first, second = AT, ("other", 6628)
        assert await search(reader, first, "t-1", "x") == Told(("x",))
        supervisor.may_answer.clear()
        monkeypatch.setattr(log_reader, "PATIENCE_SECS", 0.0)
        for _ in range(3):
            assert "still searching" in (await search(reader, second, "t-1", "x")).problem
            clock.advance(0.9 * log_reader.KEPT_SECS)
        monkeypatch.setattr(log_reader, "PATIENCE_SECS", 30.0)
        supervisor.may_answer.set()
        assert await search(reader, second, "t-1", "x") == Told(("x",))
        clock.advance(0.9 * log_reader.KEPT_SECS)
        assert await search(reader, first, "t-1", "x") == Told(("x",))
        assert len(supervisor.calls) == 2

    with_reader(use)


def test_a_supervisor_that_is_gone_is_not_asked() -> None:
    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        assert "gone" in (await search(reader, ("h", 0), "t-1", "x")).problem
        assert supervisor.calls == []

    with_reader(use)


def test_a_part_is_read_by_one_call() -> None:
    async def use(reader: LogReader, supervisor: Supervisor, clock: SimulatedClock) -> None:
        found = await reader.read(AT, "t-1", 6700, Wanted(start=0))
        assert found == Part((("x\n", False),), 0, 2, 2)
        assert await reader.read(AT, "t-1", 6700, Wanted(start=0, file="worker.log.2")) == found
        assert supervisor.calls == [
            ("readWorkerLog", "t-1", "h", 6700, 0, 65_536),
            ("readWorkerDump", "t-1", 6700, "worker.log.2", 0, 65_536),
        ]

    with_reader(use)
