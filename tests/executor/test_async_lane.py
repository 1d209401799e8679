"""The lane on threads is in integration/executor; here it is stepped."""

from __future__ import annotations

import asyncio
from typing import Any

from several_workers import SeveralWorkers

from storm.executor.async_lane import FLUSH_SECS, AsyncLane
from storm.testing.spouts_and_bolts import FeederSpout
from storm.topology.builder import TopologyBuilder


def lane() -> tuple[SeveralWorkers, AsyncLane, Any]:
    builder = TopologyBuilder()
    builder.set_spout("words", FeederSpout(["word"]))
    one = SeveralWorkers(builder.create_topology(), {"topology.executor.lane": "async"})
    [found] = [lane for lane in one.workers[0].lanes if isinstance(lane, AsyncLane)]
    return one, found, found.executors[0]


def test_a_step_runs_coroutines_until_they_wait_for_something_outside() -> None:
    one, found, executor = lane()
    outside, done = found.loop.create_future(), []

    async def work() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("before")
        await outside
        done.append("after")

    found.spawn(executor, work())
    one.workers[0].step(one.clock.now())
    assert done == ["before"]
    due = found.next_due()
    assert due is not None
    assert due <= one.clock.now() + FLUSH_SECS
    outside.set_result(None)
    one.workers[0].step(one.clock.now())
    assert done == ["before", "after"]
    assert not found.under_way
    one.stop()


def test_the_end_cancels_what_is_under_way() -> None:
    one, found, executor = lane()
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    found.spawn(executor, work())
    one.workers[0].step(one.clock.now())
    one.stop()
    assert ended == ["cancelled"]
    assert one.workers[0].failure is None
    assert found.loop.is_closed()
