"""Spouts and bolts for tests: fed and read by the test itself, or simple enough to know what comes out."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.ids import DEFAULT_STREAM
from storm.testing.in_process import Shared
from storm.topology.component import BasicBolt, Bolt, Spout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.ids import ComponentId, StreamId
    from storm.topology.component import OutputCollector, SpoutOutputCollector
    from storm.topology.context import TopologyContext
    from storm.tuples import Tuple


class AckTracker(Shared):
    """Hears which tuples of a `FeederSpout` or `FixedTupleSpout` were acked or failed."""

    def __init__(self) -> None:
        super().__init__()
        self.acked: list[Any] = []
        self.failed: list[Any] = []
        self._changed = threading.Condition()

    def ack(self, message_id: Any) -> None:
        with self._changed:
            self.acked.append(message_id)
            self._changed.notify_all()

    def fail(self, message_id: Any) -> None:
        with self._changed:
            self.failed.append(message_id)
            self._changed.notify_all()

    def wait_settled(self, count: int, timeout_secs: float) -> bool:
        """Wait until `count` acks and fails have come in all; False where they have not after `timeout_secs`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.acked) + len(self.failed) >= count, timeout_secs)


class _Feed(Shared):
    def __init__(self) -> None:
        super().__init__()
        self.waiting: deque[tuple[StreamId, Sequence[Any], Any]] = deque()


class FeederSpout(Spout):
    """Emits what the test feeds it, in that order. Has one task; each tuple's message id is given, or None."""

    def __init__(self, fields: Sequence[str], tracker: AckTracker | None = None) -> None:
        self.outputs = list(fields)
        self.tracker = tracker if tracker is not None else AckTracker()
        self._feed = _Feed()

    def feed(self, values: Sequence[Any], message_id: Any = None, stream: StreamId = DEFAULT_STREAM) -> None:
        """To be called by the test, from any thread."""
        self._feed.waiting.append((stream, values, message_id))

    def next_tuple(self) -> None:
        if self._feed.waiting:
            stream, values, message_id = self._feed.waiting.popleft()
            self.collector.emit(values, message_id, stream)

    def ack(self, message_id: Any) -> None:
        self.tracker.ack(message_id)

    def fail(self, message_id: Any) -> None:
        self.tracker.fail(message_id)


class FixedTupleSpout(Spout):
    """Emits fixed rows once, each with its place as its message id; a row that fails is emitted again.

    With several tasks each emits its share of the rows.
    """

    def __init__(self, rows: Sequence[Sequence[Any]], fields: Sequence[str], tracker: AckTracker | None = None) -> None:
        self.outputs = list(fields)
        self.rows = list(rows)
        self.tracker = tracker

    def open(self, conf: Mapping[str, Any], context: TopologyContext, collector: SpoutOutputCollector) -> None:
        self.collector = collector
        tasks = len(context.tasks_of(context.component_id))
        self._waiting = deque(range(context.task_index, len(self.rows), tasks))

    def next_tuple(self) -> None:
        if self._waiting:
            place = self._waiting.popleft()
            self.collector.emit(self.rows[place], place)

    def ack(self, message_id: Any) -> None:
        if self.tracker is not None:
            self.tracker.ack(message_id)

    def fail(self, message_id: Any) -> None:
        self._waiting.append(message_id)
        if self.tracker is not None:
            self.tracker.fail(message_id)


class CapturedTuple(NamedTuple):
    """A tuple as a `TupleCaptureBolt` got it, and the task that got it."""

    values: list[Any]
    component: ComponentId
    stream: StreamId
    task: int


class Capture(Shared):
    """What tuple capture bolts got, in the order of arrival; several tasks may add to it at once."""

    def __init__(self) -> None:
        super().__init__()
        self._tuples: list[CapturedTuple] = []
        self._changed = threading.Condition()

    def add(self, captured: CapturedTuple) -> None:
        with self._changed:
            self._tuples.append(captured)
            self._changed.notify_all()

    def tuples(self, component: ComponentId | None = None, stream: StreamId | None = None) -> list[CapturedTuple]:
        """Those that came from a component and stream; None: from any."""
        with self._changed:
            return [
                captured
                for captured in self._tuples
                if component in (None, captured.component) and stream in (None, captured.stream)
            ]

    def wait(self, count: int, timeout_secs: float) -> bool:
        """Wait until `count` tuples have come in all; False where they have not after `timeout_secs`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._tuples) >= count, timeout_secs)


class TupleCaptureBolt(Bolt):
    """Keeps every tuple that it gets in `capture`, where the test can read it, and acks it."""

    def __init__(self, capture: Capture | None = None) -> None:
        self.capture = capture if capture is not None else Capture()

    def prepare(self, conf: Mapping[str, Any], context: TopologyContext, collector: OutputCollector) -> None:
        self.collector = collector
        self._task = context.task_id

    def execute(self, tup: Tuple) -> None:
        self.capture.add(CapturedTuple(list(tup.values), tup.component, tup.stream, self._task))
        self.collector.ack(tup)


class SplitSentence(BasicBolt):
    """Emits the words of its tuples' first value."""

    outputs = ("word",)

    def execute(self, tup: Tuple) -> None:
        for word in tup[0].split():
            self.collector.emit([word])


class WordCounter(BasicBolt):
    """Counts its tuples' first value, and emits it with the count so far."""

    outputs = ("word", "count")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def execute(self, tup: Tuple) -> None:
        word = tup[0]
        self.counts[word] += 1
        self.collector.emit([word, self.counts[word]])
