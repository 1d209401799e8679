"""The logs of workers on this machine: <artifacts>/<topology id>/<port>/worker.log."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from storm.errors import NotAuthorizedError, TopologyNotAliveError

if TYPE_CHECKING:
    from pathlib import Path

    from storm.ids import TopologyId

OLD_LOGS_KEPT = 5
PART_MAX_BYTES = 256 << 10  # of one answer; a reader asks again for the rest
TAIL_LINES = 20
TAIL_BYTES = 4096
_TOPOLOGY_ID = re.compile(r"[^/\\.:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]{0,199}")


class LogPart(NamedTuple):
    """Bytes of a log from `offset` on; `size` is the whole file's."""

    data: bytes
    offset: int
    size: int


def log_path(artifacts: Path, topology_id: TopologyId, port: int) -> Path:
    """Where the port's worker of this topology logs. Raises NotAuthorizedError if the id is none: it may be a path."""
    if not _TOPOLOGY_ID.fullmatch(topology_id) or not 0 < port < 65536:
        raise NotAuthorizedError(f"{topology_id[:200]!r} with port {port} names no worker's log")
    return artifacts / topology_id / str(port) / "worker.log"


def open_log(path: Path, max_bytes: int) -> int:
    """A descriptor that appends to the log; one that is larger than `max_bytes` is put aside first. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > max_bytes:
        for number in range(OLD_LOGS_KEPT - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                os.replace(older, path.with_name(f"{path.name}.{number + 1}"))
        os.replace(path, path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def tail(path: Path) -> str:
    """The last twenty lines, at most 4 KiB; empty if there is no log."""
    try:
        part = _read(path, -TAIL_BYTES, TAIL_BYTES)
    except OSError:
        return ""
    lines = part.data.decode("utf-8", "replace").splitlines()
    if part.offset > 0 and len(lines) > 1:
        del lines[0]  # begins in its middle
    return "\n".join(lines[-TAIL_LINES:])


def read_part(artifacts: Path, topology_id: TopologyId, port: int, offset: int, length: int) -> LogPart:
    """At most `length` bytes from `offset` on; a negative offset counts from the end. One answer has at most 256 KiB.

    Raises NotAuthorizedError if the id or a link leads out of the logs, TopologyNotAliveError if there is no log.
    """
    path = log_path(artifacts, topology_id, port)
    root = os.path.realpath(artifacts)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise NotAuthorizedError(f"the log of {topology_id} on port {port} is not among the workers' logs")
    try:
        return _read(path, offset, max(0, min(length, PART_MAX_BYTES)))
    except FileNotFoundError as error:
        raise TopologyNotAliveError(f"no worker of {topology_id} has logged on port {port} here") from error
    except OSError as error:
        raise TopologyNotAliveError(f"the log {path} cannot be read: {error.strerror}") from error


def _read(path: Path, offset: int, length: int) -> LogPart:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size + offset) if offset < 0 else min(offset, size)
        file.seek(start)
        return LogPart(file.read(length), start, size)
