"""What executors do at the moment, read off the state that is there: nothing is noted while tuples flow.

What hangs is known from two looks: the thread of a lane is in the same call of users' code. `stuck_watch` tells people
of that where it should never be; here it is one reason among others why nothing is done.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.executor.bolt_executor import BoltExecutor
from storm.executor.spout_executor import SpoutExecutor
from storm.executor.turns import LastingTurns
from storm.executor.user_traceback import is_ours
from storm.metrics.insight_records import (
    BACK_PRESSURE,
    IN_CALL,
    INACTIVE,
    MAX_PENDING,
    MISSING_PEERS,
    NOTHING_TO_EMIT,
    OPENING,
    SLOW_PEER,
    WAITS_FOR_THREAD,
    ExecutorInsight,
    FailedTuple,
    Hindrance,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from storm.executor.executor import Executor
    from storm.executor.lane import Lane
    from storm.executor.lanes import Lanes
    from storm.ids import ComponentId, ExecutorId, TaskId
    from storm.metrics.insight_records import Obstacles

STANDS_STILL = {INACTIVE, MISSING_PEERS, OPENING}  # a spout, whatever it has emitted since the look before
NO_TASKS: frozenset[TaskId] = frozenset()
TEXT_CHARS_MAX = 300  # of why a tuple failed, which may name many components, and of where a call is
NAMES_MAX = 10  # of components and of workers that an executor waits for: a heartbeat has its limits


class LastingCall(NamedTuple):
    """Since when, at least, an executor has been in one call of users' code, and where that is."""

    executor: Executor
    since: float
    at: str


class InsightWatch:
    """`look` is to be called every few seconds, by one thread; what it tells of time is since the look before."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._turns = LastingTurns()
        self._seen: dict[Lane, tuple[Any, float]] = {}  # the call a lane is in, and when it was first seen
        self._emits: dict[ExecutorId, int] = {}

    def look(self, now: float, obstacles: Obstacles) -> dict[ExecutorId, ExecutorInsight]:
        """Of the executors of users' components. `now`: the seconds of the lanes' clock."""
        look = _Look(self._lanes, obstacles, self._calls(now), now)
        found: dict[ExecutorId, ExecutorInsight] = {}
        for executor in self._lanes.executors:
            if isinstance(executor, SpoutExecutor):
                emits = sum([task.collector.emits for task in executor.tasks])
                before, self._emits[executor.id] = self._emits.get(executor.id, 0), emits
                found[executor.id] = look.spout(executor, silent=emits == before)
            elif isinstance(executor, BoltExecutor):
                found[executor.id] = look.bolt(executor)
        return found

    def _calls(self, now: float) -> dict[Lane, LastingCall]:
        """The calls that lanes were in at the last look too."""
        seen, self._seen = self._seen, {}
        found: dict[Lane, LastingCall] = {}
        for lane, call in self._turns.look(list(self._lanes.lanes)).items():
            if call.first is None:
                continue
            known = seen.get(lane)
            since = known[1] if known is not None and known[0] is call.first else now
            self._seen[lane] = (call.first, since)
            if since < now:
                found[lane] = LastingCall(call.executor, since, place(call.stack))
        return found


class _Look:
    """One look."""

    def __init__(self, lanes: Lanes, obstacles: Obstacles, calls: dict[Lane, LastingCall], now: float) -> None:
        self._plan = lanes.plan
        self._obstacles = obstacles
        self._calls = calls
        self._now = now
        self._mark = lanes.high_mark
        self._lengths = lanes.queue_lengths()
        self._full = lanes.full_tasks()
        self._holding: dict[ComponentId, Hindrance | None] = {}

    def spout(self, executor: SpoutExecutor, silent: bool) -> ExecutorInsight:
        limit = executor.options.max_spout_pending
        found = self._why_spout(executor, silent)
        return ExecutorInsight(
            found,
            silent=silent or found.reason in STANDS_STILL,
            pending=sum([task.pending.count for task in executor.tasks]) + executor.waiting,
            pending_max=None if limit is None else limit * len(executor.tasks),
        )

    def bolt(self, executor: BoltExecutor) -> ExecutorInsight:
        tasks = executor.id.tasks()
        queues = [self._lengths.get(task, 0) for task in tasks]
        return ExecutorInsight(
            self._why_bolt(executor, sum(queues)),
            queued=sum(queues),
            queue_max=max(queues),
            queue_mark=self._mark,
            full=not self._full.isdisjoint(tasks),
            unsettled=executor.unsettled(),
        )

    def _why_spout(self, executor: SpoutExecutor, silent: bool) -> Hindrance:
        call = self._calls.get(executor.lane)
        if call is not None and call.executor is executor:
            return Hindrance(IN_CALL, call_secs=self._now - call.since, call_at=call.at)
        if not executor.active:
            awaited = self._obstacles.awaited
            return Hindrance(MISSING_PEERS, (), _first(awaited)) if awaited else Hindrance(INACTIVE)
        if call is not None:
            return self._waits_for(call)
        if not executor.activated or executor.changing:
            return Hindrance(OPENING)
        held = self._held(executor)
        if held is not None:
            return held
        if executor.room() <= 0:
            return Hindrance(MAX_PENDING)
        return Hindrance(NOTHING_TO_EMIT) if silent else Hindrance()

    def _why_bolt(self, executor: BoltExecutor, queued: int) -> Hindrance:
        call = self._calls.get(executor.lane)
        if call is not None and call.executor is executor:
            return Hindrance(IN_CALL, call_secs=self._now - call.since, call_at=call.at)
        if not queued:
            return Hindrance()
        if call is not None:
            return self._waits_for(call)
        if not executor.prepared:
            return Hindrance(OPENING)
        return self._held(executor) or Hindrance()

    def _waits_for(self, call: LastingCall) -> Hindrance:
        return Hindrance(WAITS_FOR_THREAD, (call.executor.component,), (), self._now - call.since, call.at)

    def _held(self, executor: Executor) -> Hindrance | None:
        """Which tasks an executor waits for that have too much to do; None: it does not."""
        if not executor.held:
            return None
        component = executor.component
        if component not in self._holding:
            self._holding[component] = self._why_held(component)
        return self._holding[component]

    def _why_held(self, component: ComponentId) -> Hindrance | None:
        own = self._those_that_hold(component, self._full)
        for reason, mine, theirs in (
            (BACK_PRESSURE, own, self._obstacles.announced),
            (SLOW_PEER, NO_TASKS, self._obstacles.slow),
        ):
            holding = {worker: self._those_that_hold(component, tasks) for worker, tasks in theirs.items()}
            tasks = mine.union(*holding.values())
            if tasks:
                components = {self._plan.task_components[task] for task in tasks}
                workers = [worker for worker, found in holding.items() if found]
                return Hindrance(reason, _first(components), _first(workers))
        return None

    def _those_that_hold(self, component: ComponentId, full: Iterable[TaskId]) -> frozenset[TaskId]:
        known = self._plan.task_components  # another worker may name any
        return frozenset(task for task in full if task in known and self._plan.must_wait(component, (task,)))


def failures(executor: Executor, now: float, wall_secs: int) -> tuple[FailedTuple, ...]:
    """The last tuples of a spout that failed, oldest first; `now` and `wall_secs` are the same moment."""
    if not isinstance(executor, SpoutExecutor):
        return ()
    return tuple(
        FailedTuple(
            each.task,
            _sendable(each.message_id),
            each.failure.kind,
            each.failure.component,
            _sendable(each.failure.text),
            max(0.0, each.at - each.since),
            wall_secs - round(now - each.at),
        )
        for each in list(executor.last_failures)
    )


def place(stack: Sequence[FrameType]) -> str:
    """Where in users' code a stack ends, for people; "": nowhere."""
    for frame in reversed(stack):
        name = frame.f_code.co_filename
        if not is_ours(name):
            return _sendable(f"{os.path.basename(name)}, line {frame.f_lineno}, in {frame.f_code.co_name}")
    return ""


def _first(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:NAMES_MAX])


def _sendable(text: str) -> str:
    """At most TEXT_CHARS_MAX characters, all of which UTF-8 has: what a user's `__repr__` makes may have others."""
    return text[:TEXT_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
