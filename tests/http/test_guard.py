"""The guard in front of an application of one path; tests/ui/test_guard.py has what the UI's pages make of it."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from storm.http import guard
from storm.http.guard import NO_ROUTE, ROUTE, Guard, read_body
from storm.http.problems import Problem
from storm.http.request_guard import BODY_BYTES_MAX, Tokens
from storm.http.responses import HEADERS, problem_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import pytest

SEEN: list[tuple[str, str, int]] = []


class StoppedClock:
    def now(self) -> float:
        return 0.0

    def wall_secs(self) -> int:
        return 0

    def thread_busy_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        raise AssertionError("nobody sleeps here")


async def echo(request: Any) -> Any:
    request.scope[ROUTE] = "/"
    try:
        return PlainTextResponse(await read_body(request))
    except Problem as problem:
        return problem_answer(problem)


async def hello(request: Any) -> Any:
    return PlainTextResponse("hello")


async def slow(request: Any) -> Any:
    """Until two requests have been refused."""
    while len(SEEN) < 2:
        await asyncio.sleep(0)
    return PlainTextResponse("late")


T = TypeVar("T")


def with_client(asks: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """What it returns with a client of the application behind the guard."""
    SEEN.clear()
    routes = [Route("/", echo, methods=["GET", "POST"]), Route("/slow", slow), Route("/hello", hello)]
    guarded = Guard(
        Starlette(routes=routes),
        frozenset({"own"}),
        Tokens(b"secret"),
        StoppedClock(),
        lambda *seen: SEEN.append(seen[:3]),
    )

    async def asked() -> T:
        transport = httpx.ASGITransport(guarded)
        async with httpx.AsyncClient(transport=transport, base_url="http://own:80", timeout=60) as client:
            return await asks(client)

    return asyncio.run(asked())


def ask(method: str, path: str = "/", count: int = 1, **more: Any) -> list[httpx.Response]:
    """So many requests at the same time."""

    async def asked(client: httpx.AsyncClient) -> list[httpx.Response]:
        return await asyncio.gather(*(client.request(method, path, **more) for _ in range(count)))

    return with_client(asked)


def test_an_answer_has_the_headers_that_all_have_and_is_seen() -> None:
    [answer] = ask("POST", content=b"hello")
    assert answer.text == "hello"
    assert all(answer.headers[name] == value for name, value in HEADERS.items())
    assert SEEN == [("POST", "/", 200)]


def test_what_is_refused_is_seen_without_a_path_that_a_client_made_up() -> None:
    assert ask("GET", "/made-up", headers={"host": "other"})[0].status_code == 403
    assert SEEN == [("GET", NO_ROUTE, 403)]
    assert ask("POST", headers={"origin": "http://other"})[0].status_code == 403


def test_a_body_without_its_length_is_refused_once_it_is_too_long() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 65_536 + 1):
            yield b" " * 65_536

    assert ask("POST", content=pieces())[0].status_code == 413


def test_of_bodies_that_are_too_long_one_is_read_at_a_time() -> None:
    read: list[int] = []

    async def pieces(number: int) -> AsyncIterator[bytes]:
        yield b" " * (BODY_BYTES_MAX + 1)
        for _ in range(50):
            read.append(number)
            yield b" "
            await asyncio.sleep(0)

    async def asked(client: httpx.AsyncClient) -> list[int]:
        answers = await asyncio.gather(*(client.post("/", content=pieces(number)) for number in range(3)))
        return [answer.status_code for answer in answers]

    assert with_client(asked) == [413] * 3
    assert [number for number, _ in groupby(read)] == list(dict.fromkeys(read))
    assert len(read) == 3 * 50


def test_a_body_that_is_too_long_and_does_not_end_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECS", 0.05)

    async def pieces() -> AsyncIterator[bytes]:
        yield b" " * (BODY_BYTES_MAX + 1)
        await asyncio.Event().wait()

    assert ask("POST", content=pieces())[0].status_code == 413


def test_who_sends_a_body_slowly_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ACTIVE_MAX", 3)
    monkeypatch.setattr(guard, "BODIES_MAX", 5)

    async def asked(client: httpx.AsyncClient) -> tuple[list[int], list[int], list[int]]:
        over, begun = asyncio.Event(), asyncio.Semaphore(0)

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x"
            begun.release()
            await over.wait()
            yield b"y"

        slow = [asyncio.create_task(client.post("/", content=pieces())) for _ in range(5)]
        for _ in slow:
            await begun.acquire()
        others = [(await client.get("/hello")).status_code for _ in range(5)]
        bodies = [(await client.post("/", content=b"x")).status_code for _ in range(2)]
        oldest = await slow[0]  # while the others still wait
        over.set()
        return others, bodies, [answer.status_code for answer in (oldest, *await asyncio.gather(*slow[1:]))]

    assert with_client(asked) == ([200] * 5, [200] * 2, [503] + [200] * 4)


def test_there_are_not_too_many_requests_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ACTIVE_MAX", 3)
    found = sorted(answer.status_code for answer in ask("GET", "/slow", count=5))
    assert found == [200, 200, 200, 503, 503]
