"""Unpack an archive that people put among the blobs: zip, tar, or tar packed by gzip, bzip2 or xz.

As with packages, only regular files and directories are taken, below the target, and a bad archive leaves nothing.
"""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from storm.errors import PackageError
from storm.package_rules import SHOWN_CHARS, PackageNames
from storm.supervisor.package_extraction import PackageLimits, extract

if TYPE_CHECKING:
    from pathlib import Path

UNPACKED_BYTES_MAX = 4 << 30
PATHS_MAX = 100_000
_LIMITS = PackageLimits(total_bytes=UNPACKED_BYTES_MAX, entries=0xFFFE, paths=PATHS_MAX)
_CHUNK_BYTES = 1 << 20
_UNREADABLE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError)


def unpack(archive: Path, target: Path) -> None:
    """Unpack `archive` into `target`, a directory that does not exist yet; what it is, is told by its bytes.

    Raises PackageError naming archive, entry and reason, and OSError when the disk refuses; then there is no `target`.
    """
    if zipfile.is_zipfile(archive):
        extract(archive, target, _LIMITS)
        return
    try:
        with tarfile.open(archive) as tar:
            target.mkdir(parents=True)
            _write_all(tar, target)
    except tarfile.ReadError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise PackageError(f"{archive.name} cannot be unpacked: it is no zip and no tar archive, or damaged") from error
    except _UNREADABLE as error:
        shutil.rmtree(target, ignore_errors=True)
        raise PackageError(f"{archive.name} cannot be unpacked: {error}") from error
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _write_all(tar: tarfile.TarFile, target: Path) -> None:
    names, left = PackageNames(PATHS_MAX), UNPACKED_BYTES_MAX
    for member in tar:
        shown = repr(member.name[:SHOWN_CHARS])
        if not (member.isreg() or member.isdir()):
            raise PackageError(f"{_archive(tar)}: entry {shown} is a link or a device; files and directories are taken")
        name = member.name.removeprefix("./")
        if name in {"", "."}:
            continue
        names.add(name + ("/" if member.isdir() else ""))
        left -= member.size
        if left < 0:
            raise PackageError(f"{_archive(tar)}: unpacked it has more than {UNPACKED_BYTES_MAX} bytes")
        _write(tar, member, target.joinpath(*name.split("/")))


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


def _archive(tar: tarfile.TarFile) -> str:
    return os.path.basename(str(tar.name))
