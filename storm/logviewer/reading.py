"""Reads logs, also packed ones, a piece at a time; and how much of that one request may do."""

from __future__ import annotations

import gzip
import os
import zlib
from typing import TYPE_CHECKING, BinaryIO

from storm.http.problems import Problem
from storm.logviewer.logs import Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.clock import Clock

PIECE_BYTES = 1 << 20
HEAD_BYTES = 256  # the first lines of two logs differ in their times
READ_SECS_MAX = 10.0
READ_BYTES_MAX = 16 << 30  # a file that is in memory already would give many in the time


class Budget:
    """What one request may still read; shared by all files that it reads."""

    def __init__(self, clock: Clock, secs: float = READ_SECS_MAX, bytes_max: int = READ_BYTES_MAX) -> None:
        self._clock = clock
        self._until = clock.now() + secs
        self._left = bytes_max

    def take(self, count: int) -> None:
        """So many bytes were read."""
        self._left -= count

    @property
    def is_spent(self) -> bool:
        return self._left <= 0 or self._clock.now() >= self._until


def size_of(file: BinaryIO) -> int:
    """Of the file as it is on the disk."""
    return os.fstat(file.fileno()).st_size


def head_of(file: BinaryIO) -> str:
    """What tells this log from one that takes its place, as `N-SUM`: the sum of its first N bytes.

    Not its inode: what grows too large is copied and emptied, and stays the same file.
    """
    data = os.pread(file.fileno(), HEAD_BYTES, 0)
    return f"{len(data)}-{zlib.crc32(data):08x}"


def begins_as(file: BinaryIO, head: str) -> bool:
    """Whether it is the log of which `head_of` said this, grown or not."""
    count = head.partition("-")[0]
    if not (count.isascii() and count.isdecimal() and len(count) <= 3 and int(count) <= HEAD_BYTES):
        return False
    data = os.pread(file.fileno(), int(count), 0)
    return head == f"{len(data)}-{zlib.crc32(data):08x}"


def pieces(file: BinaryIO, *, is_packed: bool, start: int) -> Iterator[bytes]:
    """The log from `start` on, which counts in what is unpacked; while that is skipped, empty pieces come.

    Raises Problem 422 where a packed one is damaged.
    """
    if not is_packed:
        file.seek(start)
        while data := file.read(PIECE_BYTES):
            yield data
        return
    skip = start
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            while data := unpacked.read(PIECE_BYTES):
                yield data[skip:]
                skip = max(0, skip - len(data))
    except (OSError, EOFError, zlib.error) as error:
        raise Problem(422, f"The file is packed, and cannot be unpacked to its end: {error}.") from None


def read_part(file: BinaryIO, budget: Budget, *, is_packed: bool, start: int | None, length: int) -> Part:
    """At most `length` bytes from `start` on; None: the last ones, of a packed log the first ones.

    A `start` behind the end is the end. Raises Problem 422 for a damaged one, 503 where the budget is spent before.
    """
    if not is_packed:
        size = size_of(file)
        begin = max(0, size - length) if start is None else min(start, size)
        file.seek(begin)
        data = read_bytes(file, length)
        return Part(data, begin, max(size, begin + len(data)), begin + len(data) >= size)
    begin, size = start or 0, 0
    found = b""
    for data in pieces(file, is_packed=True, start=0):
        budget.take(PIECE_BYTES)
        found += data[max(0, begin - size) :]
        size += len(data)
        if len(found) > length:
            return Part(found[:length], begin, None, False)
        if budget.is_spent:
            raise Problem(503, f"Unpacking the log to byte {begin:,} takes too long: download it instead.")
    return Part(found, min(begin, size), size, True)


def read_bytes(file: BinaryIO, length: int) -> bytes:
    """So many from where it stands, fewer only at its end: a read of a file may give less than there is."""
    found = b""
    while len(found) < length and (data := file.read(length - len(found))):
        found += data
    return found
