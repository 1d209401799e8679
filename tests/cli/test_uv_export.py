from __future__ import annotations

import stat
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin
from wheels import make_wheel

from storm.cli.uv_export import export_uv_lock
from storm.client.requirements import find_requirements
from storm.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path


def program(path: Path, text: str) -> str:
    """Stands in for uv, which is not installed everywhere."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_lock_is_exported_by_uv_as_it_is(tmp_path: Path) -> None:
    uv = program(tmp_path / "uv", 'echo "$@"')
    words = export_uv_lock(tmp_path, uv).split()
    assert words[0] == "export"
    assert {"--frozen", "--no-dev", "--no-emit-project"} <= set(words)
    assert words[words.index("--no-emit-package") + 1] == "storm-cluster"
    assert words[-2:] == ["--directory", str(tmp_path)]


def test_what_uv_says_is_said(tmp_path: Path) -> None:
    uv = program(tmp_path / "uv", "echo 'no pyproject.toml' >&2; exit 2")
    with pytest.raises(PackageError, match=r"uv\.lock: uv cannot read it: no pyproject\.toml"):
        export_uv_lock(tmp_path, uv)
    with pytest.raises(PackageError, match=r"uv\.lock: uv cannot read it: .*No such file"):
        export_uv_lock(tmp_path, str(tmp_path / "gone"))


def test_without_uv_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match=r"can be read by uv only.*--requirements FILE"):
        export_uv_lock(tmp_path)


def test_a_lock_that_uv_made_before_its_project_asked_for_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, project, uv = tmp_path / "wheels", tmp_path / "project", find_uv_bin()
    for name in ("colours", "shades"):
        make_wheel(wheels, name, "1.0")
    project.mkdir()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    export = partial(export_uv_lock, uv=uv)

    def ask(*dependencies: str) -> None:
        text = f'[project]\nname = "X_y"\nversion = "1"\ndependencies = {list(dependencies)}\n'
        (project / "pyproject.toml").write_text(f"{text}requires-python = '>=3.11'\n")

    def lock() -> None:
        command = [uv, "lock", "--quiet", "--offline", "--no-index", "--find-links", str(wheels)]
        subprocess.run(command, cwd=project, check=True)

    ask()
    lock()
    assert find_requirements(project, None, export) is None
    ask("Colours >= 1, < 3", "shades[all]==1.0 ; python_version > '3'")
    with pytest.raises(PackageError, match=r"uv\.lock does not know of 'Colours >= 1, < 3'.*run `uv lock`"):
        find_requirements(project, None, export)
    lock()
    found = find_requirements(project, None, export)
    assert found is not None
    assert [line.partition(" ")[0] for line in found.lines] == ["colours==1.0", "shades==1.0"]
    ask("Colours == 2")
    with pytest.raises(PackageError, match=r"uv\.lock does not know of 'Colours == 2'"):
        find_requirements(project, None, export)
