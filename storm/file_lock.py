"""A file that one process at a time owns, and that says which."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def lock_file(path: Path) -> int | None:
    """A descriptor that owns the file, which is made if need be, until it is closed or this process ends, however it
    ends; None: another process owns it. Raises OSError.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    with contextlib.suppress(OSError):  # the lock holds without it, also on a full disk
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def owner(path: Path) -> str:
    """The process that owns a locked file, for people; "unknown" where that cannot be told."""
    with contextlib.suppress(OSError):
        return path.read_text("ascii", "replace").strip() or "unknown"
    return "unknown"
