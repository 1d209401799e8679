"""A small durable map on disk, for what a supervisor must know after it was killed at any line.

The whole map is one file, replaced at once: written beside, synced, renamed, and the directory synced. Its first line
is the SHA-256 of the rest, so a torn or damaged file is told from a good one. Nothing that correctness needs lives only
here: a file that cannot be read is set aside, said, and the supervisor starts clean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

STATE_MAX_BYTES = 16 << 20  # a larger file is not ours


class DurableMap(Protocol):
    """What survives the process: `LocalState`, or a model of it."""

    def get(self, name: str) -> Any:
        """The value of `name`; None where there is none."""

    def put(self, name: str, value: Any) -> None:
        """Keep a JSON value."""


class LocalState:
    """{name: JSON value}, kept in `path`. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._values = _load(path)
        self._is_behind = False  # the file: the disk refused what came last

    def get(self, name: str) -> Any:
        """The value of `name`; None where there is none."""
        with self._lock:
            return self._values.get(name)

    def put(self, name: str, value: Any) -> None:
        """Keep `value`; on disk when this returns. Where the disk refuses, that is logged once and memory has it; each
        later call tries again.
        """
        with self._lock:
            if name in self._values and self._values[name] == value and not self._is_behind:
                return
            self._values[name] = value
            body = json.dumps(self._values, sort_keys=True).encode()
            try:
                write_atomically(self._path, _digest(body) + b"\n" + body)
            except OSError as error:
                if not self._is_behind:
                    log.error(
                        "%s cannot be written (%s): what is running goes on, but a restart would not know the latest."
                        " Make room, or let this user write there; it is tried again until that works.",
                        self._path, error.strerror or error,
                    )  # fmt: skip
                self._is_behind = True
                return
            if self._is_behind:
                log.info("%s is written again", self._path)
            self._is_behind = False


class MemoryState:
    """The same map without a disk, for simulations."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, name: str) -> Any:
        """The value of `name`; None where there is none."""
        return json.loads(self._values[name]) if name in self._values else None

    def put(self, name: str, value: Any) -> None:
        """Keep `value`."""
        self._values[name] = json.dumps(value)


def write_atomically(path: Path, data: bytes, rename: Callable[[Path, Path], None] = os.replace) -> None:
    """Replace the file's bytes at once and durably. Raises OSError; then the old bytes are still there.

    A file has one writer at a time: what a killed one left beside it, the next one overwrites.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def is_full(error: OSError) -> bool:
    """Whether it says that there is no room on the disk, or none that this user may have."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def sync_file_system(path: Path) -> None:
    """All that was written to the file system of `path` is on the disk when this returns. Raises OSError.

    `os.sync` would wait for those of the whole machine, also for a file server that is gone.
    """
    import ctypes  # few processes need it

    directory = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(directory) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(directory)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(STATE_MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.error("%s cannot be read (%s): starting without it", path, error)
        return {}
    digest, _, body = data.partition(b"\n")
    if len(data) <= STATE_MAX_BYTES and digest == _digest(body):
        with contextlib.suppress(ValueError):
            values = json.loads(body)
            if isinstance(values, dict):
                return values
    aside = path.with_name(f"{path.name}.corrupt")
    log.error("%s is damaged: it is set aside as %s, and the supervisor starts without it", path, aside.name)
    with contextlib.suppress(OSError):
        os.replace(path, aside)
    return {}
