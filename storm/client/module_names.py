"""Names that no module of a topology's own may have: those of Python's modules, of this package and what workers need.

Of two modules of one name a process has the one that it imported first. The process that submits and a worker have
imported different ones before they come to the user's code, and import more later: so what runs in the one would fail
in the other, with an error about something else.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

from storm.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Modules of the dependencies in pyproject.toml and of theirs, but for those of daemons that import no user's code.
NEEDED = {"_yaml", "click", "cloudpickle", "kazoo", "msgpack", "msgspec", "pathspec", "storm", "yaml", "zmq"}


def refuse_taken(files: Mapping[str, Path], source: str = "") -> None:
    """`files`: {name in the package: file}. `source`: a directory of the package that is a root of modules, too.

    Raises PackageError for a module, at the top of the package or of `source`, whose name is taken.
    """
    for name, file in sorted(files.items()):
        _refuse_at_top(name, file)
        if source and name.startswith(f"{source}/"):
            try:
                _refuse_at_top(name.removeprefix(f"{source}/"), file)
            except PackageError as error:
                raise PackageError(f"{error}. {no_root(source)}") from None


def no_root(source: str) -> str:
    """How a project says that this directory of it is no root of modules."""
    where = f"Where modules are not imported by their names in {source}"
    return f'{where}, say `source = "."` under [tool.storm] in pyproject.toml'


def _refuse_at_top(name: str, file: Path) -> None:
    parts = name.split("/")
    module = inspect.getmodulename(parts[-1])
    if len(parts) == 1 and module is not None:
        refuse_if_taken(module, file)
    elif len(parts) == 2 and module == "__init__":
        refuse_if_taken(parts[0], file.parent)


def refuse_if_taken(module: str, path: Path) -> None:
    """Raises PackageError that names `path`, the file or directory of the module, if the module's name is taken."""
    if module in NEEDED:
        other = f"the module {module} that Storm needs"
    elif module in sys.stdlib_module_names:
        other = f"Python's module {module}"
    else:
        return
    raise PackageError(f"{path} has the name of {other}, and a worker may import the one for the other: rename it")
