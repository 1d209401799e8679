"""Streams of server-sent events: whoever watches a page is sent its regions as they change; one rendering for all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.responses import Response

from storm.ui.pages.regions import Versions
from storm.ui.responses import json_bytes
from storm.ui.rest.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from starlette.types import Receive, Scope, Send

    Render = Callable[[], Awaitable[dict[str, str]]]  # {region: HTML}; it does not fail

STREAMS_MAX = 100
LIVE_SECS, SLOW_SECS = 2.0, 10.0  # from one rendering of a page to its next, at least and at most
SHARE_MAX = 0.25  # of the time may go into renderings; where it would be more, they come less often
TICK_SECS = 5.0  # a page that does not change is told so: scripts notice a stream that is broken
RETRY = b"retry: 2000\n\n"  # milliseconds after which a browser tries again
TICK = b"event: tick\ndata: 1\n\n"
HEADERS = {"content-type": "text/event-stream", "x-accel-buffering": "no"}  # a proxy must not wait for more


class Streams:
    """All streams of one UI. It belongs to one event loop."""

    def __init__(self, streams_max: int = STREAMS_MAX) -> None:
        self.count = 0
        self.is_closed = False
        self._streams_max = streams_max
        self._watched: dict[Hashable, _Watched] = {}
        self._hurry = asyncio.Event()

    def check(self) -> None:
        """Raises Problem 503 where no further stream may begin."""
        if self.is_closed:
            raise Problem(503, "The UI is about to end.")
        if self.count >= self._streams_max:
            raise Problem(503, f"{self._streams_max} pages are being watched: this one is not live for now.")

    def stream(self, key: Hashable, render: Render) -> EventStream:
        """An answer that goes on until its client leaves, or `close`. What has the same `key` is rendered once."""
        return EventStream(self, key, render)

    def join(self, key: Hashable, render: Render) -> _Watched:
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched()
            watched.task = asyncio.get_running_loop().create_task(self._keep_rendering(watched, render))
        watched.watchers += 1
        self.count += 1
        return watched

    def leave(self, key: Hashable, watched: _Watched) -> None:
        watched.watchers -= 1
        self.count -= 1
        if watched.watchers == 0:
            del self._watched[key]
            if watched.task is not None:
                watched.task.cancel()

    def hurry(self) -> None:
        """Something was changed: whoever watches sees it at once."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    def close(self) -> None:
        """End all streams in order, so that the server can end."""
        self.is_closed = True
        for watched in self._watched.values():
            watched.tell()

    async def _keep_rendering(self, watched: _Watched, render: Render) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began, hurry = loop.time(), self._hurry
            if watched.versions.put(await render()):
                watched.tell()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period_secs(loop.time() - began, len(self._watched))):
                    await hurry.wait()


class EventStream(Response):
    """A client that reads slowly is sent what is new when it has read what was sent: never more than that waits."""

    def __init__(self, streams: Streams, key: Hashable, render: Render) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._streams = streams
        self._key = key
        self._render = render

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            await self._stream(receive, send)
        await send({"type": "http.response.body", "body": b""})

    async def _stream(self, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_until_gone(receive))
        watched = self._streams.join(self._key, self._render)
        seen, message = 0, RETRY
        try:
            while not gone.done() and not self._streams.is_closed:
                await send({"type": "http.response.body", "body": message, "more_body": True})
                if watched.versions.version == seen:
                    await asyncio.wait((gone, watched.changed), timeout=TICK_SECS, return_when=asyncio.FIRST_COMPLETED)
                message, seen = watched.message(seen), watched.versions.version
        finally:
            gone.cancel()
            self._streams.leave(self._key, watched)


class _Watched:
    """A page that is watched: what it is now, and a future that is done as soon as it is something else."""

    def __init__(self) -> None:
        self.versions = Versions()
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None
        self.changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._messages: dict[int, bytes] = {}  # {a version that was seen: what came after it}

    def tell(self) -> None:
        self._messages = {}
        self.changed.set_result(None)
        self.changed = asyncio.get_running_loop().create_future()

    def message(self, seen: int) -> bytes:
        if seen == self.versions.version:
            return TICK
        if seen not in self._messages:
            self._messages[seen] = b"event: regions\ndata: " + json_bytes(self.versions.since(seen)) + b"\n\n"
        return self._messages[seen]


def period_secs(spent_secs: float, watched: int) -> float:
    """How long to wait after a rendering that took `spent_secs`, while so many pages are watched."""
    return min(max(LIVE_SECS, spent_secs * watched / SHARE_MAX), SLOW_SECS)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
