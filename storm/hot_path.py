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
    "executor.xorshift",
    "executor.canonical_hash",
    "executor.groupings",
    "executor.latencies",
    "executor.task",
    "executor.pending",
    "executor.root_table",
    "executor.tracking",
    "executor.acker",
    "executor.collectors",
    "executor.executor",
    "executor.lane",
    "executor.bolt_executor",
    "executor.spout_executor",
    "messaging.columns",
)  # fmt: skip
PACKAGE = Path(__file__).parent
NOT_COMPILED = "not_compiled.txt"  # setup.py writes it where compiling failed

_why_interpreted: str | None = None


def mode() -> str:
    """For people: "compiled", or "interpreted" with the reason."""
    return "compiled" if _why_interpreted is None else f"interpreted ({_why_interpreted})"


def is_compiled() -> bool:
    return _why_interpreted is None


def choose(pure: str | None) -> None:
    """Called when `storm` is imported, before any of MODULES; `pure` is what STORM_PURE says.

    "1": interpreted. "0": compiled, and ImportError where that cannot be, so that no test can run something else than
    it was meant to. Otherwise compiled where possible.
    """
    global _why_interpreted
    _why_interpreted = why_interpreted(PACKAGE, pure)
    if _why_interpreted is None:
        return
    if pure == "0":
        raise ImportError(f"STORM_PURE=0 asks for the compiled hot path, but it is {_why_interpreted}")
    sys.meta_path.insert(0, SourcesOnly(PACKAGE))


def why_interpreted(package: Path, pure: str | None) -> str | None:
    """Why the compiled modules of a package are not to be used; None: they are.

    In a checkout a source may be newer than what was built of it; a .pxd is part of every module that relies on its
    classes, so none may be older than any. An installed package has no sources to edit, and its files have whatever
    times the installer gave them.
    """
    if pure not in (None, "", "0"):
        return "STORM_PURE is set"
    sources = [package / (name.replace(".", "/") + ".py") for name in MODULES]
    try:
        built_ns = {source: _changed_ns(source.with_suffix(EXTENSION_SUFFIXES[0])) for source in sources}
    except FileNotFoundError:
        return f"not built: {_why_not_built(package)}"
    if (package.parent / "pyproject.toml").exists():
        oldest_ns = min(built_ns.values())
        for source in sources:
            types = source.with_suffix(".pxd")
            if _changed_ns(source) > built_ns[source]:
                return f"not built since {source.name} changed: run bin/build"
            if _changed_ns(types) > oldest_ns:
                return f"not built since {types.name} changed: run bin/build"
    return None


def _why_not_built(package: Path) -> str:
    try:
        return (package / NOT_COMPILED).read_text().strip()
    except OSError:
        return "Storm was installed without compiling it"


def _changed_ns(path: Path) -> int:
    return os.stat(path).st_mtime_ns


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
