"""What a project asks of Python package indexes: its lock file, requirements.txt or pyproject.toml as plain lines.

The first of uv.lock, pylock.toml (PEP 751), requirements.txt and pyproject.toml (`[project] dependencies`) counts. Of a
single file, only a requirements.txt beside it: a pyproject.toml there may be of something else. Files that a
requirements.txt includes by `-r` become part of it. What asks for this package itself is left out, since a worker has
its supervisor's; so it may also be a file, which no host could follow. A project that says what it needs in a way that
is not read here is refused.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.client.uv_lock import refuse_outdated
from storm.environment_spec import OWN_PROJECT, check_line, check_lines, logical_lines, normalised, project_of
from storm.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UV_LOCK, PYLOCK, REQUIREMENTS, PYPROJECT = "uv.lock", "pylock.toml", "requirements.txt", "pyproject.toml"
FILE_BYTES_MAX = 16 << 20
INCLUDED_MAX = 50  # files by -r, each in the next
_OWN_FILE = rf"{OWN_PROJECT}-\d.*-(whl|zip|tar-gz)(#|$)|.*#egg={OWN_PROJECT}$"  # normalised, without directories
_NAMES_A_FILE = r".*@ ?file:|file:|[./]|-e |--editable|\S+\.(whl|zip|gz)( |$)"


@dataclass(frozen=True, slots=True)
class Requirements:
    """`lines` as in a requirements.txt, one requirement each; `source` is the file that they come from."""

    source: Path
    lines: tuple[str, ...]

    @property
    def projects(self) -> int:
        """How many projects it names."""
        return len({project_of(line) for line in self.lines} - {None})


def find_requirements(path: Path, named: Path | None, export_uv_lock: Callable[[Path], str]) -> Requirements | None:
    """What the topology at `path`, a project's directory or a single file, needs; None: nothing.

    `named` is a file that its user named for it. `export_uv_lock` makes a requirements.txt of a directory's uv.lock.
    Raises PackageError naming file, line and reason for what no host could follow.
    """
    if named is None and not path.is_dir():
        return requirements_beside(path.parent)
    candidates = (path / name for name in (UV_LOCK, PYLOCK, REQUIREMENTS, PYPROJECT))
    source = named or next((each for each in candidates if each.is_file()), None)
    found = None if source is None else _wanted(source, _lines_of(source, export_uv_lock))
    if found is None and (source is None or source.name == PYPROJECT):
        _refuse_unread(path if source is None else source.parent)
    return found


def requirements_beside(directory: Path) -> Requirements | None:
    """What a single file in `directory` needs; raises PackageError as above."""
    source = directory / REQUIREMENTS
    return _wanted(source, _list(source)) if source.is_file() else None


def _wanted(source: Path, lines: list[str]) -> Requirements | None:
    found = [line for line in lines if not _asks_for_us(line)]
    try:
        check_lines(found)
    except PackageError as error:
        raise PackageError(f"{source}: {error}") from None
    wanted = Requirements(source, tuple(found))
    return wanted if wanted.projects else None


def _asks_for_us(line: str) -> bool:
    """By its name, or by that of a file or repository alone, as `uv export` and `pip freeze` write them."""
    if project_of(line) == OWN_PROJECT:
        return True
    place = re.split(r" ;| --", line.removeprefix("-e "))[0]
    if place.startswith("-") or re.match(r"[^/+:]+@", place):  # an option, or another name with an address
        return False
    return re.match(_OWN_FILE, normalised(place.rpartition("/")[2])) is not None


def _lines_of(source: Path, export_uv_lock: Callable[[Path], str]) -> list[str]:
    if source.name == UV_LOCK:
        lines = _checked(source, export_uv_lock(source.parent.resolve()))
        refuse_outdated(source, _toml(source), _table(_toml_beside(source.parent, PYPROJECT), "project"))
        return lines
    if source.suffix == ".toml":
        return _pyproject(source) if source.name == PYPROJECT else list(_pylock(source))
    return _list(source)


def _list(source: Path) -> list[str]:
    return list(_requirements(source, source.parent.resolve(), 0))


def _requirements(file: Path, root: Path, depth: int) -> Iterator[str]:
    if not Path(os.path.realpath(file)).is_relative_to(root):  # `resolve` raises RuntimeError for a circle of links
        raise PackageError(f"{file} is outside of the project ({root}): copy it there")
    if depth > INCLUDED_MAX:
        raise PackageError(f"{file} includes itself, or {INCLUDED_MAX} others in turn")
    for number, line in logical_lines(_text(file)):
        option, _, value = line.replace("=", " ", 1).partition(" ") if line.startswith("--r") else line.partition(" ")
        if option in {"-r", "--requirement"} and value:
            yield from _requirements(file.parent / value.strip(), root, depth + 1)
        else:
            yield _line(f"{file}, line {number}", line)


def _checked(source: Path, text: str) -> list[str]:
    place = "into a list for --requirements"  # this one is written by a tool
    return [_line(f"{source}, line {number}", line, place) for number, line in logical_lines(text)]


def _line(where: str, line: str, place: str = "instead") -> str:
    """As it is, if a host can follow it; `place`: where else to write what names a file."""
    try:
        if not _asks_for_us(line):
            check_line(line)
    except PackageError as error:
        instead = f", and write `name==version` {place}" if re.match(_NAMES_A_FILE, line) else ""
        raise PackageError(f"{where}: {error}{instead}") from None
    return line


def _refuse_unread(directory: Path) -> None:
    """Raises PackageError where the project says what it needs to Poetry, Pipenv or PDM alone."""
    pyproject = _toml_beside(directory, PYPROJECT)
    poetry, is_standard = _table(pyproject, "tool", "poetry", "dependencies"), "project" in pyproject
    pipenv = _table(_toml_beside(directory, "Pipfile"), "packages")
    for name, command, is_needed in (
        (f"[tool.poetry.dependencies] of {PYPROJECT}", "poetry export -o", _asks_for_more(poetry)),
        ("poetry.lock", "poetry export -o", not poetry and not is_standard),
        ("Pipfile", "pipenv requirements >", _asks_for_more(pipenv)),
        ("Pipfile.lock", "pipenv requirements >", not (directory / "Pipfile").is_file()),
        ("pdm.lock", "pdm export -o", not is_standard),
    ):
        if is_needed and (not name.endswith(".lock") or (directory / name).is_file()):
            raise PackageError(
                f"what {directory} needs is in its {name}, which is not read: write a {REQUIREMENTS} there "
                f"(`{command} {REQUIREMENTS}`), or say --no-env where hosts have it"
            )


def _asks_for_more(table: dict[str, Any]) -> bool:
    return any(normalised(name) not in {"python", OWN_PROJECT} for name in table)


def _table(found: Any, *names: str) -> dict[str, Any]:
    """The table of these names in a TOML file, one in the other; empty if there is none."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _toml_beside(directory: Path, name: str) -> dict[str, Any]:
    file = directory / name
    return _toml(file) if file.is_file() else {}


def _pyproject(file: Path) -> list[str]:
    project = _toml(file).get("project", {})
    if not isinstance(project, dict):
        raise PackageError(f"{file}: [project] must be a table, got {project!r:.60}")
    dynamic = project.get("dynamic", [])
    if isinstance(dynamic, list) and "dependencies" in dynamic:
        raise PackageError(
            f"{file} leaves its dependencies to be computed when it is built (dynamic): write them into "
            f"{file.with_name(REQUIREMENTS)}"
        )
    found = project.get("dependencies", [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise PackageError(f"{file}: [project] dependencies must be a list of texts")
    return [_line(str(file), " ".join(each.split())) for each in found]


def _pylock(file: Path) -> Iterator[str]:
    """PEP 751: every package with its version and marker, and the hashes of all its files."""
    found = _toml(file)
    packages = found.get("packages")
    if str(found.get("lock-version", "")).partition(".")[0] != "1" or not isinstance(packages, list):
        raise PackageError(f"{file} is no lock file of version 1 (PEP 751)")
    for package in packages:
        if not isinstance(package, dict):
            raise PackageError(f"{file}: each of [[packages]] must be a table, got {package!r:.60}")
        name, version = package.get("name", "?"), package.get("version")
        if _asks_for_us(str(name)):
            continue
        wheels = package.get("wheels", [])
        files = [*(wheels if isinstance(wheels, list) else [wheels]), *filter(None, [package.get("sdist")])]
        if version is None or not files:
            raise PackageError(
                f"{file}: {name} comes from a directory, an archive or a repository, which no host has: put its wheel "
                f"into a directory, name that by --wheelhouse, and a list with `{name}==version` by --requirements"
            )
        marker = f" ; {package['marker']}" if "marker" in package else ""
        hashes = sorted({f"--hash=sha256:{each['sha256']}" for each in _hashes(file, name, files) if "sha256" in each})
        yield " ".join(" ".join([f"{name}=={version}{marker}", *hashes]).split())


def _hashes(file: Path, name: str, files: list[Any]) -> Iterator[dict[str, Any]]:
    for each in files:
        hashes = each.get("hashes") if isinstance(each, dict) else None
        if not isinstance(hashes, dict):
            raise PackageError(f"{file}: {name} has a file without hashes, which PEP 751 asks for: lock it anew")
        yield hashes


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise PackageError(f"{file}: {error}") from None


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise PackageError(f"{file} has more than {FILE_BYTES_MAX:,} bytes: it is no list of requirements")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PackageError(f"{file} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise PackageError(f"cannot read {file}: {error.strerror}") from None
