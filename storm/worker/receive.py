"""Incoming frames: what may pass goes to the lanes, everything else is counted and dropped, and nothing raises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from storm.errors import FrameError
from storm.executor.transfer import Tracking
from storm.messaging import tuple_codec
from storm.messaging.batch import (
    FrameKind,
    Held,
    Hello,
    Inquiry,
    Throttle,
    TrackingSection,
    TupleSection,
    read_frame,
    read_held,
    read_hello,
    read_inquiry,
    read_sections,
    read_throttle,
)
from storm.messaging.columns import tuples_of
from storm.worker import connections
from storm.worker.drops import Drops

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeAlias

    from storm.ids import StreamId, TaskId
    from storm.messaging.tuple_codec import BadValue
    from storm.tuples import Origin
    from storm.worker.connections import Peer, View

    class Deliveries(Protocol):
        """What of `storm.executor.lanes.Lanes` incoming tuples need."""

        def deliver(self, target: TaskId, tuples: list[Tuple]) -> bool: ...

        def deliver_tracking(
            self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int] | memoryview
        ) -> object: ...

        def origin(self, task: TaskId, stream: StreamId) -> Origin: ...

    from array import array

    from storm.tuples import Tuple

    Refuse: TypeAlias = Callable[[TaskId, list[tuple[Tuple, str]]], None]

logger = logging.getLogger(__name__)

TRACKING = {int(kind): kind for kind in Tracking}
READERS: dict[FrameKind, Callable[[memoryview], Hello | Throttle | Inquiry | Held]] = {
    FrameKind.HELLO: read_hello,
    FrameKind.THROTTLE: read_throttle,
    FrameKind.INQUIRY: read_inquiry,
    FrameKind.HELD: read_held,
}


class Announcement(NamedTuple):
    """What is no batch, from a peer."""

    peer: Peer
    message: Hello | Throttle | Inquiry | Held


class Receive:
    """Owned by one thread. `own_tasks` are the tasks of this worker's executors.

    `refuse(target, tuples)` is given those with values that cannot be decoded here, each with why, for people; None:
    they are only counted.
    `dropped` counts frames, sections and tuples by reason; `unheard_of` says that a frame came from a worker that the
    assignment does not have yet: time to read it again.
    """

    def __init__(
        self, lanes: Deliveries, own_tasks: frozenset[TaskId], view: View, refuse: Refuse | None = None
    ) -> None:
        self._lanes = lanes
        self._refuse = refuse
        self._own_tasks = own_tasks
        self._origins: dict[tuple[TaskId, StreamId], Origin] = {}
        self.view = view
        self.unheard_of = False
        self.delivered = 0
        self.dropped = Drops("times dropped on arrival")

    def take(self, data: bytes) -> Announcement | None:
        """Deliver what is in a batch; any other frame of a known peer is the caller's business."""
        try:
            frame = read_frame(data)
            if frame.source.topology_hash != self.view.topology_hash:
                self.dropped.note("a frame of another topology")
                return None
            sender = connections.sender(self.view, frame.source)
            if sender.fenced:
                self.dropped.note("a frame of a worker that was replaced")
                return None
            if sender.peer is None:
                self.unheard_of = True
            if frame.kind is FrameKind.BATCH:
                self._deliver(frame.body)
                return None
            message = READERS[frame.kind](frame.body)
            return None if sender.peer is None else Announcement(sender.peer, message)
        except FrameError as error:
            self.dropped.note(f"a malformed frame: {error}")
        except Exception:
            self.dropped.note("a frame that could not be delivered")
            logger.exception("A frame of %d bytes could not be delivered; it is dropped.", len(data))
        return None

    def is_from_peer(self, data: bytes) -> bool:
        """Whether a frame is whole and of this topology.

        Whether its sender was replaced does not matter: a worker that has just started takes many for that, until it
        has read its assignment.
        """
        try:
            return read_frame(data).source.topology_hash == self.view.topology_hash
        except FrameError:
            return False

    def _deliver(self, body: memoryview) -> None:
        for section in read_sections(body):
            if section.target not in self._own_tasks:
                self.dropped.note("a section for a task that is not here")
            elif isinstance(section, TrackingSection):
                self._deliver_tracking(section)
            else:
                self._deliver_tuples(section)

    def _deliver_tuples(self, section: TupleSection) -> None:
        origin = self._origin(section.source, section.stream)
        if origin is None:
            self.dropped.note(f"a section from an unknown stream: task {section.source}, {section.stream!r}")
            return
        try:
            tuples = tuples_of(tuple_codec.decode_rows(section.values), section, origin)
        except FrameError:
            tuples = self._by_row(section, origin)
            if not tuples:
                return
        if self._lanes.deliver(section.target, tuples):
            self.delivered += len(tuples)
        else:
            self.dropped.note("tuples for a task that takes none")

    def _by_row(self, section: TupleSection, origin: Origin) -> list[Tuple]:
        """What is good in a section that cannot be decoded as a whole; nothing if it is malformed. Refuses the rest."""
        try:
            rows, bad = tuple_codec.decode_by_row(section.values, len(origin.fields))
            tuples = tuples_of(rows, section, origin)
        except FrameError as error:
            self.dropped.note(f"a malformed section: {error}")
            return []
        refused = [(tuples[place], _why_refused(origin, value)) for place, value in bad.items()]
        if refused:
            self.dropped.note(f"tuples that cannot be decoded: {refused[0][1]}", len(refused))
            if self._refuse is not None:
                self._refuse(section.target, refused)
        return [tup for place, tup in enumerate(tuples) if place not in bad]

    def _deliver_tracking(self, section: TrackingSection) -> None:
        kind = TRACKING.get(section.kind)
        if kind is None:
            self.dropped.note(f"a malformed section: tracking of unknown kind {section.kind}")
            return
        self._lanes.deliver_tracking(kind, section.target, section.source, section.pairs)

    def _origin(self, task: TaskId, stream: StreamId) -> Origin | None:
        """Bounded by the topology's streams: unknown ones are not remembered."""
        found = self._origins.get((task, stream))
        if found is None:
            try:
                found = self._lanes.origin(task, stream)
            except KeyError:
                return None
            self._origins[task, stream] = found
        return found


def _why_refused(origin: Origin, value: BadValue) -> str:
    return (
        f"a tuple from component {origin.component!r}, stream {origin.stream!r}, was failed, since its field "
        f"{origin.fields[value.position]!r} cannot be decoded: {value.why}"
    )
