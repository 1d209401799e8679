"""The async lane: one event loop for components whose methods are `async def`, with many tuples under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storm.executor.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from storm.executor.executor import Executor
    from storm.executor.lanes import Lanes

FLUSH_SECS = 0.001  # while coroutines are under way: what they emit waits no longer
# What tasks of a component's own have acked or emitted, of which no lane hears, waits no longer.
BACKGROUND_SECS = 0.05
STEP_ROUNDS = 50  # of the loop in one step without any coroutine ending: then they wait for something outside


class AsyncLane(Lane):
    """A lane whose turns happen in an event loop. Executors start coroutines by `spawn`."""

    runs_coroutines = True

    def __init__(self, name: str, lanes: Lanes) -> None:
        super().__init__(name, lanes)
        self.loop = asyncio.new_event_loop()
        self.under_way: dict[asyncio.Task[None], tuple[Executor, Coroutine[Any, Any, None]] | None] = {}
        self.ended = 0  # coroutines so far
        self.gives_up = False
        self.pause: asyncio.Future[None] | None = None

    def spawn(self, executor: Executor, coroutine: Coroutine[Any, Any, None], may_last: bool = False) -> None:
        """Run a coroutine of an executor; an exception in it ends the worker. `may_last`: it may wait for long."""
        task = self.loop.create_task(self.guarded(executor, coroutine))
        self.under_way[task] = None if may_last else (executor, coroutine)
        task.add_done_callback(self.note_end)

    async def guarded(self, executor: Executor, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            await coroutine
        except asyncio.CancelledError as error:
            # Not by the lane: something that user code awaited was cancelled, and its tuples would be held for ever.
            if self.gives_up:
                raise
            self.lanes.fail(executor, error)
        except Exception as error:  # noqa: BLE001
            self.lanes.fail(executor, error)

    def note_end(self, task: asyncio.Task[None]) -> None:
        self.under_way.pop(task, None)
        self.ended += 1
        self.end_pause()

    def wake_locked(self) -> None:
        self.woken = True
        if self.asleep:
            self.loop.call_soon_threadsafe(self.end_pause)

    def coroutines(self) -> list[tuple[Any, Executor, Any]]:
        return [(task, *whose) for task, whose in list(self.under_way.items()) if whose is not None]

    def end_pause(self) -> None:
        if self.pause is not None and not self.pause.done():
            self.pause.set_result(None)

    def next_due(self) -> float | None:
        due = super().next_due()
        if not self.under_way:
            return due
        soon = self.lanes.clock.now() + FLUSH_SECS
        return soon if due is None else min(due, soon)

    # Stepped

    def stepped(self, now: float) -> bool:
        return self.loop.run_until_complete(self.step_async(now))

    async def step_async(self, now: float) -> bool:
        """A turn, then the loop until its coroutines ended or wait for something outside, then what that brought."""
        did = self.turn(now)
        rounds = 0
        while self.under_way and rounds < STEP_ROUNDS:
            ended = self.ended
            await asyncio.sleep(0)
            rounds = 0 if self.ended != ended else rounds + 1
        return self.turn(now) or did

    # The thread

    def turn_until_end(self) -> None:
        try:
            self.loop.run_until_complete(self.main())
        finally:
            self.loop.close()

    async def main(self) -> None:
        clock = self.lanes.clock
        while not self.lanes.stopping and self.lanes.failure is None:
            if self.turn(clock.now()):
                await asyncio.sleep(0)
                continue
            due = self.next_due()
            await self.sleep_async(BACKGROUND_SECS if due is None else min(due - clock.now(), BACKGROUND_SECS))
        await self.end()

    async def sleep_async(self, secs: float) -> None:
        if secs <= 0:
            await asyncio.sleep(0)
            return
        self.pause = self.loop.create_future()
        with self.lock:
            if self.woken or self.lanes.stopping or self.lanes.failure is not None:
                return
            self.asleep = True
        timer = self.loop.call_later(secs, self.end_pause)
        await self.pause
        with self.lock:
            self.asleep = False
        timer.cancel()
        if not self.woken:
            self.note_pause()

    async def end(self) -> None:
        """Give up what is under way; close the components unless one of them failed."""
        self.gives_up = True
        for task in list(self.under_way):
            task.cancel()
        await asyncio.gather(*self.under_way, return_exceptions=True)
        if self.lanes.failure is None:
            for executor in self.executors:
                try:
                    for done in executor.endings():
                        if done is not None:
                            await done
                except Exception as error:  # noqa: BLE001
                    self.lanes.report_failure(executor, error)

    def shut_down(self) -> None:
        """Where no thread runs."""
        self.loop.run_until_complete(self.end())
        self.loop.close()
