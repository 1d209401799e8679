from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from storm.ui.pages import streams
from storm.ui.pages.streams import LIVE_SECS, SLOW_SECS, Streams, period_secs
from storm.ui.rest.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Page:
    """Is rendered when a test puts its next regions in; then `asked` is one more."""

    def __init__(self) -> None:
        self.next: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.count = 0

    async def render(self) -> dict[str, str]:
        self.count += 1
        self.asked.put_nowait(None)
        return await self.next.get()


class Watcher:
    """A client; while `reads` is not set it takes nothing."""

    def __init__(self, streams: Streams, page: Page, method: str = "GET") -> None:
        self.got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.leaves, self.reads = asyncio.Event(), asyncio.Event()
        self.reads.set()
        answer = streams.stream("key", page.render)
        self.task = asyncio.ensure_future(answer({"type": "http", "method": method}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        self.got.put_nowait(message)

    async def begun(self) -> Watcher:
        assert (await self.got.get())["type"] == "http.response.start"
        assert (await self.got.get())["body"].startswith(b"retry: ")
        return self

    async def told(self) -> Any:
        """The regions of the next event, or its name where it has none."""
        name, data = (await self.got.get())["body"].decode().removesuffix("\n\n").split("\n")
        return json.loads(data.removeprefix("data: ")) if name == "event: regions" else name.removeprefix("event: ")


def run(story: Callable[[Streams, Page], Awaitable[None]]) -> None:
    async def told() -> None:
        await story(Streams(), Page())

    asyncio.run(told())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LIVE_SECS", 0.0)
    monkeypatch.setattr(streams, "SHARE_MAX", 1e9)


def test_first_everything_is_told_then_what_changed() -> None:
    async def story(streams: Streams, page: Page) -> None:
        watcher = await Watcher(streams, page).begun()
        page.next.put_nowait({"a": "1", "b": "ü\n1"})
        assert await watcher.told() == {"a": "1", "b": "ü\n1"}
        page.next.put_nowait({"a": "1", "b": "ü\n1"})
        page.next.put_nowait({"a": "2", "b": "ü\n1"})
        assert await watcher.told() == {"a": "2"}

    run(story)


def test_all_who_watch_the_same_share_one_rendering() -> None:
    async def story(streams: Streams, page: Page) -> None:
        watchers = [await Watcher(streams, page).begun() for _ in range(10)]
        page.next.put_nowait({"a": "1"})
        assert [await each.told() for each in watchers] == [{"a": "1"}] * 10
        late = await Watcher(streams, page).begun()
        assert await late.told() == {"a": "1"}
        assert page.count <= 2  # the second waits for what comes next
        assert streams.count == 11

    run(story)


def test_who_reads_slowly_gets_what_is_new_by_then() -> None:
    async def story(streams: Streams, page: Page) -> None:
        slow = await Watcher(streams, page).begun()
        slow.reads.clear()
        await page.asked.get()
        for version in ("1", "2", "3", "4"):
            page.next.put_nowait({"a": version})
            await page.asked.get()
        slow.reads.set()
        told = [await slow.told()]
        while told[-1] != {"a": "4"}:
            told.append(await slow.told())
        assert len(told) <= 2  # what was on its way, and the last

    run(story)


def test_a_page_that_nobody_watches_any_more_is_not_rendered() -> None:
    async def story(streams: Streams, page: Page) -> None:
        watcher = await Watcher(streams, page).begun()
        watcher.leaves.set()
        await watcher.task
        assert streams.count == 0
        asked = page.count
        page.next.put_nowait({"a": "1"})
        again = await Watcher(streams, page).begun()
        assert await again.told() == {"a": "1"}
        assert page.count <= asked + 2

    run(story)


def test_at_the_end_all_streams_end_in_order() -> None:
    async def story(streams: Streams, page: Page) -> None:
        watcher = await Watcher(streams, page).begun()
        streams.close()
        await watcher.task
        last = [watcher.got.get_nowait() for _ in range(watcher.got.qsize())][-1]
        assert (last["body"], last.get("more_body", False)) == (b"", False)
        with pytest.raises(Problem, match="about to end"):
            streams.check()

    run(story)


def test_there_are_so_many_streams_and_no_more() -> None:
    async def story(_: Streams, page: Page) -> None:
        few = Streams(streams_max=2)
        watchers = []
        for _ in range(2):
            few.check()
            watchers.append(await Watcher(few, page).begun())
        with pytest.raises(Problem, match="2 pages are being watched"):
            few.check()
        watchers[0].leaves.set()
        await watchers[0].task
        few.check()

    run(story)


def test_a_page_that_does_not_change_is_told_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "TICK_SECS", 0.001)

    async def story(streams: Streams, page: Page) -> None:
        watcher = await Watcher(streams, page).begun()
        assert [await watcher.told(), await watcher.told()] == ["tick", "tick"]

    run(story)


def test_whoever_asks_for_the_head_gets_that_only() -> None:
    async def story(streams: Streams, page: Page) -> None:
        watcher = Watcher(streams, page, "HEAD")
        await watcher.task
        start, end = watcher.got.get_nowait(), watcher.got.get_nowait()
        headers = dict(start["headers"])
        assert (headers[b"content-type"], b"content-length" in headers) == (b"text/event-stream", False)
        assert end["body"] == b""
        assert page.count == 0

    run(story)


def test_after_a_change_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LIVE_SECS", 1e6)
    monkeypatch.setattr(streams, "SLOW_SECS", 1e6)

    async def story(streams: Streams, page: Page) -> None:
        watcher = await Watcher(streams, page).begun()
        page.next.put_nowait({"a": "1"})
        await watcher.told()
        streams.hurry()
        page.next.put_nowait({"a": "2"})
        assert await watcher.told() == {"a": "2"}

    run(story)


def test_many_dear_pages_are_rendered_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert period_secs(0.01, 1) == LIVE_SECS
    assert period_secs(0.02, 100) == pytest.approx(8.0)
    assert period_secs(5.0, 10) == SLOW_SECS  # it waited for Nimbus, which may be back soon
