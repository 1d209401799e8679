"""Spouts and bolts whose methods note every call and do what the test says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.testing.in_process import Shared
from storm.topology.component import BasicBolt, Bolt, Spout
from storm.topology.output_fields import DirectStream

if TYPE_CHECKING:
    from collections.abc import Callable

OUTPUTS = {"default": ["value"], "pair": ["left", "right"], "direct": DirectStream(["value"])}


class Script(Shared):
    """`calls` are (component, task, method, argument); `on` maps a method, or (component, method), to what it does:
    a function of the component object and the argument."""

    def __init__(self, **on: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.calls: list[tuple[str, int, str, Any]] = []
        self.on: dict[Any, Callable[[Any, Any], Any]] = dict(on)

    def call(self, component: Any, method: str, argument: Any = None) -> Any:
        context = component.context
        self.calls.append((context.component_id, context.task_id, method, argument))
        do = self.on.get((context.component_id, method)) or self.on.get(method)
        return do(component, argument) if do is not None else None

    def made(self, method: str, component: str | None = None) -> list[Any]:
        """The arguments of the calls of a method, in order; a tuple's is its values."""
        return [
            list(argument.values) if hasattr(argument, "values") else argument
            for who, _, called, argument in self.calls
            if called == method and component in (None, who)
        ]

    def methods(self, component: str) -> list[str]:
        return [called for who, _, called, _ in self.calls if who == component]


class ScriptedSpout(Spout):
    outputs = OUTPUTS  # type: ignore[assignment]

    def __init__(self, script: Script) -> None:
        self.script = script

    def open(self, conf: Any, context: Any, collector: Any) -> Any:
        super().open(conf, context, collector)
        self.emitted = 0
        return self.script.call(self, "open")

    def next_tuple(self) -> Any:
        return self.script.call(self, "next_tuple")

    def ack(self, message_id: Any) -> Any:
        return self.script.call(self, "ack", message_id)

    def fail(self, message_id: Any) -> Any:
        return self.script.call(self, "fail", message_id)

    def activate(self) -> Any:
        return self.script.call(self, "activate")

    def deactivate(self) -> Any:
        return self.script.call(self, "deactivate")

    def close(self) -> Any:
        return self.script.call(self, "close")


class ScriptedBolt(Bolt):
    outputs = OUTPUTS  # type: ignore[assignment]

    def __init__(self, script: Script) -> None:
        self.script = script

    def prepare(self, conf: Any, context: Any, collector: Any) -> Any:
        super().prepare(conf, context, collector)
        return self.script.call(self, "prepare")

    def execute(self, tup: Any) -> Any:
        return self.script.call(self, "execute", tup)

    def cleanup(self) -> Any:
        return self.script.call(self, "cleanup")


class ScriptedBasicBolt(BasicBolt):
    outputs = OUTPUTS  # type: ignore[assignment]

    def __init__(self, script: Script) -> None:
        self.script = script

    def prepare(self, conf: Any, context: Any, collector: Any) -> Any:
        super().prepare(conf, context, collector)
        return self.script.call(self, "prepare")

    def execute(self, tup: Any) -> Any:
        return self.script.call(self, "execute", tup)

    def cleanup(self) -> Any:
        return self.script.call(self, "cleanup")


def emit_up_to(count: int, stream: str = "default") -> Callable[[Any, Any], None]:
    """For `next_tuple`: emit 1, 2, ... `count` a task, with message ids (task, number)."""

    def emit(spout: Any, _: Any) -> None:
        if spout.emitted < count:
            spout.emitted += 1
            spout.collector.emit([spout.emitted], (spout.context.task_id, spout.emitted), stream)

    return emit


def ack_it(bolt: Any, tup: Any) -> None:
    bolt.collector.ack(tup)


def pass_on(bolt: Any, tup: Any) -> None:
    """Emit the same values, anchored, and ack."""
    bolt.collector.emit(list(tup.values), tup)
    bolt.collector.ack(tup)
