"""The way to supervisors, for the few things that they alone can tell: nothing is shared or kept.

A host that hangs is in the way of nobody who wants something of another. What pages read by themselves has threads of
its own, and a supervisor is called only so often at a time: whoever waits for that holds no thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from storm.errors import ThriftConnectionError
from storm.thrift.client import ThriftClient
from storm.ui.call_threads import CallThreads

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 8  # calls to supervisors at a time, and as many of those that pages make by themselves; further ones wait
ASKED_EACH, READ_EACH = 2, 1  # to one supervisor at a time
READ_TIMEOUT_SECS = 3.0
TIMEOUT_SECS = 15.0  # a worker that is asked for its stacks has five
# A worker has thirty to count its heap, py-spy thirty to write a profile.
LONG_TIMEOUT_SECS, LONG = 45.0, {"getWorkerHeap", "dumpProfile", "stopProfile"}

Place: TypeAlias = tuple[str, int]  # a supervisor's host and port


class Supervisor(Protocol):
    """A client of one supervisor, as `ThriftClient`."""

    def call(self, method: str, *arguments: Any) -> Any: ...

    def close(self) -> None: ...


def connected(host: str, port: int, timeout_secs: float) -> Supervisor:
    """A client of the supervisor there; it connects when it is called."""
    return ThriftClient("Supervisor", host, port, timeout_secs)


class SupervisorLink:
    """`await link.ask(host, port, "getWorkerStacks", ...)`; it raises the StormError that came."""

    def __init__(self, connect: Callable[[str, int, float], Supervisor] = connected) -> None:
        self._connect = connect
        self._asked = _Calls(ASKED_EACH, "supervisors")
        self._read = _Calls(READ_EACH, "supervisors-read")

    async def ask(self, host: str, port: int, method: str, *arguments: Any) -> Any:
        """For what somebody wants to be done, or told at once."""
        timeout_secs = LONG_TIMEOUT_SECS if method in LONG else TIMEOUT_SECS
        async with self._asked.turn((host, port)):
            return await self._asked.threads.run(self._call, (host, port), timeout_secs, method, arguments)

    async def read(self, host: str, port: int, method: str, *arguments: Any) -> Any:
        """For what pages look at by themselves: one call to a supervisor at a time, and not for long. Where it does not
        answer, those that wait behind that call hear so too, with the same text.
        """
        turn = self._read.turn((host, port))
        silences = turn.silences
        async with turn:
            if turn.silences != silences:
                raise ThriftConnectionError(turn.silence)
            try:
                return await self._read.threads.run(self._call, (host, port), READ_TIMEOUT_SECS, method, arguments)
            except ThriftConnectionError as error:
                turn.silences, turn.silence = turn.silences + 1, str(error)
                raise

    def close(self) -> None:
        """Whoever waits for a supervisor gets a ThriftConnectionError, and so does whoever asks from now on."""
        self._asked.threads.close()
        self._read.threads.close()

    def _call(self, place: Place, timeout_secs: float, method: str, arguments: tuple[Any, ...]) -> Any:
        client = self._connect(*place, timeout_secs)
        try:
            return client.call(method, *arguments)
        finally:
            client.close()


class _Calls:
    """Calls of one kind: their threads, and `each` to one supervisor at a time."""

    def __init__(self, each: int, name: str) -> None:
        self.threads = CallThreads(THREADS, name)
        self._each = each
        self._turns: dict[Place, _Turn] = {}

    def turn(self, place: Place) -> _Turn:
        """To be waited for by `async with`, at once."""
        if place not in self._turns:
            self._turns[place] = _Turn(self._each, lambda: self._turns.pop(place))
        return self._turns[place]


class _Turn:
    """Whose turn it is to call one supervisor. `silences`: how often it did not answer while somebody waited here, and
    `silence` what was told of the last time. `on_empty` is called when nobody waits or calls any more.
    """

    def __init__(self, each: int, on_empty: Callable[[], object]) -> None:
        self.silences = 0
        self.silence = ""
        self._free = asyncio.Semaphore(each)
        self._there = 0
        self._on_empty = on_empty

    async def __aenter__(self) -> None:
        self._there += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
        self._leave()

    def _leave(self) -> None:
        self._there -= 1
        if self._there == 0:
            self._on_empty()
