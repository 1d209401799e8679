"""The user's code as one archive: what `storm submit` uploads and workers put on their path.

A package is a zip of the user's files with a manifest, `STORM-MANIFEST.json`. Times and modes in it are fixed, so the
same files always make the same bytes and the same hash. Files named by `.gitignore` or `.stormignore` stay out, and
so do version control, virtual environments and caches. Links that lead out of the project are refused, and so is what a
supervisor would refuse: better here than on every host.
"""

from __future__ import annotations

import hashlib
import json
import stat
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storm.errors import PackageError
from storm.package_rules import FILES_MAX, RATIO_FROM_BYTES, RATIO_MAX, UNPACKED_BYTES_MAX, PackageNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MANIFEST = "STORM-MANIFEST.json"
SIZE_BYTES_MAX = 256 * 1024 * 1024
IGNORE_FILES = (".gitignore", ".stormignore")
NEVER_PACKED = (
    ".git/", ".hg/", ".svn/", "__pycache__/", "*.pyc", ".venv/", "venv/", ".tox/", ".mypy_cache/", ".ruff_cache/",
    ".pytest_cache/", ".hypothesis/", "*.egg-info/", ".DS_Store", "storm-local/",
)  # fmt: skip
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say


@dataclass(frozen=True, slots=True)
class CodePackage:
    """A package on this machine's disk: its file, how many files are in it, and the sha256 of it in hex."""

    path: Path
    files: int
    size_bytes: int
    sha256: str


def build_package(files: dict[str, Path], target: Path) -> CodePackage:
    """Write `files`, {name in the package: file on disk}, to the zip `target`.

    Raises PackageError where a limit is passed (20,000 files, 512 MiB, packed 256 MiB and a hundredth of that), a file
    cannot be read or is no regular file, or a name cannot be in a package.
    """
    if len(files) > FILES_MAX:
        raise PackageError(
            f"{len(files)} files are too many for a package (the limit is {FILES_MAX}): "
            "name what does not belong in .stormignore"
        )
    _check(files)
    manifest = {"format": 1, "python": f"{sys.version_info[0]}.{sys.version_info[1]}", "files": len(files)}
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, MANIFEST, json.dumps(manifest, sort_keys=True).encode())
            for name in sorted(files):
                _add(archive, name, files[name].read_bytes())
    except OSError as error:
        target.unlink(missing_ok=True)
        raise PackageError(f"cannot pack {error.filename or target}: {error.strerror}") from None
    _check_ratio(target)
    size = target.stat().st_size
    if size > SIZE_BYTES_MAX:
        target.unlink()
        raise PackageError(
            f"the package has {size:,} bytes, more than {SIZE_BYTES_MAX:,}: name large files in .stormignore"
        )
    return CodePackage(target, len(files), size, hashlib.sha256(target.read_bytes()).hexdigest())


def _check(files: dict[str, Path]) -> None:
    """Refuse what could be packed and not unpacked, or not even packed: a pipe would be read for ever."""
    names = PackageNames(paths_max=2 * FILES_MAX)
    names.add(MANIFEST)
    total = 0
    for name, path in sorted(files.items()):
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
            raise PackageError(
                f"with {path} the project has {total:,} bytes, more than {UNPACKED_BYTES_MAX:,}: "
                "name large files in .stormignore"
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


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def project_files(directory: Path) -> dict[str, Path]:
    """The files of a project that belong into its package, {name in the package: file}.

    Raises PackageError for a link that leads out of the project.
    """
    root = directory.resolve()
    files: dict[str, Path] = {}
    for path in _walk(root, _ignored(root)):
        if not path.resolve().is_relative_to(root):
            raise PackageError(
                f"{path} is a link to {path.resolve()}, outside of the project: "
                "copy the file, or name it in .stormignore"
            )
        files[path.relative_to(root).as_posix()] = path
    return files


def _ignored(root: Path) -> Iterator[str]:
    yield from NEVER_PACKED
    for name in IGNORE_FILES:
        file = root / name
        if file.is_file():
            yield from file.read_text(encoding="utf-8", errors="replace").splitlines()


def _walk(root: Path, patterns: Iterable[str]) -> Iterator[Path]:
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns)
    stack = [root]
    while stack:
        for path in sorted(stack.pop().iterdir()):
            name = path.relative_to(root).as_posix()
            if path.is_dir() and not path.is_symlink():
                if not spec.match_file(name + "/"):
                    stack.append(path)
            elif not spec.match_file(name):
                yield path


def imported_files(directory: Path) -> dict[str, Path]:
    """Python files under `directory` that this process has imported, {name in the package: file}.

    For a topology in a single file: the file and the modules beside it that it uses.
    """
    root = directory.resolve()
    files: dict[str, Path] = {}
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if source and source.endswith(".py"):
            path = Path(source).resolve()
            if path.is_relative_to(root) and not _installed(path, root):
                files[path.relative_to(root).as_posix()] = path
    return files


def _installed(path: Path, root: Path) -> bool:
    """Whether a worker has it anyway: of an environment below the root, or of this package in its own checkout."""
    inside = path.relative_to(root).parts
    ours = Path(__file__).resolve().parent.parent
    return (
        "site-packages" in inside
        or any(part.startswith(".") for part in inside)
        or (path.is_relative_to(ours) and not root.is_relative_to(ours))
    )
