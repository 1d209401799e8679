"""Unpack a topology's package, a zip that strangers may have made, so that it can harm nothing outside its directory.

Everything is checked from the directory of the zip before the first byte is written, and what is written is counted
again, because that directory may lie. A package with one bad entry is refused as a whole.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CHUNK_BYTES = 1 << 16
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1
_SUPPORTED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


@dataclass(frozen=True, slots=True)
class PackageLimits:
    """A package beyond one of these is refused. The ratio counts only above `ratio_from_bytes` of unpacked size."""

    total_bytes: int = 512 << 20
    entries: int = 20_000
    ratio: int = 100
    ratio_from_bytes: int = 1 << 20
    name_chars: int = 1024
    part_bytes: int = 255  # of one name between slashes: what file systems allow


_LIMITS = PackageLimits()


def extract(package: Path, target: Path, limits: PackageLimits = _LIMITS) -> None:
    """Unpack `package` into `target`, a directory that does not exist yet: regular files and directories only.

    Raises PackageError naming the package, the entry and the reason, and OSError when the disk refuses; then `target`
    may hold a part and is the caller's to remove.
    """
    try:
        with zipfile.ZipFile(package) as archive:
            entries = archive.infolist()
            _check(entries, limits)
            target.mkdir(parents=True)
            left = limits.total_bytes
            for entry in entries:
                left -= _write(archive, entry, target, left)
    except PackageError as error:
        raise PackageError(f"{package.name} is not a usable package: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise PackageError(f"{package.name} is not a readable package: {error}") from error


def _check(entries: Sequence[zipfile.ZipInfo], limits: PackageLimits) -> None:
    if len(entries) > limits.entries:
        raise PackageError(f"it has {len(entries)} entries, allowed are {limits.entries}")
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        raise PackageError(f"unpacked it would have {total} bytes, allowed are {limits.total_bytes}")
    packed = sum(entry.compress_size for entry in entries)
    if total > limits.ratio_from_bytes and total > packed * limits.ratio:
        raise PackageError(f"it unpacks to more than {limits.ratio} times its size")
    seen: dict[str, tuple[str, bool]] = {}
    for entry in entries:
        _check_entry(entry, limits)
        _check_clash(entry, seen)
    _check_overlap(entries)


def _check_entry(entry: zipfile.ZipInfo, limits: PackageLimits) -> None:
    name = entry.orig_filename
    shown = repr(name[:120])
    parts = name.rstrip("/").split("/")
    if len(name) > limits.name_chars or any(len(os.fsencode(part)) > limits.part_bytes for part in parts):
        raise PackageError(f"the name of entry {shown} is too long")
    if "\\" in name or ":" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise PackageError(f"entry {shown} has a character in its name that a package must not have")
    if any(part in {"", ".", ".."} for part in parts):
        raise PackageError(f"entry {shown} is not a plain path inside the package")
    if entry.flag_bits & _ENCRYPTED:
        raise PackageError(f"entry {shown} is encrypted")
    if entry.compress_type not in _SUPPORTED:
        raise PackageError(f"entry {shown} is packed by method {entry.compress_type}, which is not known")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise PackageError(f"entry {shown} is a link or a device; only files and directories are allowed")
    if entry.is_dir() and entry.file_size:
        raise PackageError(f"entry {shown} is a directory with content")


def _check_clash(entry: zipfile.ZipInfo, seen: dict[str, tuple[str, bool]]) -> None:
    """No two entries for one path, also where upper and lower case are one; no file that is a directory too."""
    path = entry.orig_filename.rstrip("/")
    parts = path.split("/")
    for depth in range(1, len(parts)):
        above = "/".join(parts[:depth])
        found = seen.setdefault(above.casefold(), (above, True))
        if found != (above, True):
            raise PackageError(f"entries {found[0][:120]!r} and {path[:120]!r} are in each other's way")
    found = seen.get(path.casefold(), (path, True))
    if found != (path, True) or not (entry.is_dir() or path.casefold() not in seen):
        raise PackageError(f"entries {found[0][:120]!r} and {path[:120]!r} are in each other's way")
    seen[path.casefold()] = (path, entry.is_dir())


def _check_overlap(entries: Sequence[zipfile.ZipInfo]) -> None:
    """Entries that share their bytes make bombs that no other limit sees."""
    end, before = 0, ""
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise PackageError(f"entries {before[:120]!r} and {entry.orig_filename[:120]!r} overlap")
        name_bytes = len(entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437"))
        end = entry.header_offset + _LOCAL_HEADER_BYTES + name_bytes + entry.compress_size
        before = entry.orig_filename


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write one entry; how many bytes it has. Its CRC is checked by zipfile as it is read to its end."""
    path = target.joinpath(*entry.orig_filename.rstrip("/").split("/"))
    if entry.is_dir():
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
                raise PackageError(f"entry {entry.orig_filename[:120]!r} has more bytes than it says")
            file.write(chunk)
    return written
