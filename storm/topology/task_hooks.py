"""What a user writes to be told of all that a task does: for tracing, auditing, tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.ids import StreamId, TaskId
    from storm.topology.context import TopologyContext
    from storm.topology.failures import Failure
    from storm.tuples import Tuple


class EmitInfo(NamedTuple):
    """A tuple that was emitted; `out_tasks` are those that it went to."""

    values: Sequence[Any]
    stream: StreamId
    task_id: TaskId
    out_tasks: tuple[TaskId, ...]


class SpoutAckInfo(NamedTuple):
    """A message that was processed entirely."""

    message_id: Any
    task_id: TaskId


class SpoutFailInfo(NamedTuple):
    """A message that failed, and why."""

    message_id: Any
    task_id: TaskId
    failure: Failure


class BoltExecuteInfo(NamedTuple):
    """A tuple that was executed; of a batch each has its share of the time. An error of `execute` comes before it."""

    tup: Tuple
    task_id: TaskId
    execute_ms: float


class BoltAckInfo(NamedTuple):
    """A tuple that was acked."""

    tup: Tuple
    task_id: TaskId


class BoltFailInfo(NamedTuple):
    """A tuple that was failed."""

    tup: Tuple
    task_id: TaskId


class TaskHook:
    """Override what you want to hear of. Called by the task's own thread: what a hook raises, the task raises."""

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext) -> None:
        """Called once, before the component is prepared or opened; where it is added later, at once."""

    def cleanup(self) -> None:
        """The worker ends in good order."""

    def emit(self, info: EmitInfo) -> None:
        """The task emitted a tuple."""

    def spout_ack(self, info: SpoutAckInfo) -> None:
        """After the spout was told."""

    def spout_fail(self, info: SpoutFailInfo) -> None:
        """After the spout was told."""

    def bolt_execute(self, info: BoltExecuteInfo) -> None:
        """After `execute`, or at the end of what it awaited."""

    def bolt_ack(self, info: BoltAckInfo) -> None:
        """The bolt acked a tuple."""

    def bolt_fail(self, info: BoltFailInfo) -> None:
        """The bolt failed a tuple."""
