"""What a user writes: spouts, bolts and groupings of their own, and the collectors that these are given.

Every method of a spout or bolt that the system calls may be `async def`: its executor then runs on the event loop of
its worker (the async lane), where many tuples are under way at once.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from storm.ids import DEFAULT_STREAM
from storm.topology.output_fields import declare_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.ids import GlobalStreamId, StreamId, TaskId
    from storm.topology.context import TopologyContext
    from storm.topology.failures import Failure, Retries
    from storm.topology.output_fields import OutputFieldsDeclarer, Outputs
    from storm.topology.task_hooks import TaskHook
    from storm.tuples import Tuple

    Anchors: TypeAlias = Tuple | Sequence[Tuple] | None

Done: TypeAlias = Awaitable[None] | None


class SpoutOutputCollector(Protocol):
    """Emits a spout's tuples.

    `message_id` is the spout's own name of a tuple: any value that can be a key of a dict. When all that
    descends from the tuple was processed the spout's `ack` is called with it, and `fail` when something failed or the
    topology's message timeout passed. None: the tuple is not tracked, and neither is called.
    """

    def emit(self, values: Sequence[Any], message_id: Any = None, stream: StreamId = DEFAULT_STREAM) -> None:
        """Emit one tuple. Raises ValueError where the stream is not declared or the number of values is wrong."""

    def emit_and_get_tasks(
        self, values: Sequence[Any], message_id: Any = None, stream: StreamId = DEFAULT_STREAM
    ) -> list[TaskId]:
        """As `emit`; returns the tasks that the tuple went to."""

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], message_id: Any = None, stream: StreamId = DEFAULT_STREAM
    ) -> None:
        """Emit one tuple of a direct stream to one task."""

    def emit_many(
        self,
        rows: Sequence[Sequence[Any]],
        message_ids: Sequence[Any] | None = None,
        stream: StreamId = DEFAULT_STREAM,
    ) -> None:
        """Emit a tuple for each row, faster than one by one: all of them, or none where one is wrong.

        `message_ids` has an id or None for each row, or is None. The rows of one call may go beyond
        `topology.max.spout.pending`.
        """

    def report_error(self, error: BaseException) -> None:
        """Show an error in `storm get-errors` and the UI; a few in ten seconds are kept. The spout goes on."""


class OutputCollector(Protocol):
    """Emits a bolt's tuples, and acks or fails those that it was given.

    `anchors` are the tuples that an emitted one descends from: it becomes part of their trees, so that the spout
    hears of its failure. None: it is not tracked.

    A collector belongs to the thread that calls the bolt, or to its coroutines. What another thread of yours emits or
    acks is neither safe nor sent before the bolt's next turn.
    """

    def emit(self, values: Sequence[Any], anchors: Anchors = None, stream: StreamId = DEFAULT_STREAM) -> None:
        """Emit one tuple. Raises ValueError where the stream is not declared or the number of values is wrong."""

    def emit_and_get_tasks(
        self, values: Sequence[Any], anchors: Anchors = None, stream: StreamId = DEFAULT_STREAM
    ) -> list[TaskId]:
        """As `emit`; returns the tasks that the tuple went to."""

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], anchors: Anchors = None, stream: StreamId = DEFAULT_STREAM
    ) -> None:
        """Emit one tuple of a direct stream to one task."""

    def emit_many(
        self, rows: Sequence[Sequence[Any]], anchors: Anchors = None, stream: StreamId = DEFAULT_STREAM
    ) -> None:
        """Emit a tuple for each row, each with the same anchors, faster than one by one: all of them, or none where one
        is wrong. `anchors` must not be settled yet, as for `emit`."""

    def ack(self, tup: Tuple) -> None:
        """This tuple was processed. Every tuple that a `Bolt` gets must be acked or failed once."""

    def ack_many(self, tuples: Sequence[Tuple]) -> None:
        """These tuples were processed: for `execute_batch`."""

    def fail(self, tup: Tuple) -> None:
        """This tuple cannot be processed: the spout's `fail` is called at once for each tree that it is in."""

    def reset_timeout(self, tup: Tuple) -> None:
        """Start the message timeout of its trees anew: processing takes longer than it allows."""

    def report_error(self, error: BaseException) -> None:
        """Show an error in `storm get-errors` and the UI; a few in ten seconds are kept. The bolt goes on."""


class BasicOutputCollector(Protocol):
    """Emits a `BasicBolt`'s tuples, anchored to the one that is being executed."""

    def emit(self, values: Sequence[Any], *, stream: StreamId = DEFAULT_STREAM) -> None:
        """Emit one tuple. Raises ValueError where the stream is not declared or the number of values is wrong."""

    def emit_direct(self, task: TaskId, values: Sequence[Any], *, stream: StreamId = DEFAULT_STREAM) -> None:
        """Emit one tuple of a direct stream to one task."""

    def emit_many(self, rows: Sequence[Sequence[Any]], *, stream: StreamId = DEFAULT_STREAM) -> None:
        """Emit a tuple for each row, faster than one by one."""

    def reset_timeout(self, tup: Tuple) -> None:
        """Start the message timeout of its trees anew: processing takes longer than it allows."""

    def report_error(self, error: BaseException) -> None:
        """Show an error in `storm get-errors` and the UI; a few in ten seconds are kept. The bolt goes on."""


class Component:
    """What spouts and bolts share: how they declare their streams.

    `outputs` lists the fields of the default stream, `["word", "count"]`, or maps the names of streams to fields,
    `{"default": ["word"], "errors": ["text"], "orders": DirectStream(["order"])}`. A component whose streams depend on
    its arguments sets `self.outputs`, or overrides `declare_output_fields`.

    An object is pickled when its topology is built and each task gets a copy: what cannot be pickled, such as a
    connection, is made in `open` or `prepare`.

    `task_hooks` are told of all that its tasks do, each task's copies of that task; so are those that are added by
    `context.add_task_hook`.
    """

    outputs: Outputs = ()
    task_hooks: Sequence[TaskHook] | None = None

    def declare_output_fields(self, declarer: OutputFieldsDeclarer) -> None:
        """Declare the streams; by default what `outputs` says."""
        declare_outputs(self.outputs, declarer)

    def component_configuration(self) -> Mapping[str, Any]:
        """Settings of this component alone, such as `{"topology.tick.tuple.freq.secs": 10}`."""
        return {}

    def __setstate__(self, state: Any) -> None:
        # One by one: where pickle fills `__dict__` itself, each attribute is slow to reach from then on (CPython 3.11
        # keeps those of an object whose dict was never asked for in the object).
        of_another_base = getattr(super(), "__setstate__", None)
        if of_another_base is not None:
            of_another_base(state)
            return
        attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        for name, value in (attributes or {}).items():
            if type(name) is str and not hasattr(type(inspect.getattr_static(type(self), name, None)), "__set__"):
                object.__setattr__(self, sys.intern(name), value)
            else:
                vars(self)[name] = value  # past a descriptor of that name, as pickle does
        for name, value in (slots or {}).items():
            setattr(self, name, value)


class Spout(Component):
    """A source of tuples. Called by one thread at a time, never in parallel with itself.

    `retries = Retries(...)` has `failed` and `fail` called later and later for a tuple that fails again and again, and
    `give_up` in the end. What waits for that counts as under way. Message ids must be hashable then.
    """

    collector: SpoutOutputCollector
    context: TopologyContext
    retries: Retries | None = None

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> Done:
        """Called once in the worker before all else, when the topology is first active. Keeps context and collector."""
        self.context = context
        self.collector = collector
        return None

    def next_tuple(self) -> Done:
        """Emit what there is, one tuple or a few, and return soon; emit nothing when there is nothing.

        Not called while `topology.max.spout.pending` tuples of this task are under way.
        """
        raise NotImplementedError

    def ack(self, message_id: Any) -> Done:
        """The tuple emitted with this id was processed entirely."""
        return None

    def fail(self, message_id: Any) -> Done:
        """The tuple emitted with this id failed or timed out; a reliable spout emits it again."""
        return None

    def failed(self, message_id: Any, failure: Failure) -> Done:
        """As `fail`, and why. This is what the system calls; by default it calls `fail`."""
        return self.fail(message_id)

    def give_up(self, message_id: Any, failure: Failure) -> Done:
        """In place of `failed`, where the tuple has failed as often as `retries` allows; `failure` was the last time.

        It was emitted on the stream "dead-letter" before, if that is declared. By default it calls `ack`, so that the
        source drops it.
        """
        return self.ack(message_id)

    def activate(self) -> Done:
        """`next_tuple` will be called from now on: called after `open`, and by `storm activate`."""
        return None

    def deactivate(self) -> Done:
        """`next_tuple` will not be called until `activate`."""
        return None

    def close(self) -> Done:
        """The worker ends in good order. A killed process never calls it."""
        return None


class Bolt(Component):
    """Processes tuples. Called by one thread at a time, never in parallel with itself.

    A bolt that processes many tuples at once faster than one by one overrides `execute_batch` too; its contract is
    the same for each tuple. FailedError raised by either fails what the call was given and has not settled,
    ReportedFailedError also shows the error; anything else ends the worker, which is then started anew.
    """

    collector: OutputCollector
    context: TopologyContext

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> Done:
        """Called once in the worker before the first tuple. Keeps context and collector."""
        self.context = context
        self.collector = collector
        return None

    def execute(self, tup: Tuple) -> Done:
        """Process one tuple; sooner or later it must be acked or failed. A tick is told by `tup.is_tick()`."""
        raise NotImplementedError

    def execute_batch(self, tuples: list[Tuple]) -> Done:
        """Process tuples, in the order of their arrival; by default `execute` is called for each."""
        raise NotImplementedError

    def cleanup(self) -> Done:
        """The worker ends in good order. A killed process never calls it."""
        return None


class BasicBolt(Component):
    """A bolt whose tuples are acked when `execute` returns, and whatever it emits in it is anchored to them.

    FailedError raised by `execute` fails the tuple, ReportedFailedError also shows the error; anything else ends the
    worker, which is then started anew.
    """

    collector: BasicOutputCollector
    context: TopologyContext

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: BasicOutputCollector) -> Done:
        """Called once in the worker before the first tuple. Keeps context and collector."""
        self.context = context
        self.collector = collector
        return None

    def execute(self, tup: Tuple) -> Done:
        """Process one tuple. A tick is told by `tup.is_tick()`."""
        raise NotImplementedError

    def cleanup(self) -> Done:
        """The worker ends in good order. A killed process never calls it."""
        return None


class CustomGrouping:
    """A user's own rule of which tasks get a tuple. Each task that emits to it has a copy of its own."""

    def prepare(self, context: TopologyContext, stream: GlobalStreamId, target_tasks: Sequence[TaskId]) -> None:
        """Called once before `choose_tasks`; `target_tasks`, sorted, are all that may be chosen. Keeps them."""
        self.target_tasks = target_tasks

    def choose_tasks(self, task_id: TaskId, values: Sequence[Any]) -> Sequence[TaskId]:
        """The tasks that a tuple with these values, emitted by `task_id`, goes to; perhaps none."""
        raise NotImplementedError
