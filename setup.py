"""Compiles the modules that have a .pxd beside them; where that fails the package works interpreted."""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import Extension, setup

# No bounds checks and no negative indices on typed sequences: what these modules may rely on, interpreted or not.
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
}


def extensions() -> list[Extension]:
    if os.environ.get("STORM_PURE", "0") not in ("", "0"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    sources = [path.with_suffix(".py") for path in sorted(Path("storm").rglob("*.pxd"))]
    modules = [
        Extension(
            ".".join(path.with_suffix("").parts),
            [str(path)],
            optional=True,
            extra_compile_args=["-O2", "-g0", *os.environ.get("STORM_CFLAGS", "").split()],
        )
        for path in sources
    ]
    return cythonize(modules, build_dir="build/cython", compiler_directives=DIRECTIVES, quiet=True)


setup(ext_modules=extensions())
