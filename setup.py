"""Compiles the modules that have a .pxd beside them: all of them or none.

STORM_PURE=1 compiles nothing; STORM_PURE=0 is for development and CI: what does not compile is an error. Otherwise the
package works interpreted where compiling fails, and knows why: the reason is written beside the modules.
"""

from __future__ import annotations

import os
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from subprocess import CalledProcessError

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError, CompileError

WHY_NOT_COMPILED = Path("storm/not_compiled.txt")  # read by storm/hot_path.py
GENERATED = Path("build/cython")

# Bounds are checked: users hold the lists that they emit, and frames say how long they are. There are no negative
# indices on typed sequences.
DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,
    "boundscheck": True,
    "wraparound": False,
    "initializedcheck": False,
    "nonecheck": True,  # what users hand in may be None: an error, never a crash
    "cdivision": True,
}


def hot_path() -> list[Extension]:
    sources = [path.with_suffix(".py") for path in sorted(Path("storm").rglob("*.pxd"))]
    return [
        Extension(
            ".".join(path.with_suffix("").parts),
            [str(path)],
            extra_compile_args=["-O2", "-g0", *os.environ.get("STORM_CFLAGS", "").split()],
        )
        for path in sources
    ]


def translate(modules: list[Extension]) -> dict[str, list[str]]:
    """{module: its C file}. Translates again what changed, with all that relies on it, or all if this file changed."""
    try:
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError as TranslationError
    except ImportError as error:
        raise CompileError(f"there is no Cython to translate it to C: {error}") from error
    before = [GENERATED / Path(module.sources[0]).with_suffix(".c") for module in modules]
    oldest_ns = min((path.stat().st_mtime_ns for path in before if path.exists()), default=0)
    try:
        made = cythonize(
            modules,
            build_dir=str(GENERATED),
            compiler_directives=DIRECTIVES,
            force=Path(__file__).stat().st_mtime_ns > oldest_ns,
            quiet=True,
        )
    except TranslationError as error:
        raise CompileError(f"Cython could not translate {error or 'it'} to C") from error
    return {module.name: module.sources for module in made}


def short(error: BaseException) -> str:
    """The compiler's name, without its thirty options."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CalledProcessError):
            return f"{cause.cmd[0]} failed with exit code {cause.returncode}"
        cause = cause.__cause__ or cause.__context__
    return str(error)


class BuildHotPath(build_ext):
    """All modules or none: compiled modules rely on each other's layout in memory."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        in_place, began_ns, why_not = self.inplace, time.time_ns(), ""
        try:
            sources = translate(self.extensions)
            for module in self.extensions:
                module.sources = sources[module.name]
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            if os.environ.get("STORM_PURE") == "0":
                raise
            why_not = short(error)
        self.inplace = in_place  # the inherited method leaves it changed where it raises
        if why_not:
            self.extensions = []
        directory = Path() if in_place else Path(self.build_lib)
        self.remove_all_others(directory)
        self.say_why_not(directory, why_not)
        self.set_times(began_ns)

    def remove_all_others(self, directory: Path) -> None:
        """Python would prefer what was once built of a source that is compiled no more."""
        kept = {Path(self.get_ext_fullpath(module.name)).resolve() for module in self.extensions}
        for path in (directory / "storm").rglob(f"*{EXTENSION_SUFFIXES[0]}"):
            if path.resolve() not in kept:
                path.unlink()

    def say_why_not(self, directory: Path, reason: str) -> None:
        path = directory / WHY_NOT_COMPILED
        if reason:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{reason}\n")
        else:
            path.unlink(missing_ok=True)

    def set_times(self, began_ns: int) -> None:
        """What was edited while this build ran is newer than what it made; what needed no change is not older."""
        if self.inplace:
            for module in self.extensions:
                os.utime(self.get_ext_fullpath(module.name), ns=(began_ns, began_ns))
        for path in GENERATED.rglob("*.c"):
            if path.stat().st_mtime_ns > began_ns:
                os.utime(path, ns=(began_ns, began_ns))


is_pure = os.environ.get("STORM_PURE", "0") not in ("", "0")
setup(ext_modules=[] if is_pure else hot_path(), cmdclass={"build_ext": BuildHotPath})
