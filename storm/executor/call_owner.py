"""Whose code a thread is in, read off its stack: nothing is noted while tuples flow.

A frame is a component's if its first argument is the component: `self` of the user's class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from typing import TypeAlias

    from storm.executor.executor import Executor
    from storm.ids import TaskId

    Owners: TypeAlias = dict[int, tuple[Executor, TaskId]]


def owners_of(executors: Iterable[Executor]) -> Owners:
    """{id of a user's object: whose it is}; the executors keep the objects, so that ids stay theirs."""
    found: Owners = {}
    for executor in executors:
        for task, component in executor.components():
            found[id(component)] = executor, task
    return found


def owner_of(frame: FrameType, owners: Owners) -> tuple[Executor, TaskId] | None:
    """Whose call this frame is; None: no component's."""
    code = frame.f_code
    return owners.get(id(frame.f_locals.get(code.co_varnames[0]))) if code.co_argcount else None


def innermost_owner(frame: FrameType | None, owners: Owners) -> tuple[Executor, TaskId] | None:
    """Whose call is the innermost one from `frame` outwards; None: no component's."""
    while frame is not None:
        owner = owner_of(frame, owners)
        if owner is not None:
            return owner
        frame = frame.f_back
    return None
