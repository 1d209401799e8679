"""What spouts and bolts emit, ack and fail through: the hot path of every tuple.

A collector belongs to one task and is used by one thread at a time. Edges are drawn by an xorshift generator: the XOR
of any few of its values is never zero by accident of its own.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from storm.executor.groupings import OnlyChoice
from storm.executor.shown_tuples import shown_tuple
from storm.executor.shown_values import shown
from storm.executor.task import checked_stream, direct_port, no_plain_emit
from storm.executor.xorshift import xorshift64
from storm.tuples import Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storm.executor.pending import Pending
    from storm.executor.task import OutputStream, Port
    from storm.executor.tracking import TrackingOut
    from storm.ids import ComponentId, StreamId, TaskId
    from storm.tuples import Origin

logger = logging.getLogger(__name__)

NO_TASK = -2  # -1 is the system's, 0 stands for none yet


class SpoutCollector:
    """A spout task's collector. `tracked`: there are ackers; `init_sent`: one elsewhere must be told of each tree."""

    __slots__ = (
        "base", "component", "counter", "emits", "init_sent", "now", "pending", "report", "seed", "streams", "tracked",
        "tracking",
    )  # fmt: skip

    def __init__(
        self,
        component: ComponentId,
        streams: dict[StreamId, OutputStream],
        pending: Pending,
        tracking: TrackingOut,
        report: Callable[[BaseException], None],
    ) -> None:
        self.component = component
        self.streams = streams
        self.pending = pending
        self.tracking = tracking
        self.report = report
        self.emits = 0
        self.now = 0.0
        self.tracked = False
        self.init_sent = False
        self.base = 0
        self.counter = 0
        self.seed = 1

    def track(self, base: int, counter: int, seed: int, init_sent: bool) -> None:
        """Tuples with a message id get roots from `base` (`pending.root_base`) and a counter that starts at random."""
        self.tracked = True
        self.base = base
        self.counter = counter
        self.seed = seed
        self.init_sent = init_sent

    def emit(self, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default") -> None:
        out = self.streams.get(stream)
        if out is None or out.direct:
            raise no_plain_emit(self.component, self.streams, stream)
        try:
            if len(values) != out.width:
                raise out.wrong_values(values)
        except TypeError:
            raise out.wrong_values(values) from None
        single = out.single
        if single is None:
            self.send(out, out.targets(values), values, message_id)
            return
        port = out.ports[single.choose(values)]
        if port.check is not None:
            out.check((port,), values)
        out.emitted += 1
        self.emits += 1
        tup = new_tuple(values, out.origin)
        tup.target = port.task
        if message_id is not None and not self.tracked:
            self.pending.done_at_once(message_id, out, self.now)
        elif message_id is not None:
            self.seed = edge = xorshift64(self.seed)
            low = 0xFFFFFFFF
            counter = (self.counter + 1) & low
            self.counter = counter
            root = self.base | counter
            tup.root = root
            tup.edge = edge
            self.pending.add(root, edge, message_id, out, self.now)
            if self.init_sent:
                self.tracking.init(root, edge)
        if port.execute_now is None:
            port.items.append(tup)
        else:
            port.execute_now(tup)

    def emit_and_get_tasks(
        self, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default"
    ) -> list[TaskId]:
        out = checked_stream(self.component, self.streams, stream, values)
        ports = out.targets(values)
        self.send(out, ports, values, message_id)
        return [port.task for port in ports]

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], message_id: Any = None, stream: StreamId = "default"
    ) -> None:
        out = checked_stream(self.component, self.streams, stream, values, direct=True)
        self.send(out, [direct_port(out, task)], values, message_id)

    def emit_many(
        self, rows: Sequence[Sequence[Any]], message_ids: Sequence[Any] | None = None, stream: StreamId = "default"
    ) -> None:
        rows = list(rows)
        out = checked_rows(self.component, self.streams, stream, rows)
        ids = None if message_ids is None else list(message_ids)
        if ids is not None and len(ids) != len(rows):
            raise ValueError(f"component {self.component!r}: {len(rows)} rows, but {len(ids)} message ids")
        if out.single is None or out.calls():
            targets = [out.targets(values) for values in rows]
            for i in range(len(rows)):
                self.send(out, targets[i], rows[i], None if ids is None else ids[i])
            return
        tuples = spread(out, rows)
        self.emits += len(tuples)
        if ids is not None:
            self.track_each(out, tuples, ids)

    def track_each(self, out: OutputStream, tuples: list[Tuple], message_ids: list[Any]) -> None:
        """Begin a tree for each tuple that has an id."""
        low = 0xFFFFFFFF
        for i in range(len(tuples)):
            message_id = message_ids[i]
            if message_id is None:
                continue
            if not self.tracked:
                self.pending.done_at_once(message_id, out, self.now)
                continue
            tup = tuples[i]
            self.seed = edge = xorshift64(self.seed)
            self.counter = (self.counter + 1) & low
            root = self.base | self.counter
            tup.root = root
            tup.edge = edge
            self.pending.add(root, edge, message_id, out, self.now)
            if self.init_sent:
                self.tracking.init(root, edge)

    def report_error(self, error: BaseException) -> None:
        self.report(error)

    def send(self, out: OutputStream, ports: list[Port], values: Sequence[Any], message_id: Any) -> None:
        """Emit to these ports: the general case."""
        out.check(ports, values)
        count_emit(out, len(ports))
        self.emits += 1
        tuples = [new_tuple(values, out.origin) for _ in ports]
        if message_id is not None:
            if self.tracked and ports:
                low = 0xFFFFFFFF
                counter = (self.counter + 1) & low
                self.counter = counter
                root = self.base | counter
                value = 0
                for tup in tuples:
                    self.seed = edge = xorshift64(self.seed)
                    tup.root = root
                    tup.edge = edge
                    value ^= edge
                self.pending.add(root, value, message_id, out, self.now)
                if self.init_sent:
                    self.tracking.init(root, value)
            else:  # nobody tracks it, or nobody gets it: it is done
                self.pending.done_at_once(message_id, out, self.now)
        hand_over(ports, tuples)
        if out.watch is not None:
            out.watch(values, ports)


class BoltCollector:
    """A bolt task's collector. Acks and fails wait in lists for the end of the batch.

    `refused` counts those of tuples that were not the task's, or were settled already. `watch` hears of the others at
    once; then `unwatched` is the target of no tuple, else it is the task.
    """

    __slots__ = (
        "acks", "component", "fails", "refused", "report", "resets", "seed", "streams", "task", "unwatched", "watch",
    )  # fmt: skip

    def __init__(
        self,
        component: ComponentId,
        task: TaskId,
        streams: dict[StreamId, OutputStream],
        seed: int,
        report: Callable[..., None],
    ) -> None:
        self.component = component
        self.task = self.unwatched = task
        self.watch: Callable[[Tuple, str], None] | None = None
        self.refused = 0
        self.streams = streams
        self.seed = seed
        self.report = report
        self.acks: list[Tuple] = []
        self.fails: list[Tuple] = []
        self.resets: list[Tuple] = []

    def emit(self, values: Sequence[Any], anchors: Any = None, stream: StreamId = "default") -> None:
        out = self.streams.get(stream)
        if out is None or out.direct:
            raise no_plain_emit(self.component, self.streams, stream)
        try:
            if len(values) != out.width:
                raise out.wrong_values(values)
        except TypeError:
            raise out.wrong_values(values) from None
        single = out.single
        anchor = None
        if anchors is not None and type(anchors) is Tuple:
            anchor = anchors
        if single is None or (anchors is not None and (anchor is None or anchor.more is not None)):
            self.send(out, out.targets(values), values, anchors)
            return
        port = out.ports[single.choose(values)]
        if port.check is not None:
            out.check((port,), values)
        out.emitted += 1
        tup = new_tuple(values, out.origin)
        tup.target = port.task
        if anchor is not None and anchor.root:
            self.seed = edge = xorshift64(self.seed)
            anchor.edge ^= edge
            tup.root = anchor.root
            tup.edge = edge
        if port.execute_now is None:
            port.items.append(tup)
        else:
            port.execute_now(tup)

    def emit_and_get_tasks(
        self, values: Sequence[Any], anchors: Any = None, stream: StreamId = "default"
    ) -> list[TaskId]:
        out = checked_stream(self.component, self.streams, stream, values)
        ports = out.targets(values)
        self.send(out, ports, values, anchors)
        return [port.task for port in ports]

    def emit_direct(
        self, task: TaskId, values: Sequence[Any], anchors: Any = None, stream: StreamId = "default"
    ) -> None:
        out = checked_stream(self.component, self.streams, stream, values, direct=True)
        self.send(out, [direct_port(out, task)], values, anchors)

    def emit_many(self, rows: Sequence[Sequence[Any]], anchors: Any = None, stream: StreamId = "default") -> None:
        rows = list(rows)
        out = checked_rows(self.component, self.streams, stream, rows)
        anchor = None
        if anchors is not None and type(anchors) is Tuple:
            anchor = anchors
        if out.single is None or out.calls() or (anchors is not None and (anchor is None or anchor.more is not None)):
            several = all_of(anchors)
            targets = [out.targets(values) for values in rows]
            for i in range(len(rows)):
                self.send(out, targets[i], rows[i], several)
            return
        tuples = spread(out, rows)
        if anchor is None or not anchor.root:
            return
        edge = self.seed
        edges = 0
        for tup in tuples:
            edge = xorshift64(edge)
            tup.root = anchor.root
            tup.edge = edge
            edges ^= edge
        self.seed = edge
        anchor.edge ^= edges

    def ack(self, tup: Tuple) -> None:
        if self.settles(tup, "ack"):
            self.acks.append(tup)

    def ack_many(self, tuples: Sequence[Tuple]) -> None:
        acks = self.acks
        for tup in tuples:
            if self.settles(tup, "ack"):
                acks.append(tup)

    def fail(self, tup: Tuple) -> None:
        if self.settles(tup, "fail"):
            self.fails.append(tup)

    def settles(self, tup: Tuple, what: str) -> bool:
        """Whether this ack or fail is the one that counts. Raises TypeError for what is no tuple."""
        if type(tup) is not Tuple:
            raise no_tuple(self.component, what, tup)
        own = tup
        if own.settled or own.target != self.unwatched:
            return self.settles_watched(own, what)
        own.settled = True
        return True

    def settles_watched(self, tup: Tuple, what: str) -> bool:
        if tup.settled or tup.target != self.task:
            self.refuse(tup, what)
            return False
        self.watch(tup, what)  # type: ignore[misc]  # first: where it raises, nothing is settled
        tup.settled = True
        return True

    def hear(self, watch: Callable[[Tuple, str], None]) -> None:
        """Tell of each tuple, and "ack" or "fail", from now on."""
        self.watch, self.unwatched = watch, NO_TASK

    def refuse(self, tup: Tuple, what: str) -> None:
        """An ack or fail that has no effect: told once, then counted."""
        self.refused += 1
        if self.refused & (self.refused - 1):
            return
        if tup.settled:
            why = "that was acked or failed before"
        else:
            why = f"that was given to task {tup.target}" if tup.target else "that no task was given"
        where = f"component {self.component!r}, task {self.task}"
        error = ValueError(f"{where}: {what}ed a tuple {why}: {shown_tuple(tup)}")
        if self.refused == 1:
            self.report(error)
        else:
            logger.warning("%d acks and fails without effect so far, the last: %s", self.refused, error)

    def reset_timeout(self, tup: Tuple) -> None:
        if type(tup) is not Tuple:
            raise no_tuple(self.component, "reset_timeout", tup)
        self.resets.append(tup)

    def report_error(self, error: BaseException) -> None:
        self.report(error)

    def send(self, out: OutputStream, ports: list[Port], values: Sequence[Any], anchors: Any) -> None:
        """Emit to these ports with any anchors: the general case."""
        out.check(ports, values)
        count_emit(out, len(ports))
        tuples = [new_tuple(values, out.origin) for _ in ports]
        if anchors is not None:
            several = all_of(anchors)
            for tup in tuples:
                for anchor in several:
                    if anchor.root:
                        self.seed = edge = xorshift64(self.seed)
                        anchor_to(tup, anchor, edge)
        hand_over(ports, tuples)
        if out.watch is not None:
            out.watch(values, ports)


class BasicCollector:
    """A `BasicBolt`'s collector: everything is anchored to the tuple that is being executed."""

    __slots__ = ("collector", "input")

    def __init__(self, collector: BoltCollector) -> None:
        self.collector = collector
        self.input: Tuple | None = None

    def emit(self, values: Sequence[Any], *, stream: StreamId = "default") -> None:
        self.collector.emit(values, self.input, stream)

    def emit_direct(self, task: TaskId, values: Sequence[Any], *, stream: StreamId = "default") -> None:
        self.collector.emit_direct(task, values, self.input, stream)

    def emit_many(self, rows: Sequence[Sequence[Any]], *, stream: StreamId = "default") -> None:
        self.collector.emit_many(rows, self.input, stream)

    def reset_timeout(self, tup: Tuple) -> None:
        self.collector.reset_timeout(tup)

    def report_error(self, error: BaseException) -> None:
        self.collector.report_error(error)


def checked_rows(
    component: ComponentId, streams: dict[StreamId, OutputStream], stream: StreamId, rows: Sequence[Sequence[Any]]
) -> OutputStream:
    """The stream to emit rows on. Raises ValueError or SerializationError before any of them is emitted."""
    out = streams.get(stream)
    if out is None or out.direct:
        raise no_plain_emit(component, streams, stream)
    for values in rows:
        try:
            if len(values) != out.width:
                raise out.wrong_values(values)
        except TypeError:
            raise out.wrong_values(values) from None
        if out.leaving:
            out.check(out.leaving, values)
    return out


def spread(out: OutputStream, rows: Sequence[Sequence[Any]]) -> list[Tuple]:
    """Make a tuple of each row, put it on its way to the one task that gets it; they are in no tree yet."""
    single, ports, origin = out.single, out.ports, out.origin
    chosen = []
    tuples = []
    if type(single) is OnlyChoice:  # nothing to ask for each row
        port = ports[single.choose(())]
        for values in rows:
            tup = new_tuple(values, origin)
            tup.target = port.task
            tuples.append(tup)
        port.items.extend(tuples)
        out.emitted += len(tuples)
        return tuples
    for values in rows:
        port = ports[single.choose(values)]  # type: ignore[union-attr]
        tup = new_tuple(values, origin)
        tup.target = port.task
        chosen.append(port)
        tuples.append(tup)
    for i in range(len(tuples)):  # only now: all rows have a task
        port = chosen[i]
        port.items.append(tuples[i])
    out.emitted += len(tuples)
    return tuples


def all_of(anchors: Any) -> tuple[Tuple, ...]:
    """None, one or several anchors; an iterator gives them once only."""
    if anchors is None:
        return ()
    return (anchors,) if type(anchors) is Tuple else tuple(anchors)


def new_tuple(values: Any, origin: Origin) -> Tuple:
    """One that is in no tree and for no task yet. Of a tuple that is emitted again it takes the values."""
    if type(values) is Tuple:
        values = values.values
    tup = Tuple.__new__(Tuple)
    tup.values = values
    tup.origin = origin
    tup.target = 0
    tup.more = None
    tup.settled = False
    tup.root = 0
    tup.edge = 0
    return tup


def no_tuple(component: ComponentId, what: str, value: Any) -> TypeError:
    got = shown(value, 100)
    return TypeError(f"component {component!r}: {what} needs the tuple that `execute` was given, got {got}")


def anchor_to(tup: Tuple, anchor: Tuple, edge: int) -> None:
    """Make `tup` part of all trees of `anchor`, by a new edge."""
    anchor.edge ^= edge
    add_edge(tup, anchor.root, edge)
    if anchor.more is not None:
        for root in anchor.more:
            anchor.more[root] ^= edge
            add_edge(tup, root, edge)


def add_edge(tup: Tuple, root: int, edge: int) -> None:
    if tup.root == root:
        tup.edge ^= edge
    elif not tup.root:
        tup.root = root
        tup.edge = edge
    else:
        if tup.more is None:
            tup.more = {}
        tup.more[root] = tup.more.get(root, 0) ^ edge


def count_emit(out: OutputStream, targets: int) -> None:
    out.emitted += 1
    out.transferred_more += targets - (1 if out.single is not None else 0)


def hand_over(ports: list[Port], tuples: list[Tuple]) -> None:
    for port, tup in zip(ports, tuples, strict=True):
        tup.target = port.task
        if port.execute_now is None:
            port.items.append(tup)
        else:
            port.execute_now(tup)
