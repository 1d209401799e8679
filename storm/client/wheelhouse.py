"""A directory of wheels that travel with a topology, so that hosts need no network.

Only those that the requirements need are taken, as far as names tell: a directory may serve many projects. That one is
missing, or there for other platforms only, is said here and not on every host. Which versions go together is
left to the hosts' pip.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from email.parser import HeaderParser
from typing import TYPE_CHECKING, NamedTuple

from storm.environment_spec import WHEELS_MAX, normalised, project_of
from storm.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

METADATA_BYTES_MAX = 4 << 20
_PLATFORM = re.compile(r"any|linux_\w+|manylinux\w+|musllinux\w+", re.ASCII)
_LINUX_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}  # of what other systems call otherwise


class _Wheel(NamedTuple):
    path: Path
    project: str
    pythons: frozenset[str]
    abis: frozenset[str]
    platforms: frozenset[str]

    def fits(self, python: str, architecture: str) -> bool:
        """Whether Linux can use it on this kind of processor, "x86_64" (empty: on any), with this Python, "3.11"."""
        of_linux = [platform for platform in self.platforms if _PLATFORM.fullmatch(platform)]
        if not any(platform == "any" or platform.endswith(architecture) for platform in of_linux):
            return False
        minor = int(python.partition(".")[2])
        if self.pythons & {"py3", f"py3{minor}", f"cp3{minor}"}:
            return True
        older = {int(tag[3:]) for tag in self.pythons if re.fullmatch(r"[cp][py]3\d+", tag)}
        return any(each <= minor for each in older) and bool(self.abis & {"abi3", "none"})


def wheels_for(directory: Path, requirements: Sequence[str], python: str, architecture: str = "") -> dict[str, Path]:
    """{file name: wheel} in `directory` that the requirements may need on Linux with Python `python` ("3.11"), on the
    kind of processor `architecture` ("x86_64") or, where that is empty, on any.

    Raises PackageError where a project that is needed in any case has none.
    """
    by_project = _wheels_of(directory)
    found: dict[str, Path] = {}
    seen: set[tuple[str, bool]] = set()
    wanted = [(line, ";" not in line, "the requirements") for line in requirements]
    while wanted:
        line, is_certain, by = wanted.pop()
        project = project_of(line)
        if project is None:
            continue
        there = by_project.get(project, [])
        fitting = [wheel for wheel in there if wheel.fits(python, architecture)]
        if not fitting and is_certain:
            if there:
                raise PackageError(_lacks_fitting(directory, project, there[0], python, architecture))
            raise PackageError(_lacks(directory, project, by))
        if (project, is_certain) in seen:
            continue
        seen.add((project, is_certain))
        for wheel in fitting:
            found[wheel.path.name] = wheel.path
            wanted += [(each, is_certain and ";" not in each, wheel.path.name) for each in _requires(wheel.path)]
    if len(found) > WHEELS_MAX:
        raise PackageError(f"{directory}: {len(found)} wheels are needed; a package takes {WHEELS_MAX}")
    return found


def _wheels_of(directory: Path) -> dict[str, list[_Wheel]]:
    found: dict[str, list[_Wheel]] = {}
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise PackageError(f"cannot read the wheelhouse {directory}: {error.strerror}") from None
    for path in paths:
        parts = path.name.removesuffix(".whl").split("-")
        if path.suffix == ".whl" and path.is_file() and len(parts) in {5, 6}:
            pythons, abis, platforms = (frozenset(part.split(".")) for part in parts[-3:])
            wheel = _Wheel(path, normalised(parts[0]), pythons, abis, platforms)
            found.setdefault(wheel.project, []).append(wheel)
    return found


def _lacks_fitting(directory: Path, project: str, other: _Wheel, python: str, architecture: str) -> str:
    here = os.uname().machine.lower()
    processor = architecture or _LINUX_NAMES.get(here, here)
    return (
        f"{directory} has no wheel of {project} for Linux{f' on {architecture}' if architecture else ''} and Python "
        f"{python}, only {other.path.name}: `pip download --only-binary :all: --platform manylinux2014_{processor} "
        f"--python-version {python} -d {directory} {project}` fetches one"
    )


def _lacks(directory: Path, project: str, by: str) -> str:
    return (
        f"{directory} has no wheel of {project}, which {by} {'need' if by.endswith('s') else 'needs'}: "
        f"`pip wheel -w {directory} -r FILE` makes all that are needed"
    )


def _requires(wheel: Path) -> list[str]:
    """Its Requires-Dist."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each))
            if archive.getinfo(name).file_size > METADATA_BYTES_MAX:
                raise PackageError(f"{wheel} has more than {METADATA_BYTES_MAX:,} bytes of metadata")
            text = archive.read(name).decode("utf-8", "replace")
    except StopIteration:
        raise PackageError(f"{wheel} is not a readable wheel: it has no METADATA") from None
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PackageError(f"{wheel} is not a readable wheel: {error}") from None
    return [str(value) for value in HeaderParser().parsestr(text).get_all("Requires-Dist", [])]
