"""The logs of workers on this machine: <artifacts>/<topology id>/<port>/worker.log, and older worker.log.1 to .5.

Beside it workers write events.log, with samples of tuples, and their supervisor keeps dumps: what they were asked for.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from storm.clock import format_utc, wall_millis
from storm.errors import NotAuthorizedError, StormError, TopologyNotAliveError
from storm.host_paths import EVENT_LOG, is_topology_id
from storm.log_lines import readable
from storm.log_names import OLD_LOGS_KEPT, WORKER_LOG, is_put_aside
from storm.supervisor.local_state import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from storm.ids import TopologyId

log = logging.getLogger(__name__)

PART_MAX_BYTES = 256 << 10  # of one answer; a reader asks again for the rest
_CHUNK_BYTES = 1 << 20
PROFILE, STACKS, HEAP = "profile", "stacks", "heap"  # kinds of dumps
_DUMP = re.compile(rf"({PROFILE}|{STACKS}|{HEAP})-\d{{8}}T\d{{9}}Z\.(svg|json|txt)")
TAIL_LINES = 20
TAIL_BYTES = 4096
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not to wait where it is a pipe


class LogPart(NamedTuple):
    """Bytes of a log from `offset` on; `size` is the whole file's."""

    data: bytes
    offset: int
    size: int


def log_path(artifacts: Path, topology_id: TopologyId, port: int, name: str = WORKER_LOG) -> Path:
    """Where the port's worker of this topology logs. Raises NotAuthorizedError if the id or name is none: it may be a
    path."""
    if not is_topology_id(topology_id) or not 0 < port < 65536:
        raise NotAuthorizedError(f"{topology_id[:200]!r} with port {port} names no worker's log")
    if name not in (WORKER_LOG, EVENT_LOG) and not is_dump(name) and not is_put_aside(name):
        raise NotAuthorizedError(f"{name[:200]!r} is no log; there are {WORKER_LOG} and {EVENT_LOG}, and dumps")
    return artifacts / topology_id / str(port) / name


def is_dump(name: str) -> bool:
    """Whether a file of this name is a dump, such as `profile-20260131T235959123Z.svg`."""
    return _DUMP.fullmatch(name) is not None


def keep_dump(artifacts: Path, worker: tuple[TopologyId, int], kind: str, ending: str, data: bytes) -> str:
    """Keep a dump beside the log of the worker, (topology id, port); its name. Raises StormError where that fails."""
    when = re.sub(r"[-:.]", "", format_utc(wall_millis() / 1000))
    name = f"{kind}-{when}.{ending}"
    path = log_path(artifacts, *worker, name)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StormError(f"the dump {path} cannot be written: {error.strerror or error}") from error
    return name


def open_log(path: Path, max_bytes: int) -> int:
    """A descriptor that appends to the log; one that is larger than `max_bytes` is put aside first. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > max_bytes:
        os.replace(path, _older(path))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


class LogCap:
    """Holds the logs of running workers below a size, whatever their code prints. One thread calls it."""

    def __init__(self, artifacts: Path, max_bytes: int) -> None:
        self._artifacts = artifacts
        self._max_bytes = max_bytes
        self._complained: set[tuple[TopologyId, int]] = set()

    def hold(self, workers: Iterable[tuple[TopologyId, int]]) -> None:
        """Put the log of each (topology id, port) aside that is too large. What a disk refuses is logged once."""
        for worker in workers:
            try:
                turn(log_path(self._artifacts, *worker), self._max_bytes)
            except (OSError, NotAuthorizedError) as error:
                if worker not in self._complained:
                    log.error("the log of %s on port %d cannot be put aside: %s", *worker, error)
                self._complained.add(worker)
            else:
                self._complained.discard(worker)


def turn(path: Path, max_bytes: int) -> None:
    """Put a log aside that is larger than `max_bytes`, while its worker goes on writing: copy it and empty it.

    The worker has the file open and appends, so it goes on at the new beginning. What it writes in the moment between
    is lost, and so is the old log where the disk has no room for the copy. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError), path.open("r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= max_bytes:
            return
        with _older(path).open("wb", buffering=0) as older:
            try:
                _copy(file.fileno(), older.fileno(), size + max_bytes // 10)
            except OSError as error:
                older.truncate(0)
                log.error("%s is emptied, and nothing of it kept: %s", path, error.strerror)
        file.truncate(0)


def _older(path: Path) -> Path:
    """The name for what is put aside, which is free afterwards: the older ones moved on by one."""
    for number in range(OLD_LOGS_KEPT - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            os.replace(older, path.with_name(f"{path.name}.{number + 1}"))
    return path.with_name(f"{path.name}.1")


def _copy(source: int, target: int, size_max: int) -> None:
    """Copy what there is, at most so much: somebody may write faster than this copies."""
    left = size_max
    while left > 0 and (content := os.read(source, min(left, _CHUNK_BYTES))):
        left -= len(content)
        view = memoryview(content)
        while view:
            view = view[os.write(target, view) :]


def tail(path: Path) -> str:
    """The last twenty lines, at most 4 KiB, as text if they are JSON; empty if there is no log at this `log_path`."""
    try:
        part = _read(path, -TAIL_BYTES, TAIL_BYTES)
    except OSError:
        return ""
    lines = part.data.decode("utf-8", "replace").splitlines()
    if part.offset > 0 and len(lines) > 1:
        del lines[0]  # begins in its middle
    return "\n".join(readable(lines)[-TAIL_LINES:])


def read_part(
    artifacts: Path, topology_id: TopologyId, port: int, offset: int, length: int, name: str = WORKER_LOG
) -> LogPart:
    """At most `length` bytes from `offset` on; a negative offset counts from the end. One answer has at most 256 KiB.

    Raises NotAuthorizedError if the id is a path or there is a link, TopologyNotAliveError if there is no log.
    """
    path = log_path(artifacts, topology_id, port, name)
    try:
        return _read(path, offset, max(0, min(length, PART_MAX_BYTES)))
    except FileNotFoundError as error:
        of_it = "" if name == WORKER_LOG else f": there is no {name}"
        raise TopologyNotAliveError(f"no worker of {topology_id} has logged on port {port} here{of_it}") from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise NotAuthorizedError(f"the log of {topology_id} on port {port} is a link, or behind one") from error
        raise TopologyNotAliveError(f"the log {path} cannot be read: {error.strerror}") from error


def open_below(root: Path, parts: Sequence[str]) -> int:
    """A descriptor of the file of these names below `root`, to read. No link is followed on the way, at whatever moment
    it was made. Raises OSError: ELOOP or ENOTDIR for a link, EINVAL for what is no regular file.
    """
    directory = os.open(root, _DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = below
        descriptor = os.open(parts[-1], _FILE, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", parts[-1])
    return descriptor


def _read(path: Path, offset: int, length: int) -> LogPart:
    with os.fdopen(open_below(path.parents[2], path.parts[-3:]), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size + offset) if offset < 0 else min(offset, size)
        file.seek(start)
        return LogPart(file.read(length), start, size)
