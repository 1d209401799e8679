"""Jute, ZooKeeper's encoding: bytes to values and back.

Everything is big-endian. A buffer is a 4-byte length and its bytes, length -1 meaning null; a string is a
buffer of UTF-8; a vector is a 4-byte count and its items, count -1 meaning null. There are no tags: who
reads must know what was written.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypeVar

from storm.errors import MalformedPacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

INT = struct.Struct(">i")
LONG = struct.Struct(">q")

T = TypeVar("T")


class JuteReader:
    """Reads values off the front of `packet`; raises `MalformedPacketError` where bytes are missing."""

    def __init__(self, packet: bytes, offset: int = 0) -> None:
        self._packet = packet
        self._offset = offset

    @property
    def remaining_bytes(self) -> int:
        return len(self._packet) - self._offset

    def read_bool(self) -> bool:
        return self._take(1) != b"\0"

    def read_int(self) -> int:
        value: int = INT.unpack(self._take(4))[0]
        return value

    def read_long(self) -> int:
        value: int = LONG.unpack(self._take(8))[0]
        return value

    def read_buffer(self) -> bytes | None:
        length = self.read_int()
        return None if length == -1 else self._take(length)

    def read_string(self) -> str | None:
        encoded = self.read_buffer()
        if encoded is None:
            return None
        try:
            return encoded.decode()
        except UnicodeDecodeError as error:
            raise MalformedPacketError(f"a string is not UTF-8: {error}") from error

    def read_vector(self, read_item: Callable[[], T], items_max: int | None = None) -> tuple[T, ...]:
        """The items of a vector; a null vector reads as an empty one.

        An item takes a byte at least, so a count above the bytes that are left is refused before anything
        is built; so is one above `items_max`.
        """
        count = self.read_int()
        if items_max is not None and count > items_max:
            raise MalformedPacketError(f"a vector of {count} items; the most is {items_max}")
        if count > self.remaining_bytes or count < -1:
            raise MalformedPacketError(f"a vector of {count} items in {self.remaining_bytes} bytes")
        return tuple(read_item() for _ in range(count))

    def _take(self, length: int) -> bytes:
        start = self._offset
        if length < 0 or length > len(self._packet) - start:
            raise MalformedPacketError(f"{length} bytes wanted where {len(self._packet) - start} are left")
        self._offset = start + length
        return self._packet[start : self._offset]


class JuteWriter:
    """Appends values to `packet`. Methods return the writer, so that a record is one expression."""

    def __init__(self) -> None:
        self.packet = bytearray()

    def write_bool(self, value: bool) -> JuteWriter:
        self.packet.append(value)
        return self

    def write_int(self, value: int) -> JuteWriter:
        self.packet += INT.pack(value)
        return self

    def write_long(self, value: int) -> JuteWriter:
        self.packet += LONG.pack(value)
        return self

    def write_buffer(self, value: bytes | None) -> JuteWriter:
        if value is None:
            return self.write_int(-1)
        self.packet += INT.pack(len(value))
        self.packet += value
        return self

    def write_string(self, value: str | None) -> JuteWriter:
        return self.write_buffer(None if value is None else value.encode())

    def write_strings(self, values: Iterable[str]) -> JuteWriter:
        encoded = list(values)
        self.write_int(len(encoded))
        for value in encoded:
            self.write_string(value)
        return self
