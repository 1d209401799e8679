"""A topology from a user's file or project: import it, find the topology, and say clearly what is wrong with it.

A file offers its topology as `topology = builder.create_topology()` or as `def topology(conf)`, which may also
take the arguments that follow the file on the command line: `def topology(conf, args)`. A module-level
mapping `conf` holds the settings that it wants by default. A project directory names its file in pyproject.toml,
`[tool.storm] topology = "pipelines/orders.py"`, or has a `topology.py`. Modules are found in the project's directory,
or the file's, and in the `src` that is laid out as a root of modules there. A file in a package is what `python -m`
would make of it, and the project that it is in is packed (`project_settings`).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.client.code_package import imported_files, project_files
from storm.client.module_names import no_root, refuse_if_taken, refuse_taken
from storm.client.project_settings import Home, home_of, named_topology, source_directory
from storm.errors import InvalidTopologyError, StormError
from storm.topology.structure import StormTopology

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

ATTRIBUTE = "topology"


class TopologyFileError(StormError):
    """The user's file failed: the text is the user's own traceback, without frames of ours."""


@dataclass(frozen=True, slots=True)
class LoadedTopology:
    """A topology, the settings it asks for, and the files to ship, {name in the package: file}.

    `root` is the directory that these names are of, `source` the one in it that modules are found in too, "": none.
    `is_project`: it is that of a project, not of a single file.
    """

    topology: StormTopology
    conf: dict[str, Any]
    files: dict[str, Path]
    root: Path
    source: str = ""
    is_project: bool = False

    @property
    def module_roots(self) -> list[Path]:
        """Where its modules are found, in this order."""
        return _module_roots(self.root, self.source)


def load_topology(path: Path, conf: Mapping[str, Any], args: Sequence[str] = ()) -> LoadedTopology:
    """Import `path`, a Python file or a project directory, and make its topology.

    `conf` are the settings given by whoever submits: they win over the file's own. Raises TopologyFileError where the
    user's code fails, InvalidTopologyError where it makes no topology or a wrong one, PackageError where its project
    cannot be packed, or for a module whose name workers have for another.
    """
    try:
        file = _entry_file(path)
    except OSError as error:
        raise InvalidTopologyError(f"cannot read {error.filename or path}: {error.strerror or error}") from None
    home = home_of(file) if path.is_file() else Home(path.resolve(), source_directory(path.resolve()), is_project=True)
    root, source = home.root, home.source
    roots = [each for each in _module_roots(root, source) if file.is_relative_to(each)]
    for each in roots:
        first = file.relative_to(each).parts[0]
        refuse_if_taken(first.partition(".")[0], each / first)
    if home.is_project:
        refuse_taken(project_files(root), source)  # before the import, which would fail in other words
    old_argv, old_path = sys.argv, list(sys.path)
    sys.argv = [str(file), *args]
    sys.path[:0] = map(str, _module_roots(root, source))
    try:
        module = _import(file, roots[-1])
        topology, wanted = _make(module, file, conf, args)
    except TopologyFileError as error:
        advice = _advice(error.__cause__, file, roots, source)
        if not advice:
            raise
        raise TopologyFileError(f"{error}\n\n{advice}") from None
    finally:
        sys.argv, sys.path[:] = old_argv, old_path
    files = _files(home)
    if path.is_file():
        files[file.relative_to(root).as_posix()] = file
    refuse_taken(files, source)
    return LoadedTopology(topology, wanted, files, root, source, home.is_project)


def _files(home: Home) -> dict[str, Path]:
    """What is packed, {name in the package: file}."""
    if home.is_project:
        return project_files(home.root)
    package = project_files(home.root / home.package) if home.package else {}
    return {**imported_files(home.root), **{f"{home.package}/{name}": path for name, path in package.items()}}


def _advice(cause: BaseException | None, file: Path, roots: Sequence[Path], source: str) -> str:
    """What else may be wrong where the file, whose modules are found in the last of `roots`, imports what is not there;
    empty: nothing.
    """
    if not isinstance(cause, ImportError):
        return ""
    package = ".".join(file.relative_to(roots[-1]).parts[:-1])
    name = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if package and name and (file.with_name(f"{name}.py").exists() or file.with_name(name).is_dir()):
        return f"{file.name} is in the package {package} here, and so is {name}: write `from {package} import {name}`"
    return f"The file is {roots[-1].name}'s module here. {no_root(source)}" if len(roots) > 1 else ""


def _module_roots(root: Path, source: str) -> list[Path]:
    return [root, root / source] if source else [root]


def _entry_file(path: Path) -> Path:
    if not path.exists():
        raise InvalidTopologyError(f"no such file or directory: {path}")
    if path.is_file():
        if path.suffix != ".py":
            raise InvalidTopologyError(f"{path} is not a Python file (its name does not end in .py)")
        return path.resolve()
    named = named_topology(path)
    file = path / (named or "topology.py")
    if not file.is_file():
        where = "pyproject.toml names" if named else "a project without [tool.storm] topology in pyproject.toml needs"
        raise InvalidTopologyError(f"{path}: {where} {file.name}, and there is no {file}")
    if not file.resolve().is_relative_to(path.resolve()):
        raise InvalidTopologyError(f"{path}: {file} is outside of the project: copy it there")
    return file.resolve()


def _import(file: Path, root: Path) -> ModuleType:
    """Import under the name that a worker will find it by: its path below the innermost root of modules."""
    name = ".".join(file.relative_to(root).with_suffix("").parts)
    importlib.invalidate_caches()
    present = sys.modules.get(name)
    if present is not None:
        if _same_file(present, file):
            return present
        raise InvalidTopologyError(f"{file} has the name of the module {name}, which is loaded: rename the file")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _shown_as_the_users():
            spec.loader.exec_module(module)
    except SystemExit as error:
        del sys.modules[name]
        raise TopologyFileError(f"{file} ended the program while it was imported (exit code {error.code})") from None
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def _shown_as_the_users() -> Iterator[None]:
    """What the user's code raises becomes an error whose text is their traceback, which says in which line."""
    try:
        yield
    except InvalidTopologyError as error:
        raise InvalidTopologyError(users_traceback(error)) from None
    except Exception as error:
        raise TopologyFileError(users_traceback(error) + _hint(error)) from error


def _hint(error: Exception) -> str:
    """What may be wrong where a module is not found: people have Storm and their project in two environments."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return ""
    return (
        f"\n\nThe topology is imported by the Python that `storm` runs on, {sys.executable}. Where {error.name!r} is "
        "in another environment, as the project's own, install Storm there and run the `storm` of that environment."
    )


def _same_file(module: ModuleType, file: Path) -> bool:
    source = getattr(module, "__file__", None)
    return source is not None and Path(source).resolve() == file


def _make(
    module: ModuleType, file: Path, conf: Mapping[str, Any], args: Sequence[str]
) -> tuple[StormTopology, dict[str, Any]]:
    wanted = {**_own_conf(module, file), **conf}
    found = getattr(module, ATTRIBUTE, None)
    if found is None:
        raise InvalidTopologyError(
            f"{file} has no topology: write `topology = builder.create_topology()` "
            "or `def topology(conf): ...` at its top level"
        )
    if callable(found):
        found = _call(found, wanted, args)
        wanted.update(conf)
    if not isinstance(found, StormTopology):
        raise InvalidTopologyError(
            f"{file}: `{ATTRIBUTE}` must be what create_topology() returns, got {type(found).__name__}"
        )
    return found, wanted


def _own_conf(module: ModuleType, file: Path) -> dict[str, Any]:
    own = getattr(module, "conf", None)
    if own is None:
        return {}
    if not isinstance(own, dict):
        raise InvalidTopologyError(f"{file}: `conf` must be a dict of settings, got {type(own).__name__}")
    return dict(own)


def _call(function: Any, conf: dict[str, Any], args: Sequence[str]) -> Any:
    takes = len(inspect.signature(function).parameters)
    given: list[Any] = [conf, list(args)][:takes]
    with _shown_as_the_users():
        return function(*given)


def users_traceback(error: BaseException) -> str:
    """`error`'s traceback as Python prints it, without the frames of this package and of the import system."""
    shown = traceback.TracebackException.from_exception(error)
    ours = str(Path(__file__).resolve().parent.parent)
    examples = str(Path(ours) / "examples")

    def keep(frame: traceback.FrameSummary) -> bool:
        return "importlib" not in frame.filename and (
            not frame.filename.startswith(ours) or frame.filename.startswith(examples)
        )

    pending: list[traceback.TracebackException | None] = [shown]
    while pending:
        one = pending.pop()
        if one is not None:
            one.stack = traceback.StackSummary.from_list([frame for frame in one.stack if keep(frame)])
            pending += [one.__cause__, one.__context__]
    return "".join(shown.format()).rstrip()
