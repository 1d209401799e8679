"""A supervisor's directory: who owns it, and the name that the supervisor keeps for ever."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from typing import TYPE_CHECKING

from storm.errors import AlreadyRunningError
from storm.supervisor.local_state import write_atomically
from storm.supervisor.worker_launch import launched_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.ids import NodeId

log = logging.getLogger(__name__)

_NODE_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)


def lock_directory(directory: Path) -> int:
    """A descriptor that owns the directory until it is closed or the process ends, however it ends.

    Raises AlreadyRunningError naming the process that owns it, OSError if the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "supervisor.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise AlreadyRunningError(
            f"A supervisor is already running in {directory}, pid {owner}. Stop it, or give this one another "
            "storm.local.dir."
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def node_id(supervisor_dir: Path, workers_dir: Path, new_node_id: Callable[[], str]) -> NodeId:
    """The supervisor's id: the one on its disk, else the one that its workers were launched by, else a new one.

    The workers are asked so that a lost file does not cost running topologies their workers.
    """
    path = supervisor_dir / "node-id"
    try:
        found = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        found = ""
    except (OSError, ValueError) as error:
        log.error("%s cannot be read (%s)", path, error)
        found = ""
    if _is_node_id(found):
        return found
    if path.exists():
        log.error("%s does not hold a supervisor's id: it is written anew", path)
    of_workers = [each for each in launched_with(workers_dir, "node_id") if _is_node_id(each)]
    chosen: str = of_workers[0] if of_workers else new_node_id()
    write_atomically(path, f"{chosen}\n".encode())
    return chosen


def _is_node_id(found: object) -> bool:
    return isinstance(found, str) and _NODE_ID.fullmatch(found) is not None
