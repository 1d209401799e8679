"""Outgoing tuples: for each peer a bounded queue of sections, of which the exchange makes frames.

Lane threads put sections in (`send`, `send_tracking`, `flush`); the exchange's thread takes frames out (`peek`, `pop`).
Nobody ever waits for the network. A peer whose queue is over its mark is in `full_peers`: its tasks are throttled, so
spouts stop. Bolts go on, and if they fill the queue to DROP_AT_MARKS times the mark, batches are dropped and counted:
trees that are tracked are replayed.

A frame takes all that waits, up to FRAME_BYTES. So frames size themselves: at low rates each carries one flush, and
the busier the lanes are, the longer the exchange waits for the interpreter (5 ms a turn), the more it finds. A frame of
a fixed number of tuples would cost one such turn each, which alone would hold a worker below half a million a second.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.errors import SerializationError
from storm.messaging import tuple_codec
from storm.messaging.batch import (
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    SECTION_BYTES_MAX,
    STREAM_BYTES_MAX,
    TRACKING_HEADER_BYTES,
    batch_frame,
    tracking_section,
    tuple_section,
)
from storm.messaging.columns import ValueCheck, by_origin, columns
from storm.worker.drops import Drops

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Container, Mapping, Sequence

    from storm.clock import Clock
    from storm.executor.transfer import Tracking
    from storm.ids import TaskId
    from storm.messaging.batch import WorkerAddress
    from storm.tuples import Origin, Tuple
    from storm.worker.connections import Peer

FRAME_BYTES = 1024 * 1024
# A lane flushes after each of its turns. Only one whose turn takes long needs the exchange to come by itself, which may
# be so much late: waking it with every first tuple would cost as much as sending it.
LATE_SECS = 0.01
SECTION_BYTES_AROUND = 64  # a section's header, msgpack's headers of rows, and one tuple's root and edge
READY_ITEMS = 1024  # so many tuples and acks leave without waiting for a flush: each time the exchange is woken
QUEUE_BYTES_MARK = 4 * 1024 * 1024
RELIEVED_AT = 0.25  # of the marks
DROP_AT_MARKS = 16


class TransferOptions(NamedTuple):
    """`flush_secs`: how long tuples may wait for more. `queue_sections_mark`: batches of one lane for one task that may
    wait for a peer before its tasks are throttled."""

    flush_secs: float = 0.001
    queue_sections_mark: int = 1_000
    frame_bytes_max: int = FRAME_BYTES_MAX


@dataclass(slots=True)
class Outbox:
    """What waits for one peer: sections with their numbers of items, and the frame that is being sent.

    `version` is that of the frames that the peer is sent; None: its hello did not come yet, and nothing leaves.
    `ready_at` is when they should leave: at once when enough wait or a lane has flushed. `items` counts `sections`.
    """

    sections: deque[tuple[bytes, int]] = field(default_factory=deque)
    items: int = 0
    size_bytes: int = 0
    version: int | None = None
    ready_at: float = 0.0
    frame: bytes | None = None
    full: bool = False


class WorkerTransfer:
    """See `storm.executor.transfer.Transfer`.

    `wake` is called, from any thread, with the clock second by which the exchange should act; `changes` counts what it
    should have a look at.
    """

    def __init__(self, source: WorkerAddress, options: TransferOptions, clock: Clock) -> None:
        self._source = source
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._task_peers: Mapping[TaskId, Peer] = {}
        self._outboxes: dict[Peer, Outbox] = {}
        # Room for what stands beside the values of one tuple, but for the roots of one that belongs to several trees.
        self._values_bytes_max = options.frame_bytes_max - HEADER_BYTES - STREAM_BYTES_MAX - SECTION_BYTES_AROUND
        self.check = ValueCheck(self._values_bytes_max, self._examine).check
        self.wake: Callable[[float], None] = lambda due: None
        self.changes = 0
        self.dropped = Drops("tuples or acks dropped before they were sent")
        self.sent_frames = 0

    # What lanes call

    def send(self, target: TaskId, tuples: list[Tuple]) -> None:
        peer = self._task_peers.get(target)
        if peer is None:
            self.dropped.note("no worker has the task", len(tuples))
            return
        for origin, batch in by_origin(tuples):
            for section in self._sections(target, origin, batch):
                self._put(peer, section, len(batch))

    def send_tracking(self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int]) -> None:
        peer = self._task_peers.get(target)
        if peer is None:
            self.dropped.note("no worker has the task", len(pairs) // 2)
            return
        most = (min(SECTION_BYTES_MAX, self._options.frame_bytes_max - HEADER_BYTES) - TRACKING_HEADER_BYTES) // 16 * 2
        for start in range(0, len(pairs), most):
            part = pairs[start : start + most]
            self._put(peer, tracking_section(kind, target, source, part), len(part) // 2)

    def flush(self) -> None:
        now = self._clock.now()
        waiting = False
        with self._lock:
            for outbox in self._outboxes.values():
                if outbox.sections and outbox.ready_at > now:
                    waiting = True
                    outbox.ready_at = now
                    self.changes += 1
        if waiting:
            self.wake(now)

    # What the exchange calls

    def route(self, task_peers: Mapping[TaskId, Peer], opened: Sequence[Peer]) -> None:
        """Where tasks are from now on. What waits for a peer that is no longer open is dropped."""
        with self._lock:
            for peer in set(self._outboxes) - set(opened):
                gone = self._outboxes.pop(peer)
                if gone.items:
                    self.dropped.note("the worker was replaced", gone.items)
            for peer in opened:
                self._outboxes.setdefault(peer, Outbox())
            self._task_peers = task_peers

    def speak(self, peer: Peer, version: int | None) -> None:
        """From now on frames for this peer are of this version of the format; None: all waits until it is heard of."""
        with self._lock:
            self._outboxes[peer].version = version

    def peek(self, peer: Peer, now: float) -> bytes | None:
        """The next frame for a peer, the same until it is popped; None: nothing has to leave yet."""
        outbox = self._outboxes.get(peer)
        if outbox is None or outbox.version is None:
            return None
        if outbox.frame is None and (not outbox.sections or outbox.ready_at > now):
            return None
        if outbox.frame is None:
            with self._lock:
                sections = self._take_sections(outbox)
            outbox.frame = batch_frame(self._source, sections, outbox.version)
        return outbox.frame

    def pop(self, peer: Peer) -> None:
        """The frame that `peek` showed was sent."""
        self._outboxes[peer].frame = None
        self.sent_frames += 1

    def next_ready(self, blocked: Container[Peer]) -> float | None:
        """When something has to leave for a peer that was heard of and is not blocked; None: nothing waits."""
        with self._lock:
            times = [
                box.ready_at
                for peer, box in self._outboxes.items()
                if box.sections and box.version is not None and peer not in blocked
            ]
        return min(times, default=None)

    def full_peers(self) -> frozenset[Peer]:
        """Peers whose queue went over its mark and has not fallen to a quarter of it since."""
        with self._lock:
            for outbox in self._outboxes.values():
                factor = RELIEVED_AT if outbox.full else 1.0
                outbox.full = self._over(outbox, factor)
            return frozenset(peer for peer, outbox in self._outboxes.items() if outbox.full)

    def waiting(self) -> int:
        """How many tuples and acks wait to be sent, to all peers; by any thread."""
        with self._lock:
            return sum(outbox.items for outbox in self._outboxes.values())

    # Inside

    def _examine(self, values: Sequence[Any]) -> None:
        tuple_codec.check(values, self._values_bytes_max)

    def _sections(self, target: TaskId, origin: Origin, batch: list[Tuple]) -> list[bytes]:
        """The batch as sections: one, unless it is too large or holds what cannot travel."""
        parts = columns(batch)
        try:
            values = tuple_codec.encode_rows(parts.rows, parts.plain)
        except SerializationError as error:
            wrong = f"a value cannot travel: {error}"
        else:
            section = tuple_section(target, origin, parts, values)
            most = SECTION_BYTES_MAX if len(batch) > 1 else self._options.frame_bytes_max
            if len(section) + HEADER_BYTES <= min(most, self._options.frame_bytes_max):
                return [section]
            wrong = f"a tuple is too large: {len(section):,} bytes; the limit is {self._options.frame_bytes_max:,}"
        if len(batch) == 1:
            self.dropped.note(f"{wrong}: {origin.component}, stream {origin.stream}", 1)
            return []
        half = len(batch) // 2
        return [*self._sections(target, origin, batch[:half]), *self._sections(target, origin, batch[half:])]

    def _put(self, peer: Peer, section: bytes, items: int) -> None:
        now = self._clock.now()
        due = None
        with self._lock:
            outbox = self._outboxes.get(peer)
            if outbox is None:
                self.dropped.note("the worker was replaced", items)
                return
            if self._over(outbox, DROP_AT_MARKS):
                self.dropped.note("the queue to the worker is full", items)
                return
            before = outbox.items
            if not outbox.sections:
                outbox.ready_at = now + self._options.flush_secs
                due = outbox.ready_at + LATE_SECS
            outbox.sections.append((section, items))
            outbox.items += items
            outbox.size_bytes += len(section)
            if before < READY_ITEMS <= outbox.items:
                due = outbox.ready_at = now
            self.changes += due is not None
        if due is not None:
            self.wake(due)

    def _take_sections(self, outbox: Outbox) -> list[bytes]:
        """At least one, and as many as fit into a frame. The caller holds the lock."""
        most = min(FRAME_BYTES, self._options.frame_bytes_max) - HEADER_BYTES
        taken: list[bytes] = []
        size_bytes = 0
        while outbox.sections and (not taken or size_bytes + len(outbox.sections[0][0]) <= most):
            section, items = outbox.sections.popleft()
            taken.append(section)
            size_bytes += len(section)
            outbox.items -= items
        outbox.size_bytes -= size_bytes
        return taken

    def _over(self, outbox: Outbox, factor: float) -> bool:
        return (
            len(outbox.sections) > self._options.queue_sections_mark * factor
            or outbox.size_bytes > QUEUE_BYTES_MARK * factor
        )
