from __future__ import annotations

import importlib
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


def test_this_run_is_in_the_mode_that_was_asked_for() -> None:
    """bin/test sets STORM_PURE to 0 or, with --pure, to 1; daemons and workers inherit it."""
    asked = os.environ.get("STORM_PURE")
    if asked in (None, ""):
        asked = "0" if hot_path.is_compiled() else "1"
    assert hot_path.is_compiled() == (asked == "0")
    for name in hot_path.MODULES:
        loaded = importlib.import_module(f"storm.{name}")
        assert str(loaded.__file__).endswith(EXTENSION_SUFFIXES[0] if asked == "0" else ".py"), name


def test_sources_are_used_where_told_so(checkout: Path) -> None:
    assert "STORM_PURE" in str(hot_path.why_interpreted(checkout, "1"))


def test_one_module_that_was_not_built_makes_all_interpreted(checkout: Path) -> None:
    built(checkout / "tuples.py").unlink()
    assert hot_path.why_interpreted(checkout, None) == "not built: Storm was installed without compiling it"


def test_the_reason_why_compiling_failed_is_kept(checkout: Path) -> None:
    built(checkout / "tuples.py").unlink()
    (checkout / hot_path.NOT_COMPILED).write_text("command 'gcc' failed: No such file or directory\n")
    assert "'gcc' failed: No such file" in str(hot_path.why_interpreted(checkout, None))


def test_an_edit_in_a_checkout_is_never_hidden_by_what_was_built_before(checkout: Path) -> None:
    os.utime(checkout / "tuples.py", (3, 3))
    assert "tuples.py changed: run bin/build" in str(hot_path.why_interpreted(checkout, None))


def test_types_that_changed_make_every_module_old(checkout: Path) -> None:
    """Others were compiled against the layout that they gave."""
    os.utime(checkout / "tuples.pxd", (3, 3))
    os.utime(built(checkout / "tuples.py"), (4, 4))
    assert "tuples.pxd changed: run bin/build" in str(hot_path.why_interpreted(checkout, None))


def test_one_module_may_be_built_again_alone(checkout: Path) -> None:
    os.utime(checkout / "tuples.py", (3, 3))
    os.utime(built(checkout / "tuples.py"), (4, 4))
    assert hot_path.why_interpreted(checkout, None) is None


def test_where_compiled_is_asked_for_nothing_runs_interpreted(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(checkout / "tuples.py").unlink()
    monkeypatch.setattr(hot_path, "PACKAGE", checkout)
    monkeypatch.setattr(hot_path, "_why_interpreted", None)
    with pytest.raises(ImportError, match="STORM_PURE=0 asks for the compiled hot path, but it is not built"):
        hot_path.choose("0")


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
