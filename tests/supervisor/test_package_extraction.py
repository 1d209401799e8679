from __future__ import annotations

import contextlib
import shutil
import stat
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storm.client.code_package import build_package
from storm.errors import PackageError
from storm.package_rules import FILES_MAX
from storm.supervisor.package_extraction import PackageLimits, extract

if TYPE_CHECKING:
    from pathlib import Path

SMALL = PackageLimits(total_bytes=4000, entries=5, paths=8, list_bytes=5000, ratio=20, ratio_from_bytes=1000)


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


BAD_NAMES = ["", "../x", "/etc/x", "a/../../x", "a\\x", "C:x", "a//x", "./x", "a\0x", "n" * 300, "n/" * 2500 + "x"]


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
        ([(f"f{n}", b"") for n in range(6)], "it has more than 5 entries"),
        ([(f"{n}/a/b/c", b"") for n in range(3)], "it has more than 8 files and directories"),
        ([("n" * 200 + "/" + "n" * 200 + str(n), b"") for n in range(12)], "its list of entries has 5[0-9]{3} bytes"),
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


def test_an_entry_that_reaches_into_the_list_of_entries_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path, [("a", b"1" * 50)])
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 20 : entry + 24] = (5000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(PackageError, match="'a' reaches into the list of entries"):
        extract(path, tmp_path / "code")


def test_only_what_is_stored_or_deflated_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "package.jar"
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a", b"1" * 50)
        with pytest.raises(PackageError, match=f"'a' is packed by method {method}; a package is stored or deflated"):
            extract(path, tmp_path / "code")


@pytest.mark.parametrize("place", [8, 10, 12, 16])
def test_an_end_record_that_lies_is_refused(tmp_path: Path, place: int) -> None:
    path = package(tmp_path, [("a", b"1" * 50), ("b", b"")])
    data = bytearray(path.read_bytes())
    data[len(data) - 22 + place] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackageError, match="is not a readable package"):
        extract(path, tmp_path / "code")
    assert not (tmp_path / "code").exists()


def test_an_archive_of_which_other_programs_see_another_one_is_refused(tmp_path: Path) -> None:
    honest = package(tmp_path, [("a", b"1")]).read_bytes()
    for hostile in (honest + b"x", honest + honest[-22:], b"x" + honest, honest[:-22] + honest):
        (tmp_path / "package.jar").write_bytes(hostile)
        with pytest.raises(PackageError, match=r"something follows|not where it says"):
            extract(tmp_path / "package.jar", tmp_path / "code")


def test_entries_are_as_many_as_the_archive_says(tmp_path: Path) -> None:
    path = package(tmp_path, [("a", b"1"), ("b", b"2")])
    data = bytearray(path.read_bytes())
    data[-14:-10] = b"\1\0\1\0"
    path.write_bytes(data)
    with pytest.raises(PackageError, match="says 1 entries and has 2"):
        extract(path, tmp_path / "code")


@pytest.mark.slow
def test_what_a_client_packs_at_its_limit_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    built = build_package({f"{n % 100}/{n}.py": file for n in range(FILES_MAX)}, tmp_path / "package.jar")
    extract(built.path, tmp_path / "code")
    assert len(list((tmp_path / "code").rglob("*.py"))) == FILES_MAX


def test_a_list_of_entries_whose_last_one_is_cut_short_is_refused(tmp_path: Path) -> None:
    data = bytearray(package(tmp_path, [("a", b"1")]).read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 28] = 200  # the length of its name
    (tmp_path / "package.jar").write_bytes(data)
    with pytest.raises(PackageError, match="list of entries is cut short"):
        extract(tmp_path / "package.jar", tmp_path / "code")


def test_zip64_is_refused_also_where_only_the_locator_says_so(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a")
    entry.comment = b"PK\x06\x07" + bytes(16)
    with pytest.raises(PackageError, match="zip64"):
        extract(package(tmp_path, [(entry, b"1")]), tmp_path / "code")


def test_a_comment_does_no_harm(tmp_path: Path) -> None:
    path = package(tmp_path, [("a", b"1")])
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"n" * 65_000
    extract(path, tmp_path / "code")
    assert (tmp_path / "code/a").read_bytes() == b"1"


def test_a_package_that_turns_out_bad_halfway_leaves_nothing(tmp_path: Path) -> None:
    path = package(tmp_path, [("a", b"1" * 50), ("b", b"2" * 50)])
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 16] ^= 1  # its checksum
    path.write_bytes(data)
    with pytest.raises(PackageError, match="Bad CRC-32 for file 'b'"):
        extract(path, tmp_path / "code")
    assert [each.name for each in tmp_path.iterdir()] == ["package.jar"]


def test_the_package_that_stands_for_none_is_empty(tmp_path: Path) -> None:
    (tmp_path / "package.jar").write_bytes(b"PK\x05\x06" + bytes(18))
    extract(tmp_path / "package.jar", tmp_path / "code")
    assert list((tmp_path / "code").iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 10])
def test_what_is_no_zip_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "package.jar").write_bytes(data)
    with pytest.raises(PackageError, match=r"package\.jar is not a readable package"):
        extract(tmp_path / "package.jar", tmp_path / "code")


PARTS = st.sampled_from(["..", ".", "", "a", "A", "b", "c:", "\\", "\0", "\n", "n" * 256, "ä", "CON", "~", "-rf"])
KINDS = st.sampled_from([0] * 6 + [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])


@st.composite
def nasty_entries(draw: st.DrawFn) -> tuple[zipfile.ZipInfo, bytes]:
    """An entry that may be a link, lead out of the directory, or be in the way of another."""
    name = draw(st.sampled_from(["", "", "", "", "/", "//"])) + "/".join(draw(st.lists(PARTS, max_size=4)))
    entry = raw_name(name + draw(st.sampled_from(["", "", "/"])))
    entry.external_attr = (draw(KINDS) | draw(st.integers(0, 0o7777))) << 16
    return entry, draw(st.sampled_from([b"", b"x", b"../../outside", b"/etc/passwd", b"0" * 3000]))


def everything_below(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(nasty_entries(), max_size=4), st.data())
def test_nothing_outside_of_the_target_changes_and_nothing_is_there_by_halves(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[zipfile.ZipInfo, bytes]], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("nasty")
    (directory / "outside").write_bytes(b"untouched")
    path = package(directory, entries)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 2]))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    before = everything_below(directory)
    target = directory / "code"
    with contextlib.suppress(PackageError):
        extract(path, target, SMALL)
        written = list(target.rglob("*"))
        assert all(each.is_dir() or each.is_file() for each in written)
        assert not any(each.is_symlink() or each.lstat().st_mode & 0o7000 for each in written)
        shutil.rmtree(target)
    assert everything_below(directory) == before


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
