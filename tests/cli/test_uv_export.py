from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from storm.cli.uv_export import export_uv_lock
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
