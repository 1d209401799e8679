"""The way to Nimbus for all requests together: a few threads, each with its connection, and answers that are shared."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Protocol

from storm.clock import format_wall_utc
from storm.errors import (
    CoordinationError,
    NimbusUnreachableError,
    NotLeaderError,
    StormError,
    ThriftConnectionError,
)
from storm.ui.call_threads import CallThreads
from storm.ui.nimbus_answers import Answer, Answers, Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from storm.clock import Clock
    from storm.ui.measures import Measures

THREADS = 4  # calls to Nimbus at a time
UNHEARD = (NimbusUnreachableError, NotLeaderError, ThriftConnectionError)
SILENT = (*UNHEARD, CoordinationError)  # of a read: Nimbus has nothing to read from


class Nimbus(Protocol):
    """A client of the leading Nimbus, as `NimbusClient`: it belongs to one thread."""

    def call(self, method: str, *arguments: Any) -> Any: ...

    def close(self) -> None: ...


class NimbusLink:
    """`await link.read("getClusterInfo")`, `await link.change("activate", name)`; both raise the StormError that came.

    Reads of the same thing share one call and its answer for two seconds. While Nimbus does not answer, the error is a
    NimbusUnreachableError that says since when, and it comes at once. It belongs to one event loop.
    """

    def __init__(self, connect: Callable[[], Nimbus], clock: Clock, measures: Measures) -> None:
        """`connect` makes a client for each thread; it does not fail."""
        self._connect = connect
        self._clock = clock
        self._measures = measures
        self._answers = Answers()
        self._silence = Silence()
        self._under_way: dict[Hashable, asyncio.Task[Answer]] = {}
        self._threads = CallThreads(THREADS, "nimbus")
        self._clients = threading.local()
        self._open: list[Nimbus] = []

    @property
    def silent_since_wall_secs(self) -> int | None:
        """None: Nimbus answered the last call, or was never asked."""
        return None if self._silence.error is None else self._silence.since_wall_secs

    async def read(self, method: str, *arguments: Any) -> Any:
        call = (method, repr(arguments))
        answer = self._answers.get(call, self._clock.now())
        self._measures.read(method, is_kept=answer is not None or call in self._under_way)
        if answer is None:
            # Shielded: whoever goes away does not take the answer from the others.
            answer = await asyncio.shield(self._task(call, method, arguments))
        return _value(answer)

    async def ask(self, method: str, *arguments: Any) -> Any:
        """As `read`, of what must be as it is this moment."""
        return _value(await self._ask(method, arguments))

    async def change(self, method: str, *arguments: Any) -> Any:
        """Never shared, and whoever reads afterwards sees what it did."""
        task = asyncio.get_running_loop().create_task(self._ask_and_forget(method, arguments))
        return _value(await asyncio.shield(task))

    def close(self) -> None:
        """Whoever waits for Nimbus gets a StormError, and so does whoever asks from now on."""
        self._threads.close()
        for client in self._open:
            client.close()

    def _task(self, call: Hashable, method: str, arguments: tuple[Any, ...]) -> asyncio.Task[Answer]:
        task = self._under_way.get(call)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask_and_keep(call, method, arguments))
            self._under_way[call] = task
        return task

    async def _ask_and_keep(self, call: Hashable, method: str, arguments: tuple[Any, ...]) -> Answer:
        generation = self._answers.generation
        try:
            answer = await self._ask(method, arguments)
        finally:
            if self._under_way.get(call) is asyncio.current_task():
                del self._under_way[call]
        if not isinstance(answer.error, SILENT):
            self._answers.put(call, answer, generation, self._clock.now())
        return answer

    async def _ask_and_forget(self, method: str, arguments: tuple[Any, ...]) -> Answer:
        try:
            # That ZooKeeper takes no such change says nothing of what others read.
            return await self._ask(method, arguments, UNHEARD)
        finally:
            self._answers.changed()
            self._under_way.clear()

    async def _ask(
        self, method: str, arguments: tuple[Any, ...], silent: tuple[type[StormError], ...] = SILENT
    ) -> Answer:
        """Errors of `silent` are those of a Nimbus that does not answer."""
        if not self._silence.may_try(self._clock.now()):
            return Answer(error=self._silent())
        began = self._clock.now()
        try:
            answer: Answer = await self._threads.run(self._call, method, arguments)
        except ThriftConnectionError as error:  # the UI ends
            return Answer(error=error)
        except Exception:
            self._silence.heard()  # a bug here: it says nothing of Nimbus
            raise
        now = self._clock.now()
        self._measures.asked(method, now - began, answer.error)
        if isinstance(answer.error, silent):
            self._silence.failed(answer.error, now, self._clock.wall_secs())
            self._measures.nimbus_is_up(False)
            return Answer(error=self._silent())
        self._silence.heard()
        self._measures.nimbus_is_up(True)
        return answer

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Answer:
        """In one of the threads."""
        client: Nimbus | None = getattr(self._clients, "client", None)
        if client is None:
            client = self._clients.client = self._connect()
            self._open.append(client)
        try:
            return Answer(client.call(method, *arguments))
        except StormError as error:
            return Answer(error=error)

    def _silent(self) -> NimbusUnreachableError:
        since = format_wall_utc(self._silence.since_wall_secs)
        return NimbusUnreachableError(f"Nimbus has not answered since {since}: {self._silence.error}")


def _value(answer: Answer) -> Any:
    if answer.error is not None:
        raise answer.error.with_traceback(None)
    return answer.value
