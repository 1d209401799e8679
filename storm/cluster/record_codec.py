"""Records to bytes and back: msgpack of [kind, version of the kind, fields].

Decoding is strict: what comes out is a whole record whose every field has its declared type, or a
`RecordError` that names the path.

Who will read a record is not known when it is written: daemons and workers of the release before or after, now or
later. So nothing is agreed upon, and two rules make a release understood by the one before and the one after it. A
field that is added has a default, keeps the version, and older readers pass over it: its absence must mean what was
before it. A change that an older release would misread raises the version, in two steps: one release reads the new
version and writes the old one, and only the next writes the new one. What stays for long, the records of topologies, is
written anew by a leader that takes office, so that it never is two releases older or newer than its readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from storm.cluster.records import (
    Assignment,
    Drain,
    ErrorInfo,
    LogConfig,
    NimbusInfo,
    StormBase,
    SupervisorInfo,
    UserBlob,
)
from storm.cluster.storage import NODE_BYTES_MAX
from storm.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Record = StormBase | Assignment | SupervisorInfo | Drain | NimbusInfo | ErrorInfo | LogConfig | UserBlob
R = TypeVar("R", StormBase, Assignment, SupervisorInfo, Drain, NimbusInfo, ErrorInfo, LogConfig, UserBlob)
Fields = dict[str, Any]  # as msgpack has them: enums as their values, tuples as lists, but for keys of maps


class Format(NamedTuple):
    """How a kind of record is kept: the version that is `written`, whose fields are those of the record's type, and
    other versions that are read, with what makes this one's fields of theirs."""

    kind: str
    written: int = 1
    also_read: Mapping[int, Callable[[Fields], Fields]] = {}


FORMATS: dict[type[Any], Format] = {
    StormBase: Format("StormBase"),
    Assignment: Format("Assignment"),
    SupervisorInfo: Format("SupervisorInfo"),
    Drain: Format("Drain"),
    NimbusInfo: Format("NimbusInfo"),
    ErrorInfo: Format("ErrorInfo"),
    LogConfig: Format("LogConfig"),
    UserBlob: Format("UserBlob"),
}

_header = msgspec.msgpack.Decoder(tuple[str, int, msgspec.Raw])
_fields = msgspec.msgpack.Decoder(Fields)
_bodies: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {t: msgspec.msgpack.Decoder(t) for t in FORMATS}
_encode = msgspec.msgpack.Encoder().encode
_UNREADABLE = (
    msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    MemoryError,
)  # fmt: skip


def encode(record: Record) -> bytes:
    """Bytes of `record`, at most NODE_BYTES_MAX. Raises RecordError."""
    kind, version, _ = FORMATS[type(record)]
    try:
        data = _encode((kind, version, record))
    except (TypeError, ValueError, OverflowError, RecursionError) as e:
        raise RecordError(f"This {kind} cannot be written to ZooKeeper: {e}.") from e
    if len(data) > NODE_BYTES_MAX:
        raise RecordError(
            f"This {kind} takes {len(data):,} bytes and ZooKeeper takes {NODE_BYTES_MAX:,} a node:"
            " use fewer executors, shorter component names or a smaller configuration."
        )
    return data


def decode(record_type: type[R], data: bytes, path: str) -> R:
    """The record in `data`, which was read at `path`. Raises RecordError naming the path."""
    form: Format = FORMATS[record_type]
    kind, version = form.kind, form.written
    try:
        found_kind, found_version, body = _header.decode(data)
        if found_kind != kind:
            raise RecordError(f"{path} should hold a {kind} and holds a {found_kind[:40]!r}.")
        if found_version == version:
            record: R = _bodies[record_type].decode(body)
        elif (convert := form.also_read.get(found_version)) is not None:
            record = msgspec.convert(convert(_fields.decode(body)), record_type)
        else:
            read = ", ".join(map(str, sorted({version, *form.also_read})))
            raise RecordError(
                f"{path} holds a {kind} of version {found_version}; this release reads version {read}:"
                " releases next to each other understand one another, so upgrade by one release at a time."
            )
    except _UNREADABLE as e:
        size = f"{len(data):,} bytes"
        raise RecordError(f"{path} does not hold a readable {kind} ({size}): {e}.") from e
    return record


def is_as_written(record_type: type[R], data: bytes) -> bool:
    """Whether a record that can be read is of the version that this release writes."""
    version: int = _header.decode(data)[1]
    return version == FORMATS[record_type].written
