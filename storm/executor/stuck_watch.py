"""Finds executors that hang in users' code, from another thread, and says where they are and with what.

What runs pays nothing for it: a lane counts its turns, and all else is read off the stacks of its thread, once a turn
has lasted for longer than a look's pause. Where code in C holds the interpreter nothing can look: then the worker's
heartbeats fail too, and `supervisor.worker.timeout.secs` ends it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.executor.call_owner import owner_of, owners_of
from storm.executor.lane import Lane
from storm.executor.shown_tuples import shown_tuple
from storm.executor.stuck import Call, GoesOn, Stuck, Watching, look
from storm.executor.turns import LastingTurns
from storm.executor.user_traceback import user_stack
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from types import FrameType
    from typing import TypeAlias

    from storm.executor.call_owner import Owners
    from storm.executor.executor import Executor
    from storm.executor.lanes import Lanes
    from storm.ids import ComponentId, TaskId

    Stack: TypeAlias = Callable[[], list[FrameType]]  # outermost frame first

LOOKS_A_LIMIT = 5  # so that a call is told before it has lasted for twice the limit
LATE_LOOK = 2  # of a pause, the most that passes between two looks as far as this counts
PAUSE_MIN_SECS, PAUSE_MAX_SECS = 0.02, 1.0


class Work(NamedTuple):
    """Whose code a stack ends in, and the tuples that it was given and has not settled."""

    executor: Executor
    task: TaskId
    tuples: list[Tuple]


class StuckWatch:
    """`look` is to be called every `pause_secs`, by one thread; None: no executor has a limit.

    Only time counts in which it is called so: a process that was paused, or kept from running, is not stuck.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._watching = Watching()
        self._looked_at: float | None = None
        self._secs = 0.0  # that count, up to the last look
        self._turns = LastingTurns()
        self._blocked_at: dict[Lane, float] = {}
        self._named: dict[Hashable, ComponentId] = {}
        limits = [e.options.executor_stuck_secs for e in lanes.executors if e.options.executor_stuck_secs is not None]
        self.pause_secs: float | None = None
        if limits:
            self.pause_secs = min(max(min(limits) / LOOKS_A_LIMIT, PAUSE_MIN_SECS), PAUSE_MAX_SECS)

    def look(self, now: float) -> str | None:
        """Report what hangs and what goes on again; why the worker is to be started anew, None: it is not."""
        if self._looked_at is not None and self.pause_secs is not None:
            self._secs += min(now - self._looked_at, LATE_LOOK * self.pause_secs)
        self._looked_at = now
        calls: dict[Hashable, Call] = {}
        stacks: dict[Hashable, Stack] = {}
        self._add_threads(calls, stacks)
        self._add_coroutines(calls, stacks, self._secs)
        self._watching, events = look(self._watching, calls, self._secs)
        reason = None
        for event in events:
            if isinstance(event, GoesOn):
                self._report_end(event)
                continue
            executor = self._report(event, stacks[event.place]())
            if executor.options.executor_stuck_restart:
                reason = f"component {executor.component!r} is stuck, and topology.executor.stuck.restart is true"
        return reason

    def _add_threads(self, calls: dict[Hashable, Call], stacks: dict[Hashable, Stack]) -> None:
        """What each lane's thread is in the midst of, if it was in the same turn at the last look."""
        for lane, found in self._turns.look(list(self._lanes.lanes)).items():
            identity = (lane.turns, lane.busy, found.first)
            calls[lane] = Call(identity, lane, found.executor.options.executor_stuck_secs)
            stacks[lane] = partial(list, found.stack)

    def _add_coroutines(self, calls: dict[Hashable, Call], stacks: dict[Hashable, Stack], now: float) -> None:
        """Those that should end soon. While one call blocks the event loop the time of the others begins anew."""
        for lane in list(self._lanes.lanes):
            before = self._watching.calls.get(lane)
            if lane in calls and before is not None and before[0] == calls[lane].identity:
                self._blocked_at[lane] = now
            for coroutine, executor in lane.calls():
                identity = (coroutine, self._blocked_at.get(lane))
                calls[coroutine] = Call(identity, executor, executor.options.executor_stuck_secs)
                stacks[coroutine] = partial(_of_coroutine, coroutine)

    def _report(self, event: Stuck, stack: list[FrameType]) -> Executor:
        """Tell people; answers whose call it is."""
        group: Any = event.group  # a lane, or an executor of which a coroutine is stuck
        work = _end_of_call(stack, owners_of(group.executors if isinstance(group, Lane) else [group]))
        executor: Executor | None = group.busy if isinstance(group, Lane) else group
        if work is not None:
            executor = work.executor
        assert executor is not None  # a lane whose turns were counted was busy
        self._named[group] = executor.component
        where = f"component {executor.component!r}" + ("" if work is None else f", task {work.task}")
        limit = f"topology.executor.stuck.secs is {executor.options.executor_stuck_secs:g}"
        others = f", and in {event.calls - 1} more" if event.calls > 1 else ""
        lines = [f"{where}, has been in one call for {event.secs:.0f} s{others} ({limit})"]
        if work is not None and work.tuples:
            more = f" and {len(work.tuples) - 1} more" if len(work.tuples) > 1 else ""
            lines.append(f"It works on {shown_tuple(work.tuples[0])}{more}")
        lines.append(user_stack(stack) or "No Python code of its own is on the stack.")
        self._lanes.reports.report_error(executor.component, "\n".join(lines))
        return executor

    def _report_end(self, event: GoesOn) -> None:
        component = self._named.pop(event.group)
        text = f"component {component!r} goes on, after about {event.secs:.0f} s in one call"
        self._lanes.reports.report_error(component, text)


def _of_coroutine(awaited: Any) -> list[FrameType]:
    """The frames of a coroutine and of what it awaits, outermost first."""
    frames = []
    while awaited is not None:
        found = [getattr(awaited, name, None) for name in ("cr_frame", "gi_frame", "ag_frame")]
        frames += [frame for frame in found if frame is not None]
        below = [getattr(awaited, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await")]
        awaited = next((each for each in below if each is not None), None)
    return frames


def _arguments(frame: FrameType) -> list[Any]:
    code = frame.f_code
    values = frame.f_locals
    return [values[name] for name in code.co_varnames[: code.co_argcount] if name in values]


def _end_of_call(stack: Sequence[FrameType], owners: Owners) -> Work | None:
    """The work that the innermost component does: a none grouping calls one from within another."""
    innermost: tuple[Executor, TaskId] | None = None
    for frame in reversed(stack):
        owner = owner_of(frame, owners)
        if owner is None:
            continue
        if owner != (innermost or owner):
            break
        innermost = owner
        for argument in _arguments(frame)[1:]:
            given = argument if isinstance(argument, list) else [argument]
            tuples = [tup for tup in given if isinstance(tup, Tuple) and not tup.settled]
            if tuples:
                return Work(*owner, tuples)
    return None if innermost is None else Work(*innermost, [])
