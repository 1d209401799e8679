"""Executors for the async lane: what the user's methods answer is awaited when it can be, on the lane's event loop.

`open`, `prepare`, `activate` and `deactivate` end before anything else of their task begins. `next_tuple` is awaited
one at a time per task, `execute` for many tuples at once.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar, copy_context
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from storm.errors import FailedError, ReportedFailedError
from storm.executor.async_lane import AsyncLane
from storm.executor.bolt_executor import BoltExecutor
from storm.executor.collectors import BasicCollector
from storm.executor.spout_executor import SpoutExecutor
from storm.topology.component import BasicBolt

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.async_lane import Pause
    from storm.executor.bolt_executor import BoltTask
    from storm.executor.executor import Surroundings
    from storm.executor.spout_executor import SpoutTask
    from storm.ids import ExecutorId, StreamId, TaskId
    from storm.tuples import Tuple

UNDER_WAY_MAX = 1000  # tuples of one task in `execute` at once
READY_MAX = 1000  # more that runners may take by themselves before the lane's next turn; the rest waits in the queue

_input: ContextVar[Tuple | None] = ContextVar("the tuple that this coroutine executes", default=None)


class AsyncBasicCollector(BasicCollector):
    """Anchors to the tuple of the coroutine that emits."""

    __slots__ = ()

    def emit(self, values: Sequence[Any], *, stream: StreamId = "default") -> None:
        self.collector.emit(values, _input.get(), stream)

    def emit_direct(self, task: TaskId, values: Sequence[Any], *, stream: StreamId = "default") -> None:
        self.collector.emit_direct(task, values, _input.get(), stream)

    def emit_many(self, rows: Sequence[Sequence[Any]], *, stream: StreamId = "default") -> None:
        self.collector.emit_many(rows, _input.get(), stream)


class Runners:
    """The coroutines of one task that take tuples and execute them, each one after the other.

    To start one for every tuple costs as much as all else. `under_way` are busy; the others are `parked`.
    """

    __slots__ = ("done", "done_secs", "parked", "ready", "under_way")

    def __init__(self) -> None:
        self.ready: deque[Tuple] = deque()
        self.parked: list[Pause] = []
        self.under_way = 0  # tuples, where they are executed in batches; else runners
        self.done: list[Tuple] = []  # executed and settled, not counted yet
        self.done_secs = 0.0


class AsyncBoltExecutor(BoltExecutor):
    """A bolt on the event loop."""

    __slots__ = ("prepared", "runners")

    is_async = True

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.prepared = False
        self.runners = {task: Runners() for task in executor_id.tasks()}
        for task in self.tasks:
            if isinstance(task.bolt, BasicBolt):
                task.user_collector = AsyncBasicCollector(task.collector)

    def task_to_call(self, task: TaskId) -> None:
        return None

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        assert isinstance(self.lane, AsyncLane)
        self.lane.spawn(self, coroutine)

    def prepare(self, now: float) -> None:
        self.started = True
        self.spawn(self.prepare_all(now))

    async def prepare_all(self, now: float) -> None:
        for task in self.tasks:
            context = self.context(task.id)
            done = task.bolt.prepare(context.conf, context, task.user_collector)
            if isawaitable(done):
                await done
        self.prepared = True
        if self.tick_secs is not None:
            self.tick_due = now + self.tick_secs

    def turn(self, now: float) -> bool:
        did = super().turn(now)
        for task in self.tasks:
            runners = self.runners[task.id]
            if runners.ready and not self.held:
                self.start_runners(task, runners)
            if runners.done:
                done, runners.done = runners.done, []
                secs, runners.done_secs = runners.done_secs, 0.0
                self.count_executed(done, now - secs, now)
        return self.flush() or did  # what coroutines emitted since

    def execute_one(self, task: BoltTask, tup: Tuple) -> None:
        self.start_batch(task, [tup])

    def run(self, task: BoltTask) -> int:
        runners, port = self.runners[task.id], task.port
        free = UNDER_WAY_MAX - runners.under_way
        if task.execute_batch is None:
            free += READY_MAX - len(runners.ready)
        if not self.prepared or free <= 0:
            return 0
        batch, port.items = port.items[:free], port.items[free:]
        if task.execute_batch is not None:
            self.start_batch(task, batch)
        else:
            runners.ready.extend(batch)
            self.start_runners(task, runners)
        return len(batch)

    def start_runners(self, task: BoltTask, runners: Runners) -> None:
        """As many as there are tuples for them."""
        lane = self.lane
        assert isinstance(lane, AsyncLane)
        for _ in range(min(len(runners.ready), UNDER_WAY_MAX - runners.under_way)):
            runners.under_way += 1
            lane.under_way += 1
            if runners.parked:
                runners.parked.pop().set_result(None)
            else:
                lane.start(self, self.execute_ready(task, runners, lane))

    async def execute_ready(self, task: BoltTask, runners: Runners, lane: AsyncLane) -> None:
        """Execute what is ready, tuple by tuple, and park when there is no more; for ever.

        It ends when user code has set a context variable: the next tuple must not see that.
        """
        ready, now, context = runners.ready, self.clock.now, copy_context()
        execute = self.execute_basic if isinstance(task.bolt, BasicBolt) else None
        while True:
            while ready and not self.held:
                tup = ready.popleft()
                began = now()
                if execute is not None:
                    await execute(task, tup)
                elif (done := task.execute(tup)) is not None and isawaitable(done):
                    await done
                lane.note_end()
                if tup.settled:
                    runners.done.append(tup)
                    runners.done_secs += now() - began
                else:
                    self.count_executed([tup], began, now())
                if copy_context() != context:
                    runners.under_way -= 1
                    lane.under_way -= 1
                    self.start_runners(task, runners)
                    return
            runners.under_way -= 1
            lane.under_way -= 1
            parked = lane.loop.create_future()
            runners.parked.append(parked)
            await parked

    def start_batch(self, task: BoltTask, batch: list[Tuple]) -> None:
        """A batch of a bolt that takes batches, or a tuple that does not come from the queue."""
        self.runners[task.id].under_way += len(batch)
        self.spawn(self.execute_batch(task, batch))

    async def execute_batch(self, task: BoltTask, batch: list[Tuple]) -> None:
        began = self.clock.now()
        try:
            if task.execute_batch is not None:
                done: Any = task.execute_batch(list(batch))
            elif isinstance(task.bolt, BasicBolt):
                done = self.execute_basic(task, batch[0])
            else:
                done = task.execute(batch[0])
            if isawaitable(done):
                await done
        finally:
            self.runners[task.id].under_way -= len(batch)
        self.count_executed(batch, began, self.clock.now())

    async def execute_basic(self, task: BoltTask, tup: Tuple) -> None:
        token = _input.set(tup)
        try:
            done: Any = task.execute(tup)
            if isawaitable(done):
                await done
        except FailedError as error:
            if isinstance(error, ReportedFailedError):
                task.collector.report(error)
            task.collector.fail(tup)
        else:
            task.collector.ack(tup)
        finally:
            _input.reset(token)


class AsyncSpoutExecutor(SpoutExecutor):
    """A spout on the event loop."""

    __slots__ = ("emitting",)

    is_async = True

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.emitting: dict[TaskId, int] = {}  # task in `next_tuple` -> how many tracked tuples it may still emit

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        assert isinstance(self.lane, AsyncLane)
        self.lane.spawn(self, coroutine)

    def turn(self, now: float) -> bool:
        did = super().turn(now)
        return self.flush() or did  # what coroutines emitted since

    def next_due(self) -> float | None:
        return None if self.changing or self.emitting else super().next_due()

    def open(self, now: float) -> None:
        self.started = True
        self.changing = True
        self.spawn(self.open_all(self.open_due(now)))

    async def open_all(self, rotate_due: float | None) -> None:
        for task in self.tasks:
            context = self.context(task.id)
            done = task.spout.open(context.conf, context, task.collector)
            if isawaitable(done):
                await done
        self.rotate_due = rotate_due
        self.changing = False

    def activate(self, active: bool) -> None:
        self.activated = active
        self.changing = True
        self.spawn(self.activate_all(active))

    async def activate_all(self, active: bool) -> None:
        for task in self.tasks:
            done = task.spout.activate() if active else task.spout.deactivate()
            if isawaitable(done):
                await done
        self.changing = False

    def emit(self, now: float) -> bool:
        """Let those tasks emit that are not at it already."""
        free = [task for task in self.tasks if task.id not in self.emitting]
        room = self.room() - sum(self.emitting.values())
        for left, task in zip(range(len(free), 0, -1), free, strict=True):
            share = (room + left - 1) // left
            if share > 0:
                room -= share
                self.emitting[task.id] = share
                self.spawn(self.emit_some(task, share))
        return bool(free)

    async def emit_some(self, task: SpoutTask, share: int) -> None:
        collector = task.collector
        first = collector.counter
        try:
            for _ in range(self.quota):
                collector.now = self.clock.now()
                emits = collector.emits
                done = task.spout.next_tuple()
                if isawaitable(done):
                    await done
                if collector.emits == emits:
                    self.pause(self.clock.now())
                    break
                self.idle_pauses = 0
                left = self.emitting[task.id] = share - ((collector.counter - first) & 0xFFFFFFFF)
                if left <= 0 or not self.active or self.held:
                    break
        finally:
            del self.emitting[task.id]

    def tell(self, call: Any, message_ids: list[Any]) -> None:
        self.spawn(self.tell_all(call, message_ids))

    async def tell_all(self, call: Any, message_ids: list[Any]) -> None:
        for message_id in message_ids:
            done = call(message_id)
            if isawaitable(done):
                await done
