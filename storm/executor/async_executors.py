"""Executors for the async lane: what the user's methods answer is awaited when it can be, on the lane's event loop.

`open`, `prepare`, `activate` and `deactivate` end before anything else of their task begins. `next_tuple` is awaited
one at a time per task, `execute` for many tuples at once.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar, copy_context
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from storm.errors import FailedError, SerializationError
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

EXECUTED_MAX = 1000  # tuples of one task in `execute` at once; more wait in its queue
READY_MAX = 256  # taken off the queue for whom ends before the lane's next turn; about what may end in a millisecond

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
    """The coroutines that execute one task's tuples, each of them one after the other: to start one costs as much.

    They stay, 3 kB each. `ready` are tuples off the queue that nobody has begun, `parked` runners that wait for some;
    `busy` counts the others.
    """

    __slots__ = ("busy", "parked", "ready")

    def __init__(self) -> None:
        self.ready: deque[Tuple] = deque()
        self.parked: list[Pause] = []
        self.busy = 0


class AsyncBoltExecutor(BoltExecutor):
    """A bolt on the event loop. `under_way`: by task, how many tuples are off its queue and not executed yet.

    `ticking`: how many of them are ticks.
    """

    __slots__ = ("runners", "ticking", "under_way")

    is_async = True

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.ticking = 0
        self.under_way: dict[TaskId, int] = dict.fromkeys(executor_id.tasks(), 0)
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
            did = self.start_runners(task) or did
        return self.flush() or did  # what coroutines emitted since

    def executions(self) -> int:
        executed = super().executions()  # first: what ends meanwhile is missed rather than counted twice
        ticks = self.ticking
        awaited = sum(list(self.under_way.values()))
        return executed + awaited - max(ticks, self.ticking)  # a tick may begin or end between the looks

    def execute_one(self, task: BoltTask, tup: Tuple) -> None:
        self.ticking += 1
        self.under_way[task.id] += 1
        self.spawn(self.execute_tick(task, tup))

    async def execute_tick(self, task: BoltTask, tick: Tuple) -> None:
        try:
            await self.execute(task, [tick])
        finally:
            self.ticking -= 1

    def run(self, task: BoltTask) -> int:
        takes_batches = task.execute_batch is not None
        free = EXECUTED_MAX + (0 if takes_batches else READY_MAX) - self.under_way[task.id]
        if not self.prepared or free <= 0:
            return 0
        port = task.port
        batch, port.items = port.items[:free], port.items[free:]
        self.under_way[task.id] += len(batch)
        if takes_batches:
            self.spawn(self.execute(task, batch))
        else:
            self.runners[task.id].ready.extend(batch)
        return len(batch)

    def start_runners(self, task: BoltTask) -> bool:
        """As many as there are tuples for them; False: none. Those of the last turn have begun by now."""
        runners = self.runners[task.id]
        number = 0 if self.held else min(len(runners.ready), EXECUTED_MAX - runners.busy)
        assert isinstance(self.lane, AsyncLane)
        for _ in range(number):
            runners.busy += 1
            if runners.parked:
                runners.parked.pop().set_result(None)
            else:
                self.lane.start(self, self.execute_ready(task, runners, self.lane))
        return number > 0

    async def execute_ready(self, task: BoltTask, runners: Runners, lane: AsyncLane) -> None:
        """Execute what is ready, tuple by tuple, and park where nothing is.

        It gives up when user code has set a context variable: no tuple sees what another one set.
        """
        _input.set(None)
        ready, context = runners.ready, copy_context()
        while True:
            while ready and not self.held:
                call = self.execute(task, [ready.popleft()])
                lane.under_way[call] = self
                await call
                if copy_context() != context:
                    runners.busy -= 1
                    lane.note_end(call)
                    return
                lane.note_end(call)
            runners.busy -= 1
            parked = lane.loop.create_future()
            runners.parked.append(parked)
            await parked

    async def execute(self, task: BoltTask, batch: list[Tuple]) -> None:
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
        except (FailedError, SerializationError) as error:
            task.refused(error, batch)
        except BaseException as error:
            task.raised = error, batch
            raise
        finally:
            self.under_way[task.id] -= len(batch)
        self.count_executed(batch, began, self.clock.now())

    async def execute_basic(self, task: BoltTask, tup: Tuple) -> None:
        _input.set(tup)
        try:
            done = task.execute(tup)
            if isawaitable(done):
                await done
            task.collector.ack(tup)
        finally:
            _input.set(None)


class AsyncSpoutExecutor(SpoutExecutor):
    """A spout on the event loop. `next_tuple` may wait for as long as there is nothing to emit."""

    __slots__ = ("emitting", "untold")

    is_async = True

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.emitting: dict[TaskId, int] = {}  # task in `next_tuple` -> how many tracked tuples it may still emit
        self.untold = 0  # tuples that ended, of which the spout's `ack` or `fail` has yet to hear

    def spawn(self, coroutine: Coroutine[Any, Any, None], may_last: bool = False) -> None:
        assert isinstance(self.lane, AsyncLane)
        self.lane.spawn(self, coroutine, may_last)

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
        self.prepared = True
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
        began = False
        for left, task in zip(range(len(free), 0, -1), free, strict=True):
            share = (room + left - 1) // left
            if share > 0:
                room -= share
                self.emitting[task.id] = share
                self.spawn(self.emit_some(task, share), may_last=True)
                began = True
        return began

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
        except SerializationError as error:
            self.report(error)
        finally:
            del self.emitting[task.id]

    def room(self) -> int:
        """A spout that is slow to hear of acks would have ever more of them waiting."""
        return super().room() - self.untold

    def tell(self, call: Any, message_ids: list[Any]) -> None:
        self.untold += len(message_ids)
        self.spawn(self.tell_all(call, message_ids))

    def tell_each(self, calls: Any) -> None:
        if calls:
            self.untold += len(calls)
            self.spawn(self.tell_each_in_turn(calls))

    async def tell_each_in_turn(self, calls: Any) -> None:
        for call, message_id, failure in calls:
            done = call(message_id, failure)
            if isawaitable(done):
                await done
            self.untold -= 1

    async def tell_all(self, call: Any, message_ids: list[Any]) -> None:
        for message_id in message_ids:
            done = call(message_id)
            if isawaitable(done):
                await done
            self.untold -= 1
