"""Looking at what a component emits while somebody wants to: one more watcher of its streams, as hooks are.

Where nobody looks there is none, and nothing is asked for a tuple. With one, tuples go the general way, which costs
some more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.ids import is_system_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from storm.executor.executor import Executor
    from storm.executor.task import OutputStream, Port
    from storm.tuples import Origin

    Observe: TypeAlias = Callable[[Origin, Sequence[Any]], None]


class Observer:
    """Sees every tuple of a stream. `observe` must not raise: it is called within emit."""

    __slots__ = ("observe", "origin")

    def __init__(self, origin: Origin, observe: Observe) -> None:
        self.origin = origin
        self.observe = observe

    def __call__(self, values: Sequence[Any], ports: Sequence[Port]) -> None:
        self.observe(self.origin, values)


def watch_executor(executor: Executor, observe: Observe | None) -> None:
    """Have an executor's tuples seen by `observe` from now on, or (None) by nobody. By the thread of its lane."""
    for streams in executor.streams.values():
        for out in streams.values():
            if not is_system_id(out.name):
                watch_stream(out, observe)


def watch_stream(out: OutputStream, observe: Observe | None) -> None:
    others = [each for each in out.watchers if not isinstance(each, Observer)]
    out.tell(others if observe is None else [*others, Observer(out.origin, observe)])
