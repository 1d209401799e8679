"""Turns of lanes that last: found from outside, by two looks and the stacks of the lanes' threads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from storm.executor.call_owner import owner_of, owners_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from storm.executor.executor import Executor
    from storm.executor.lane import Lane


class UnderWay(NamedTuple):
    """A turn in the midst of `executor`'s: the stack from the call of users' code on, and that call's frame `first`.

    `first` None: it is in no code of theirs, or in none that can be seen; then the stack is the whole one.
    """

    executor: Executor
    stack: list[FrameType]
    first: FrameType | None


class LastingTurns:
    """`look` is to be called now and then, by one thread."""

    def __init__(self) -> None:
        self._turns: dict[Lane, int] = {}

    def look(self, lanes: Sequence[Lane]) -> dict[Lane, UnderWay]:
        """What each lane's thread is in the midst of, if it was in the same turn at the last look."""
        before, self._turns = self._turns, {lane: lane.turns for lane in lanes}
        same = [lane for lane in lanes if before.get(lane) == self._turns[lane] and _is_in_turn(lane)]
        frames = sys._current_frames() if same else {}
        found = {lane: _under_way(lane, frames) for lane in same}
        return {lane: each for lane, each in found.items() if each is not None}


def _is_in_turn(lane: Lane) -> bool:
    """Whether a lane's thread may be in the midst of a turn; an event loop's is, or waits."""
    return lane.busy is not None and lane.thread is not None and (lane.runs_coroutines or not lane.asleep)


def _under_way(lane: Lane, frames: Mapping[int, FrameType]) -> UnderWay | None:
    """What a lane's thread is at, of `sys._current_frames()`; None: nothing, its event loop waits."""
    assert lane.busy is not None
    assert lane.thread is not None
    stack = _stack(frames.get(lane.thread.ident or 0))
    owners = owners_of(lane.executors)
    for i, frame in enumerate(stack):
        owner = owner_of(frame, owners)
        if owner is not None:
            return UnderWay(owner[0], stack[i:], frame)
    return None if lane.runs_coroutines else UnderWay(lane.busy, stack, None)


def _stack(top: FrameType | None) -> list[FrameType]:
    """A thread's frames, outermost first."""
    frames = []
    while top is not None:
        frames.append(top)
        top = top.f_back
    return frames[::-1]
