"""Whether a uv.lock is of its pyproject.toml as that is now: uv exports also one that is out of date.

A lock keeps what its project asked for when it was made, so no index has to be asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from storm.environment_spec import OWN_PROJECT, normalised, project_of
from storm.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Written in one way only; uv writes others anew ("1.0-beta" as "1.0b0", "01" as "1"), and these are then not compared.
_NUMBER = r"(0|[1-9]\d*)"
_PLAIN_CLAUSE = rf"(~=|==|!=|<=|>=|<|>){_NUMBER}(\.{_NUMBER})*(\.\*)?"
_COMPARED = {"name", "extras", "marker", "specifier", "index"}  # a lock leaves the version out where it has other keys


def refuse_outdated(file: Path, lock: Mapping[str, Any], project: Mapping[str, Any]) -> None:
    """Raises PackageError where the `project` of a pyproject.toml asks for what the `lock` in `file` does not know of.

    What has a marker is not compared, nor is anything where an early uv made the lock, which did not keep it.
    """
    name = normalised(str(project.get("name", "")))
    if any(package.get("name") == name and _lacks_metadata(package) for package in _tables(lock.get("package"))):
        return
    known = _known(lock, name)
    asked = project.get("dependencies")
    for line in asked if isinstance(asked, list) else []:
        wanted = None if ";" in str(line) else project_of(str(line))
        if wanted is None or wanted in {name, OWN_PROJECT}:
            continue
        if not any(_is_of(entry, str(line)) for entry in known.get(wanted, [])):
            raise PackageError(f"{file} does not know of {line!r}, which pyproject.toml asks for now: run `uv lock`")


def _known(lock: Mapping[str, Any], name: str) -> dict[str, list[Mapping[str, Any]]]:
    """What the lock says that the project `name` asked for, {project: each time that it is named}."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for package in _tables(lock.get("package")):
        metadata = package.get("metadata")
        if package.get("name") == name and isinstance(metadata, dict):
            for entry in _tables(metadata.get("requires-dist")):
                if "extra ==" not in str(entry.get("marker", "")):
                    found.setdefault(str(entry.get("name")), []).append(entry)
    return found


def _lacks_metadata(package: Mapping[str, Any]) -> bool:
    """Whether it depends on something, and what was asked for is not told. Without either nothing was asked for."""
    return "metadata" not in package and bool(package.get("dependencies"))


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_of(entry: Mapping[str, Any], line: str) -> bool:
    """Whether it is this requirement, as far as its version can be compared."""
    version = re.sub(r"^\s*[\w.-]+\s*(\[[^\]]*\])?|[\s()]", "", line)
    clauses, locked = _clauses(version), _clauses(str(entry.get("specifier", "")))
    if not entry.keys() <= _COMPARED or not all(re.fullmatch(_PLAIN_CLAUSE, each) for each in clauses | locked):
        return True
    return clauses == locked


def _clauses(version: str) -> set[str]:
    return set(filter(None, version.split(",")))
