from __future__ import annotations

import contextlib
import stat
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storm.errors import PackageError
from storm.supervisor.package_extraction import PackageLimits, extract

if TYPE_CHECKING:
    from pathlib import Path

SMALL = PackageLimits(total_bytes=4000, entries=5, ratio=20, ratio_from_bytes=1000)


def package(directory: Path, entries: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    path = directory / "package.jar"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # duplicate names are the point
        for name, data in entries:
            archive.writestr(name, data)
    return path


def raw_name(name: str) -> zipfile.ZipInfo:
    """An entry with exactly this name, which ZipInfo's constructor would tidy."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info


def test_files_and_directories_are_unpacked(tmp_path: Path) -> None:
    path = package(tmp_path, [("app/", b""), ("app/bolt.py", b"x = 1\n"), ("app/deep/er.txt", "ä".encode())])
    extract(path, tmp_path / "code")
    assert (tmp_path / "code/app/bolt.py").read_bytes() == b"x = 1\n"
    assert (tmp_path / "code/app/deep/er.txt").read_text(encoding="utf-8") == "ä"


def test_a_script_stays_executable_and_nothing_else_of_its_mode(tmp_path: Path) -> None:
    script = zipfile.ZipInfo("run")
    script.external_attr = (stat.S_IFREG | 0o6755) << 16
    extract(package(tmp_path, [(script, b"#!/bin/sh\n")]), tmp_path / "code")
    mode = (tmp_path / "code/run").stat().st_mode
    assert mode & 0o100
    assert not mode & 0o6000


BAD_NAMES = ["../x", "/etc/x", "a/../../x", "a\\x", "C:x", "a//x", "./x", "a/./x", "a\nx", "n" * 300, "a/" * 600 + "x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_no_plain_path_refuses_the_whole_package(tmp_path: Path, name: str) -> None:
    path = package(tmp_path, [("good", b"1"), (raw_name(name), b"2")])
    with pytest.raises(PackageError, match=r"package\.jar is not a usable package"):
        extract(path, tmp_path / "target" / "code")
    assert [each.name for each in tmp_path.iterdir()] == ["package.jar"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (kind | 0o777) << 16
    with pytest.raises(PackageError, match="is a link or a device"):
        extract(package(tmp_path, [(entry, b"/etc/passwd")]), tmp_path / "code")


@pytest.mark.parametrize(
    "names", [["a", "a"], ["a", "A"], ["a", "a/b"], ["a/b", "a"], ["A/b", "a/c"], ["a/", "a"], ["a/", "A/"]]
)
def test_entries_in_each_others_way_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(PackageError, match="in each other's way"):
        extract(package(tmp_path, [(name, b"") for name in names]), tmp_path / "code")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([(f"f{n}", b"") for n in range(6)], "it has 6 entries, allowed are 5"),
        ([("f", bytes(range(250)) * 20)], "unpacked it would have 5000 bytes"),
        ([("f", b"0" * 3900)], "unpacks to more than 20 times its size"),
    ],
)
def test_bombs_are_refused(tmp_path: Path, entries: list[tuple[str, bytes]], reason: str) -> None:
    with pytest.raises(PackageError, match=reason):
        extract(package(tmp_path, entries), tmp_path / "code", SMALL)  # type: ignore[arg-type]


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path, [("f", bytes(range(200)))])
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(PackageError):
        extract(path, tmp_path / "code")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = package(tmp_path, [("a", b"1" * 50), ("b", b"2" * 50)])
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(PackageError, match="overlap"):
        extract(path, tmp_path / "code")


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 10])
def test_what_is_no_zip_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "package.jar").write_bytes(data)
    with pytest.raises(PackageError, match=r"package\.jar is not a readable package"):
        extract(tmp_path / "package.jar", tmp_path / "code")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_package_never_writes_outside_and_never_ends_in_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("fuzz")
    path = package(directory, [("a/b", b"hello" * 9), ("c", b"")])
    mutated = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(mutated)
    with contextlib.suppress(PackageError):
        extract(path, directory / "in" / "code")
    assert {each.name for each in directory.iterdir()} <= {"package.jar", "in"}
    if (directory / "in").exists():
        assert {each.name for each in (directory / "in").iterdir()} <= {"code"}
