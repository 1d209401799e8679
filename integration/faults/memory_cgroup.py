"""A control group that bounds the memory of processes: of version 2, or of version 1's hierarchy of memory."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cluster_site import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOUNTS = Path("/proc/self/mountinfo")
GONE_SECS = 10.0
TRIED_BYTES = 64 << 20


class Hierarchy(NamedTuple):
    """`root`: where groups can be made. `limits`: the files of one that bound its memory, in the order of writing, and
    what they are set to; None: to the limit.
    """

    root: Path
    limits: tuple[tuple[str, str | None], ...]


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
    except OSError as error:
        return f"no control group of memory can be made here: {error}"


@contextlib.contextmanager
def bounded(limit_bytes: int) -> Iterator[Callable[[int], None]]:
    """A group whose processes get so much memory from then on that they are put into it, by their ids; at the end they
    must be gone. Raises OSError.
    """
    found = hierarchy(MOUNTS.read_text())
    if found is None:
        raise FileNotFoundError("no hierarchy of control groups has memory")
    group = found.root / f"storm-faults-{secrets.token_hex(8)}"
    group.mkdir()
    try:
        for name, value in found.limits:
            if (group / name).exists():  # those of swap are not everywhere
                (group / name).write_text(str(limit_bytes) if value is None else value)
        yield lambda pid: _put(group, pid)
    finally:
        wait_until(lambda: _removed(group), f"{group} is empty", GONE_SECS)


def _put(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True
