"""Records to bytes and back: msgpack of [kind, version of the kind, fields].

Decoding is strict: what comes out is a whole record whose every field has its declared type, or a
`RecordError` that names the path. Fields that a later release adds with a default keep the version; a change
that an older release would misread raises it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from storm.cluster.records import Assignment, ErrorInfo, LogConfig, NimbusInfo, StormBase, SupervisorInfo
from storm.cluster.storage import NODE_BYTES_MAX
from storm.errors import RecordError

Record = StormBase | Assignment | SupervisorInfo | NimbusInfo | ErrorInfo | LogConfig
R = TypeVar("R", StormBase, Assignment, SupervisorInfo, NimbusInfo, ErrorInfo, LogConfig)

VERSIONS: dict[type[Any], tuple[str, int]] = {
    StormBase: ("StormBase", 1),
    Assignment: ("Assignment", 1),
    SupervisorInfo: ("SupervisorInfo", 1),
    NimbusInfo: ("NimbusInfo", 1),
    ErrorInfo: ("ErrorInfo", 1),
    LogConfig: ("LogConfig", 1),
}

_header = msgspec.msgpack.Decoder(tuple[str, int, msgspec.Raw])
_bodies: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {t: msgspec.msgpack.Decoder(t) for t in VERSIONS}
_encode = msgspec.msgpack.Encoder().encode


def encode(record: Record) -> bytes:
    """Bytes of `record`, at most NODE_BYTES_MAX. Raises RecordError."""
    kind, version = VERSIONS[type(record)]
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
    kind, version = VERSIONS[record_type]
    try:
        found_kind, found_version, body = _header.decode(data)
        if found_kind != kind:
            raise RecordError(f"{path} should hold a {kind} and holds a {found_kind[:40]!r}.")
        if found_version != version:
            raise RecordError(
                f"{path} holds a {kind} of version {found_version}; this release reads version {version}:"
                " run the same release on every host."
            )
        record: R = _bodies[record_type].decode(body)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as e:
        size = f"{len(data):,} bytes"
        raise RecordError(f"{path} does not hold a readable {kind} ({size}): {e}.") from e
    return record
