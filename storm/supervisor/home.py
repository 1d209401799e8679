"""A supervisor's directory: who owns it, how it is told from a copy, and the name the supervisor keeps for ever."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING

from storm.errors import AlreadyRunningError, StormError
from storm.file_lock import lock_file, owner
from storm.supervisor.local_state import write_atomically
from storm.supervisor.worker_launch import launched_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.ids import NodeId

log = logging.getLogger(__name__)

# A UUID, so that half of one, which a broken disk may leave, is none.
_NODE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def lock_directory(directory: Path) -> int:
    """A descriptor that owns the directory until it is closed or the process ends, however it ends.

    Raises AlreadyRunningError naming the process that owns it, StormError if it is another user's, whose processes
    this one does not know for its workers, OSError if the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "supervisor.lock"
    uid = path.stat().st_uid if path.exists() else os.geteuid()
    if uid != os.geteuid():  # first: root could lock it, and would write itself down as its owner
        raise StormError(
            f"{directory} belongs to the supervisor of user {_user_name(uid)}, and this is user "
            f"{_user_name(os.geteuid())}: run this as that user (sudo -u {_user_name(uid)} ...)"
        )
    lock = lock_file(path)
    if lock is None:
        raise AlreadyRunningError(
            f"A supervisor is already running in {directory}, pid {owner(path)}. Stop it, or give this one another "
            "storm.local.dir."
        )
    return lock


def machine_fingerprint() -> str:
    """The same for all that runs on this installation of an operating system; empty where it has no machine id."""
    for path in _MACHINE_ID_FILES:
        with contextlib.suppress(OSError):
            if found := path.read_text().strip():
                return _digest(found)  # machine ids are not to be told to others
    return ""


def home_fingerprint(lock: int) -> str:
    """What tells the directory, by its open lock file, from its copies: machine, start of the machine and inode."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = _BOOT_ID_FILE.read_text().strip()
    found = os.fstat(lock)
    return _digest(f"{machine_fingerprint()} {boot} {found.st_dev} {found.st_ino}")


def node_id_file(supervisor_dir: Path) -> Path:
    """Where a supervisor writes its id down as soon as it runs."""
    return supervisor_dir / "node-id"


def node_id(supervisor_dir: Path, workers_dir: Path, new_node_id: Callable[[], str]) -> NodeId:
    """The supervisor's id: the one on its disk, else the one that its workers were launched by, else a new one.

    The workers are asked so that a lost file does not cost running topologies their workers. Raises OSError if a new
    id cannot be written.
    """
    path = node_id_file(supervisor_dir)
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


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _is_node_id(found: object) -> bool:
    return isinstance(found, str) and _NODE_ID.fullmatch(found) is not None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
