from __future__ import annotations

import errno
import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from storm.client import code_package
from storm.client.code_package import PackedRequirements, build_package, imported_files, project_files, python_version
from storm.environment_spec import MANIFEST, read_manifest
from storm.errors import PackageError


def project(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}")
    return root


def test_a_project_is_packed_without_what_is_ignored(tmp_path: Path) -> None:
    names = [
        "topology.py",
        "bolts/split.py",
        ".venv/lib/x.py",
        "bolts/__pycache__/split.pyc",
        "data/big.bin",
        "notes.txt",
    ]
    root = project(tmp_path, names)
    (root / ".gitignore").write_text("data/\n")
    (root / ".stormignore").write_text("*.txt\n")
    assert set(project_files(root)) == {"topology.py", "bolts/split.py", ".gitignore", ".stormignore"}


def test_an_ignore_file_speaks_of_its_own_directory_and_what_is_below(tmp_path: Path) -> None:
    names = ["a.log", "src/a.log", "src/keep.log", "src/deep/a.log", "src/deep/b.txt", "src/build/x.py", "build/x.py"]
    root = project(tmp_path, names)
    (root / ".gitignore").write_text("*.log\n")
    (root / "src" / ".gitignore").write_text("!keep.log\n/build\n")
    (root / "src" / "deep" / ".stormignore").write_text("b.txt\n")
    assert {name for name in project_files(root) if "ignore" not in name} == {"src/keep.log", "build/x.py"}


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    (root / "secret").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match=r"secret is a link to /etc/hostname"):
        project_files(root)


def test_a_link_within_the_project_stands_for_what_it_leads_to(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py", "shared/a.py", "shared/deep/b.py", "shared/c.log"])
    (root / "shared" / ".gitignore").write_text("*.log\n")
    (root / "orders").mkdir()
    (root / "orders" / "lib").symlink_to("../shared")
    (root / "orders" / "main.py").symlink_to("../topology.py")
    (root / "left-out").symlink_to("shared")
    (root / ".stormignore").write_text("left-out/\n")
    files = project_files(root)
    assert {name for name in files if "ignore" not in name} == {
        "topology.py", "shared/a.py", "shared/deep/b.py", "orders/main.py", "orders/lib/a.py", "orders/lib/deep/b.py",
    }  # fmt: skip
    with zipfile.ZipFile(build_package(files, tmp_path / "1.zip").path) as archive:
        assert archive.read("orders/lib/deep/b.py") == b"# shared/deep/b.py"


@pytest.mark.parametrize(
    ("link", "target", "complaint"),
    [
        ("itself", "itself", "itself is a link that leads nowhere"),
        ("gone", "nothing-there", "gone is a link that leads nowhere"),
        ("here", ".", "here is a link to a directory that it is in"),
        ("a/up", "../a", "up is a link to a directory that it is in"),
        ("a/other", "../b", "is a link to a directory that it is in"),  # where b leads back to a
        ("out", "..", "out is a link to .*, outside of the project"),
    ],
)
def test_a_link_that_leads_in_a_circle_or_nowhere_is_refused(
    tmp_path: Path, link: str, target: str, complaint: str
) -> None:
    root = project(tmp_path / "project", ["topology.py", "a/x.py", "b/y.py"])
    (root / "b" / "back").symlink_to("../a")
    (root / link).symlink_to(target)
    with pytest.raises(PackageError, match=complaint):
        project_files(root)
    (root / ".stormignore").write_text(Path(link).name)
    assert "topology.py" in project_files(root)


def test_links_that_multiply_what_there_is_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    for depth in range(8):
        (root / str(depth)).mkdir()
        for name in "ab":
            (root / str(depth) / name).symlink_to(f"../{depth + 1}")
    (root / "8").mkdir()
    monkeypatch.setattr(code_package, "DIRECTORIES_MAX", 100)
    with pytest.raises(PackageError, match=r"more than 100 directories.*\.stormignore"):
        project_files(root)


@pytest.mark.parametrize("method", ["iterdir", "read_text"])
def test_a_directory_or_an_ignore_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    root = project(tmp_path / "project", ["topology.py", ".gitignore"])

    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, method, refused)  # by the system: for root there is no such file
    with pytest.raises(PackageError, match=r"cannot pack .*project.*: Permission denied"):
        project_files(root)


def test_a_line_of_an_ignore_file_that_is_no_pattern_is_passed_over(tmp_path: Path) -> None:
    root = project(tmp_path, ["topology.py", "a.log"])
    (root / ".gitignore").write_text("!\nx\\\n*.log\n")
    assert set(project_files(root)) == {"topology.py", ".gitignore"}


def test_the_same_files_make_the_same_package(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["a.py", "b/c.py"])
    first = build_package(project_files(root), tmp_path / "1.zip")
    (root / "a.py").touch()
    second = build_package(project_files(root), tmp_path / "2.zip")
    assert first.sha256 == second.sha256
    with zipfile.ZipFile(first.path) as archive:
        assert archive.namelist() == ["a.py", "b/c.py", MANIFEST]
        assert json.loads(archive.read(MANIFEST))["files"] == 2


def test_limits_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "project", ["a.py", "b.py"])
    monkeypatch.setattr(code_package, "FILES_MAX", 1)
    with pytest.raises(PackageError, match="2 files are too many"):
        build_package(project_files(root), tmp_path / "1.zip")
    monkeypatch.setattr(code_package, "FILES_MAX", 10)
    monkeypatch.setattr(code_package, "SIZE_BYTES_MAX", 10)
    with pytest.raises(PackageError, match="more than 10: name large files"):
        build_package(project_files(root), tmp_path / "2.zip")
    assert not (tmp_path / "2.zip").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"cannot pack .*gone\.py: No such file"):
        build_package({"gone.py": tmp_path / "gone.py"}, tmp_path / "1.zip")


def test_a_name_that_no_supervisor_would_unpack_is_refused_here(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py", "a:b.txt"])
    with pytest.raises(PackageError, match=r"a:b\.txt cannot be packed: .*\.stormignore"):
        build_package(project_files(root), tmp_path / "1.zip")
    (root / "a:b.txt").rename(root / "Topology.py")
    with pytest.raises(PackageError, match=r"'Topology\.py' and 'topology\.py' are in each other's way"):
        build_package(project_files(root), tmp_path / "1.zip")
    (root / "Topology.py").rename(root / b"a\xff".decode("utf-8", "surrogateescape"))
    with pytest.raises(PackageError, match="its name is not valid text"):
        build_package(project_files(root), tmp_path / "1.zip")
    assert not (tmp_path / "1.zip").exists()


def test_a_project_that_a_supervisor_would_hold_for_a_bomb_is_refused_here(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    (root / "zeros.bin").write_bytes(bytes(2 << 20))
    with pytest.raises(PackageError, match=r"more than 100 times its packed size.*zeros\.bin"):
        build_package(project_files(root), tmp_path / "1.zip")
    os.truncate(root / "zeros.bin", 600 << 20)  # a hole: it takes no room on the disk
    with pytest.raises(
        PackageError, match=r"with .*zeros\.bin the project has 629,145,\d+ bytes, more than 536,870,912"
    ):
        build_package(project_files(root), tmp_path / "1.zip")
    assert not (tmp_path / "1.zip").exists()


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    os.mkfifo(root / "pipe")
    with pytest.raises(PackageError, match="pipe is a pipe, a device or a socket"):
        build_package(project_files(root), tmp_path / "1.zip")


def test_modules_beside_a_file_are_found_once_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path, ["beside_for_package_test.py", "unused.py"])
    monkeypatch.syspath_prepend(str(root))
    __import__("beside_for_package_test")
    assert set(imported_files(root)) == {"beside_for_package_test.py"}


def test_requirements_and_wheels_travel_with_their_hashes(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    wheel = tmp_path / "colours-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    packed = build_package(
        project_files(root), tmp_path / "1.zip", PackedRequirements(("colours==1.0",), {wheel.name: wheel})
    )
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.namelist() == [f"STORM-WHEELS/{wheel.name}", "topology.py", MANIFEST]
        spec = read_manifest(archive.read(MANIFEST))
    assert spec == packed.environment
    assert spec is not None
    assert (spec.python, spec.requirements) == (python_version(), ("colours==1.0",))
    assert spec.wheels == ((wheel.name, hashlib.sha256(b"a wheel").hexdigest()),)


def test_the_content_hash_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    def content(*names: str) -> str:
        files = project_files(project(tmp_path / "-".join(names), list(names)))
        with zipfile.ZipFile(build_package(files, tmp_path / "package.zip").path) as archive:
            return str(json.loads(archive.read(MANIFEST))["content"])

    assert len({content("a.py"), content("b.py"), content("a.py", "b.py")}) == 3


def test_a_wheel_may_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py", "STORM-WHEELS/x-1-py3-none-any.whl"])
    wheels = {"x-1-py3-none-any.whl": root / "topology.py"}
    with pytest.raises(PackageError, match="has the name of a wheel in the package"):
        build_package(project_files(root), tmp_path / "1.zip", PackedRequirements(("x",), wheels))
