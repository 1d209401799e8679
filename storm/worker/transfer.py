"""Outgoing tuples: a batch for each peer, grown and sent by size and time, and a bounded queue of frames behind it.

Lane threads put tuples in (`send`, `send_tracking`, `flush`); the exchange's thread takes frames out (`peek`, `pop`).
Nobody ever waits for the network. A peer whose queue is over its mark is in `full_peers`: its tasks are throttled, so
spouts stop. Bolts go on, and if they fill the queue to DROP_AT_MARKS times the mark, batches are dropped and counted:
trees that are tracked are replayed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.errors import SerializationError
from storm.messaging import tuple_codec
from storm.messaging.batch import (
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    SECTION_BYTES_MAX,
    batch_frame,
    columns,
    tracking_section,
    tuple_section,
)

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping, Sequence

    from storm.clock import Clock
    from storm.executor.transfer import Tracking
    from storm.ids import TaskId
    from storm.messaging.batch import WorkerAddress
    from storm.tuples import Origin, Tuple
    from storm.worker.connections import Peer

logger = logging.getLogger(__name__)

# A batch grows while it fills before its time is up and halves when it does not: small ones for low latency at low
# rates, large ones where the cost of a frame counts.
BATCH_ITEMS_MIN = 32
BATCH_ITEMS_MAX = 2_048
BATCH_BYTES_MAX = 256 * 1024
QUEUE_BYTES_MARK = 16 * 1024 * 1024
RELIEVED_AT = 0.25  # of the marks
DROP_AT_MARKS = 4


class TransferOptions(NamedTuple):
    """`queue_frames_mark`: frames that may wait for a peer before its tasks are throttled."""

    flush_secs: float = 0.001
    queue_frames_mark: int = 1_000
    frame_bytes_max: int = FRAME_BYTES_MAX


@dataclass(slots=True)
class Outbox:
    """What waits for one peer. `opened_at` is when the first section of the open batch came."""

    sections: list[bytes] = field(default_factory=list)
    items: int = 0
    size_bytes: int = 0
    opened_at: float = 0.0
    items_max: int = 256
    frames: deque[bytes] = field(default_factory=deque)
    frames_bytes: int = 0
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
        self.wake: Callable[[float], None] = lambda due: None
        self.changes = 0
        self.dropped: Counter[str] = Counter()
        self.sent_frames = 0

    # What lanes call

    def check(self, values: Sequence[Any]) -> None:
        tuple_codec.check(values)

    def send(self, target: TaskId, tuples: list[Tuple]) -> None:
        peer = self._task_peers.get(target)
        if peer is None:
            self._drop("no worker has the task", len(tuples))
            return
        for origin, batch in by_origin(tuples):
            for section in self._sections(target, origin, batch):
                self._put(peer, section, len(batch))

    def send_tracking(self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int]) -> None:
        peer = self._task_peers.get(target)
        if peer is None:
            self._drop("no worker has the task", len(pairs) // 2)
            return
        self._put(peer, tracking_section(kind, target, source, pairs), len(pairs) // 2)

    def flush(self) -> None:
        with self._lock:
            opened = [outbox for outbox in self._outboxes.values() if outbox.sections]
            for outbox in opened:
                self._seal(outbox)
        if opened:
            self.wake(self._clock.now())

    # What the exchange calls

    def route(self, task_peers: Mapping[TaskId, Peer], opened: Sequence[Peer]) -> None:
        """Where tasks are from now on. What waits for a peer that is no longer open is dropped."""
        with self._lock:
            for peer in set(self._outboxes) - set(opened):
                gone = self._outboxes.pop(peer)
                self.dropped["the worker was replaced"] += len(gone.frames) + bool(gone.sections)
            for peer in opened:
                self._outboxes.setdefault(peer, Outbox())
            self._task_peers = task_peers

    def peek(self, peer: Peer) -> bytes | None:
        """The next frame for a peer; None: there is none."""
        outbox = self._outboxes.get(peer)
        return outbox.frames[0] if outbox is not None and outbox.frames else None

    def pop(self, peer: Peer) -> None:
        """The frame that `peek` showed was sent."""
        with self._lock:
            outbox = self._outboxes[peer]
            outbox.frames_bytes -= len(outbox.frames.popleft())
            self.sent_frames += 1

    def seal_due(self, now: float) -> float | None:
        """Close batches whose time is up; when the next one is due, or None."""
        next_due = None
        with self._lock:
            for outbox in self._outboxes.values():
                if not outbox.sections:
                    continue
                due = outbox.opened_at + self._options.flush_secs
                if due <= now:
                    self._seal(outbox)
                    outbox.items_max = max(BATCH_ITEMS_MIN, outbox.items_max // 2)
                elif next_due is None or due < next_due:
                    next_due = due
        return next_due

    def full_peers(self) -> frozenset[Peer]:
        """Peers whose queue went over its mark and has not fallen to a quarter of it since."""
        with self._lock:
            for outbox in self._outboxes.values():
                factor = RELIEVED_AT if outbox.full else 1.0
                outbox.full = self._over(outbox, factor)
            return frozenset(peer for peer, outbox in self._outboxes.items() if outbox.full)

    def queued_frames(self) -> dict[Peer, int]:
        """How many frames wait for each peer."""
        with self._lock:
            return {peer: len(outbox.frames) for peer, outbox in self._outboxes.items()}

    # Inside

    def _sections(self, target: TaskId, origin: Origin, batch: list[Tuple]) -> list[bytes]:
        """The batch as sections: one, unless it is too large or holds what cannot travel."""
        parts = columns(batch)
        try:
            values = tuple_codec.encode_rows(parts.rows)
        except SerializationError as error:
            wrong = f"a value cannot travel: {error}"
        else:
            section = tuple_section(target, origin, parts, values)
            most = SECTION_BYTES_MAX if len(batch) > 1 else self._options.frame_bytes_max
            if len(section) + HEADER_BYTES <= min(most, self._options.frame_bytes_max):
                return [section]
            wrong = f"a tuple is too large: {len(section):,} bytes"
        if len(batch) == 1:
            self._drop(f"{wrong}: {origin.component}, stream {origin.stream}", 1)
            return []
        half = len(batch) // 2
        return [*self._sections(target, origin, batch[:half]), *self._sections(target, origin, batch[half:])]

    def _put(self, peer: Peer, section: bytes, items: int) -> None:
        now = self._clock.now()
        due = None
        with self._lock:
            outbox = self._outboxes.get(peer)
            if outbox is None:
                self.dropped["the worker was replaced"] += items
                return
            if outbox.sections and outbox.size_bytes + len(section) + HEADER_BYTES > self._options.frame_bytes_max:
                self._seal(outbox)
            if not outbox.sections:
                outbox.opened_at = now
                self.changes += 1
                due = now + self._options.flush_secs
            outbox.sections.append(section)
            outbox.items += items
            outbox.size_bytes += len(section)
            if outbox.items >= outbox.items_max or outbox.size_bytes >= BATCH_BYTES_MAX:
                outbox.items_max = min(BATCH_ITEMS_MAX, outbox.items_max * 2)
                self._seal(outbox)
                due = now
            elif now - outbox.opened_at >= self._options.flush_secs:
                outbox.items_max = max(BATCH_ITEMS_MIN, outbox.items_max // 2)
                self._seal(outbox)
                due = now
        if due is not None:
            self.wake(due)

    def _seal(self, outbox: Outbox) -> None:
        """Make a frame of the open batch. The caller holds the lock."""
        self.changes += 1
        if self._over(outbox, DROP_AT_MARKS):
            self._drop("the queue to the worker is full", outbox.items)
        else:
            frame = batch_frame(self._source, outbox.sections)
            outbox.frames.append(frame)
            outbox.frames_bytes += len(frame)
        outbox.sections = []
        outbox.items = 0
        outbox.size_bytes = 0

    def _over(self, outbox: Outbox, factor: float) -> bool:
        return (
            len(outbox.frames) > self._options.queue_frames_mark * factor
            or outbox.frames_bytes > QUEUE_BYTES_MARK * factor
        )

    def _drop(self, reason: str, count: int) -> None:
        kind = reason.partition(":")[0]
        before = self.dropped[kind]
        self.dropped[kind] = before + count
        if before == 0 or before.bit_length() != (before + count).bit_length():  # at each power of two: bounded
            logger.warning("%d tuples or acks dropped before they were sent so far: %s", before + count, reason)


def by_origin(tuples: list[Tuple]) -> list[tuple[Origin, list[Tuple]]]:
    """Split a batch by origin, keeping the order within each."""
    first = tuples[0].origin
    if all(tup.origin is first for tup in tuples):
        return [(first, tuples)]
    found: dict[int, tuple[Origin, list[Tuple]]] = {}
    for tup in tuples:
        found.setdefault(id(tup.origin), (tup.origin, []))[1].append(tup)
    return list(found.values())
