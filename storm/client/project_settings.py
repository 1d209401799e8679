"""What a project says of itself: the file of its topology, and the directory that its own modules are in; and which
project a file belongs to.

Both may stand in its pyproject.toml, under [tool.storm]. Where nothing is said, `topology.py` is the file, and `src` is
the directory if it is laid out as uv, hatch and setuptools do: no package itself, with packages in it.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from storm.errors import InvalidTopologyError

PYPROJECT = "pyproject.toml"
SOURCE = "src"
OURS = Path(__file__).resolve().parents[1]  # the examples in it are single files


class Home(NamedTuple):
    """Where the modules of a topology are: below `root`, and below its directory `source`, too ("": there is none).

    `is_project`: all of `root` is packed; else what was imported of it, and the `package`, a directory in it, that the
    topology's file is in ("": in none).
    """

    root: Path
    source: str
    is_project: bool
    package: str = ""


def home_of(file: Path) -> Home:
    """Of a file, without links, that was named by itself. As for `python -m`, the modules of one in a package begin
    above its outermost package. That is a project where a pyproject.toml is, or above its `source_directory`.
    """
    top = _above_packages(file)
    if top is None:
        return Home(file.parent, source_beside(file.parent), is_project=False)
    project = next((each for each in (top, *top.parents) if os.path.isfile(each / PYPROJECT)), None)
    if project is not None:
        source = source_beside(project)
        if project == top or (source and top.is_relative_to(project / source)):
            return Home(project, source, is_project=True)
    return Home(top, source_beside(top), is_project=False, package=file.relative_to(top).parts[0])


def _above_packages(file: Path) -> Path | None:
    """The directory of the outermost package that the file is in; None: it is in none. What cannot be the name of a
    module in a program is no package's.
    """
    directory = file.parent
    while os.path.isfile(directory / "__init__.py") and directory.name.isidentifier():
        directory = directory.parent
    return None if directory == file.parent or file.is_relative_to(OURS) else directory


def named_topology(root: Path) -> str | None:
    """`[tool.storm] topology`; None: it says nothing. Raises InvalidTopologyError."""
    return _said(root / PYPROJECT, "topology", "a file")


def source_beside(directory: Path) -> str:
    """As `source_directory`, for one file that is there: it need not be part of the project whose settings lie beside
    it, so what is wrong with these is not its trouble.
    """
    try:
        return source_directory(directory)
    except InvalidTopologyError:
        return ""


def source_directory(root: Path) -> str:
    """The directory below `root` whose modules are imported by their names in it, beside those of `root` itself.

    "": there is none. Raises InvalidTopologyError for `[tool.storm] source` that names none in the project.
    """
    named = _said(root / PYPROJECT, "source", "a directory")
    if named is None:
        return SOURCE if _holds_packages(root / SOURCE) else ""
    real, found = os.path.realpath(root), os.path.realpath(root / named)  # `resolve` raises for a circle of links
    if found != real and os.path.commonpath([real, found]) != real:
        raise InvalidTopologyError(f"{root / PYPROJECT}: [tool.storm] source = {named!r} leads out of the project")
    if not os.path.isdir(found):
        raise InvalidTopologyError(
            f"{root / PYPROJECT}: [tool.storm] source = {named!r}, and there is no such directory"
        )
    return "" if found == real else os.path.relpath(found, real).replace(os.sep, "/")


def _holds_packages(directory: Path) -> bool:
    """Whether it is a root of modules by convention; its packages may be in a namespace. One not readable is none."""
    if os.path.islink(directory) or os.path.exists(directory / "__init__.py"):
        return False
    return any(next(directory.glob(each), None) for each in ("*/__init__.py", "*/*/__init__.py"))


def _said(file: Path, key: str, what: str) -> str | None:
    if not os.path.isfile(file):
        return None
    try:
        found: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidTopologyError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidTopologyError(f"{file}: {error}") from None
    for name in ("tool", "storm", key):
        found = found.get(name) if isinstance(found, dict) else None
    if found is not None and not isinstance(found, str):
        raise InvalidTopologyError(f"{file}: [tool.storm] {key} must be the name of {what}, got {found!r}")
    return found
