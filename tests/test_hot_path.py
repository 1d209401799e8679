from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

import pytest

from storm import hot_path

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose modules were all built after they were written."""
    package = tmp_path / "storm"
    (package / "executor").mkdir(parents=True)
    (package / "messaging").mkdir()
    (package / "worker").mkdir()
    (tmp_path / "pyproject.toml").touch()
    for name in hot_path.MODULES:
        source = package / (name.replace(".", "/") + ".py")
        for path, secs in ((source, 1), (source.with_suffix(".pxd"), 1), (built(source), 2)):
            path.touch()
            os.utime(path, (secs, secs))
    return package


def built(source: Path) -> Path:
    return source.with_suffix(EXTENSION_SUFFIXES[0])


def test_every_module_with_types_beside_it_is_listed() -> None:
    package = hot_path.PACKAGE
    found = {".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("*.pxd")}
    assert found == set(hot_path.MODULES)


def test_what_was_built_is_used(checkout: Path) -> None:
    assert hot_path.why_interpreted(checkout, None) is None
    assert hot_path.why_interpreted(checkout, "0") is None


def test_sources_are_used_where_told_so(checkout: Path) -> None:
    assert "STORM_PURE" in str(hot_path.why_interpreted(checkout, "1"))


def test_one_module_that_was_not_built_makes_all_interpreted(checkout: Path) -> None:
    built(checkout / "tuples.py").unlink()
    assert "not built" in str(hot_path.why_interpreted(checkout, None))


@pytest.mark.parametrize("changed", ["tuples.py", "executor/task.pxd"])
def test_an_edit_in_a_checkout_is_never_hidden_by_what_was_built_before(checkout: Path, changed: str) -> None:
    os.utime(checkout / changed, (3, 3))
    assert "bin/build" in str(hot_path.why_interpreted(checkout, None))


def test_times_of_files_mean_nothing_once_installed(checkout: Path) -> None:
    (checkout.parent / "pyproject.toml").unlink()
    os.utime(checkout / "tuples.py", (3, 3))
    assert hot_path.why_interpreted(checkout, None) is None


def test_sources_are_found_for_the_listed_modules_only(checkout: Path) -> None:
    finder = hot_path.SourcesOnly(checkout)
    spec = finder.find_spec("storm.tuples")
    assert spec is not None
    assert spec.origin == str(checkout / "tuples.py")
    assert finder.find_spec("storm.errors") is None
