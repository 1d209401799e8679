from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.errors import PackageError
from storm.supervisor import blob_unpacking
from storm.supervisor.blob_unpacking import unpack

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_that_is_damaged_in_its_middle_leaves_nothing(tmp_path: Path, mode: str) -> None:
    whole = bytearray(tar(tmp_path / "blob.tar", ("a", b"one"), ("b", b"two"), ("c", b"three")).read_bytes())
    whole[1024 + 150] ^= 1  # of the second header's checksum
    (tmp_path / "blob.tar").write_bytes(gzip.compress(whole) if mode == "w:gz" else whole)
    with pytest.raises(PackageError, match=r"^blob\.tar cannot be unpacked: it is damaged"):
        unpack(tmp_path / "blob.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("zeros", [0, 512, 20 * 512])
def test_a_tar_may_end_without_the_blocks_that_say_so(tmp_path: Path, zeros: int) -> None:
    whole = tar(tmp_path / "blob.tar", ("a", b"one")).read_bytes()[:1024]
    (tmp_path / "blob.tar").write_bytes(whole + bytes(zeros))
    unpack(tmp_path / "blob.tar", tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == b"one"


def test_an_archive_that_is_too_large_unpacked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_unpacking, "UNPACKED_BYTES_MAX", 1000)
    archive = tar(tmp_path / "blob.tgz", ("a", bytes(600)), ("b", bytes(600)), mode="w:gz")
    with pytest.raises(PackageError, match="more than 1000 bytes"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_small_archive_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(blob_unpacking, "RATIO_FROM_BYTES", 1000)
    archive = tmp_path / "blob.tar"
    if mode == "w":
        sparse = tarfile.TarInfo("sparse")
        sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 0
        header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
        header[483:495] = b"%011o\0" % (1 << 30)  # its size beside its content's, which is nothing
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
        archive.write_bytes(header + bytes(1024))
    else:
        tar(archive, ("a", bytes(1 << 20)), mode=mode)
    with pytest.raises(PackageError, match=r"unpacked it has more than \d+ bytes"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_comes_before_a_content_is_bounded(tmp_path: Path, form: int, is_first: bool) -> None:
    with tarfile.open(tmp_path / "blob.tar", "w", format=form) as archive:
        if not is_first:
            archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(tarfile.TarInfo("x" * 70_000))
    with pytest.raises(PackageError, match="an entry has more than 65536 bytes before its content"):
        unpack(tmp_path / "blob.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["./", "models"])
def test_entries_count_also_where_they_say_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(blob_unpacking, "PATHS_MAX", 10)
    unpack(tar(tmp_path / "blob.tar", *[(name, None)] * 10), tmp_path / "out")
    with pytest.raises(PackageError, match="more than 10 entries"):
        unpack(tar(tmp_path / "blob.tar", *[(name, None)] * 11), tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_an_entry_that_leads_back_is_refused(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("again")
    entry.size = -512
    (tmp_path / "blob.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(PackageError, match=r"entry 'again' has less than no bytes"):
        unpack(tmp_path / "blob.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as wheel:
        wheel.writestr("colours.py", "")
    unpack(tar(tmp_path / "blob.tar", ("BZhang", b"x"), ("colours.whl", inner.getvalue())), tmp_path / "out")
    assert (tmp_path / "out" / "colours.whl").read_bytes() == inner.getvalue()


@given(
    st.binary(max_size=700), st.integers(0, 1500), st.sampled_from([None, gzip.compress, bz2.compress, lzma.compress])
)
def test_hostile_bytes_are_unpacked_or_refused(data: bytes, at: int, pack: Callable[[bytes], bytes] | None) -> None:
    with tempfile.TemporaryDirectory() as place:
        archive = tar(Path(place) / "blob.tar", ("x" * 120, b"one"), ("b", b"two"))
        whole = bytearray(archive.read_bytes())
        whole[at : at + len(data)] = data
        archive.write_bytes(pack(bytes(whole)) if pack else whole)
        with contextlib.suppress(PackageError):
            unpack(archive, Path(place) / "out")
        assert set(os.listdir(place)) <= {"blob.tar", "out"}
