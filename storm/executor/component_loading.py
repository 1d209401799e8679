"""The spout or bolt object of a task. Only a worker opens what a user pickled, and only here."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import cloudpickle

from storm.errors import WorkerStartError
from storm.topology.consumer_registration import is_consumer
from storm.topology.structure import PythonObject, ShellObject

if TYPE_CHECKING:
    from storm.ids import ComponentId
    from storm.topology.structure import ComponentObject

CALLED_METHODS = (
    "open", "prepare", "next_tuple", "execute", "execute_batch", "ack", "fail", "failed", "give_up", "activate",
    "deactivate", "close", "cleanup",
)  # fmt: skip


def load_component(component_id: ComponentId, component: ComponentObject) -> Any:
    """A new object at each call, so that every task has its own.

    Raises WorkerStartError, naming the component, if it is no Python component or its code cannot be imported.
    """
    if is_consumer(component_id):
        from storm.executor.metrics_consumer_bolt import MetricsConsumerBolt

        return MetricsConsumerBolt()
    if isinstance(component, ShellObject):
        raise WorkerStartError(
            f"component {component_id!r} is a {component.script!r} in another language: not supported"
        )
    if not isinstance(component, PythonObject):
        raise WorkerStartError(f"component {component_id!r} is no Python component: {component.description}")
    return _unpickle(component_id, component.serialized, "component")


def load_grouping(component_id: ComponentId, serialized: bytes | None) -> Any:
    """The user's own grouping by which `component_id` subscribes; a new object at each call."""
    return _unpickle(component_id, serialized or b"", "custom grouping of component")


def _unpickle(component_id: ComponentId, serialized: bytes, what: str) -> Any:
    try:
        return cloudpickle.loads(serialized)
    except Exception as error:
        raise WorkerStartError(
            f"{what} {component_id!r} cannot be loaded: {type(error).__name__}: {error}; "
            "is everything that it imports in the topology's package or its requirements?"
        ) from error


def is_async(component: Any) -> bool:
    """Whether any of the methods that executors call is `async def`. Below a decorator it may be or not: who knows."""
    return any(inspect.iscoroutinefunction(getattr(component, name, None)) for name in CALLED_METHODS)


def refuse_coroutine(answer: Any, component: Any, method: str) -> None:
    """Raise TypeError where a method answered a coroutine that nobody would await."""
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError(
            f"{type(component).__qualname__}.{method} answers a coroutine, but is no `async def` (a decorator may hide "
            "that): set topology.executor.lane: async for its component"
        )
