"""Spouts in a worker that died again and again: one tuple of all of them is under way at a time (`caution`)."""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from storm.errors import SerializationError
from storm.executor.caution import DEATHS_LEAST, is_enough, suspect_of
from storm.executor.error_report import ErrorThrottle
from storm.executor.inquiry import LastFailure
from storm.executor.shown_values import shown
from storm.executor.spout_executor import SpoutExecutor
from storm.topology.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.caution import Caution
    from storm.executor.executor import Surroundings
    from storm.executor.spout_executor import SpoutTask
    from storm.ids import ExecutorId, StreamId, TaskId

logger = logging.getLogger(__name__)


class CarefulCollector:
    """What a spout emits through. What it emits while something is under way waits here for its turn, and suspects wait
    for longer.
    """

    __slots__ = ("_attempts", "_executor", "_out", "_suspects", "_task", "_waiting")

    def __init__(self, executor: CarefulSpoutExecutor, task: SpoutTask) -> None:
        self._executor = executor
        self._task = task
        self._out = task.collector
        self._attempts: int | None = None if task.schedule is None else task.spout.retries.attempts
        self._waiting: deque[tuple[Any, Callable[[], None]]] = deque()
        self._suspects: deque[tuple[Any, Callable[[], None]]] = deque()

    @property
    def gives_up(self) -> bool:
        return self._attempts is not None

    def emit(self, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default") -> None:
        if self._executor.is_careful:
            self._emit(message_id, partial(self._out.emit, list(values), message_id, stream))
        else:
            self._out.emit(values, message_id, stream)

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default"
    ) -> None:
        self._emit(message_id, partial(self._out.emit_direct, task, list(values), message_id, stream))

    def emit_and_get_tasks(
        self, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default"
    ) -> list[TaskId]:
        """At once, for its answer is wanted at once."""
        return self._out.emit_and_get_tasks(values, message_id, stream) if self._admits(message_id) else []

    def emit_many(
        self, rows: Sequence[Sequence[Any]], message_ids: Sequence[Any] | None = None, stream: StreamId = "default"
    ) -> None:
        rows, ids = list(rows), None if message_ids is None else list(message_ids)
        if not self._executor.is_careful or (ids is not None and len(ids) != len(rows)):
            self._out.emit_many(rows, ids, stream)
            return
        if ids is None:
            self._emit(None, partial(self._out.emit_many, [list(values) for values in rows], None, stream))
            return
        for values, message_id in zip(rows, ids, strict=True):
            self.emit(values, message_id, stream)

    def report_error(self, error: BaseException) -> None:
        self._out.report_error(error)

    def send_next(self) -> bool:
        """Emit what has waited longest; False: nothing waits that may go now."""
        while self._waiting:
            message_id, send = self._waiting.popleft()
            if not self._is_to_wait(message_id):
                return self._send_late(message_id, send)
            self._suspects.append((message_id, send))
        if self._suspects and not self._is_to_wait(self._suspects[0][0]):
            return self._send_late(*self._suspects.popleft())
        return False

    def _send_late(self, message_id: Any, send: Callable[[], None]) -> bool:
        try:
            self._send(message_id, send)
        except SerializationError as error:  # a value cannot travel: data is at fault, not the code
            self.report_error(error)
        return True

    def _emit(self, message_id: Any, send: Callable[[], None]) -> None:
        if not self._executor.may_emit() or self._is_to_wait(message_id):
            self._waiting.append((message_id, send))
        else:
            self._send(message_id, send)

    def _send(self, message_id: Any, send: Callable[[], None]) -> None:
        if not self._admits(message_id):
            return
        try:
            send()
        except SerializationError:
            self._executor.note_end(message_id, acked=False)
            raise

    def _is_to_wait(self, message_id: Any) -> bool:
        executor = self._executor
        suspect = suspect_of(executor.component, message_id) if executor.is_careful else None
        return suspect is not None and executor.caution.waits(suspect, executor.clock.now())

    def _admits(self, message_id: Any) -> bool:
        """Whether it is to be emitted, which is noted; else it is given up."""
        if message_id is None or self._attempts is None or not self._executor.is_careful:
            return True
        caution, suspect = self._executor.caution, suspect_of(self._executor.component, message_id)
        if suspect is None:
            return True
        seen = caution.seen(suspect)
        if is_enough(seen, self._attempts):
            caution.ended(suspect, acked=True)
            self._executor.give_up(self._task, message_id, seen)
            return False
        caution.emits(suspect)
        return True


class CarefulSpoutExecutor(SpoutExecutor):
    """`is_careful` until `caution` is over; then as every spout."""

    __slots__ = ("caution", "collectors", "is_careful", "own_throttle")

    def __init__(
        self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings, caution: Caution
    ) -> None:
        super().__init__(executor_id, options, surroundings)
        self.caution = caution
        self.is_careful = True
        self.own_throttle = ErrorThrottle()
        self.collectors = [CarefulCollector(self, task) for task in self.tasks]
        caution.join(executor_id, any(each.gives_up for each in self.collectors))

    def open(self, now: float) -> None:
        self.started = True
        for task, collector in zip(self.tasks, self.collectors, strict=True):
            task.collector.now = now
            context = self.context(task.id)
            task.spout.open(context.conf, context, collector)
        self.prepared = True
        self.rotate_due = self.open_due(now)
        for message_id, seen in self.caution.suspects(self.component).items():
            self.tell_people(f"The message {message_id} may be what ends the worker: {self.why(seen)}")

    def activate(self, active: bool) -> None:
        if active:
            self.caution.begin(self.clock.now())
        super().activate(active)

    def endings(self) -> Iterator[Any]:
        self.caution.let_go()
        yield from super().endings()

    def turn(self, now: float) -> bool:
        if self.is_careful and not self.caution.is_on(now):
            self.is_careful = False
            self.caution.let_go()
            self.caution.end_turn(self.id)
        return super().turn(now)

    def next_due(self) -> float | None:
        dues = [super().next_due(), self.caution.until if self.is_careful else None]
        return min([due for due in dues if due is not None], default=None)

    def may_emit(self) -> bool:
        """Whether one more tuple may be emitted now: not from `fail`, say, while another spout has its turn."""
        return not self.is_careful or (self.caution.is_turn_of(self.id) and not self.is_full())

    def is_full(self) -> bool:
        """Whether nothing may be emitted before what is under way has ended."""
        return any(task.pending.count for task in self.tasks)

    def room(self) -> int:
        room = super().room()
        return min(room, 0 if self.is_full() else 1) if self.is_careful else room

    def emit(self, now: float) -> bool:
        """Only while it is this executor's turn; what waits in collectors comes first."""
        caution = self.caution
        for task in self.tasks:
            task.collector.now = now
        if not self.is_careful:
            for collector in self.collectors:
                while collector.send_next():
                    pass
            return super().emit(now)
        if not caution.take_turn(self.id, yields=self.surroundings.rng.random() < 0.5):
            return False
        emitted_one = any(collector.send_next() for collector in self.collectors) or super().emit(now)
        self.tasks.append(self.tasks.pop(0))
        if not self.is_full():
            caution.end_turn(self.id)
        return emitted_one

    def settle(self, now: float) -> bool:
        for task in self.tasks if self.is_careful else ():
            for message_id in task.pending.acked:
                self.note_end(message_id, acked=True)
            for tree in task.pending.failed:
                self.note_end(tree.message_id, acked=False)
        if self.is_careful and not self.is_full():
            self.caution.end_turn(self.id)
        return super().settle(now)

    def note_end(self, message_id: Any, acked: bool) -> None:
        """It is not under way any more."""
        suspect = suspect_of(self.component, message_id)
        if suspect is not None:
            self.caution.ended(suspect, acked)

    def give_up(self, task: SpoutTask, message_id: Any, seen: int) -> None:
        """It is not emitted: the spout hears of that as of a last failure."""
        assert task.schedule is not None
        now = self.clock.now()
        failure = Failure("worker-died", None, self.why(seen))
        task.schedule.give_up(message_id, failure, seen + DEATHS_LEAST, now)
        self.waiting += 1
        self.last_failures.append(LastFailure(task.id, shown(message_id), failure, now, now))
        self.tell_people(f"The message {shown(message_id)} is given up: {failure.text}")

    def why(self, seen: int) -> str:
        times = "once" if seen == 1 else f"{seen} times"
        return (
            f"the worker of its spout died {self.caution.deaths} times in a row, "
            f"{times} with nothing else of its spouts under way"
        )

    def tell_people(self, text: str) -> None:
        logger.warning("%s: %s", self.component, text)
        if self.own_throttle.allows(self.clock.now()):
            self.surroundings.reports.report_error(self.component, text)
