"""Looks at the host that this process runs on: versions, clock, disks, limits, and how it resolves names."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
from collections import deque
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from storm import hot_path, open_files
from storm.clock import wall_millis
from storm.hosts.facts import DiskSpace, HostReport, Resolution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

LIBRARIES = ("storm-cluster", "cloudpickle", "kazoo", "msgpack", "msgspec", "pyzmq")
NAMES_MAX = 256  # in one report
FORWARD_SECS = 3.0  # for all names together; what a resolver has not answered by then counts as not resolved
BACKWARD_SECS = 1.0  # for all their addresses
RESOLVE_SECS = FORWARD_SECS + BACKWARD_SECS
RESOLVING_AT_ONCE = 16


def host_report(host: str, paths: Iterable[Path] = (), names: Sequence[str] = (), illness: str = "") -> HostReport:
    """What there is to tell of this host, which others reach by `host`; the disks of `paths`, and how it resolves
    `names` (the first NAMES_MAX of them). Takes up to RESOLVE_SECS.
    """
    resolutions = resolved(names[:NAMES_MAX])
    return HostReport(
        host=host,
        time_millis=wall_millis(),
        python=platform.python_version(),
        versions={name: _version(name) for name in LIBRARIES},
        hot_path=hot_path.mode(),
        disks=tuple(disk_space(path) for path in paths),
        open_files_max=open_files.limit(),
        resolutions=resolutions,
        illness=illness,
    )


def resolved(names: Iterable[str]) -> dict[str, Resolution]:
    """{name: how it resolves here}. A resolver that does not answer backwards takes nothing from what it answers
    forwards.
    """
    forward = _within(FORWARD_SECS, _addresses_of, dict.fromkeys(names))
    backward = _within(BACKWARD_SECS, _names_of, dict.fromkeys(each for one in forward.values() for each in one or ()))
    found = {}
    for name, addresses in forward.items():
        back = [backward[address] for address in addresses or ()]
        known = tuple(dict.fromkeys(each for one in back for each in one or ()))
        found[name] = Resolution(addresses or (), known, is_back_late=None in back)
    return found


def _within(secs: float, look: Callable[[str], tuple[str, ...]], items: Iterable[str]) -> dict[str, Any]:
    """{item: what `look` finds, None if that takes longer}. What still looks keeps nobody from ending."""
    found: dict[str, Future[tuple[str, ...]]] = {item: Future() for item in items}
    left = deque(found)

    def look_up() -> None:
        with contextlib.suppress(IndexError):
            while True:
                item = left.popleft()
                found[item].set_result(look(item))

    for _ in range(min(len(found), RESOLVING_AT_ONCE)):
        threading.Thread(target=look_up, name="resolve", daemon=True).start()
    done, _ = wait(found.values(), secs)
    left.clear()
    return {item: future.result() if future in done else None for item, future in found.items()}


def name_problem(host: str, daemon: str) -> str | None:
    """A sentence if this host does not resolve the name by which others are to reach `daemon`; None: it does."""
    if resolved([host])[host].addresses:
        return None
    return (
        f"{host}, by which others are to reach this {daemon}, does not resolve here: set storm.local.hostname to a "
        "name or an IP address that every host reaches this one by."
    )


def disk_space(path: Path) -> DiskSpace:
    """Of the nearest directory that is there."""
    there = path
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        found = os.statvfs(there)
    except OSError as error:
        return DiskSpace(str(path), why_not=error.strerror or str(error))
    if found.f_flag & os.ST_RDONLY:
        return DiskSpace(str(path), why_not="its file system is mounted read-only")
    if not os.access(there, os.W_OK | os.X_OK):
        return DiskSpace(str(path), why_not="this user cannot write there")
    return DiskSpace(str(path), found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def _addresses_of(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, ValueError):
        return ()
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


def _names_of(address: str) -> tuple[str, ...]:
    try:
        name, aliases, _ = socket.gethostbyaddr(address)
    except (OSError, UnicodeError):
        return ()
    return (name, *aliases)


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # it brings `email`; only who asks needs it

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
