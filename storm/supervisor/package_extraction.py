"""Unpack a topology's package, a zip that strangers may have made, so that it can harm nothing outside its directory.

Everything is checked from the directory of the zip before the first byte is written, and what is written is counted
again, because that directory may lie. A package with one bad entry is refused as a whole, and nothing of it is left.

The archive's own list of entries is counted before zipfile reads it, which takes about 700 bytes of memory for an entry
and does not mind how many there are. Only what every tool writes is taken: one archive that ends with the file, no
more than 65,535 entries (no zip64), stored or deflated. So two programs cannot see two archives in one file, and of the
decoders of the standard library only one meets hostile bytes.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from storm.errors import PackageError
from storm.package_rules import (
    FILES_MAX,
    RATIO_FROM_BYTES,
    RATIO_MAX,
    SHOWN_CHARS,
    UNPACKED_BYTES_MAX,
    PackageNames,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

_CHUNK_BYTES = 1 << 16
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1
_SUPPORTED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# The end record: signature, disk numbers, entries here and in all, size and place of the list of entries, comment size.
_END = struct.Struct("<4s4H2IH")
_END_SIGNATURE = b"PK\x05\x06"
_COMMENT_BYTES_MAX = 0xFFFF
# Before the end record, in zip64 only: it says that another end record counts.
_LOCATOR_SIGNATURE, _LOCATOR_BYTES = b"PK\x06\x07", 20
# An entry in the list: signature, what does not matter here, sizes of name, extra and comment, what does not matter.
_ENTRY = struct.Struct("<4s24x3H12x")
_ENTRY_SIGNATURE = b"PK\x01\x02"


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """A package beyond one of these is refused. The ratio counts only above `ratio_from_bytes` of unpacked size."""

    total_bytes: int = UNPACKED_BYTES_MAX
    entries: int = FILES_MAX + 1  # the files and the manifest
    paths: int = 2 * FILES_MAX  # files and directories, also those that are only part of a path
    list_bytes: int = 64 << 20  # of the archive's list of entries
    ratio: int = RATIO_MAX
    ratio_from_bytes: int = RATIO_FROM_BYTES


_LIMITS = PackageLimits()


class _EntryList(NamedTuple):
    """Where the archive's list of entries is in the file, and how many it is said to have."""

    start: int
    size_bytes: int
    entries: int


def extract(package: Path, target: Path, limits: PackageLimits = _LIMITS) -> None:
    """Unpack `package` into `target`, a directory that does not exist yet: regular files and directories only.

    Raises PackageError naming the package, the entry and the reason, and OSError when the disk refuses; then there is
    no `target`.
    """
    try:
        with package.open("rb") as file:
            found = _entry_list(file)
            _count_entries(file, found, limits)
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                _check(entries, limits)
                _check_overlap(entries, found.start)
                target.mkdir(parents=True)
                _write_all(archive, entries, target, limits.total_bytes)
    except PackageError as error:
        raise PackageError(f"{package.name} is not a usable package: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error) as error:
        raise PackageError(f"{package.name} is not a readable package: {error}") from error
    except MemoryError as error:
        raise PackageError(f"{package.name} is not a usable package: it takes too much memory") from error


def _entry_list(file: BinaryIO) -> _EntryList:
    """Where the list of entries is. Raises BadZipFile unless list and end record are the last of the file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LOCATOR_BYTES - _END.size - _COMMENT_BYTES_MAX))
    tail = file.read()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile("it is not a zip archive, or is cut short")
    _, disk, list_disk, entries_here, entries, list_bytes, start, comment = _END.unpack_from(tail, at)
    end = size - len(tail) + at
    if at + _END.size + comment != len(tail):
        raise zipfile.BadZipFile("something follows the archive")
    if disk or list_disk or entries_here != entries or entries == 0xFFFF:
        raise zipfile.BadZipFile("it is in several parts, or has more entries than any package may have")
    if start + list_bytes != end:
        raise zipfile.BadZipFile("its list of entries is not where it says")
    if tail[max(0, at - _LOCATOR_BYTES) : at].startswith(_LOCATOR_SIGNATURE):
        raise zipfile.BadZipFile("it is in the zip64 format, which no package needs")
    return _EntryList(start, list_bytes, entries)


def _count_entries(file: BinaryIO, found: _EntryList, limits: PackageLimits) -> None:
    if found.size_bytes > limits.list_bytes:
        raise PackageError(f"its list of entries has {found.size_bytes} bytes, allowed are {limits.list_bytes}")
    file.seek(found.start)
    content = file.read(found.size_bytes)
    count, at = 0, 0
    while at < len(content):
        if len(content) - at < _ENTRY.size:
            raise zipfile.BadZipFile("its list of entries is cut short")
        signature, name_bytes, extra_bytes, comment_bytes = _ENTRY.unpack_from(content, at)
        if signature != _ENTRY_SIGNATURE:
            raise zipfile.BadZipFile("its list of entries is damaged")
        at += _ENTRY.size + name_bytes + extra_bytes + comment_bytes
        count += 1
        if count > limits.entries:
            raise PackageError(f"it has more than {limits.entries} entries")
    if at != len(content):
        raise zipfile.BadZipFile("its list of entries is cut short")
    if count != found.entries:
        raise zipfile.BadZipFile(f"it says {found.entries} entries and has {count}")


def _check(entries: Sequence[zipfile.ZipInfo], limits: PackageLimits) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        raise PackageError(f"unpacked it would have {total} bytes, allowed are {limits.total_bytes}")
    packed = sum(entry.compress_size for entry in entries)
    if total > limits.ratio_from_bytes and total > packed * limits.ratio:
        raise PackageError(f"it unpacks to more than {limits.ratio} times its size")
    names = PackageNames(limits.paths)
    for entry in entries:
        names.add(entry.orig_filename)
        _check_entry(entry)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    shown = repr(entry.orig_filename[:SHOWN_CHARS])
    if entry.flag_bits & _ENCRYPTED:
        raise PackageError(f"entry {shown} is encrypted")
    if entry.compress_type not in _SUPPORTED:
        raise PackageError(f"entry {shown} is packed by method {entry.compress_type}; a package is stored or deflated")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise PackageError(f"entry {shown} is a link or a device; only files and directories are allowed")
    if _is_directory(entry) and entry.file_size:
        raise PackageError(f"entry {shown} is a directory with content")


def _is_directory(entry: zipfile.ZipInfo) -> bool:
    return entry.orig_filename.endswith("/")


def _check_overlap(entries: Sequence[zipfile.ZipInfo], list_start: int) -> None:
    """Entries that share their bytes, with each other or with the list, make bombs that no other limit sees."""
    end, before = 0, ""
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise PackageError(f"entries {before[:SHOWN_CHARS]!r} and {entry.orig_filename[:SHOWN_CHARS]!r} overlap")
        name_bytes = len(entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437"))
        end = entry.header_offset + _LOCAL_HEADER_BYTES + name_bytes + entry.compress_size
        before = entry.orig_filename
    if end > list_start:
        raise PackageError(f"entry {before[:SHOWN_CHARS]!r} reaches into the list of entries")


def _write_all(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], target: Path, left: int) -> None:
    try:
        for entry in entries:
            left -= _write(archive, entry, target, left)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write one entry; how many bytes it has. Its CRC is checked by zipfile as it is read to its end."""
    path = target.joinpath(*entry.orig_filename.rstrip("/").split("/"))
    if _is_directory(entry):
        path.mkdir(parents=True, exist_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    mode = 0o755 if (entry.external_attr >> 16) & 0o100 else 0o644
    with (
        archive.open(entry) as source,
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file,
    ):
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > min(entry.file_size, left):
                raise PackageError(f"entry {entry.orig_filename[:SHOWN_CHARS]!r} has more bytes than it says")
            file.write(chunk)
    return written
