from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from wheels import make_wheel

from storm.client.wheelhouse import wheels_for
from storm.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_needed_is_taken_and_nothing_else(tmp_path: Path) -> None:
    taken = [
        make_wheel(
            tmp_path, "colours", requires=["Shades>=1", "win_only; sys_platform == 'win32'", "faster; extra == 'x'"]
        ),
        make_wheel(tmp_path, "shades", "1.0", requires=["colours"]),
        make_wheel(tmp_path, "shades", "2.0", tag="cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"),
        make_wheel(tmp_path, "faster", tag="cp311-cp311-linux_x86_64"),
    ]
    make_wheel(tmp_path, "unrelated")
    make_wheel(tmp_path, "shades", "3.0", tag="cp312-cp312-linux_x86_64")
    (tmp_path / "notes.txt").touch()
    found = wheels_for(tmp_path, ["--pre", "colours[x]==1.0"], "3.11")
    assert set(found.values()) == set(taken)


def test_a_wheel_that_lacks_is_named_with_who_needs_it(tmp_path: Path) -> None:
    make_wheel(tmp_path, "colours", requires=["shades>=1"])
    with pytest.raises(PackageError, match=r"has no wheel of shades, which colours-1\.0-py3-none-any\.whl needs"):
        wheels_for(tmp_path, ["colours"], "3.11")
    with pytest.raises(PackageError, match="has no wheel of hues, which the requirements need: `pip wheel -w"):
        wheels_for(tmp_path, ["hues>2"], "3.11")


@pytest.mark.parametrize(
    "tag",
    [
        "cp311-cp311-macosx_11_0_arm64",
        "cp310-cp310-linux_x86_64",
        "cp312-abi3-linux_x86_64",
        "py2-none-any",
        "cp311-cp311-win_amd64",
    ],
)
def test_wheels_for_another_platform_are_no_wheels(tmp_path: Path, tag: str) -> None:
    make_wheel(tmp_path, "colours", tag=tag)
    with pytest.raises(PackageError, match=rf"no wheel of colours for Linux and Python 3\.11, only colours-1\.0-{tag}"):
        wheels_for(tmp_path, ["colours"], "3.11")


def test_a_wheel_is_for_one_kind_of_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for project, platform in (
        ("colours", "manylinux2014_aarch64"), ("shades", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
    ):  # fmt: skip
        make_wheel(tmp_path, project, tag=f"cp311-cp311-{platform}")
    make_wheel(tmp_path, "hues")
    assert set(wheels_for(tmp_path, ["colours", "shades", "hues"], "3.11")) == {
        path.name for path in tmp_path.glob("*.whl")
    }
    assert len(wheels_for(tmp_path, ["shades", "hues"], "3.11", "x86_64")) == 2
    assert len(wheels_for(tmp_path, ["colours", "hues"], "3.11", "aarch64")) == 2
    with pytest.raises(PackageError, match=r"for Linux on x86_64 and Python 3\.11, only .*_aarch64\.whl: .*_x86_64 "):
        wheels_for(tmp_path, ["colours"], "3.11", "x86_64")
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="arm64"))
    with pytest.raises(PackageError, match=r"--platform manylinux2014_aarch64 --python-version 3\.12"):
        wheels_for(tmp_path, ["shades"], "3.12")


def test_what_a_marker_rules_out_may_lack(tmp_path: Path) -> None:
    make_wheel(tmp_path, "rare", requires=["rarest"])
    assert set(wheels_for(tmp_path, ["colours; sys_platform == 'win32'", "rare; os_name == 'nt'"], "3.11")) == {
        "rare-1.0-py3-none-any.whl"
    }


def test_what_is_no_wheel_is_named(tmp_path: Path) -> None:
    (tmp_path / "colours-1.0-py3-none-any.whl").write_bytes(b"PK")
    with pytest.raises(PackageError, match=r"colours-1\.0-py3-none-any\.whl is not a readable wheel"):
        wheels_for(tmp_path, ["colours"], "3.11")
    with pytest.raises(PackageError, match=r"cannot read the wheelhouse .*: No such file"):
        wheels_for(tmp_path / "gone", ["colours"], "3.11")
