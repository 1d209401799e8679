"""What a package may hold, and by which names: what a client packs, every supervisor must be able to unpack.

The client checks it so that a project that is not fit is refused when it is submitted, the supervisor because it cannot
know who made a package. Pure.
"""

from __future__ import annotations

from storm.errors import PackageError

FILES_MAX = 20_000  # beside the manifest
UNPACKED_BYTES_MAX = 512 << 20
RATIO_MAX = 100  # of unpacked to packed size, of a package that is larger than this unpacked:
RATIO_FROM_BYTES = 1 << 20
NAME_CHARS_MAX = 1024
PARTS_MAX = 64
PART_BYTES_MAX = 255  # of one name between slashes: what file systems allow
SHOWN_CHARS = 120  # of a name, in an error


class PackageNames:
    """The names of one package, added one after the other.

    `paths_max`: of all files and directories, also of those that are only named as part of a path. A few thousand names
    of many parts each would otherwise make millions of directories.
    """

    def __init__(self, paths_max: int) -> None:
        self._paths_max = paths_max
        self._seen: dict[str, tuple[str, bool]] = {}  # {path in lower case: (path, whether it is a directory)}

    def add(self, name: str) -> None:
        """A directory's name ends with a slash.

        Raises PackageError, naming it, for a name that no package may have, or that is in the way of another, and
        ValueError for one that is no text: a file's name may be any bytes.
        """
        check_name(name)
        path = name.rstrip("/")
        is_directory = path != name
        parts = path.split("/")
        for depth in range(1, len(parts)):
            self._take("/".join(parts[:depth]), path, True)
        if not is_directory and path.casefold() in self._seen:
            raise _clash(self._seen[path.casefold()][0], path)
        self._take(path, path, is_directory)

    def _take(self, path: str, whole: str, is_directory: bool) -> None:
        """Note a path; also where upper and lower case are one there is no second one, and no file with files in it."""
        found = self._seen.setdefault(path.casefold(), (path, is_directory))
        if found != (path, is_directory):
            raise _clash(found[0], whole)
        if len(self._seen) > self._paths_max:
            raise PackageError(f"it has more than {self._paths_max} files and directories")


def check_name(name: str) -> None:
    """Raises PackageError for a name that is not that of a plain path inside the package, ValueError for no text."""
    shown = repr(name[:SHOWN_CHARS])
    parts = name.rstrip("/").split("/")
    if (
        len(name) > NAME_CHARS_MAX
        or len(parts) > PARTS_MAX
        or any(len(part.encode()) > PART_BYTES_MAX for part in parts)
    ):
        raise PackageError(f"the name of entry {shown} is too long")
    if "\\" in name or ":" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise PackageError(f"entry {shown} has a character in its name that a package must not have")
    if any(part in {"", ".", ".."} for part in parts):
        raise PackageError(f"entry {shown} is not a plain path inside the package")


def _clash(first: str, second: str) -> PackageError:
    return PackageError(f"entries {first[:SHOWN_CHARS]!r} and {second[:SHOWN_CHARS]!r} are in each other's way")
