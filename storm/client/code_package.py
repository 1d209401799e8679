"""The user's code as one archive: what `storm submit` uploads and workers put on their path.

A package is a zip of the user's files with a manifest, `STORM-MANIFEST.json`, which says what they need: the version of
Python, requirements, the wheels beside them in `STORM-WHEELS/`, the directory among them that is a root of modules
beside the package's top, and a hash of all their names and contents. Times and
modes in it are fixed, but for whether a file's owner may execute it, so the same files always make the same bytes and
the same hash. Files named by `.gitignore` or `.stormignore` stay out, and so do version control, virtual environments
and caches. Links that lead out of the project are refused, and so is what a supervisor would refuse: better here than
on every host.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import stat
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storm.client.module_names import refuse_taken
from storm.environment_spec import MANIFEST, SOURCE_KEY, WHEELS, EnvironmentSpec
from storm.errors import PackageError
from storm.package_rules import FILES_MAX, RATIO_FROM_BYTES, RATIO_MAX, UNPACKED_BYTES_MAX, PackageNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SIZE_BYTES_MAX = 256 * 1024 * 1024
DIRECTORIES_MAX = 10 * FILES_MAX  # that are looked through: links can multiply what there is
IGNORE_FILES = (".gitignore", ".stormignore")
NEVER_PACKED = (
    ".git", ".hg/", ".svn/", "__pycache__/", "*.pyc", ".venv/", "venv/", ".tox/", ".mypy_cache/", ".ruff_cache/",
    ".pytest_cache/", ".hypothesis/", "*.egg-info/", ".DS_Store", "storm-local/",
)  # fmt: skip
_ENVIRONMENTS = frozenset({"site-packages", "dist-packages"})  # directories of what is installed
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say


@dataclass(frozen=True, slots=True)
class PackedRequirements:
    """What hosts shall install: lines of a requirements.txt, and {file name: wheel} that travel in the package."""

    lines: tuple[str, ...]
    wheels: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodePackage:
    """A package on this machine's disk: its file, how many files are in it, and the sha256 of it in hex.

    `environment`: what hosts make for it; None: it runs on their own Python.
    """

    path: Path
    files: int
    size_bytes: int
    sha256: str
    environment: EnvironmentSpec | None = None


def build_package(
    files: dict[str, Path], target: Path, requirements: PackedRequirements | None = None, source: str = ""
) -> CodePackage:
    """Write `files`, {name in the package: file on disk}, to the zip `target`.

    `source`: the directory of the package that workers find modules in, beside its top. Raises PackageError where a
    limit is passed (20,000 files, 512 MiB, packed 256 MiB and a hundredth of that), a file cannot be read or is no
    regular file, or a name cannot be in a package, or is that of another module in workers.
    """
    wheels = {} if requirements is None else {f"{WHEELS}/{name}": path for name, path in requirements.wheels.items()}
    everything = {**files, **wheels}
    if len(everything) > FILES_MAX:
        raise PackageError(
            f"{len(everything)} files are too many for a package (the limit is {FILES_MAX}): "
            "name what does not belong in .stormignore"
        )
    if taken := wheels.keys() & files.keys():
        raise PackageError(f"{files[min(taken)]} has the name of a wheel in the package: name it in .stormignore")
    _check(files, wheels)
    refuse_taken(files, source)
    try:
        hashes = {}
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(everything):
                data = everything[name].read_bytes()
                hashes[name] = hashlib.sha256(data).hexdigest()
                mode = 0o755 if everything[name].stat().st_mode & stat.S_IXUSR else 0o644
                _add(archive, name, data, mode, zipfile.ZIP_STORED if name in wheels else zipfile.ZIP_DEFLATED)
            environment = _environment(requirements, hashes)
            manifest = json.dumps(_manifest(hashes, environment, source), sort_keys=True).encode()
            _add(archive, MANIFEST, manifest, 0o644, zipfile.ZIP_DEFLATED)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise PackageError(f"cannot pack {error.filename or target}: {error.strerror}") from None
    _check_ratio(target)
    size = target.stat().st_size
    if size > SIZE_BYTES_MAX:
        target.unlink()
        of_wheels = sum(path.stat().st_size for path in wheels.values())
        if size - of_wheels <= SIZE_BYTES_MAX:
            raise _too_many_wheels(wheels, SIZE_BYTES_MAX)
        raise PackageError(
            f"the package has {size:,} bytes, more than {SIZE_BYTES_MAX:,}: name large files in .stormignore"
        )
    with target.open("rb") as packed:
        sha256 = hashlib.file_digest(packed, "sha256").hexdigest()
    return CodePackage(target, len(everything), size, sha256, environment)


def python_version() -> str:
    """This Python, as packages name it: "3.11"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _environment(requirements: PackedRequirements | None, hashes: Mapping[str, str]) -> EnvironmentSpec | None:
    if requirements is None:
        return None
    wheels = sorted((name, hashes[f"{WHEELS}/{name}"]) for name in requirements.wheels)
    return EnvironmentSpec(python_version(), requirements.lines, tuple(wheels))


def _manifest(hashes: Mapping[str, str], environment: EnvironmentSpec | None, source: str) -> dict[str, object]:
    content = hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()
    manifest: dict[str, object] = {"format": 1, "python": python_version(), "files": len(hashes), "content": content}
    if environment is not None:
        manifest["environment"] = environment.to_plain()
    if source:
        manifest[SOURCE_KEY] = source
    return manifest


def _check(files: dict[str, Path], wheels: dict[str, Path]) -> None:
    """Refuse what could be packed and not unpacked, or not even packed: a pipe would be read for ever."""
    names = PackageNames(paths_max=2 * FILES_MAX)
    names.add(MANIFEST)
    total = 0
    for name, path in [*sorted(files.items()), *wheels.items()]:
        try:
            names.add(name)
            found = path.stat()
        except PackageError as error:
            raise PackageError(f"{path} cannot be packed: {error}. Rename it, or name it in .stormignore") from None
        except UnicodeError:
            raise PackageError(f"{path!s:.200} cannot be packed: its name is not valid text") from None
        except OSError as error:
            raise PackageError(f"cannot pack {error.filename or path}: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise PackageError(f"{path} is a pipe, a device or a socket: name it in .stormignore")
        total += found.st_size
        if total > UNPACKED_BYTES_MAX:
            if name in wheels:
                raise _too_many_wheels(wheels, UNPACKED_BYTES_MAX)
            raise PackageError(
                f"with {path} the project has {total:,} bytes, more than {UNPACKED_BYTES_MAX:,}: "
                "name large files in .stormignore"
            )


def _too_many_wheels(wheels: dict[str, Path], limit_bytes: int) -> PackageError:
    sizes = {path: path.stat().st_size for path in wheels.values()}
    largest = max(sizes, key=lambda path: sizes[path])
    return PackageError(
        f"the wheels of {largest.parent} that it needs have {sum(sizes.values()):,} bytes, and a package may have no "
        f"more than {limit_bytes:,}: leave --wheelhouse away, so that hosts install {largest.name.partition('-')[0]} "
        "and the others from an index"
    )


def _check_ratio(package: Path) -> None:
    """Refuse, and delete, a package that every supervisor would hold for a bomb."""
    with zipfile.ZipFile(package) as archive:
        entries = archive.infolist()
    total, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if total > RATIO_FROM_BYTES and total > packed * RATIO_MAX:
        package.unlink()
        largest = max(entries, key=lambda entry: entry.file_size).filename
        raise PackageError(
            f"the project unpacks to more than {RATIO_MAX} times its packed size, so that no supervisor would take it: "
            f"name large files of little content, such as {largest}, in .stormignore"
        )


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int, compression: int) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.compress_type = compression
    entry.external_attr = mode << 16
    archive.writestr(entry, data)


def project_files(directory: Path) -> dict[str, Path]:
    """The files of a project that belong into its package, {name in the package: file}.

    A link to a directory stands for what is in it. Raises PackageError for a link that leads out of the project, in a
    circle or nowhere, and for what cannot be read.
    """
    root = directory.resolve()
    try:
        return {path.relative_to(root).as_posix(): path for path in _walk(root)}
    except OSError as error:
        raise PackageError(f"cannot pack {error.filename or root}: {error.strerror or error}") from None


def _walk(root: Path) -> Iterator[Path]:
    """Files that no ignore file above them names; as in git, the nearest one that speaks of a file counts."""
    stack: list[tuple[Path, _Rules, frozenset[Path]]] = [(root, _Rules(root, NEVER_PACKED, None), frozenset())]
    walked = 0
    while stack:
        directory, above, within = stack.pop()
        rules, within = _Rules(directory, _patterns(directory), above), within | {_real(directory)}
        walked += 1
        if walked > DIRECTORIES_MAX:
            raise PackageError(
                f"{root} has more than {DIRECTORIES_MAX:,} directories, with those that links lead to: "
                "name what does not belong in .stormignore"
            )
        for path in sorted(directory.iterdir()):
            is_directory = path.is_dir()
            if rules.ignores(path, is_directory):
                continue
            if path.is_symlink():
                _check_link(path, root, within, ", or name it in .stormignore")
            if is_directory:
                stack.append((path, rules, within))
            else:
                yield path


def _check_links(path: Path, root: Path) -> None:
    """Of a file that was imported: it is packed whatever ignore files say."""
    within, here = frozenset({root}), root
    for part in path.relative_to(root).parts:
        here /= part
        if here.is_symlink():
            _check_link(here, root, within, "")
        within |= {_real(here)}


def _check_link(link: Path, root: Path, within: frozenset[Path], or_else: str) -> None:
    """`within`: the directories on the way to it, as they are without links. `or_else`: what else its user may do."""
    target = _real(link)
    if not target.is_relative_to(root):
        raise PackageError(f"{link} is a link to {target}, outside of the project: copy the file{or_else}")
    if not link.exists():
        raise PackageError(f"{link} is a link that leads nowhere: mend it{or_else}")
    if target in within:
        raise PackageError(f"{link} is a link to a directory that it is in: remove it{or_else}")


def _real(path: Path) -> Path:
    """Without links; `Path.resolve` raises RuntimeError for one that leads to itself."""
    return Path(os.path.realpath(path))


def _patterns(directory: Path) -> Iterator[str]:
    for name in IGNORE_FILES:
        file = directory / name
        if file.is_file():
            yield from file.read_text(encoding="utf-8", errors="replace").splitlines()


class _Rules:
    """What a directory's ignore files say, and what the directories above it do."""

    def __init__(self, directory: Path, patterns: Iterable[str], above: _Rules | None) -> None:
        from pathspec import GitIgnoreSpec

        self._directory = directory
        self._spec = GitIgnoreSpec.from_lines(filter(_is_pattern, patterns))
        self._above = above

    def ignores(self, path: Path, is_directory: bool) -> bool:
        name = path.relative_to(self._directory).as_posix() + ("/" if is_directory else "")
        said = self._spec.check_file(name).include
        if said is None:
            return self._above is not None and self._above.ignores(path, is_directory)
        return said


def _is_pattern(line: str) -> bool:
    """Whether it can match anything; git passes over a line that cannot, such as "!"."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True


def imported_files(directory: Path) -> dict[str, Path]:
    """Python files under `directory` that this process has imported, {name in the package: file}.

    For a topology in a single file: the file and the modules beside it that it uses, by the names that they were
    imported by. Raises PackageError for a link that leads out of the directory, in a circle or nowhere.
    """
    root = directory.resolve()
    real = functools.cache(_real)
    files: dict[str, Path] = {}
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if source and source.endswith(".py"):
            path = next((each for each in _below(source, root, real) if not _installed(each, root)), None)
            if path is not None:
                _check_links(path, root)
                files[path.relative_to(root).as_posix()] = path
    return files


def _below(source: str, root: Path, real: Callable[[Path], Path]) -> Iterator[Path]:
    """A module's file below the root: as it was imported, which may have been by a link to the root, and without links,
    for one elsewhere may lead into it.
    """
    path = Path(os.path.abspath(source))
    for parent in reversed(path.parents):
        if real(parent) == root:
            yield root / path.relative_to(parent)
    found = real(Path(source))
    if found.is_relative_to(root):
        yield found


def _installed(path: Path, root: Path) -> bool:
    """Whether a worker has it anyway: of an environment, of Python, or of this package in its own checkout.

    What is below a root within one of the latter two is the user's.
    """
    inside = path.relative_to(root).parts
    ours, python = Path(__file__).resolve().parent.parent, Path(os.__file__).resolve().parent
    within = {*path.parents, *_real(path).parents} - {*root.parents}
    return (
        not _ENVIRONMENTS.isdisjoint((root.name, *inside))
        or any(part.startswith(".") for part in inside)
        or not within.isdisjoint((ours, python))
    )
