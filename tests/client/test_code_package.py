from __future__ import annotations

import errno
import hashlib
import importlib
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from storm.client import code_package
from storm.client.code_package import PackedRequirements, build_package, imported_files, project_files, python_version
from storm.environment_spec import MANIFEST, read_manifest, read_source
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


def test_what_its_owner_may_execute_stays_so_and_nothing_else_of_a_mode(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["run", "others.sh", "plain.py"])
    (root / "run").chmod(0o4700)
    (root / "others.sh").chmod(0o655)
    (root / "plain.py").chmod(0o600)
    packed = build_package(project_files(root), tmp_path / "1.zip")
    with zipfile.ZipFile(packed.path) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes == {"run": 0o755, "others.sh": 0o644, "plain.py": 0o644, MANIFEST: 0o644}
    (root / "run").chmod(0o755)
    assert build_package(project_files(root), tmp_path / "2.zip").sha256 == packed.sha256


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


def test_wheels_that_are_too_large_are_told_from_a_project_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    wheels = {name: tmp_path / "wheels" / name for name in ("small-1-py3-none-any.whl", "torch-1-py3-none-any.whl")}
    (tmp_path / "wheels").mkdir()
    for path in wheels.values():
        path.write_bytes(b"1")
    requirements = PackedRequirements(("torch",), wheels)

    def refused() -> str:
        with pytest.raises(PackageError) as raised:
            build_package(project_files(root), tmp_path / "1.zip", requirements)
        assert not (tmp_path / "1.zip").exists()
        return str(raised.value)

    os.truncate(wheels["torch-1-py3-none-any.whl"], 600 << 20)  # a hole: it takes no room on the disk
    assert refused() == (
        f"the wheels of {tmp_path}/wheels that it needs have 629,145,601 bytes, and a package may have no more than "
        "536,870,912: leave --wheelhouse away, so that hosts install torch and the others from an index"
    )
    os.truncate(wheels["torch-1-py3-none-any.whl"], 8000)
    monkeypatch.setattr(code_package, "SIZE_BYTES_MAX", 4000)
    assert "have 8,001 bytes, and a package may have no more than 4,000: leave --wheelhouse away" in refused()
    (root / "data.bin").write_bytes(os.urandom(5000))
    assert "more than 4,000: name large files in .stormignore" in refused()
    os.truncate(root / "data.bin", 600 << 20)
    assert "data.bin the project has 629,145" in refused()


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_and_not_read_for_ever(tmp_path: Path) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    os.mkfifo(root / "pipe")
    with pytest.raises(PackageError, match="pipe is a pipe, a device or a socket"):
        build_package(project_files(root), tmp_path / "1.zip")


def test_modules_beside_a_file_are_found_once_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path, ["beside_for_package_test.py", "unused.py"])
    monkeypatch.syspath_prepend(str(root))
    importlib.import_module("beside_for_package_test")
    assert set(imported_files(root)) == {"beside_for_package_test.py"}


def imported(monkeypatch: pytest.MonkeyPatch, path: Path, *names: str) -> None:
    """Import modules as a program does that has `path` on its own, and forget them after the test."""
    monkeypatch.syspath_prepend(str(path))
    for name in names:
        importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, sys.modules.pop(name))


def test_imported_files_have_the_names_that_they_were_imported_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "project", ["versions/linked_a.py", "versions/pkg/__init__.py", "versions/pkg/bolts.py"])
    (root / "linked_a.py").symlink_to("versions/linked_a.py")
    (root / "linked_pkg").symlink_to("versions/pkg")
    (tmp_path / "current").symlink_to("project")
    imported(monkeypatch, tmp_path / "current", "linked_a", "linked_pkg", "linked_pkg.bolts")
    files = imported_files(tmp_path / "current")
    assert set(files) == {"linked_a.py", "linked_pkg/__init__.py", "linked_pkg/bolts.py"}
    assert files == imported_files(root)
    with zipfile.ZipFile(build_package(files, tmp_path / "1.zip").path) as archive:
        assert archive.read("linked_a.py") == b"# versions/linked_a.py"


def test_what_was_imported_by_a_link_elsewhere_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path / "project", ["linked_b/__init__.py", ".venv/lib/site-packages/c.py"])
    elsewhere = root / ".venv" / "lib" / "site-packages"  # as installers link a project that is worked on
    (elsewhere / "linked_b").symlink_to(root / "linked_b")
    imported(monkeypatch, elsewhere, "linked_b")
    assert set(imported_files(root)) == {"linked_b/__init__.py"}


def test_an_imported_link_out_of_the_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(tmp_path / "project", ["topology.py"])
    project(tmp_path / "shared", ["linked_c.py", "site-packages/linked_d.py"])
    (root / "linked_c.py").symlink_to("../shared/linked_c.py")
    (root / "environment").symlink_to("../shared")
    imported(monkeypatch, root / "environment" / "site-packages", "linked_d")
    assert imported_files(root) == {}  # what is installed is no file of the program
    imported(monkeypatch, root, "linked_c")
    with pytest.raises(PackageError, match=r"linked_c\.py is a link to .*, outside of the project: copy the file$"):
        imported_files(root)


def test_what_is_installed_is_not_packed_for_a_program_that_is_installed_too() -> None:
    assert imported_files(Path(os.__file__).parent) == {}
    assert imported_files(Path(pytest.__file__).parent.parent) == {}


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


def test_the_manifest_names_the_root_of_modules_if_there_is_one_beside_the_top(tmp_path: Path) -> None:
    files = project_files(project(tmp_path / "project", ["topology.py", "src/orders/__init__.py"]))
    for source in ("", "src"):
        package = build_package(files, tmp_path / "1.zip", source=source)
        with zipfile.ZipFile(package.path) as archive:
            manifest = archive.read(MANIFEST)
        assert read_source(manifest) == source
        assert ("source" in json.loads(manifest)) == bool(source)
    (tmp_path / "project" / "src" / "queue").mkdir()
    (tmp_path / "project" / "src" / "queue" / "__init__.py").touch()
    with pytest.raises(PackageError, match="queue has the name of Python's module queue"):
        build_package(project_files(tmp_path / "project"), tmp_path / "1.zip", source="src")


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
