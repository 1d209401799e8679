"""A disk whose power can be cut: what was not brought to it by fsync may be gone afterwards, names of files too.

The files are real ones below `root`; `os.fsync` and `os.fdatasync` are watched, and what they made durable is kept.
`PowerCut` is raised before the n-th call that changes or syncs something, so that a test can try every n.
"""

from __future__ import annotations

import os
import stat
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

STEPS = ("fsync", "fdatasync", "replace", "unlink", "mkdir")


class PowerCut(BaseException):
    """The machine stops here."""


class Left(Enum):
    """What is on the disk after the cut, of what was not synced."""

    NOTHING = "nothing"
    EVERYTHING = "everything, as after a kill"
    NAMES = "names in directories, but no bytes of files"
    BYTES = "bytes of files, but no names in directories"
    HALF = "names, and half of the bytes that were added"
    SIZE = "names, and sizes of files, with zeros for the bytes that were added"
    LATER_HALF = "names, and the second half of the bytes that were added, with zeros for the first"


class UnsyncedDisk:
    """Watches what happens below `root`, an empty directory, until `stop`."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, cut_before_step: int | None = None) -> None:
        self._root = root
        self._cut_before_step = cut_before_step
        self._bytes: dict[int, bytes] = {}  # inode -> what is on the disk
        self._names: dict[int, dict[str, int]] = {}  # inode of a directory -> its entries on the disk
        self._open: dict[int, int] = {}  # inode -> a descriptor, so that the number is not used again
        self.steps = 0
        self._hold(os.open(root, os.O_RDONLY))
        for name in STEPS:
            monkeypatch.setattr(os, name, self._watched(getattr(os, name)))

    def run_on(self) -> None:
        """There will be no cut in the middle any more."""
        self._cut_before_step = None

    def leave(self, left: Left, into: Path) -> None:
        """Make of `into`, which does not exist, what a machine finds that starts after a cut now."""
        self._leave(self._inode(self._root), left, into)

    def stop(self) -> None:
        """Let go of all files."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if self.steps == self._cut_before_step:
                raise PowerCut
            self.steps += 1
            result = call(*arguments, **options)
            if call.__name__ in {"fsync", "fdatasync"}:
                self._synced(arguments[0])
            return result

        return step

    def _synced(self, descriptor: int) -> None:
        name = f"/proc/self/fd/{descriptor}"
        if not Path(os.readlink(name)).is_relative_to(self._root):
            return
        inode = self._hold(os.open(name, os.O_RDONLY))
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._names[inode] = self._names_now(inode)
        else:
            self._bytes[inode] = self._bytes_now(inode)

    def _hold(self, descriptor: int) -> int:
        inode = os.fstat(descriptor).st_ino
        if inode in self._open:
            os.close(descriptor)
        else:
            self._open[inode] = descriptor
        return inode

    def _inode(self, path: Path) -> int:
        return self._hold(os.open(path, os.O_RDONLY))

    def _names_now(self, inode: int) -> dict[str, int]:
        directory = self._open[inode]
        return {
            name: self._hold(os.open(name, os.O_RDONLY, dir_fd=directory)) for name in sorted(os.listdir(directory))
        }

    def _bytes_now(self, inode: int) -> bytes:
        descriptor = self._open[inode]
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)

    def _leave(self, inode: int, left: Left, into: Path) -> None:
        if not stat.S_ISDIR(os.fstat(self._open[inode]).st_mode):
            into.write_bytes(self._bytes_left(inode, left))
            return
        into.mkdir(mode=0o700)
        old_names = left in {Left.NOTHING, Left.BYTES}
        names = self._names.get(inode, {}) if old_names else self._names_now(inode)
        for name, entry in names.items():
            self._leave(entry, left, into / name)

    def _bytes_left(self, inode: int, left: Left) -> bytes:
        synced, now = self._bytes.get(inode, b""), self._bytes_now(inode)
        match left:
            case Left.NOTHING | Left.NAMES:
                return synced
            case Left.EVERYTHING | Left.BYTES:
                return now
            case _ if not now.startswith(synced):
                return synced
        added = now[len(synced) :]
        half = len(added) // 2
        match left:
            case Left.HALF:
                return synced + added[:half]
            case Left.SIZE:
                return synced + bytes(len(added))
            case _:
                return synced + bytes(half) + added[half:]
