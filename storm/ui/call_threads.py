"""Threads for calls to other daemons: whoever waits for one is told when the UI ends, and nothing waits for them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.errors import ThriftConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable


class _Call(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class CallThreads:
    """`await threads.run(function, ...)`: so many at a time, further ones wait. It belongs to one event loop.

    Not the standard library's executor: a process waits for its threads, so that one daemon that does not answer would
    hold up the end of this one.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What it returns or raises; ThriftConnectionError once they are closed."""
        if self._is_closed:
            raise _ending()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.add(future)
        self._start()
        self._calls.put(_Call(loop, future, function, arguments))
        try:
            return await future
        finally:
            self._waiting.discard(future)

    def close(self) -> None:
        """Whoever waits is told, and no call begins any more; those that are under way end as they will."""
        self._is_closed = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(_ending())
        for _ in self._threads:
            self._calls.put(None)

    def _start(self) -> None:
        while len(self._threads) < self._count:
            name = f"{self._name}-{len(self._threads)}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if call.future.done():
                continue  # nobody waits for it any more
            result, error = None, None
            try:
                result = call.function(*call.arguments)
            except Exception as raised:  # noqa: BLE001 - whoever waits gets it
                error = raised
            with suppress(RuntimeError):  # the loop has ended
                call.loop.call_soon_threadsafe(_settle, call.future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _ending() -> ThriftConnectionError:
    return ThriftConnectionError("The UI is ending: ask again when it runs.")
