"""The logs of this host as files: which there are, and how one of them is opened.

What a request names is looked for below one directory, name by name, and no link is followed on the way, at whatever
moment it was made: nothing else on this host can be reached.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from storm.errors import NotAuthorizedError
from storm.http.problems import Problem
from storm.logviewer.logs import LogFile, LogName, Worker
from storm.supervisor import worker_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
DAEMONS = ("nimbus", "supervisor", "ui", "logviewer", "drpc", "dev-zookeeper", "zookeeper", "pacemaker")
DAEMON_LOG = re.compile(rf"({'|'.join(DAEMONS)})[A-Za-z0-9_.-]{{0,100}}")  # storm.log.dir may be anybody's directory
DAEMONS_LOG_ELSEWHERE = (
    " Daemons log to standard error, so it is where that goes: `journalctl -u storm-supervisor`, or logs/ in the "
    "directory of `storm dev`."
)
SHOWN_CHARS = 200


def log_name(text: str) -> LogName:
    """Raises Problem 400 for what names no worker's log."""
    topology_id, _, rest = text.partition("/")
    port, _, file = rest.partition("/")
    if not FILE_NAME.fullmatch(file):
        raise Problem(400, f"file is TOPOLOGY-ID/PORT/worker.log or the like, not {text[:SHOWN_CHARS]!r}.")
    return LogName(worker_of(topology_id, port), file)


def worker_of(topology_id: str, port: str) -> Worker:
    """Raises Problem 400 for what names no worker."""
    return Worker(checked_id(topology_id), checked_port(port))


def checked_id(topology_id: str) -> str:
    """It may be a path. Raises Problem 400."""
    with contextlib.suppress(NotAuthorizedError):
        worker_logs.log_path(Path(), topology_id, 1)
        return topology_id
    raise Problem(400, f"{topology_id[:SHOWN_CHARS]!r} is no topology's id.")


def checked_port(port: str) -> int:
    """Raises Problem 400."""
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65_536):
        raise Problem(400, f"A worker's port is a number up to 65535, not {port[:SHOWN_CHARS]!r}.")
    return int(port)


def open_worker_log(artifacts: Path, name: LogName) -> BinaryIO:
    """Raises Problem 404 where there is no such log here, 403 where it must not be read, 503 where no more files can be
    open.
    """
    return _open(artifacts, (name.worker.topology_id, str(name.worker.port), name.file))


def open_daemon_log(log_dir: Path, file: str) -> BinaryIO:
    """Raises Problem 400 for what is no daemon's log, and as `open_worker_log`."""
    if not DAEMON_LOG.fullmatch(file):
        raise Problem(400, f"file is a daemon's log, such as nimbus.log, not {file[:SHOWN_CHARS]!r}.")
    return _open(log_dir, (file,), DAEMONS_LOG_ELSEWHERE)


def found_logs(artifacts: Path, topology_id: str | None = None, port: int | None = None) -> Iterator[LogFile]:
    """The files of workers, in no order; None: of all. What vanishes meanwhile, or cannot be read, is passed over."""
    for topology in _directories(artifacts, topology_id):
        for worker in _directories(artifacts / topology, None if port is None else str(port)):
            if worker.isascii() and worker.isdecimal() and len(worker) <= 5:
                for name, status in _files(artifacts / topology / worker):
                    yield LogFile(Worker(topology, int(worker)), name, status.st_size, status.st_mtime)


def daemon_logs(log_dir: Path) -> list[tuple[str, int, float]]:
    """[(name, size, when it was changed, since the epoch)] of the logs of daemons, by name."""
    return sorted(
        (name, status.st_size, status.st_mtime) for name, status in _files(log_dir) if DAEMON_LOG.fullmatch(name)
    )


def daemons_present(log_dir: Path) -> tuple[str, ...]:
    """The names of the daemons' present logs that can be read: "nimbus.log", "supervisor.log"."""
    return tuple(file for daemon in DAEMONS if _is_readable(log_dir / (file := f"{daemon}.log")))


def newest_first(files: Sequence[LogFile]) -> list[LogFile]:
    """Storm's order for a search."""
    return sorted(files, key=lambda file: (-file.changed_secs, file.name))


def _open(root: Path, parts: Sequence[str], hint: str = "") -> BinaryIO:
    shown = "/".join(parts)
    try:
        descriptor = worker_logs.open_below(root, parts)
    except PermissionError:
        raise Problem(403, f"The log viewer's user may not read {shown}.") from None
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            raise Problem(503, f"No more files can be open on this host ({error.strerror}): ask in a moment.") from None
        if error.errno == errno.EINVAL:
            raise Problem(404, f"{shown} is no file.") from None
        raise Problem(404, f"There is no log {shown} on this host.{hint}") from None
    return os.fdopen(descriptor, "rb", buffering=0)


def _is_readable(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat(follow_symlinks=False).st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False


def _directories(root: Path, only: str | None) -> list[str]:
    """The names of directories in `root`, or the one that is asked for if it is there."""
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        found = [e.name for e in entries if only in {None, e.name} and e.is_dir(follow_symlinks=False)]
    return sorted(found)


def _files(directory: Path) -> list[tuple[str, os.stat_result]]:
    found = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    return found
