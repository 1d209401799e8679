"""Bounds of a binary-protocol message, checked before any decoder sees it.

Decoders trust counts and lengths: a list of 2**31 elements of an unknown type makes them loop for seconds
over nothing, a string of 2**31 bytes makes them allocate it. So a message is walked first, without
recursion and without building anything, in time linear in its length: every step consumes a byte or an
announced element.

The format is the Thrift binary protocol, strict messages only (Apache Thrift, doc/specs/thrift-binary-
protocol.md).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from storm.errors import ThriftProtocolError

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4

BOOL, BYTE, DOUBLE, I16, I32, I64, STRING, STRUCT, MAP, SET, LIST = 2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15
FIXED_SIZE_BYTES = {BOOL: 1, BYTE: 1, DOUBLE: 8, I16: 2, I32: 4, I64: 8}
MIN_SIZE_BYTES = FIXED_SIZE_BYTES | {STRING: 4, STRUCT: 1, MAP: 6, SET: 5, LIST: 5}

_VERSION_1 = 0x8001
_I32 = struct.Struct(">i")
_HEADER = struct.Struct(">HBBi")  # version, unused, kind, length of the method's name
_LIST_HEAD = struct.Struct(">Bi")
_MAP_HEAD = struct.Struct(">BBi")


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """What one message may hold. The answer at each limit is `ThriftProtocolError`."""

    depth_max: int = 32  # structs and containers inside one another; Storm's deepest struct has 8
    values_max: int = 1_000_000  # fields and elements of containers together; a map's entry counts twice
    method_name_max: int = 128  # bytes


class MessageHeader(NamedTuple):
    method: str
    kind: int  # CALL, REPLY, EXCEPTION or ONEWAY
    sequence_id: int
    body_offset: int  # where the struct of arguments or results begins


def read_header(frame: bytes, limits: ScanLimits = ScanLimits()) -> MessageHeader:
    """The header of `frame`. Raises ThriftProtocolError if it has none of the strict binary protocol."""
    if len(frame) < _HEADER.size:
        raise ThriftProtocolError(f"a message of {len(frame)} bytes is too short to have a header")
    version, _, kind, name_length = _HEADER.unpack_from(frame)
    if version != _VERSION_1:
        raise ThriftProtocolError(f"not the Thrift binary protocol: the message begins with {frame[:8]!r}")
    if kind not in (CALL, REPLY, EXCEPTION, ONEWAY):
        raise ThriftProtocolError(f"there is no kind of message {kind}")
    end = _HEADER.size + name_length
    if not 0 < name_length <= limits.method_name_max or end + _I32.size > len(frame):
        raise ThriftProtocolError(f"a method's name of {name_length} bytes in a message of {len(frame)}")
    try:
        method = frame[_HEADER.size : end].decode()
    except UnicodeDecodeError as error:
        raise ThriftProtocolError("a method's name is not UTF-8") from error
    return MessageHeader(method, kind, _I32.unpack_from(frame, end)[0], end + _I32.size)


def scan_message(frame: bytes, limits: ScanLimits = ScanLimits()) -> MessageHeader:
    """Check the whole of `frame`: header, one struct and nothing after it. Raises ThriftProtocolError."""
    header = read_header(frame, limits)
    scan_struct(frame, header.body_offset, limits)
    return header


def scan_struct(data: bytes, offset: int = 0, limits: ScanLimits = ScanLimits()) -> None:
    """Check that exactly one struct fills `data` from `offset` on. Raises ThriftProtocolError."""
    end = skip_value(data, offset, STRUCT, limits)
    if end != len(data):
        raise ThriftProtocolError(f"{len(data) - end} bytes follow the end of the message")


def skip_value(data: bytes, offset: int, kind: int, limits: ScanLimits = ScanLimits()) -> int:
    """Where the value of type `kind` that begins at `offset` ends. Raises ThriftProtocolError."""
    scan = _Scan(data, offset, limits)
    scan.value(kind)
    while scan.open_values:
        scan.step()
    return scan.offset


class _Container:
    """An open container: how many values are left, and of which types in turn."""

    __slots__ = ("kinds", "left")

    def __init__(self, kinds: tuple[int, ...], left: int) -> None:
        self.kinds = kinds
        self.left = left


class _Scan:
    def __init__(self, data: bytes, offset: int, limits: ScanLimits) -> None:
        self.data = data
        self.offset = offset
        self.limits = limits
        self.values = 0
        self.open_values: list[_Container | None] = []  # None stands for a struct

    def step(self) -> None:
        """Take the next value of the innermost open one, or close it."""
        top = self.open_values[-1]
        if top is None:
            kind = self.data[self.take(1)]
            if kind == 0:
                self.open_values.pop()
            else:
                self.take(2)
                self.count(1)
                self.value(kind)
        elif top.left == 0:
            self.open_values.pop()
        else:
            kind = top.kinds[-top.left % len(top.kinds)]
            top.left -= 1
            self.value(kind)

    def value(self, kind: int) -> None:
        """Pass a value of type `kind`, or open it."""
        size = FIXED_SIZE_BYTES.get(kind)
        if size is not None:
            self.take(size)
        elif kind == STRING:
            (length,) = _I32.unpack_from(self.data, self.take(4))
            if length < 0:
                raise ThriftProtocolError(f"a string of {length} bytes at byte {self.offset}")
            self.take(length)
        elif kind == STRUCT:
            self.open(None)
        elif kind in (LIST, SET):
            element, count = _LIST_HEAD.unpack_from(self.data, self.take(_LIST_HEAD.size))
            self.container((element,), count)
        elif kind == MAP:
            key, item, count = _MAP_HEAD.unpack_from(self.data, self.take(_MAP_HEAD.size))
            self.container((key, item), count)
        else:
            raise ThriftProtocolError(f"there is no type {kind} (at byte {self.offset})")

    def container(self, kinds: tuple[int, ...], count: int) -> None:
        if count == 0:
            return
        for kind in kinds:
            if kind not in MIN_SIZE_BYTES:
                raise ThriftProtocolError(f"a container of unknown type {kind} at byte {self.offset}")
        left = len(self.data) - self.offset
        if count < 0 or count * sum(MIN_SIZE_BYTES[kind] for kind in kinds) > left:
            raise ThriftProtocolError(f"a container of {count} elements with {left} bytes left")
        self.count(count * len(kinds))
        if all(kind in FIXED_SIZE_BYTES for kind in kinds):
            self.take(count * sum(FIXED_SIZE_BYTES[kind] for kind in kinds))
        else:
            self.open(_Container(kinds, count * len(kinds)))

    def count(self, values: int) -> None:
        """Bounds the time that a message of many tiny values takes: about 0.6 s at the limit."""
        self.values += values
        if self.values > self.limits.values_max:
            raise ThriftProtocolError(f"more than {self.limits.values_max} values in one message")

    def open(self, container: _Container | None) -> None:
        if len(self.open_values) >= self.limits.depth_max:
            raise ThriftProtocolError(f"values nested deeper than {self.limits.depth_max}")
        self.open_values.append(container)

    def take(self, size: int) -> int:
        """Pass `size` bytes; where they began."""
        start = self.offset
        if size > len(self.data) - start:
            raise ThriftProtocolError(f"the message ends inside the value that begins at byte {start}")
        self.offset = start + size
        return start
