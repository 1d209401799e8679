"""Frames: what one worker sends to another, as bytes; docs/wire.md specifies them.

A frame is a header and a body. The body of a BATCH is a row of sections, and each section is either many tuples from
one stream of one task to another task, or tracking for an acker or a spout. The values of the tuples are opaque here
(`tuple_codec` makes them); their roots and edges travel beside them as packed 64-bit numbers, so that nothing but the
values needs a codec. Everything is little-endian. Arbitrary bytes raise FrameError and nothing else; a CRC of the whole
frame sees to it that damage is noticed and never delivered.

How a kind of frame or section looks never changes. A release that wants it otherwise adds a kind and with it a version:
the set of kinds that its reader knows. A worker's hello says the newest version that it reads, and nobody sends it a
kind that is newer.

Pure: no sockets, no settings.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from array import array
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from storm.errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storm.ids import NodeId, StreamId, TaskId, TopologyId
    from storm.messaging.columns import Columns
    from storm.tuples import Origin

MAGIC = b"STRM"
OLDEST, NEWEST = 1, 1  # the versions that this release speaks: to each peer the newest that it reads too
FIRST_VERSION = 1  # of the kinds of frames that were there from the beginning, hellos among them
FRAME_BYTES_MAX = 16 * 1024 * 1024  # what a receiver's socket takes at most, unless it is told otherwise
SECTION_BYTES_MAX = 4 * 1024 * 1024  # values of one section
STREAM_BYTES_MAX = 255
THROTTLED_TASKS_MAX = 65_536

_PREFIX = struct.Struct("<4sI")  # magic, CRC-32 of all that follows
_HEADER = struct.Struct("<BBHQQII")  # version, kind, reserved, topology, source node, source port, source epoch
_TUPLES = struct.Struct("<BBHiiIII")  # 1, stream size, flags, target, source, count, values size, multi-root size
_TRACKING = struct.Struct("<BBHiiI")  # 2, kind, reserved, target, source, count
_MORE = struct.Struct("<II")  # position, count
_HELLO = struct.Struct("<BQBI")  # answer, incarnation, newest version, routed by; later releases may send more
_THROTTLE = struct.Struct("<II")  # time to live in ms, count
HEADER_BYTES = _PREFIX.size + _HEADER.size
TRACKING_HEADER_BYTES = _TRACKING.size
TUPLES_SECTION, TRACKING_SECTION = 1, 2
TRACKED = 1  # flag: roots and edges follow the values
_ADVICE = "releases next to each other understand one another, so upgrade by one release at a time"
_BIG_ENDIAN = struct.pack("=H", 1) == struct.pack(">H", 1)


class FrameKind(IntEnum):
    """What a frame is for. The numbers never change."""

    HELLO = 1
    BATCH = 2
    THROTTLE = 3
    INQUIRY = 4
    HELD = 5


class WorkerAddress(NamedTuple):
    """Who sent a frame: hashes of its topology and node, its port and its epoch (`Assignment.slot_epochs`)."""

    topology_hash: int
    node_hash: int
    port: int
    epoch: int


class Frame(NamedTuple):
    """A frame whose checksum is right."""

    source: WorkerAddress
    kind: FrameKind
    body: memoryview


class Hello(NamedTuple):
    """`answer`: this hello answers one; otherwise the sender wants an answer.

    `incarnation` is a random number of the sender's process: another one says that the process before has died.
    `newest` is the newest version of the format that it reads, `routed_by` the version of the assignment by which it
    sends.
    """

    answer: bool
    incarnation: int
    newest: int = NEWEST
    routed_by: int = 0

    @property
    def spoken(self) -> int:
        """The version in which its sender is answered: the newest that both sides read."""
        return min(NEWEST, self.newest)


class Throttle(NamedTuple):
    """All tasks of the sender that are over their high-water mark; it holds for `ttl_ms` unless renewed."""

    ttl_ms: int
    tasks: tuple[TaskId, ...]


class TupleSection(NamedTuple):
    """Tuples from one stream of `source` to `target`; `ids` is array("Q") root, edge, ..., or None: no one tracks them.

    `more` holds the further roots of tuples that belong to several trees: {position: {root: edge}}.
    """

    target: TaskId
    source: TaskId
    stream: StreamId
    tuple_count: int
    values: memoryview
    ids: array[int] | None
    more: dict[int, dict[int, int]]


class TrackingSection(NamedTuple):
    """`pairs` is array("Q") root, value, ...; `kind` a number of `storm.executor.transfer.Tracking`."""

    kind: int
    target: TaskId
    source: TaskId
    pairs: array[int]


def topology_hash(topology_id: TopologyId) -> int:
    return _hash64(topology_id)


def node_hash(node_id: NodeId) -> int:
    return _hash64(node_id)


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def hello_frame(source: WorkerAddress, hello: Hello) -> bytes:
    return _frame(source, FrameKind.HELLO, [_HELLO.pack(*hello)])


def throttle_frame(source: WorkerAddress, throttle: Throttle) -> bytes:
    """At most THROTTLED_TASKS_MAX tasks are told: the first ones."""
    tasks = throttle.tasks[:THROTTLED_TASKS_MAX]
    body = _THROTTLE.pack(throttle.ttl_ms, len(tasks)) + struct.pack(f"<{len(tasks)}i", *tasks)
    return _frame(source, FrameKind.THROTTLE, [body])


def batch_frame(source: WorkerAddress, sections: Iterable[bytes], version: int = OLDEST) -> bytes:
    """A frame of sections made by `tuple_section` and `tracking_section`, for a peer that reads `version`."""
    return _frame(source, FrameKind.BATCH, sections, version)


def _frame(source: WorkerAddress, kind: FrameKind, parts: Iterable[bytes], version: int = FIRST_VERSION) -> bytes:
    rest = b"".join((_HEADER.pack(version, kind, 0, *source), *parts))
    return _PREFIX.pack(MAGIC, zlib.crc32(rest)) + rest


def read_frame(data: bytes) -> Frame:
    """The header of a frame and its body. Raises FrameError unless it is one, whole and undamaged."""
    if len(data) < HEADER_BYTES:
        raise FrameError(f"{len(data)} bytes; a frame has at least {HEADER_BYTES}")
    magic, crc = _PREFIX.unpack_from(data)
    version, kind, _, *source = _HEADER.unpack_from(data, _PREFIX.size)
    if magic != MAGIC:
        raise FrameError(f"it begins with {magic!r}: no worker sent it")
    if version > NEWEST:
        raise FrameError(f"version {version} of the frame format, this release reads up to {NEWEST}: {_ADVICE}")
    view = memoryview(data)
    if zlib.crc32(view[_PREFIX.size :]) != crc:
        raise FrameError("its checksum is wrong: it was damaged on the way")
    try:
        known = FrameKind(kind)
    except ValueError:
        raise FrameError(f"unknown kind of frame {kind}") from None
    return Frame(WorkerAddress(*source), known, view[HEADER_BYTES:])


def read_hello(body: memoryview) -> Hello:
    """What later releases add to it is passed over. Raises FrameError."""
    if len(body) < _HELLO.size or body[0] > 1:
        raise FrameError("a malformed hello")
    answer, incarnation, newest, routed_by = _HELLO.unpack_from(body)
    if newest < OLDEST:
        raise FrameError(
            f"its sender reads frames up to version {newest}, this release speaks {OLDEST} to {NEWEST}: {_ADVICE}"
        )
    return Hello(bool(answer), incarnation, newest, routed_by)


def read_throttle(body: memoryview) -> Throttle:
    """Raises FrameError."""
    if len(body) < _THROTTLE.size:
        raise FrameError("a truncated throttle")
    ttl_ms, count = _THROTTLE.unpack_from(body)
    if count > THROTTLED_TASKS_MAX or len(body) != _THROTTLE.size + 4 * count:
        raise FrameError(f"a throttle of {count} tasks in {len(body)} bytes")
    return Throttle(ttl_ms, struct.unpack_from(f"<{count}i", body, _THROTTLE.size))


def read_sections(body: memoryview) -> Iterator[TupleSection | TrackingSection]:
    """The sections of a BATCH in order. Raises FrameError at the first one that is malformed."""
    at = 0
    while at < len(body):
        section_kind = body[at]
        try:
            if section_kind == TUPLES_SECTION:
                section, at = _read_tuples(body, at)
                yield section
            elif section_kind == TRACKING_SECTION:
                tracking, at = _read_tracking(body, at)
                yield tracking
            else:
                raise FrameError(f"unknown kind of section {section_kind}")
        except struct.error:
            raise FrameError("a truncated section") from None


def tracking_section(kind: int, target: TaskId, source: TaskId, pairs: array[int]) -> bytes:
    """`pairs` is array("Q") root, value, root, value, ..."""
    header = _TRACKING.pack(TRACKING_SECTION, kind, 0, target, source, len(pairs) // 2)
    return header + _little_endian(pairs)


def _read_tracking(body: memoryview, at: int) -> tuple[TrackingSection, int]:
    _, kind, _, target, source, count = _TRACKING.unpack_from(body, at)
    pairs, end = _read_numbers(body, at + _TRACKING.size, 2 * count)
    return TrackingSection(kind, target, source, pairs), end


def tuple_section(target: TaskId, origin: Origin, columns: Columns, values: bytes) -> bytes:
    """`values` is what `tuple_codec.encode_rows(columns.rows)` made."""
    stream = origin.stream.encode()
    ids = b"" if columns.ids is None else _little_endian(columns.ids)
    more = b"".join(
        _MORE.pack(position, len(trees)) + _little_endian(array("Q", [n for pair in trees.items() for n in pair]))
        for position, trees in columns.more.items()
    )
    flags = 0 if columns.ids is None else TRACKED
    header = _TUPLES.pack(
        TUPLES_SECTION, len(stream), flags, target, origin.task, len(columns.rows), len(values), len(more)
    )
    return b"".join((header, stream, values, ids, more))


def _read_tuples(body: memoryview, at: int) -> tuple[TupleSection, int]:
    _, stream_size, flags, target, source, count, values_size, more_size = _TUPLES.unpack_from(body, at)
    at += _TUPLES.size
    if at + stream_size + values_size > len(body):
        raise FrameError("a truncated section")
    try:
        stream = str(body[at : at + stream_size], "utf-8")
    except UnicodeDecodeError:
        raise FrameError("a stream's name that is no text") from None
    at += stream_size
    values = body[at : at + values_size]
    at += values_size
    ids = None
    if flags & TRACKED:
        ids, at = _read_numbers(body, at, 2 * count)
    end = at + more_size
    if end > len(body):
        raise FrameError("a truncated section")
    more: dict[int, dict[int, int]] = {}
    while at < end:
        position, trees = _MORE.unpack_from(body, at)
        pairs, at = _read_numbers(body, at + _MORE.size, 2 * trees)
        if position >= count or at > end or ids is None:
            raise FrameError("further roots that belong to no tuple")
        more[position] = dict(zip(pairs[::2], pairs[1::2], strict=True))
    return TupleSection(target, source, stream, count, values, ids, more), end


def _little_endian(numbers: array[int]) -> bytes:
    if _BIG_ENDIAN:
        numbers = array("Q", numbers)
        numbers.byteswap()
    return numbers.tobytes()


def _read_numbers(body: memoryview, at: int, count: int) -> tuple[array[int], int]:
    end = at + 8 * count
    if end > len(body):
        raise FrameError("a truncated section")
    numbers = array("Q")
    numbers.frombytes(body[at:end])
    if _BIG_ENDIAN:
        numbers.byteswap()
    return numbers, end


INQUIRY_ROOTS_MAX = 65_536
HELD_ENTRIES_MAX = 65_536
_INQUIRY = struct.Struct("<II")  # number, count
_HELD = struct.Struct("<II")  # number, count
_ENTRY = struct.Struct("<QiI")  # root, task, how


class Inquiry(NamedTuple):
    """The sender asks what the receiver holds of these trees; `number` is for the answer."""

    number: int
    roots: tuple[int, ...]


class Held(NamedTuple):
    """The answer to an inquiry: (root, task, how), `how` a number of `storm.executor.inquiry.How`."""

    number: int
    entries: tuple[tuple[int, TaskId, int], ...]


def inquiry_frame(source: WorkerAddress, inquiry: Inquiry) -> bytes:
    """At most INQUIRY_ROOTS_MAX roots are asked for: the first ones."""
    roots = array("Q", inquiry.roots[:INQUIRY_ROOTS_MAX])
    return _frame(source, FrameKind.INQUIRY, [_INQUIRY.pack(inquiry.number, len(roots)), _little_endian(roots)])


def held_frame(source: WorkerAddress, held: Held) -> bytes:
    """At most HELD_ENTRIES_MAX entries are told: the first ones."""
    entries = held.entries[:HELD_ENTRIES_MAX]
    head = _HELD.pack(held.number, len(entries))
    return _frame(source, FrameKind.HELD, [head, *(_ENTRY.pack(*entry) for entry in entries)])


def read_inquiry(body: memoryview) -> Inquiry:
    """Raises FrameError."""
    number, count = _head_of(_INQUIRY, body, 8, INQUIRY_ROOTS_MAX, "an inquiry")
    return Inquiry(number, tuple(_read_numbers(body, _INQUIRY.size, count)[0]))


def read_held(body: memoryview) -> Held:
    """Raises FrameError."""
    number, _ = _head_of(_HELD, body, _ENTRY.size, HELD_ENTRIES_MAX, "an answer to an inquiry")
    return Held(number, tuple(_ENTRY.iter_unpack(body[_HELD.size :])))


def _head_of(head: struct.Struct, body: memoryview, entry_bytes: int, most: int, what: str) -> tuple[int, int]:
    """Number and count of a body that is a head and so many entries."""
    if len(body) < head.size:
        raise FrameError(f"{what} that is truncated")
    number, count = head.unpack_from(body)
    if count > most or len(body) != head.size + entry_bytes * count:
        raise FrameError(f"{what} with {count} entries in {len(body)} bytes")
    return number, count
