from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from storm.errors import ThriftConnectionError
from storm.ui.supervisor_link import (
    ASKED_EACH,
    LONG_TIMEOUT_SECS,
    READ_TIMEOUT_SECS,
    THREADS,
    TIMEOUT_SECS,
    Supervisor,
    SupervisorLink,
    connected,
)


class SupervisorStandIn:
    def __init__(self) -> None:
        self.closed = 0

    def call(self, method: str, *arguments: Any) -> Any:
        return method, arguments

    def close(self) -> None:
        self.closed += 1


def test_each_call_has_a_connection_of_its_own() -> None:
    supervisor, asked = SupervisorStandIn(), []

    def connect(host: str, port: int, timeout_secs: float) -> SupervisorStandIn:
        asked.append((host, port, timeout_secs))
        return supervisor

    link = SupervisorLink(connect)
    assert asyncio.run(link.ask("a", 6628, "getHostReport", [])) == ("getHostReport", ([],))
    assert (asked, supervisor.closed) == ([("a", 6628, TIMEOUT_SECS)], 1)
    asyncio.run(link.ask("a", 6628, "getWorkerHeap", "w-1-1", 6700))
    assert (asked[1:], supervisor.closed) == ([("a", 6628, LONG_TIMEOUT_SECS)], 2)
    link.close()


def test_a_supervisor_that_is_not_there_is_told() -> None:
    link = SupervisorLink()
    with pytest.raises(ThriftConnectionError, match="nothing listens there"):
        asyncio.run(link.ask("127.0.0.1", 1, "getHostReport", []))
    link.close()


class Hanging:
    """A supervisor that answers nothing until it is `freed`, and breaks off then. `most`: of its calls at a time."""

    def __init__(self) -> None:
        self.calls = self.under_way = self.most = 0
        self.freed = threading.Event()
        self._lock = threading.Lock()

    def call(self, method: str, *arguments: Any) -> Any:
        with self._lock:
            self.calls += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        assert self.freed.wait(60)
        with self._lock:
            self.under_way -= 1
        raise ThriftConnectionError("hangs:6628: no answer within 3 s")

    def close(self) -> None:
        pass


def link_to(hanging: Hanging) -> SupervisorLink:
    """The supervisor on host `hangs`; others answer."""
    return SupervisorLink(lambda host, port, secs: hanging if host == "hangs" else SupervisorStandIn())


async def settled(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_a_supervisor_that_accepts_and_never_answers_is_in_nobodys_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def connect(host: str, port: int, timeout_secs: float) -> Supervisor:
            is_silent = port == silent.getsockname()[1]
            return connected(host, port, 60.0) if is_silent else SupervisorStandIn()

        async def ask() -> None:
            link, place = SupervisorLink(connect), silent.getsockname()
            events = ("readWorkerEvents", "w-1-1", place[0], 6700, -100, 100)
            reads = [asyncio.create_task(link.read(*place, *events)) for _ in range(THREADS + 1)]
            asked = [asyncio.create_task(link.ask(*place, "getWorkerStacks", "w-1-1", 6700)) for _ in reads]
            await asyncio.sleep(0)  # all of them wait now
            assert await link.ask("other", 6628, "restartWorker") == ("restartWorker", ())
            assert await link.read("other", 6628, "readWorkerEvents") == ("readWorkerEvents", ())
            assert not any(task.done() for task in (*reads, *asked))
            link.close()
            told = await settled([*reads, *asked])
            assert {type(one) for one in told} == {ThriftConnectionError}

        asyncio.run(ask())


def test_pages_read_one_thing_of_a_supervisor_at_a_time_and_who_waits_hears_that_it_is_silent() -> None:
    async def read() -> None:
        hanging = Hanging()
        link = link_to(hanging)
        reads = [asyncio.create_task(link.read("hangs", 6628, "readWorkerEvents", port)) for port in range(9)]
        await asyncio.sleep(0)
        hanging.freed.set()
        told = await settled(reads)
        assert {str(one) for one in told} == {"hangs:6628: no answer within 3 s"}
        assert hanging.calls == 1
        await settled([asyncio.create_task(link.read("hangs", 6628, "readWorkerEvents", 9))])
        assert hanging.calls == 2, "a later one tries again"
        link.close()

    asyncio.run(read())


def test_people_who_ask_are_each_served_a_few_at_a_time() -> None:
    async def ask() -> None:
        hanging = Hanging()
        link = link_to(hanging)
        asked = [asyncio.create_task(link.ask("hangs", 6628, "getWorkerStacks", port)) for port in range(9)]
        await asyncio.sleep(0)
        hanging.freed.set()
        await settled(asked)
        assert hanging.calls == 9
        assert hanging.most <= ASKED_EACH
        link.close()

    asyncio.run(ask())


def test_pages_do_not_wait_for_long() -> None:
    asked = []

    def connect(host: str, port: int, timeout_secs: float) -> SupervisorStandIn:
        asked.append(timeout_secs)
        return SupervisorStandIn()

    link = SupervisorLink(connect)
    asyncio.run(link.read("a", 6628, "readWorkerEvents"))
    assert asked == [READ_TIMEOUT_SECS]
    link.close()
