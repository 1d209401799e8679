"""What every request passes: who may ask, how much at a time, and what is measured of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request

from storm.http import request_guard
from storm.http.problems import Problem
from storm.http.responses import HEADERS, problem_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Set
    from typing import TypeAlias

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from storm.clock import Clock
    from storm.http.request_guard import Tokens

    Seen: TypeAlias = Callable[[str, str, int, float], None]  # method, route, status, seconds

ACTIVE_MAX = 200  # requests that are being answered
# Requests whose body is still coming: who sends it slowly takes no place of those who wait for answers, and gives way
# to others that have one.
BODIES_MAX = 200
EVENTS = "/events"  # in front of a page's path: the stream of its changes, which is no request that is being answered
BODY_SECS = 10.0  # until a body is complete
DRAINED_BYTES_MAX = 32 << 20  # of a body that is too long, so that its sender comes to read why
ROUTE = "storm.route"  # the key of a scope that holds the path as it stands in the table, for what is measured
GAVE_WAY = "storm.gave_way"  # the key of a scope whose body is not waited for any longer, for the sake of others
DRAINING = "storm.draining"  # the key of a scope whose value lets one pass over the rest of its body at a time
NO_ROUTE = "none"  # the label of what was refused, or no path: clients must not make up labels


class Guard:
    """An ASGI application in front of another. `seen` is told of every request once it is answered."""

    def __init__(self, app: ASGIApp, names: Set[str], tokens: Tokens, clock: Clock, seen: Seen) -> None:
        self._app = app
        self._names = names
        self._tokens = tokens
        self._clock = clock
        self._seen = seen
        self._active = 0
        self._bodies: dict[_Body, None] = {}  # in the order in which they began
        self._draining = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[DRAINING] = self._draining
        began, status = self._clock.now(), 500
        is_stream = scope["path"].startswith(f"{EVENTS}/")
        request = Request(scope, receive)
        has_body = _has_body(request)
        body = _Body(scope, receive)
        if has_body and not is_stream:
            request = Request(scope, self._counted(body))
        closes = scope["method"] in request_guard.HARMLESS and has_body

        def measure() -> None:
            self._seen(scope["method"], scope.get(ROUTE, NO_ROUTE), status, self._clock.now() - began)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if closes or status == 413:
                    headers["connection"] = "close"
                if is_stream:
                    measure()  # now: it may go on for days
            await send(message)

        if is_stream:
            await self._answered(request, sending)
            return
        self._active += 1
        try:
            await self._answered(request, sending)
        finally:
            self._active -= 1
            self._bodies.pop(body, None)
            measure()

    def _counted(self, body: _Body) -> Receive:
        """While it waits for its body, a request is none that is being answered."""
        self._bodies[body] = None
        if len(self._bodies) > BODIES_MAX:
            oldest = next(iter(self._bodies))
            del self._bodies[oldest]
            oldest.give_way()

        async def receiving() -> Message:
            if body.is_whole:
                return await body.received()
            self._active -= 1
            try:
                return await body.received()
            finally:
                self._active += 1
                if body.is_whole:
                    self._bodies.pop(body, None)

        return receiving

    async def _answered(self, request: Request, send: Send) -> None:
        try:
            self._check(request)
        except Problem as problem:
            if problem.status == 413:
                await _drain(request)
            await problem_answer(problem)(request.scope, request.receive, send)
        else:
            await self._app(request.scope, request.receive, send)

    def _check(self, request: Request) -> None:
        headers = request.headers
        if self._active > ACTIVE_MAX:
            raise Problem(503, f"{ACTIVE_MAX} requests are being answered: ask again in a moment.")
        request_guard.check_host(headers.get("host"), self._names)
        request_guard.check_size(request.scope.get("raw_path") or b"", headers)
        request_guard.check_extras(request.query_params, headers)
        token = request_guard.cookie_token(request.cookies, headers.get("host", ""))
        request_guard.check_origin(request.method, headers, token, self._tokens.is_ours)


class _Body:
    """The body of a request, as far as it has come; it can be told that nobody waits for the rest."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.is_whole = False
        self._scope = scope
        self._receive = receive
        self._wait: asyncio.Timeout | None = None

    def give_way(self) -> None:
        self._scope[GAVE_WAY] = True
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def received(self) -> Message:
        """Its next part; after `give_way` the message that the client has gone."""
        if GAVE_WAY in self._scope:
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout(None) as self._wait:
                message = await self._receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        finally:
            self._wait = None
        self.is_whole = not message.get("more_body", False)
        return message


async def read_body(request: Request) -> bytes:
    """Raises Problem 413 where it is too long, 408 where it takes too long, 503 where others' bodies took its place."""
    parts: list[bytes] = []
    size = 0
    stream = request.stream()
    try:
        async with asyncio.timeout(BODY_SECS):
            async for part in stream:
                size += len(part)
                if size > request_guard.BODY_BYTES_MAX:
                    async with request.scope[DRAINING]:  # else some without an end would take all of this thread's time
                        await _pass_over(stream)
                    break
                parts.append(part)
    except TimeoutError:
        if size > request_guard.BODY_BYTES_MAX:
            raise request_guard.too_large() from None
        raise Problem(408, f"The body has not come within {BODY_SECS:g} s.") from None
    except ClientDisconnect:
        if GAVE_WAY in request.scope:
            raise Problem(503, f"{BODIES_MAX} newer bodies are on their way: send it again, and faster.") from None
        raise Problem(400, "The client went away before its body had come.") from None
    if size > request_guard.BODY_BYTES_MAX:
        raise request_guard.too_large()
    return b"".join(parts)


async def _pass_over(stream: AsyncIterator[bytes]) -> None:
    size = 0
    async for part in stream:
        size += len(part)
        if size > DRAINED_BYTES_MAX:
            return


async def _drain(request: Request) -> None:
    try:
        await read_body(request)
    except Problem:
        return


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"
