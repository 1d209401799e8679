"""Looking at what a component emits while somebody wants to: one more subscriber of its streams, which has no task.

Where nobody looks there is none, and nothing is asked for a tuple. With it a stream has several subscribers, so tuples
go the general way, which costs some more. Direct streams choose no targets: what is emitted on them is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.executor.groupings import AllChoice
from storm.executor.task import Subscription
from storm.ids import is_system_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from storm.executor.executor import Executor
    from storm.executor.task import OutputStream, Port
    from storm.ids import TaskId
    from storm.tuples import Origin

    Observe: TypeAlias = Callable[[Origin, Sequence[Any]], None]

NAME = "__eventlogger"  # Storm's component that does this


class Observer(Subscription):
    """Sees every tuple of a stream and takes none. `observe` must not raise: it is called within emit."""

    __slots__ = ("observe", "origin")

    def __init__(self, origin: Origin, observe: Observe) -> None:
        super().__init__(NAME, AllChoice(0), [])
        self.origin = origin
        self.observe = observe

    def targets(self, values: Sequence[Any]) -> list[Port]:
        self.observe(self.origin, values)
        return []

    def reached(self) -> list[Port]:
        return []

    def connect(self, port_of: Callable[[TaskId], Port], near_port_of: Callable[[TaskId], Port | None]) -> None:
        """It leads to no lane."""


def watch_executor(executor: Executor, observe: Observe | None) -> None:
    """Have an executor's tuples seen by `observe` from now on, or (None) by nobody. By the thread of its lane."""
    for streams in executor.streams.values():
        for out in streams.values():
            if not is_system_id(out.name):
                watch_stream(out, observe)


def watch_stream(out: OutputStream, observe: Observe | None) -> None:
    """What it has counted stays right: how transferred tuples are counted depends on whether it has one subscriber."""
    others = [each for each in out.subscriptions if not isinstance(each, Observer)]
    had_single = out.single is not None
    out.subscriptions = others if observe is None else [*others, Observer(out.origin, observe)]
    out.find_single()
    if had_single and out.single is None:
        out.transferred_more += out.emitted
    elif not had_single and out.single is not None:
        out.transferred_more -= out.emitted
