from __future__ import annotations

import io
import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from storm.errors import PackageError
from storm.supervisor import blob_unpacking
from storm.supervisor.blob_unpacking import unpack

if TYPE_CHECKING:
    from pathlib import Path


def tar(path: Path, *members: tuple[str, bytes | None], mode: str = "w", kind: bytes | None = None) -> Path:
    """An archive of files, and of directories, whose content is None."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data or b"")
            info.type = kind or (tarfile.DIRTYPE if data is None else tarfile.REGTYPE)
            info.mode = 0o755
            info.linkname = "elsewhere"
            archive.addfile(info, io.BytesIO(data or b""))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_whatever_it_is_packed_by_and_called(tmp_path: Path, mode: str) -> None:
    archive = tar(
        tmp_path / "blob", ("./", None), ("./models", None), ("./models/a.bin", b"abc"), ("b", b""), mode=mode
    )
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "models" / "a.bin").read_bytes() == b"abc"
    assert (tmp_path / "out" / "b").read_bytes() == b""
    assert os.access(tmp_path / "out" / "b", os.X_OK)


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "blob", "w") as archive:
        archive.writestr("models/a.bin", "abc")
    unpack(tmp_path / "blob", tmp_path / "out")
    assert (tmp_path / "out" / "models" / "a.bin").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("members", "kind", "said"),
    [
        ([("../up", b"x")], None, "not a plain path"),
        ([("/etc/passwd", b"x")], None, "not a plain path"),
        ([("a", b"x"), ("A", b"y")], None, "in each other's way"),
        ([("link", b"")], tarfile.SYMTYPE, "is a link or a device"),
        ([("link", b"")], tarfile.LNKTYPE, "is a link or a device"),
        ([("pipe", b"")], tarfile.FIFOTYPE, "is a link or a device"),
    ],
)
def test_a_tar_with_a_bad_entry_leaves_nothing(
    tmp_path: Path, members: list[tuple[str, bytes]], kind: bytes | None, said: str
) -> None:
    archive = tar(tmp_path / "blob.tar", ("good", b"good"), *members, kind=None)
    if kind is not None:
        archive = tar(tmp_path / "blob.tar", *members, kind=kind)
    with pytest.raises(PackageError, match=said):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"\x1f\x8b" + b"broken" * 100])
def test_what_is_no_archive_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "words.txt").write_bytes(data)
    with pytest.raises(PackageError, match=r"^words\.txt cannot be unpacked"):
        unpack(tmp_path / "words.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    archive = tar(tmp_path / "blob.tgz", ("a", os.urandom(100_000)), mode="w:gz")
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(PackageError, match=r"blob\.tgz"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_is_too_large_unpacked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_unpacking, "UNPACKED_BYTES_MAX", 1000)
    archive = tar(tmp_path / "blob.tgz", ("a", bytes(600)), ("b", bytes(600)), mode="w:gz")
    with pytest.raises(PackageError, match="more than 1000 bytes"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
