"""What this machine offers to workers: memory and CPU, as far as control groups leave them to its supervisor."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1 << 20
# Storm's names, as its supervisors register them.
MEMORY = "memory.mb"
CPU = "cpu.pcore.percent"


class Limits(NamedTuple):
    """What control groups allow; infinite where they set no limit."""

    memory_bytes: float = inf
    cores: float = inf


def capacity(memory_mb: float | None, cpu_percent: float | None) -> dict[str, float]:
    """What a supervisor registers: memory in MB (of 2**20 bytes) and CPU in percent of a core, 100 for each core.

    What is None is what the machine has, at most as much as the control groups of this process allow.
    """
    limits = group_limits()
    memory_bytes = min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), limits.memory_bytes)
    cores = min(len(os.sched_getaffinity(0)), limits.cores)
    return {
        MEMORY: float(memory_bytes // MB if memory_mb is None else memory_mb),
        CPU: float(round(cores * 100, 1) if cpu_percent is None else cpu_percent),
    }


def group_limits(root: Path = Path("/")) -> Limits:
    """Of the control groups of this process and those around them, of both versions, as far as they are seen here."""
    groups, mounted = own_groups(_text(root / "proc/self/cgroup")), root / "sys/fs/cgroup"
    return Limits(
        min(
            _least(mounted, groups.get(""), _memory),
            _least(mounted / "memory", groups.get("memory"), _memory_v1),
        ),
        min(
            _least(mounted, groups.get(""), _cores),
            _least(mounted / "cpu", groups.get("cpu"), _cores_v1),
        ),
    )


def own_groups(text: str) -> dict[str, str]:
    """{controller: path of its group} of a /proc/PID/cgroup; version 2 has one group for all, under the name ""."""
    found = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def bytes_allowed(text: str) -> float:
    """Of a file with a number of bytes; infinite for "max" and where there is no such file."""
    try:
        return float(int(text))
    except ValueError:
        return inf


def cores_allowed(text: str) -> float:
    """Of "QUOTA PERIOD", both in microseconds; infinite for "max 100000" and "-1 100000", and without them."""
    try:
        quota, period = map(int, text.split())
    except ValueError:
        return inf
    return quota / period if quota > 0 and period > 0 else inf


def _least(mounted: Path, group: str | None, allowed: Callable[[Path], float]) -> float:
    """In a container the path is often that on its host: then only the directory that is mounted is there."""
    if group is None:
        return inf
    inside = PurePosixPath(group.lstrip("/"))
    return min(allowed(mounted / each) for each in (inside, *inside.parents))


def _memory(group: Path) -> float:
    return bytes_allowed(_text(group / "memory.max"))


def _memory_v1(group: Path) -> float:
    return bytes_allowed(_text(group / "memory.limit_in_bytes"))


def _cores(group: Path) -> float:
    return cores_allowed(_text(group / "cpu.max"))


def _cores_v1(group: Path) -> float:
    return cores_allowed(f"{_text(group / 'cpu.cfs_quota_us')} {_text(group / 'cpu.cfs_period_us')}")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
