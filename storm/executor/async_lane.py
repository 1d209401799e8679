"""The async lane: one event loop for components whose methods are `async def`, with many tuples under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from storm.executor.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import TypeAlias

    from storm.executor.executor import Executor
    from storm.executor.lanes import Lanes

    Pause: TypeAlias = asyncio.Future[None]

FLUSH_SECS = 0.001  # while calls are under way: what they emit waits no longer
# What tasks of a component's own have acked or emitted, of which no lane hears, waits no longer.
BACKGROUND_SECS = 0.05
MANY = 32  # calls under way, with which a lane turns only once in FLUSH_SECS: a turn costs as much as a tuple
STEP_ROUNDS = 50  # of the loop in one step without any call ending: then they wait for something outside


class AsyncLane(Lane):
    """A lane whose turns happen in an event loop. Executors start coroutines by `spawn`, or by `start`.

    `under_way`: calls of users' code that have not ended, and whose they are; None: it may last.
    """

    runs_coroutines = True

    def __init__(self, name: str, lanes: Lanes) -> None:
        super().__init__(name, lanes)
        self.loop = asyncio.new_event_loop()
        self.coroutines: set[asyncio.Task[None]] = set()
        self.under_way: dict[Coroutine[Any, Any, None], Executor | None] = {}
        self.ended = 0  # calls so far
        self.gives_up = False
        self.pause: Pause | None = None

    def spawn(self, executor: Executor, coroutine: Coroutine[Any, Any, None], may_last: bool = False) -> None:
        """Run one call of an executor; an exception in it ends the worker. `may_last`: it may wait for long."""
        self.under_way[coroutine] = None if may_last else executor
        self.start(executor, self.follow(coroutine))

    async def follow(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            await call
        finally:
            self.note_end(call)

    def start(self, executor: Executor, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that keeps `under_way` itself and tells the ends of its calls by `note_end`."""
        task = self.loop.create_task(self.guarded(executor, coroutine))
        self.coroutines.add(task)
        task.add_done_callback(self.coroutines.discard)

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

    def note_end(self, call: Coroutine[Any, Any, None]) -> None:
        """What was emitted leaves at once; where many are under way, with what others emit within FLUSH_SECS."""
        del self.under_way[call]
        self.ended += 1
        if len(self.under_way) < MANY:
            self.end_pause()

    def wake_locked(self) -> None:
        self.woken = True
        if self.asleep:
            self.loop.call_soon_threadsafe(self.end_pause)

    def calls(self) -> list[tuple[Any, Executor]]:
        return [(call, executor) for call, executor in list(self.under_way.items()) if executor is not None]

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
        """A turn, then the loop until its calls ended or wait for something outside, then what that brought."""
        did = self.turn(now)
        await asyncio.sleep(0)  # until the coroutines that it started have begun their calls
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
            if self.turn(clock.now()) and len(self.under_way) < MANY:
                await asyncio.sleep(0)
                continue
            due = self.next_due()
            await self.sleep_async(BACKGROUND_SECS if due is None else min(due - clock.now(), BACKGROUND_SECS))
        await self.end()

    async def sleep_async(self, secs: float) -> None:
        with self.lock:
            self.asleep = secs > 0 and not self.woken and not self.lanes.stopping and self.lanes.failure is None
        if not self.asleep:
            await asyncio.sleep(0)
            return
        self.pause = self.loop.create_future()
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
        started = list(self.coroutines)
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)
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
