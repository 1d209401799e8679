"""Packages that nobody should unpack, made entry by entry: zipfile would tidy most of them away."""

from __future__ import annotations

import stat
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

STORED, DEFLATED = 0, 8
UTF8 = 0x800
_LOCAL = struct.Struct("<4s5H3I2H")
_LISTED = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")


class Entry(NamedTuple):
    """An entry as it is said to be; None is the truth. `at`: the number of the one whose bytes it shares."""

    name: bytes
    data: bytes = b""
    method: int = DEFLATED
    flags: int = UTF8
    mode: int = 0
    size: int | None = None
    packed_size: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    at: int | None = None
    extra: bytes = b""
    raw: bool = False  # the data stands in the archive as it is, whatever the method


def archive(entries: Sequence[Entry], count: int | None = None, comment: bytes = b"") -> bytes:
    """A zip of the entries; `count` is how many it says it has."""
    out, listed = bytearray(), bytearray()
    places: list[int] = []
    for entry in entries:
        packed = deflated(entry.data) if entry.method == DEFLATED and not entry.raw else entry.data
        size = len(entry.data) if entry.size is None else entry.size
        packed_size = len(packed) if entry.packed_size is None else entry.packed_size
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        sizes = crc, packed_size, size
        place = places[entry.at] if entry.at is not None else len(out)
        places.append(place)
        if entry.at is None:
            name = entry.name if entry.local_name is None else entry.local_name
            out += _LOCAL.pack(b"PK\3\4", 20, entry.flags, entry.method, 0, 33, *sizes, len(name), 0) + name + packed
        listed += _LISTED.pack(
            b"PK\1\2", 0x314, 20, entry.flags, entry.method, 0, 33, *sizes,
            len(entry.name), len(entry.extra), 0, 0, 0, entry.mode << 16, place,
        )  # fmt: skip
        listed += entry.name + entry.extra
    said = len(entries) if count is None else count
    end = _END.pack(b"PK\5\6", 0, 0, said & 0xFFFF, said & 0xFFFF, len(listed), len(out), len(comment))
    return bytes(out + listed) + end + comment


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def known() -> Iterator[tuple[str, bytes]]:
    """Each of a kind that some program was fooled by."""
    good = Entry(b"app/bolt.py", b"x = 1\n")
    yield "sound", archive([Entry(b"app/"), good, Entry(b"run", b"#!/bin/sh\n", mode=stat.S_IFREG | 0o755)])
    yield "no-entries", archive([])
    yield "nothing", b""
    yield "no-archive", b"this is no archive" * 10
    yield "cut-short", archive([good])[:-10]
    yield "cut-in-the-middle", archive([good, good._replace(name=b"b")])[:60]
    for number, name in enumerate(
        (
            b"../x", b"../../../../../../../../tmp/storm-fuzz-outside", b"/tmp/storm-fuzz-outside", b"a/../../x", b"..",
            b"..\\x", b"a\\..\\..\\x", b"C:\\x", b"C:x", b"\\\\host\\share\\x", b"a\0b", b"a\0/../../x", b"", b"/",
            b"//x", b"./x", b"a/./b", b"a//b", b"a\nb", b"\x1b[2J", b"\xff\xfe", b"~/x", b"-rf", b"n" * 5000,
            b"a/" * 3000 + b"x",
        )
    ):  # fmt: skip
        yield f"name-{number:02d}", archive([good, Entry(name, b"x")])
    yield "name-that-differs-in-its-entry", archive([good, Entry(b"a", b"x", local_name=b"../x")])
    link = Entry(b"link", b"../..", STORED, mode=stat.S_IFLNK | 0o777)
    yield "link", archive([good, link])
    yield "link-and-a-file-through-it", archive([link, Entry(b"link/x", b"x")])
    yield "link-to-itself", archive([Entry(b"link", b"link", STORED, mode=stat.S_IFLNK | 0o777)])
    for kind in (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
        yield f"device-{kind:o}", archive([good, Entry(b"device", mode=kind | 0o666)])
    yield "mode-of-a-superuser", archive([Entry(b"run", b"x", mode=stat.S_IFREG | 0o6777)])
    yield "names-in-upper-and-lower-case", archive([Entry(b"a", b"1"), Entry(b"A", b"2")])
    yield "names-twice", archive([Entry(b"a", b"1"), Entry(b"a", b"2")])
    yield "file-and-directory", archive([Entry(b"a", b"1"), Entry(b"a/b", b"2")])
    yield "directory-with-content", archive([Entry(b"a/", b"content")])
    yield "encrypted", archive([Entry(b"a", b"secret", flags=UTF8 | 1)])
    yield "wrong-checksum", archive([good, Entry(b"a", b"data", crc=1)])
    yield "wrong-size", archive([Entry(b"a", b"data" * 100, size=10)])
    yield "wrong-packed-size", archive([Entry(b"a", b"data" * 100, packed_size=1 << 31)])
    yield "size-of-4-gigabytes", archive([Entry(b"a", b"data", size=0xFFFFFFFF)])
    big = struct.pack("<HHQQ", 1, 16, 1 << 40, 1 << 40)
    yield "zip64-of-a-tebibyte", archive([Entry(b"a", b"x", size=0xFFFFFFFF, packed_size=0xFFFFFFFF, extra=big)])
    yield "method-unknown", archive([Entry(b"a", b"x", 99)])
    yield "method-lzma", archive([Entry(b"a", b"\x09\x04\x05\0\x5d\xff\xff\xff\xff" + bytes(20), 14)])
    yield "data-that-is-not-deflated", archive([Entry(b"a", b"\xff" * 50, raw=True)])
    zeros = deflated(bytes(64 << 20))
    yield "bomb-of-64-megabytes", archive([Entry(b"a", zeros, size=64 << 20, raw=True)])
    bomb = Entry(b"a", bytes(8 << 20))
    yield (
        "bomb-of-entries-that-share-their-bytes",
        archive([bomb, *(Entry(b"%d" % n, bomb.data, at=0) for n in range(500))]),
    )
    yield "bomb-of-entries", archive([Entry(b"%d" % n, b"", STORED) for n in range(21_000)])
    yield "bomb-of-entries-that-says-one", archive([Entry(b"%d" % n, b"", STORED) for n in range(21_000)], count=1)
    yield "bomb-of-directories", archive([Entry(b"%d/" % n + b"a/" * 60 + b"x") for n in range(1500)])
    inner = archive([Entry(b"inner", bytes(1 << 20))])
    yield "archive-in-an-archive", archive([Entry(b"inner.zip", inner)])
    yield "archive-behind-an-archive", archive([good]) + archive([Entry(b"other", b"x")])
    yield "comment-that-is-an-archive", archive([good], comment=archive([Entry(b"other", b"x")]))
    yield "list-of-entries-that-lies", archive([good, good._replace(name=b"b")], count=1)


PARTS = (
    b"..",
    b".",
    b"",
    b"a",
    b"A",
    b"b",
    b"c:",
    b"\\",
    b"\0",
    b"\n",
    b"n" * 256,
    b"\xc3\xa4",
    b"\xff",
    b"~",
    b"x" * 1100,
)
MODES = (0, 0, 0, 0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK)


def nasty(rng: random.Random) -> bytes:
    """Some entries of a grammar of nasty ones."""
    entries: list[Entry] = []
    for _ in range(rng.randrange(1, 5)):
        data = rng.choice((b"", b"x", b"../../outside", b"/etc/passwd", bytes(3000), rng.randbytes(300)))
        name = rng.choice((b"", b"", b"", b"/")) + b"/".join(rng.choices(PARTS, k=rng.randrange(1, 5)))
        entries.append(
            Entry(
                name + rng.choice((b"", b"", b"/")),
                data,
                rng.choice((STORED, DEFLATED, DEFLATED, 12, 14, 99)),
                rng.choice((0, UTF8, UTF8, UTF8 | 1, UTF8 | 8, 0xFFFF)),
                rng.choice(MODES) | rng.randrange(0o10000),
                size=rng.choice((None, None, None, 0, len(data) + 1, 0xFFFFFFFF)),
                packed_size=rng.choice((None, None, None, 0, 1, 0xFFFFFFFF)),
                crc=rng.choice((None, None, None, 0)),
                local_name=rng.choice((None, None, None, b"../x", b"a")),
                at=rng.choice((None, None, None, rng.randrange(len(entries) + 1) or None)),
            )
        )
        if entries[-1].at is not None and entries[-1].at >= len(entries) - 1:
            entries[-1] = entries[-1]._replace(at=None)
    return archive(entries, rng.choice((None, None, 0, 1, 0xFFFF)), rng.choice((b"", b"", b"PK\5\6" + bytes(18))))
