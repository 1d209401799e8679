"""Archives for blobs that nobody should unpack, made header by header: tarfile would not write most of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import archives

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

BLOCK = 512
END = bytes(2 * BLOCK)
FILE, HARD_LINK, LINK, CHARACTERS, BLOCKS, DIRECTORY, PIPE = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
LONG_NAME, LONG_LINK, SPARSE, VOLUME, PAX, PAX_FOR_ALL = b"L", b"K", b"S", b"V", b"x", b"g"
XZ_DICTIONARY = 40  # as a byte of its header: 4 gigabytes, the largest there is


class Entry(NamedTuple):
    """An entry as it is said to be; None is the truth. `size` is the field as it stands there."""

    name: bytes
    data: bytes = b""
    kind: bytes = FILE
    mode: bytes = b"0000644\0"
    size: bytes | None = None
    checksum: bytes | None = None
    linked: bytes = b""
    magic: bytes = b"ustar\00000"
    prefix: bytes = b""


def _gzipped(data: bytes) -> bytes:
    """The same at every time."""
    return gzip.compress(data, mtime=0)


def entry(one: Entry) -> bytes:
    """Its header, and its content up to the end of a block."""
    size = b"%011o\0" % len(one.data) if one.size is None else one.size
    before = (
        one.name[:100].ljust(100, b"\0") + one.mode + b"0000000\0" * 2 + size.ljust(12, b"\0")[:12] + b"0" * 11 + b"\0"
    )
    after = one.kind + one.linked[:100].ljust(100, b"\0") + one.magic + bytes(80) + one.prefix[:155].ljust(155, b"\0")
    after = after.ljust(BLOCK - 156, b"\0")
    checksum = b"%06o\0 " % (sum(before) + 8 * 32 + sum(after)) if one.checksum is None else one.checksum
    return before + checksum + after + one.data + bytes(-len(one.data) % BLOCK)


def tar(*entries: Entry) -> bytes:
    return b"".join(map(entry, entries)) + END


def pax(*records: bytes, kind: bytes = PAX) -> Entry:
    """What an archive says of the next entry, or of all: each record is `key=value`."""
    return Entry(b"PaxHeaders/x", b"".join(map(_record, records)), kind)


def _record(text: bytes) -> bytes:
    size = len(text) + 2
    while len(b"%d" % size) + len(text) + 2 != size:
        size = len(b"%d" % size) + len(text) + 2
    return b"%d %s\n" % (size, text)


def sparse(said: int, data: bytes = b"", at: int = 0) -> Entry:
    """A GNU sparse file that has `said` bytes, of which `data` is there."""
    plain = bytearray(entry(Entry(b"sparse", data, SPARSE, magic=b"ustar  \0")))
    plain[386:410] = b"%011o\0%011o\0" % (at, len(data))
    plain[483:495] = b"%011o\0" % said
    total = sum(plain[:148]) + 8 * 32 + sum(plain[156:BLOCK])
    plain[148:156] = b"%06o\0 " % total
    return Entry(b"", bytes(plain), kind=b"raw")


def raw(*parts: Entry | bytes) -> bytes:
    """As `tar`, with parts that stand there as they are."""
    return (
        b"".join(
            part if isinstance(part, bytes) else part.data if part.kind == b"raw" else entry(part) for part in parts
        )
        + END
    )


GOOD = Entry(b"models/a.bin", b"abc" * 300)
NAMES = (
    b"../x", b"../../../../../../../../tmp/storm-fuzz-outside", b"/tmp/storm-fuzz-outside", b"a/../../x", b"..",
    b"..\\x", b"C:\\x", b"\\\\host\\x", b"", b"/", b"//x", b"./x", b"a/./b", b"a//b", b"a\nb", b"\x1b[2J",
    b"\xff\xfe", b"~/x", b"-rf", b"n" * 100, b"./../x", b".", b"./", b"a\0/../x",
)  # fmt: skip


def known() -> Iterator[tuple[str, bytes]]:
    """Each of a kind that some program was fooled by. What is packed begins with `packed-`."""
    whole = tar(
        Entry(b"./", kind=DIRECTORY), Entry(b"models/", kind=DIRECTORY), GOOD, Entry(b"run", b"x", mode=b"0006777\0")
    )
    yield "whole", whole
    yield "packed-zip", archives.archive([archives.Entry(b"a", b"x"), archives.Entry(b"../x", b"x")])
    yield "nothing", b""
    yield "no-archive", b"this is no archive" * 100
    yield "no-entries", END
    yield "end-is-missing", entry(GOOD)
    yield "cut-in-a-header", whole[:300]
    yield "cut-in-a-content", whole[:-1500]
    yield "bytes-behind-its-end", whole + b"more" * 1000
    yield "tar-behind-a-tar", whole + tar(Entry(b"../x", b"x"))
    for number, name in enumerate(NAMES):
        yield f"name-{number:02d}", tar(GOOD, Entry(name, b"x"))
    yield "name-in-a-prefix", tar(GOOD, Entry(b"x", b"x", prefix=b"../.."))
    for kind in (LINK, HARD_LINK):
        for number, linked in enumerate((b"../..", b"/etc/passwd", b"models/a.bin", b"link", b"")):
            link = Entry(b"link", kind=kind, linked=linked)
            yield f"link-{kind.decode()}-{number}", tar(GOOD, link, Entry(b"link/x", b"x"))
    for kind in (CHARACTERS, BLOCKS, PIPE, VOLUME, b"7", b"D", b"M", b"N", b"\0", b"\xff"):
        yield f"kind-{kind.hex()}", tar(GOOD, Entry(b"odd", b"x", kind))
    yield "names-twice", tar(GOOD, GOOD)
    yield "names-in-upper-and-lower-case", tar(Entry(b"a", b"1"), Entry(b"A", b"2"))
    yield "file-and-directory", tar(Entry(b"a", b"1"), Entry(b"a/b", b"2"))
    yield "directory-with-content", tar(Entry(b"a/", b"content", DIRECTORY), GOOD)
    yield from _sizes()
    yield from _said_before()
    yield from _packed(whole)


def _sizes() -> Iterator[tuple[str, bytes]]:
    for name, size in {
        "minus-512": b"\xff" * 10 + b"\xfe\x00",
        "minus-one": b"\xff" * 12,
        "of-8-exbibytes": b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7,
        "of-8-gigabytes": b"77777777777\0",
        "that-is-no-number": b"ninety-nine\0",
        "with-a-sign": b"-0000001000\0",
        "of-nothing": b"",
    }.items():
        yield f"size-{name}", tar(GOOD, Entry(b"a", b"x" * 600, size=size), GOOD._replace(name=b"b"))
    yield "mode-that-is-no-number", tar(Entry(b"a", b"x", mode=b"rwxr-xr-"))
    yield "mode-below-nothing", tar(Entry(b"a", b"x", mode=b"\xff" * 8))
    yield "checksum-wrong", tar(GOOD, Entry(b"a", b"x", checksum=b"000000\0 "))
    yield "checksum-wrong-in-the-first", tar(Entry(b"a", b"x", checksum=b"000000\0 "))
    yield "sparse-of-8-gigabytes", raw(GOOD, sparse((8 << 30) - 1))
    yield "sparse-of-20-megabytes", raw(sparse(20 << 20, b"data", 1 << 20))
    yield "sparse-behind-its-end", raw(sparse(100, b"data" * 100, 1 << 30))
    yield "sparse-map-without-end", raw(sparse(1 << 20).data[:482] + b"\1" + bytes(29) + b"\1" * (BLOCK * 300))


def _said_before() -> Iterator[tuple[str, bytes]]:
    for name, records in {
        "path-outside": (b"path=../../x",),
        "path-absolute": (b"path=/tmp/storm-fuzz-outside",),
        "path-of-64-kilobytes": (b"path=" + b"a/" * 32_000,),
        "path-twice": (b"path=a", b"path=../x"),
        "size-below-nothing": (b"size=-512",),
        "size-of-a-tebibyte": (b"size=1099511627776",),
        "size-that-is-no-number": (b"size=many",),
        "charset-unknown": (b"hdrcharset=KLINGON", b"path=\xff"),
        "time-of-nobody": (b"mtime=nan", b"atime=inf"),
        "link": (b"linkpath=/etc/passwd",),
        "sparse-map-of-nonsense": (
            b"GNU.sparse.major=0",
            b"GNU.sparse.minor=1",
            b"GNU.sparse.map=1,2,x",
            b"GNU.sparse.size=9",
        ),
        "sparse-of-a-tebibyte": (
            b"GNU.sparse.major=0",
            b"GNU.sparse.minor=1",
            b"GNU.sparse.map=",
            b"GNU.sparse.size=1099511627776",
        ),
        "sparse-name": (
            b"GNU.sparse.major=1",
            b"GNU.sparse.minor=0",
            b"GNU.sparse.name=../x",
            b"GNU.sparse.realsize=9",
        ),
        "ten-thousand-records": tuple(b"x.%d=y" % n for n in range(4_000)),
    }.items():
        for kind, of in ((PAX, "one"), (PAX_FOR_ALL, "all")):
            yield f"pax-of-{of}-{name}", tar(pax(*records, kind=kind), GOOD)
    for name, data in {
        "length-of-nothing": b"0 a=b\n",
        "length-too-large": b"999999999999 a=b\n",
        "length-below-nothing": b"-5 a=b\n",
        "length-of-a-thousand-digits": b"1" * 1000 + b" a=b\n",
        "no-value": b"4 a\n",
        "no-records": b"\n" * 400,
        "spaces": b" " * 60_000 + b"\n",
    }.items():
        yield f"pax-{name}", tar(Entry(b"x", data, PAX), GOOD)
    yield "pax-said-of-a-gigabyte", tar(Entry(b"x", b"y", PAX, size=b"10000000000\0"), GOOD)
    yield "pax-before-a-pax", tar(*[pax(b"path=../x")] * 200, GOOD)
    yield "pax-before-nothing", tar(pax(b"path=a"))
    yield "long-name-outside", tar(Entry(b"@", b"../" * 50 + b"x\0", LONG_NAME), GOOD)
    yield "long-name-of-a-megabyte", tar(Entry(b"@", b"n" * (1 << 20), LONG_NAME), GOOD)
    yield "long-name-after-a-long-name", tar(*[Entry(b"@", b"n" * 600, LONG_NAME)] * 1_500, GOOD)
    yield "long-link", tar(Entry(b"@", b"/etc/passwd\0", LONG_LINK), Entry(b"link", kind=LINK))
    yield "bomb-of-entries", b"".join(entry(Entry(b"%d" % n)) for n in range(600)) + END
    yield "bomb-of-directories", b"".join(entry(Entry(b"%d/" % n + b"a/" * 40 + b"x")) for n in range(300)) + END


def _packed(whole: bytes) -> Iterator[tuple[str, bytes]]:
    bomb = tar(Entry(b"zeros", bytes(64 << 20)))
    for name, pack in {"gz": _gzipped, "bz2": bz2.compress, "xz": lzma.compress}.items():
        packed = pack(whole)
        yield f"packed-{name}", packed
        yield f"packed-{name}-cut-short", packed[: len(packed) // 2]
        yield f"packed-{name}-with-wrong-bytes", packed[:30] + b"\xff" * 8 + packed[38:]
        yield f"packed-{name}-head-only", packed[:12]
        yield f"packed-{name}-bytes-behind-its-end", packed + b"more" * 100
        yield f"packed-{name}-twice", packed + packed
        yield f"packed-{name}-in-itself", pack(packed)
        yield f"packed-{name}-bomb-of-64-megabytes", pack(bomb)
    yield "packed-gz-with-a-name-without-end", b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 200_000
    yield "packed-gz-with-an-extra-field", b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" + bytes(100)
    yield "packed-xz-with-a-dictionary-of-4-gigabytes", with_dictionary(lzma.compress(whole), XZ_DICTIONARY)


def with_dictionary(packed: bytes, size: int) -> bytes:
    """An xz whose first block says that it needs so large a dictionary, as its header has it."""
    head = bytearray(packed[12 : 12 + (packed[12] + 1) * 4 - 4])
    at = head.index(b"\x21\x01") + 2
    head[at] = size
    return packed[:12] + head + struct.pack("<I", zlib.crc32(head)) + packed[12 + len(head) + 4 :]


KINDS = (FILE, FILE, FILE, DIRECTORY, LINK, HARD_LINK, PIPE, SPARSE, PAX, PAX_FOR_ALL, LONG_NAME, b"\0", b"7", b"z")
TEXTS = (
    b"", b"x", b"../x", b"path=../x", b"11 path=../x\n", b"9 size=-1\n", b"21 GNU.sparse.major=1\n", bytes(3000),
    b"/etc/passwd\0",
)  # fmt: skip


def nasty(rng: random.Random) -> bytes:
    """Some entries of a grammar of nasty ones, packed or not."""
    entries = []
    for _ in range(rng.randrange(1, 6)):
        data = rng.choice((*TEXTS, rng.randbytes(300)))
        name = rng.choice((b"", b"", b"/", b"./")) + b"/".join(rng.choices(archives.PARTS, k=rng.randrange(1, 4)))
        entries.append(
            Entry(
                name + rng.choice((b"", b"", b"/")),
                data,
                rng.choice(KINDS),
                rng.choice((b"0000644\0", b"0007777\0", b"\xff" * 8, b"nonsense")),
                rng.choice((None, None, None, b"%011o\0" % rng.randrange(1 << 33), rng.randbytes(12), b"\xff" * 12)),
                rng.choice((None, None, None, None, b"000000\0 ")),
                rng.choice((b"", b"../..", b"models")),
                rng.choice((b"ustar\00000", b"ustar  \0", bytes(8))),
                rng.choice((b"", b"", b"", b"..", b"p" * 155)),
            )
        )
    made = tar(*entries) if rng.random() < 0.8 else b"".join(map(entry, entries))
    return rng.choice((bytes, bytes, bytes, _gzipped, bz2.compress, lzma.compress))(made)
