"""The streams of a task: who gets what it emits, decided when it is wired and followed for every tuple."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from storm.errors import SerializationError
from storm.executor.groupings import CustomChoice, RandomChoice, make_choice
from storm.executor.latencies import Latencies
from storm.executor.shown_values import shown
from storm.ids import GlobalStreamId
from storm.topology.structure import GroupingKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random
    from typing import TypeAlias

    from storm.executor.groupings import TargetChoice
    from storm.executor.plan import WorkerPlan
    from storm.ids import ComponentId, StreamId, TaskId
    from storm.topology.failures import FailureKind
    from storm.topology.structure import Grouping
    from storm.tuples import Origin, Tuple

    GroupingLoader: TypeAlias = Callable[[ComponentId, bytes | None], Any]
    Watcher: TypeAlias = Callable[[Sequence[Any], Sequence["Port"]], None]  # of the values and ports of an emit


class Port:
    """Tuples on their way to one task, as the executors of one lane see it.

    In the task's own lane `items` is its queue; in another it waits there for the end of a batch. `check` is set where
    the task is in another worker, or for all if `topology.testing.always.try.serialize`: it refuses values that cannot
    travel. `execute_now` is set on a port for none
    grouping whose task runs in the same lane: its code is called directly.
    """

    __slots__ = ("check", "execute_now", "items", "task")

    def __init__(self, task: TaskId, check: Callable[[Sequence[Any]], None] | None = None) -> None:
        self.task = task
        self.items: list[Tuple] = []
        self.check = check
        self.execute_now: Callable[[Tuple], None] | None = None


class Subscription:
    """One subscriber of a stream: its grouping's choice among its tasks.

    `near` are the ports of those tasks that are called directly (none grouping), which go before all others.
    """

    __slots__ = ("choice", "near", "ports", "subscriber")

    def __init__(self, subscriber: ComponentId, choice: TargetChoice, ports: list[Port]) -> None:
        self.subscriber = subscriber
        self.choice = choice
        self.ports = ports
        self.near: list[Port] = []

    def targets(self, values: Sequence[Any]) -> list[Port]:
        ports = self.near or self.ports
        return [ports[position] for position in self.choice.choose_many(values)]

    def reached(self) -> list[Port]:
        """The ports that its grouping can choose."""
        return self.near or [self.ports[position] for position in self.choice.reached(len(self.ports))]

    def connect(self, port_of: Callable[[TaskId], Port], near_port_of: Callable[[TaskId], Port | None]) -> None:
        self.ports = [port_of(port.task) for port in self.ports]
        if isinstance(self.choice, RandomChoice):
            found = [near_port_of(port.task) for port in self.ports]
            self.near = [port for port in found if port is not None]
            self.choice.count = len(self.near or self.ports)


class OutputStream:
    """One declared stream of one task.

    `single` is the choice where there is one subscriber and it gets every tuple once, among `ports`: the common case.
    `leaving` holds a port to another worker, if any of its tuples may have to go to one.
    `emitted` counts emits, `transferred_more` the tuples of emits that did not go exactly once to the `single` one;
    `acked`, `failed` and `complete_secs` (the sum of times from emit to ack) are a spout's. Of the `fresh` acks the
    spout has not been told yet: `fresh_since` is the sum of the times of their emits, `samples` those of one in 16 of
    them. `latencies`: how times from emit to ack are distributed. `failures`: {kind: number} of `failed`. `watch` tells
    `watchers` of each emit, which then all go the general way; None: there are none.
    """

    __slots__ = (
        "acked", "complete_secs", "direct", "direct_ports", "emitted", "failed", "failures", "fresh", "fresh_since",
        "latencies", "leaving", "name", "origin", "ports", "samples", "single", "subscriptions", "transferred_more",
        "watch", "watchers", "width",
    )  # fmt: skip

    def __init__(self, origin: Origin, direct: bool) -> None:
        self.name = origin.stream
        self.origin = origin
        self.width = len(origin.fields)
        self.direct = direct
        self.leaving: list[Port] = []
        self.subscriptions: list[Subscription] = []
        self.direct_ports: dict[TaskId, Port] = {}
        self.single: TargetChoice | None = None
        self.ports: list[Port] = []
        self.emitted = 0
        self.transferred_more = 0
        self.acked = 0
        self.failed = 0
        self.complete_secs = 0.0
        self.fresh = 0
        self.fresh_since = 0.0
        self.samples: list[float] = []
        self.latencies = Latencies()
        self.failures: dict[FailureKind, int] = {}
        self.watch: Watcher | None = None
        self.watchers: list[Watcher] = []

    def find_single(self) -> None:
        """To be called whenever `subscriptions` changed."""
        first = self.subscriptions[0] if len(self.subscriptions) == 1 else None
        if first is None or first.choice.several or self.watch is not None:
            self.single, self.ports = None, []
        else:
            self.single, self.ports = first.choice, first.near or first.ports
        reached = [port for each in self.subscriptions for port in each.reached()]
        self.leaving = [port for port in reached if port.check is not None][:1]

    def tell(self, watchers: list[Watcher]) -> None:
        """Tell these of each emit from now on. What was counted stays: how it is counted depends on `single`."""
        transferred = self.transferred()
        self.watchers = watchers
        if len(watchers) > 1:
            self.watch = partial(_tell_each, watchers)
        else:
            self.watch = watchers[0] if watchers else None
        self.find_single()
        self.transferred_more = transferred - (self.emitted if self.single is not None else 0)

    def calls(self) -> bool:
        """Whether any subscriber is executed within emit."""
        return any(each.near for each in self.subscriptions)

    def targets(self, values: Sequence[Any]) -> list[Port]:
        if len(self.subscriptions) == 1:
            return self.subscriptions[0].targets(values)
        return [port for subscription in self.subscriptions for port in subscription.targets(values)]

    def every_port(self) -> list[Port]:
        """All ports that tuples of this stream may go to."""
        return [port for each in self.subscriptions for port in each.ports] + list(self.direct_ports.values())

    def connect(self, port_of: Callable[[TaskId], Port], near_port_of: Callable[[TaskId], Port | None]) -> None:
        """Lead to the ports of a lane; what groupings remember stays."""
        for each in self.subscriptions:
            each.connect(port_of, near_port_of)
        self.direct_ports = {task: port_of(task) for task in self.direct_ports}
        self.find_single()

    def count_acked(self, since: float) -> None:
        """A tuple that the spout emitted at `since` is done."""
        if not self.fresh & 15:
            self.samples.append(since)
        self.acked += 1
        self.fresh += 1
        self.fresh_since += since

    def told(self, now: float) -> None:
        """The spout hears of the fresh acks now. Each sample stands for the 16 that begin with it, or the rest."""
        left = self.fresh
        for since in self.samples:
            self.latencies.add(now - since, min(left, 16))
            left -= 16
        self.samples.clear()
        self.complete_secs += now * self.fresh - self.fresh_since
        self.fresh = 0
        self.fresh_since = 0.0

    def count_failed(self, kind: FailureKind) -> None:
        """A tree that the spout emitted failed."""
        self.failed += 1
        self.failures[kind] = self.failures.get(kind, 0) + 1

    def transferred(self) -> int:
        return self.transferred_more + (self.emitted if self.single is not None else 0)

    def refuse(self, error: SerializationError) -> SerializationError:
        """The error for values that cannot travel, with component, stream and field."""
        fields, at = self.origin.fields, error.position
        field = f"field {fields[at]!r}, " if at is not None and at < len(fields) else ""
        return SerializationError(
            f"component {self.origin.component!r} emitted on stream {self.name!r} (fields {', '.join(fields)}) what "
            f"cannot travel to another worker: {field}{error}",
            at,
        )

    def check(self, ports: Collection[Port], values: Sequence[Any]) -> None:
        """Raise SerializationError if any target is in another worker and the values cannot travel."""
        for port in ports:
            if port.check is not None:
                try:
                    port.check(values)
                except SerializationError as error:
                    raise self.refuse(error) from error.__cause__
                return

    def wrong_values(self, values: Any) -> ValueError:
        origin = self.origin
        where = f"component {origin.component!r} emitted on stream {self.name!r}"
        try:
            count = len(values)
        except TypeError:
            return ValueError(f"{where} a {type(values).__name__}; a list of {self.width} values was expected")
        return ValueError(f"{where} {count} values for its {self.width} fields {list(origin.fields)}: {shown(values)}")


def _tell_each(watchers: list[Watcher], values: Sequence[Any], ports: Sequence[Port]) -> None:
    for watcher in watchers:
        watcher(values, ports)


def unknown_stream(component_id: ComponentId, stream: StreamId, streams: Collection[StreamId]) -> ValueError:
    declared = sorted(name for name in streams if not name.startswith("__"))
    return ValueError(
        f"component {component_id!r} emitted on stream {stream!r}, but declares {declared or 'no stream'}"
    )


def plain_on_direct(out: OutputStream) -> ValueError:
    return ValueError(
        f"component {out.origin.component!r} used emit on stream {out.name!r}, which is direct: use emit_direct"
    )


def no_plain_emit(component: ComponentId, streams: dict[StreamId, OutputStream], stream: StreamId) -> ValueError:
    out = streams.get(stream)
    return unknown_stream(component, stream, streams) if out is None else plain_on_direct(out)


def checked_stream(
    component: ComponentId,
    streams: dict[StreamId, OutputStream],
    stream: StreamId,
    values: Sequence[Any],
    direct: bool = False,
) -> OutputStream:
    """The stream to emit these values on; raises ValueError if they may not be. `direct`: by emit_direct."""
    out = streams.get(stream)
    if out is None or (out.direct and not direct):
        raise no_plain_emit(component, streams, stream)
    try:
        if len(values) != out.width:
            raise out.wrong_values(values)
    except TypeError:
        raise out.wrong_values(values) from None
    return out


def direct_port(out: OutputStream, task: TaskId) -> Port:
    """The port for emit_direct; raises ValueError if the stream is not direct or the task does not subscribe to it."""
    if not out.direct:
        raise ValueError(
            f"component {out.origin.component!r} used emit_direct on stream {out.name!r}, which is not declared direct"
        )
    port = out.direct_ports.get(task)
    if port is None:
        raise ValueError(
            f"component {out.origin.component!r} used emit_direct on stream {out.name!r} to task {task}, which does "
            f"not subscribe to it; those that do: {sorted(out.direct_ports) or 'none'}"
        )
    return port


def wire_streams(
    plan: WorkerPlan, task: TaskId, rng: Random, load_grouping: GroupingLoader
) -> dict[StreamId, OutputStream]:
    """The streams of `task`; they lead nowhere until `connect`."""
    component_id = plan.task_components[task]
    streams = {}
    for stream, info in plan.topology.component(component_id).streams.items():
        out = OutputStream(plan.origin(task, stream), info.direct)
        for subscriber, grouping in plan.subscriptions(component_id, stream):
            targets = plan.tasks_of(subscriber)
            ports = [Port(target) for target in targets]
            if grouping.kind is GroupingKind.DIRECT:
                out.direct_ports.update(zip(targets, ports, strict=True))
                continue
            if grouping.kind is GroupingKind.CUSTOM:
                choice: TargetChoice = _custom_choice(
                    plan, task, out, subscriber, load_grouping(subscriber, grouping.serialized)
                )
            else:
                choice = _declared_choice(plan, grouping, subscriber, out, rng)
            out.subscriptions.append(Subscription(subscriber, choice, ports))
        streams[stream] = out
    return streams


def _declared_choice(
    plan: WorkerPlan, grouping: Grouping, subscriber: ComponentId, out: OutputStream, rng: Random
) -> TargetChoice:
    targets = plan.tasks_of(subscriber)
    if grouping.kind is GroupingKind.NONE:
        return RandomChoice(len(targets), rng)
    return make_choice(grouping, targets, plan.local_tasks, out.origin.fields, rng, _where(out, subscriber))


def _custom_choice(
    plan: WorkerPlan, task: TaskId, out: OutputStream, subscriber: ComponentId, grouping: Any
) -> CustomChoice:
    targets = plan.tasks_of(subscriber)
    grouping.prepare(plan.context(task), GlobalStreamId(out.origin.component, out.name), list(targets))
    return CustomChoice(grouping, task, targets, _where(out, subscriber))


def _where(out: OutputStream, subscriber: ComponentId) -> str:
    """What the errors of groupings begin with."""
    return f"component {out.origin.component!r} emitted on stream {out.name!r}, to {subscriber!r}: "
