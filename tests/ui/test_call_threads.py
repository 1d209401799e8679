from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from storm.errors import ThriftConnectionError
from storm.ui.call_threads import CallThreads

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def threads() -> Iterator[CallThreads]:
    threads = CallThreads(2, "others")
    yield threads
    threads.close()


def test_what_a_call_returns_and_raises_reaches_who_waits(threads: CallThreads) -> None:
    async def ask() -> None:
        assert await threads.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 7, 0)
        assert await asyncio.gather(*(threads.run(abs, -number) for number in range(9))) == list(range(9))

    asyncio.run(ask())


def test_no_more_run_at_a_time_than_there_are_threads(threads: CallThreads) -> None:
    meet, seen = threading.Barrier(2), set()

    def call() -> None:
        seen.add(threading.current_thread().name)
        meet.wait(60)

    async def ask() -> None:
        await asyncio.gather(*(threads.run(call) for _ in range(6)))

    asyncio.run(ask())
    assert seen == {"others-0", "others-1"}


def test_who_waits_is_told_of_the_end_while_the_call_still_hangs(threads: CallThreads) -> None:
    begun, over = threading.Event(), threading.Event()
    hanging: list[threading.Thread] = []

    def hang() -> None:
        hanging.append(threading.current_thread())
        begun.set()
        over.wait(60)

    async def ask() -> list[Any]:
        waiting = [asyncio.create_task(threads.run(hang)) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 60)
        threads.close()
        return await asyncio.gather(*waiting, return_exceptions=True)

    told = asyncio.run(ask())
    assert [type(one) for one in told] == [ThriftConnectionError] * 3
    assert not over.is_set()
    assert hanging[0].is_alive()
    assert hanging[0].daemon, "the process would wait for it"
    over.set()
    hanging[0].join(60)
    assert not hanging[0].is_alive()


def test_after_the_end_nothing_is_asked(threads: CallThreads) -> None:
    threads.close()
    with pytest.raises(ThriftConnectionError, match="The UI is ending"):
        asyncio.run(threads.run(divmod, 1, 1))
