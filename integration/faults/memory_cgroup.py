"""A control group that bounds the memory of processes: of version 2, or of version 1's hierarchy of memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster_site import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOUNTS = Path("/proc/self/mountinfo")
GROUPS = "storm-faults-"  # how their names begin
GONE_SECS = 10.0
TRIED_BYTES = 64 << 20


class Hierarchy(NamedTuple):
    """`root`: where groups can be made. `limits`: the files of one that bound its memory, in the order of writing, and
    what they are set to; None: to the limit. Those of swap are not everywhere.
    """

    root: Path
    limits: tuple[tuple[str, str | None], ...]


OF_SWAP = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})
VERSION_1 = (("memory.limit_in_bytes", None), ("memory.memsw.limit_in_bytes", None))
VERSION_2 = (("memory.swap.max", "0"), ("memory.max", None))


def hierarchy(mounts: str) -> Hierarchy | None:
    """That of memory, among mounts as /proc/self/mountinfo lists them; None: there is none that has groups."""
    for line in mounts.splitlines():
        place, _, what = line.partition(" - ")
        kind, _, options = what.split(" ", 2)
        root = Path(place.split(" ")[4])
        if kind == "cgroup" and "memory" in options.split(","):
            return Hierarchy(root, VERSION_1)
        if kind == "cgroup2" and "memory" in (root / "cgroup.subtree_control").read_text().split():
            return Hierarchy(root, VERSION_2)
    return None


def why_not() -> str | None:
    """Why no group can be made here; None if one can. One is made, and removed."""
    try:
        with bounded(TRIED_BYTES):
            return None
    except (OSError, AssertionError) as error:
        return f"no control group of memory can be made here: {error}"


@contextlib.contextmanager
def bounded(limit_bytes: int) -> Iterator[Callable[[int], None]]:
    """A group whose processes get so much memory from then on that they are put into it, by their ids; whoever is in it
    at the end is killed. Groups of harnesses that were killed are removed first. Raises OSError.
    """
    found = hierarchy(MOUNTS.read_text())
    if found is None:
        raise FileNotFoundError("no hierarchy of control groups has memory")
    group = found.root / f"{GROUPS}{os.getpid()}-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as held:
        with _locked(found.root):  # nobody takes a group for abandoned that was made but not locked yet
            _remove_abandoned(found.root)
            group.mkdir()
            held.enter_context(_locked(group))
        try:
            _limit(group, found, limit_bytes)
            yield lambda pid: _put(group, pid)
        except BaseException:
            with contextlib.suppress(OSError, AssertionError):  # what went wrong first says more
                _remove(group)
            raise
        _remove(group)


def _limit(group: Path, found: Hierarchy, limit_bytes: int) -> None:
    for name, value in found.limits:
        if name not in OF_SWAP or (group / name).exists():
            (group / name).write_text(str(limit_bytes) if value is None else value)


def _put(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))


@contextlib.contextmanager
def _locked(directory: Path, flags: int = 0) -> Iterator[None]:
    """Held until the block ends, or this process. Raises BlockingIOError with LOCK_NB where somebody holds it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(root: Path) -> None:
    """Remove the groups that no living harness holds. A process id would not tell: each world has its own."""
    for group in root.glob(f"{GROUPS}*"):
        with contextlib.suppress(BlockingIOError, FileNotFoundError), _locked(group, fcntl.LOCK_NB):
            _remove(group)


def _remove(group: Path) -> None:
    """Kill who is in it. Raises AssertionError if one of them stays."""
    wait_until(lambda: _removed(group), f"{group} is empty", GONE_SECS)


def _removed(group: Path) -> bool:
    for pid in map(int, (group / "cgroup.procs").read_text().split()):
        if pid > 0:  # 0: it is in a world that cannot be seen from here
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    try:
        group.rmdir()
    except OSError:
        return False
    return True
