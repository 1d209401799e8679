"""What a project says of itself: the file of its topology, and the directory that its own modules are in.

Both may stand in its pyproject.toml, under [tool.storm]. Where nothing is said, `topology.py` is the file, and `src` is
the directory if it is laid out as uv, hatch and setuptools do: no package itself, with packages in it.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

from storm.errors import InvalidTopologyError

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = "pyproject.toml"
SOURCE = "src"


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
