"""Unpack an archive that people put among the blobs: zip, tar, or tar packed by gzip, bzip2 or xz.

As with packages, only regular files and directories are taken, below the target, and a bad archive leaves nothing.
tarfile reads whatever an archive tells it to: what it may read, of one entry and in all, is bounded below it.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import tarfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from storm.errors import PackageError
from storm.package_rules import RATIO_MAX, SHOWN_CHARS, PackageNames
from storm.supervisor.package_extraction import PackageLimits, extract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UNPACKED_BYTES_MAX = 4 << 30
RATIO_FROM_BYTES = 256 << 20  # a tar of many small files shrinks by more than any ratio that would stop a bomb
PATHS_MAX = 100_000
#: Of an entry before its content. Names have 1,024 characters at most; for what is read here, tarfile takes time and
#: memory by the square (CVE-2024-6232).
HEADER_BYTES_MAX = 1 << 16
_LIMITS = PackageLimits(
    total_bytes=UNPACKED_BYTES_MAX, entries=0xFFFE, paths=PATHS_MAX, ratio_from_bytes=RATIO_FROM_BYTES
)
_CHUNK_BYTES = 1 << 20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # the second one has no entries
_UNREADABLE = (
    tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, LookupError, ArithmeticError, RecursionError,
)  # fmt: skip


def unpack(archive: Path, target: Path) -> None:
    """Unpack `archive` into `target`, a directory that does not exist yet; what it is, is told by its first bytes.

    Raises PackageError naming archive, entry and reason, and OSError when the disk refuses; then there is no `target`.
    """
    with archive.open("rb") as file:
        if file.read(4) in _ZIP:
            extract(archive, target, _LIMITS)
            return
        try:
            _write_all(_Bounded(_unpacked(file), _bytes_max(os.fstat(file.fileno()).st_size)), target)
        except tarfile.ReadError as error:
            shutil.rmtree(target, ignore_errors=True)
            what = "it is no zip and no tar archive, or damaged"
            raise PackageError(f"{archive.name} cannot be unpacked: {what}") from error
        except (PackageError, *_UNREADABLE) as error:
            shutil.rmtree(target, ignore_errors=True)
            raise PackageError(f"{archive.name} cannot be unpacked: {error}") from error
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise


class _Bounded(io.RawIOBase):
    """A tar archive, read from its beginning to its end: at most `bytes_max` of it, and no more at once than was
    allowed.
    """

    def __init__(self, file: BinaryIO, bytes_max: int) -> None:
        self._file = file
        self.bytes_max = bytes_max
        self._at = 0
        self._allowed = 0
        self.last = b""  # what was read last
        self.allow(HEADER_BYTES_MAX)

    def allow(self, count: int) -> None:
        """From now on so many bytes may be read."""
        self._allowed = count

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Raises PackageError, and ReadError for a way back, which might have no end."""
        if offset < self._at:
            raise tarfile.ReadError("an entry leads back")
        self._check(offset)
        with _data_errors():
            self._at = self._file.seek(offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Raises PackageError, and ReadError for bytes that cannot be unpacked."""
        if size < 0 or size > self._allowed:
            raise PackageError(f"an entry has more than {HEADER_BYTES_MAX} bytes before its content")
        with _data_errors():
            data = self._file.read(size)
        self.last = data
        self._allowed -= len(data)
        self._at += len(data)
        self._check(self._at)
        return data

    def _check(self, count: int) -> None:
        if count > self.bytes_max:
            raise _too_large(self.bytes_max)


@contextlib.contextmanager
def _data_errors() -> Iterator[None]:
    """gzip and bzip2 say OSError of bad bytes too; only the system's has a number."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise tarfile.ReadError(str(error)) from error
        raise


def _unpacked(file: BinaryIO) -> BinaryIO:
    """The tar in `file`. The first bytes of a plain one are a name, so few are not enough to tell."""
    file.seek(0)
    head = file.read(10)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if head.startswith(b"BZh") and head[4:] == b"1AY&SY":
        return cast("BinaryIO", bz2.BZ2File(file))
    if head.startswith(b"\xfd7zXZ\x00"):
        return cast("BinaryIO", lzma.LZMAFile(file))
    return file


def _bytes_max(packed_bytes: int) -> int:
    return min(UNPACKED_BYTES_MAX, max(RATIO_FROM_BYTES, RATIO_MAX * packed_bytes))


def _too_large(bytes_max: int) -> PackageError:
    return PackageError(f"unpacked it has more than {bytes_max} bytes, the most for its size")


def _write_all(source: _Bounded, target: Path) -> None:
    names, entries, left = PackageNames(PATHS_MAX), 0, source.bytes_max
    with tarfile.open(fileobj=source, mode="r:") as tar:
        target.mkdir(parents=True)
        while (member := _next(tar, source)) is not None:
            entries += 1
            if entries > PATHS_MAX:
                raise PackageError(f"it has more than {PATHS_MAX} entries")
            shown = repr(member.name[:SHOWN_CHARS])
            if not (member.isreg() or member.isdir()):
                raise PackageError(f"entry {shown} is a link or a device; files and directories are taken")
            if member.size < 0:
                raise PackageError(f"entry {shown} has less than no bytes")
            name = member.name.removeprefix("./")
            if name in {"", "."}:
                continue
            names.add(name + ("/" if member.isdir() else ""))
            left -= member.size  # a sparse file has more than it takes in the archive
            if left < 0:
                raise _too_large(source.bytes_max)
            source.allow(member.size)
            _write(tar, member, target.joinpath(*name.split("/")))


def _next(tar: tarfile.TarFile, source: _Bounded) -> tarfile.TarInfo | None:
    """The next entry; nothing is kept of those before, nor of what an archive says of all of them.

    tarfile takes any block that is no entry's for the end; the end is a block of zeros, or that of the bytes.
    """
    source.allow(HEADER_BYTES_MAX)
    member = tar.next()
    if member is None and source.last.strip(b"\0"):
        raise PackageError("it is damaged: between its entries there is something else")
    tar.members = []  # type: ignore[attr-defined]
    tar.pax_headers = {}
    return member


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    mode = 0o755 if member.mode & 0o100 else 0o644
    with (
        source,
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file,
    ):
        shutil.copyfileobj(source, file, _CHUNK_BYTES)
