"""What tells the hooks of a task: put in the way of what the task does when it gets its first hook.

So a task without any costs what it costs without this module.
"""

from __future__ import annotations

import copy
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from storm.errors import FailedError, SerializationError, WorkerStartError
from storm.executor.named_class import named_class
from storm.topology.task_hooks import (
    BoltAckInfo,
    BoltExecuteInfo,
    BoltFailInfo,
    EmitInfo,
    SpoutAckInfo,
    SpoutFailInfo,
    TaskHook,
)
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from storm.clock import Clock
    from storm.executor.task import Port
    from storm.ids import ComponentId, StreamId, TaskId
    from storm.topology.failures import Failure

HOOKS_KEY = "topology.auto.task.hooks"


def hooks_of(component: Any, component_id: ComponentId, class_names: Iterable[str]) -> list[TaskHook]:
    """Those of a task from its beginning: its component's own, and one of each class. Raises WorkerStartError."""
    given = getattr(component, "task_hooks", None)
    own = list(given or ())
    # Its class's are all tasks'. To ask for its `__dict__` would make each of its attributes slow to reach: a hop takes
    # 60 % more instructions then.
    if given is getattr(type(component), "task_hooks", None):
        own = [_copied(hook) for hook in own]
    return [*own, *(load_hook(name, component_id) for name in class_names)]


def _copied(hook: TaskHook) -> TaskHook:
    """The same where it cannot be copied: it may hold a lock or a connection on purpose."""
    try:
        return copy.deepcopy(hook)
    except Exception:  # noqa: BLE001
        return hook


def load_hook(class_name: str, component_id: ComponentId) -> TaskHook:
    """An object of a class of `topology.auto.task.hooks`. Raises WorkerStartError."""
    try:
        found = named_class(class_name)
    except ImportError as error:
        raise WorkerStartError(
            f"{HOOKS_KEY}: {class_name} cannot be imported for component {component_id!r}: {error}"
        ) from error
    if not isinstance(found, type) or not issubclass(found, TaskHook):
        raise WorkerStartError(f"{HOOKS_KEY}: {class_name} is no subclass of storm.TaskHook")
    hook: TaskHook = found()
    return hook


class HookCalls:
    """Tells the hooks of one task; `hooks` may grow. What a hook raises, the task raises."""

    def __init__(self, task_id: TaskId, hooks: list[TaskHook], clock: Clock) -> None:
        self._task_id = task_id
        self._hooks = hooks
        self._now = clock.now

    def emitted(self, stream: StreamId, values: Sequence[Any], ports: Sequence[Port]) -> None:
        """A tuple is on its way to the tasks of these ports."""
        info = EmitInfo(values, stream, self._task_id, tuple(port.task for port in ports))
        for hook in self._hooks:
            hook.emit(info)

    def settled(self, tup: Tuple, what: str) -> None:
        """`what` is "ack" or "fail"."""
        for hook in self._hooks:
            if what == "ack":
                hook.bolt_ack(BoltAckInfo(tup, self._task_id))
            else:
                hook.bolt_fail(BoltFailInfo(tup, self._task_id))

    def executing(self, execute: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A bolt's `execute` or `execute_batch`, after which hooks are told."""

        def execute_and_tell(given: Any) -> Any:
            tuples = [given] if type(given) is Tuple else given
            began = self._now()
            try:
                done = execute(given)
            except (FailedError, SerializationError):
                self._executed(tuples, began)
                raise
            if isawaitable(done):
                return self._execute_on(done, tuples, began)
            self._executed(tuples, began)
            return done

        return execute_and_tell

    def acked(self, message_id: Any, done: Any) -> Any:
        """A spout was told; `done` is what it answered. To be awaited where that is to be."""
        info = SpoutAckInfo(message_id, self._task_id)
        return _after(done, [partial(hook.spout_ack, info) for hook in self._hooks])

    def failed(self, message_id: Any, failure: Failure, done: Any) -> Any:
        """A spout was told; `done` is what it answered. To be awaited where that is to be."""
        info = SpoutFailInfo(message_id, self._task_id, failure)
        return _after(done, [partial(hook.spout_fail, info) for hook in self._hooks])

    def cleanup(self) -> None:
        for hook in self._hooks:
            hook.cleanup()

    def _executed(self, tuples: Sequence[Tuple], began: float) -> None:
        execute_ms = (self._now() - began) * 1000 / max(1, len(tuples))
        for tup in tuples:
            for hook in self._hooks:
                hook.bolt_execute(BoltExecuteInfo(tup, self._task_id, execute_ms))

    async def _execute_on(self, done: Any, tuples: Sequence[Tuple], began: float) -> None:
        try:
            await done
        except (FailedError, SerializationError):
            self._executed(tuples, began)
            raise
        self._executed(tuples, began)


def _after(done: Any, calls: Sequence[Callable[[], None]]) -> Any:
    """Make these calls, at once or once `done` was awaited."""
    if isawaitable(done):
        return _awaited(done, calls)
    for call in calls:
        call()
    return done


async def _awaited(done: Any, calls: Sequence[Callable[[], None]]) -> None:
    await done
    for call in calls:
        call()
