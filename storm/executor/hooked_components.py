"""Components whose tasks have hooks: each is wrapped, with its collector, before its executor gets to see it.

So executors know nothing of hooks, and a task without any costs what it costs without this module.
"""

from __future__ import annotations

from contextvars import ContextVar
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from storm.clock import SystemClock
from storm.errors import FailedError, ReportedFailedError, SerializationError, WorkerStartError
from storm.executor.named_class import named_class
from storm.topology.component import BasicBolt, Bolt, Spout
from storm.topology.task_hooks import (
    BoltAckInfo,
    BoltExecuteInfo,
    BoltFailInfo,
    EmitInfo,
    SpoutAckInfo,
    SpoutFailInfo,
    TaskHook,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from storm.ids import ComponentId, StreamId, TaskId
    from storm.topology.context import TopologyContext
    from storm.topology.failures import Failure
    from storm.tuples import Tuple

_input: ContextVar[Tuple | None] = ContextVar("the tuple that this thread or coroutine executes", default=None)


def load_hook(class_name: str, component_id: ComponentId) -> TaskHook:
    """An object of a class of `topology.auto.task.hooks`. Raises WorkerStartError."""
    try:
        found = named_class(class_name)
    except ImportError as error:
        raise WorkerStartError(
            f"topology.auto.task.hooks: {class_name} cannot be imported for component {component_id!r}: {error}"
        ) from error
    if not isinstance(found, type) or not issubclass(found, TaskHook):
        raise WorkerStartError(f"topology.auto.task.hooks: {class_name} is no subclass of storm.TaskHook")
    hook: TaskHook = found()
    return hook


def hooked(component: Any, hooks: Sequence[TaskHook], is_async: bool) -> Any:
    """The component with these hooks, in a wrapper that an executor takes for the component itself."""
    if isinstance(component, Spout):
        return (_AsyncHookedSpout if is_async else HookedSpout)(component, list(hooks))
    has_batches = getattr(type(component), "execute_batch", Bolt.execute_batch) is not Bolt.execute_batch
    if is_async:
        return (_AsyncHookedBatchBolt if has_batches else _AsyncHookedBolt)(component, list(hooks))
    return (_HookedBatchBolt if has_batches else HookedBolt)(component, list(hooks))


class _HookedCollector:
    """A collector that tells hooks of all that goes through it."""

    def __init__(self, collector: Any, hooks: list[TaskHook], task_id: TaskId) -> None:
        self.collector = collector
        self.hooks = hooks
        self.task_id = task_id
        self.report_error: Callable[[BaseException], None] = collector.report_error

    def emit(self, values: Sequence[Any], anchors: Any = None, stream: StreamId = "default") -> None:
        self.emit_and_get_tasks(values, anchors, stream)

    def emit_and_get_tasks(
        self, values: Sequence[Any], anchors: Any = None, stream: StreamId = "default"
    ) -> list[TaskId]:
        tasks: list[TaskId] = self.collector.emit_and_get_tasks(values, anchors, stream)
        self.emitted(values, stream, tuple(tasks))
        return tasks

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], anchors: Any = None, stream: StreamId = "default"
    ) -> None:
        self.collector.emit_direct(task, values, anchors, stream)
        self.emitted(values, stream, (task,))

    def emit_many(self, rows: Sequence[Sequence[Any]], anchors: Any = None, stream: StreamId = "default") -> None:
        rows = list(rows)
        self.collector.emit_many(rows, anchors, stream)
        for values in rows:
            self.emitted(values, stream, None)

    def emitted(self, values: Sequence[Any], stream: StreamId, tasks: tuple[TaskId, ...] | None) -> None:
        for hook in self.hooks:
            hook.emit(EmitInfo(values, stream, self.task_id, tasks))


class _SpoutCollector(_HookedCollector):
    """As above, with Storm's names of arguments."""

    def emit(self, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default") -> None:
        self.emit_and_get_tasks(values, message_id, stream)

    def emit_and_get_tasks(
        self, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default"
    ) -> list[TaskId]:
        return super().emit_and_get_tasks(values, message_id, stream)

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default"
    ) -> None:
        super().emit_direct(task, values, message_id, stream)

    def emit_many(
        self, rows: Sequence[Sequence[Any]], message_ids: Sequence[Any] | None = None, stream: StreamId = "default"
    ) -> None:
        super().emit_many(rows, message_ids, stream)


class _BoltCollector(_HookedCollector):
    """An ack or fail that has no effect is told too: the collector says what is wrong with it."""

    def ack(self, tup: Tuple) -> None:
        self.collector.ack(tup)
        for hook in self.hooks:
            hook.bolt_ack(BoltAckInfo(tup, self.task_id))

    def ack_many(self, tuples: Sequence[Tuple]) -> None:
        for tup in tuples:
            self.ack(tup)

    def reset_timeout(self, tup: Tuple) -> None:
        self.collector.reset_timeout(tup)

    def fail(self, tup: Tuple) -> None:
        self.collector.fail(tup)
        for hook in self.hooks:
            hook.bolt_fail(BoltFailInfo(tup, self.task_id))


class _BasicCollector:
    """A `BasicBolt`'s: everything is anchored to the tuple that is being executed."""

    def __init__(self, collector: _BoltCollector) -> None:
        self.collector = collector
        self.reset_timeout, self.report_error = collector.reset_timeout, collector.report_error

    def emit(self, values: Sequence[Any], *, stream: StreamId = "default") -> None:
        self.collector.emit(values, _input.get(), stream)

    def emit_direct(self, task: TaskId, values: Sequence[Any], *, stream: StreamId = "default") -> None:
        self.collector.emit_direct(task, values, _input.get(), stream)

    def emit_many(self, rows: Sequence[Sequence[Any]], *, stream: StreamId = "default") -> None:
        self.collector.emit_many(rows, _input.get(), stream)


class HookedSpout(Spout):
    """A spout and its hooks."""

    def __init__(self, spout: Spout, hooks: list[TaskHook]) -> None:
        self.spout = spout
        self.hooks = hooks
        self.retries = getattr(spout, "retries", None)

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: Any) -> Any:
        _prepare(self.hooks, conf, context)
        self.task_id = context.task_id
        return self.spout.open(conf, context, _SpoutCollector(collector, self.hooks, context.task_id))

    def next_tuple(self) -> Any:
        return self.spout.next_tuple()

    def activate(self) -> Any:
        return self.spout.activate()

    def deactivate(self) -> Any:
        return self.spout.deactivate()

    def close(self) -> Any:
        done = self.spout.close()
        for hook in self.hooks:
            hook.cleanup()
        return done

    def ack(self, message_id: Any) -> Any:
        done = self.spout.ack(message_id)
        self.told_ack(message_id)
        return done

    def failed(self, message_id: Any, failure: Failure) -> Any:
        done = self.tell_failure(message_id, failure)
        self.told_failure(message_id, failure)
        return done

    def give_up(self, message_id: Any, failure: Failure) -> Any:
        done = self.tell_given_up(message_id, failure)
        self.told_failure(message_id, failure)
        return done

    def tell_failure(self, message_id: Any, failure: Failure) -> Any:
        """As executors tell a spout: `failed` of its class, or `fail`."""
        failed = getattr(type(self.spout), "failed", Spout.failed)
        return self.spout.fail(message_id) if failed is Spout.failed else failed(self.spout, message_id, failure)

    def tell_given_up(self, message_id: Any, failure: Failure) -> Any:
        """`give_up` of its class, or `ack`."""
        give_up = getattr(type(self.spout), "give_up", Spout.give_up)
        return self.spout.ack(message_id) if give_up is Spout.give_up else give_up(self.spout, message_id, failure)

    def told_ack(self, message_id: Any) -> None:
        for hook in self.hooks:
            hook.spout_ack(SpoutAckInfo(message_id, self.task_id))

    def told_failure(self, message_id: Any, failure: Failure) -> None:
        for hook in self.hooks:
            hook.spout_fail(SpoutFailInfo(message_id, self.task_id, failure))


class _AsyncHookedSpout(HookedSpout):
    async def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: Any) -> None:
        await _end_of(super().open(conf, context, collector))

    async def next_tuple(self) -> None:
        await _end_of(self.spout.next_tuple())

    async def ack(self, message_id: Any) -> None:
        await _end_of(self.spout.ack(message_id))
        self.told_ack(message_id)

    async def failed(self, message_id: Any, failure: Failure) -> None:
        await _end_of(self.tell_failure(message_id, failure))
        self.told_failure(message_id, failure)

    async def give_up(self, message_id: Any, failure: Failure) -> None:
        await _end_of(self.tell_given_up(message_id, failure))
        self.told_failure(message_id, failure)


class HookedBolt(Bolt):
    """A `Bolt` or `BasicBolt` and its hooks. A basic one's tuples are acked here."""

    def __init__(self, bolt: Any, hooks: list[TaskHook]) -> None:
        self.bolt = bolt
        self.hooks = hooks
        self.is_basic = isinstance(bolt, BasicBolt)
        self.now = SystemClock().now

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: Any) -> Any:
        _prepare(self.hooks, conf, context)
        self.task_id = context.task_id
        self.hooked_collector = _BoltCollector(collector, self.hooks, context.task_id)
        given = _BasicCollector(self.hooked_collector) if self.is_basic else self.hooked_collector
        return self.bolt.prepare(conf, context, given)

    def execute(self, tup: Tuple) -> Any:
        began = self.now()
        token = _input.set(tup)
        try:
            self.bolt.execute(tup)
        except (SerializationError, FailedError) as error:
            self.refused(error, [tup])
        else:
            self.done(tup)
        finally:
            _input.reset(token)
        self.executed([tup], began)

    def cleanup(self) -> Any:
        done = self.bolt.cleanup()
        for hook in self.hooks:
            hook.cleanup()
        return done

    def done(self, tup: Tuple) -> None:
        if self.is_basic:
            self.hooked_collector.ack(tup)

    def refused(self, error: Exception, tuples: Sequence[Tuple]) -> None:
        """As executors do it: values that cannot travel fail the input of any bolt, FailedError that of a basic one."""
        if isinstance(error, FailedError) and not self.is_basic:
            raise error
        if isinstance(error, SerializationError | ReportedFailedError):
            self.hooked_collector.report_error(error)
        for tup in tuples:
            if not tup.settled:
                self.hooked_collector.fail(tup)

    def executed(self, tuples: Sequence[Tuple], began: float) -> None:
        execute_ms = (self.now() - began) * 1000 / max(1, len(tuples))
        for tup in tuples:
            for hook in self.hooks:
                hook.bolt_execute(BoltExecuteInfo(tup, self.task_id, execute_ms))


class _HookedBatchBolt(HookedBolt):
    def execute_batch(self, tuples: list[Tuple]) -> Any:
        began = self.now()
        try:
            self.bolt.execute_batch(tuples)
        except SerializationError as error:
            self.refused(error, tuples)
        self.executed(tuples, began)


class _AsyncHookedBolt(HookedBolt):
    async def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: Any) -> None:
        await _end_of(super().prepare(conf, context, collector))

    async def execute(self, tup: Tuple) -> None:
        began = self.now()
        _input.set(tup)
        try:
            await _end_of(self.bolt.execute(tup))
        except (SerializationError, FailedError) as error:
            self.refused(error, [tup])
        else:
            self.done(tup)
        self.executed([tup], began)


class _AsyncHookedBatchBolt(_AsyncHookedBolt):
    async def execute_batch(self, tuples: list[Tuple]) -> None:
        began = self.now()
        try:
            await _end_of(self.bolt.execute_batch(tuples))
        except SerializationError as error:
            self.refused(error, tuples)
        self.executed(tuples, began)


def _prepare(hooks: list[TaskHook], conf: Mapping[str, Any], context: TopologyContext) -> None:
    context.hooks = hooks
    for hook in list(hooks):
        hook.prepare(conf, context)


async def _end_of(done: Any) -> None:
    if isawaitable(done):
        await done
