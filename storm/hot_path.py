"""Which modules are compiled, and whether the compiled or the interpreted ones run in this process.

The same source serves both: a module with a `.pxd` beside its `.py` is compiled where there was a C compiler at
installation. Compiled modules rely on each other's layout in memory, so either all of them are used or none.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MODULES = (
    "tuples",
    "executor.canonical_hash",
    "executor.groupings",
    "executor.task",
    "executor.pending",
    "executor.tracking",
    "executor.collectors",
    "executor.executor",
    "executor.bolt_executor",
    "executor.spout_executor",
)  # fmt: skip
PACKAGE = Path(__file__).parent

_why_interpreted: str | None = None


def mode() -> str:
    """For people: "compiled", or "interpreted" with the reason."""
    return "compiled" if _why_interpreted is None else f"interpreted ({_why_interpreted})"


def is_compiled() -> bool:
    return _why_interpreted is None


def choose(pure: str | None) -> None:
    """Called when `storm` is imported, before any of MODULES; `pure` is what STORM_PURE says."""
    global _why_interpreted
    _why_interpreted = why_interpreted(PACKAGE, pure)
    if _why_interpreted is not None:
        sys.meta_path.insert(0, SourcesOnly(PACKAGE))


def why_interpreted(package: Path, pure: str | None) -> str | None:
    """Why the compiled modules of a package are not to be used; None: they are.

    In a checkout a source may be newer than what was built of it. An installed package has no sources to edit, and its
    files have whatever times the installer gave them.
    """
    if pure not in (None, "", "0"):
        return "STORM_PURE is set"
    is_checkout = (package.parent / "pyproject.toml").exists()
    for name in MODULES:
        source = package / (name.replace(".", "/") + ".py")
        try:
            built_ns = os.stat(source.with_suffix(EXTENSION_SUFFIXES[0])).st_mtime_ns
        except FileNotFoundError:
            return "not built: there was no C compiler when the package was installed"
        if is_checkout and max(_changed_ns(source), _changed_ns(source.with_suffix(".pxd"))) > built_ns:
            return f"{source.name} is newer than what was built of it: run bin/build"
    return None


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


class SourcesOnly:
    """Finds the sources of MODULES where Python's own finder would prefer what was built of them."""

    def __init__(self, package: Path) -> None:
        self._sources = {f"storm.{name}": package / (name.replace(".", "/") + ".py") for name in MODULES}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = self._sources.get(name)
        if source is None:
            return None
        return spec_from_file_location(name, source, loader=SourceFileLoader(name, str(source)))
