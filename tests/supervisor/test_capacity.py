from __future__ import annotations

import os
from math import inf
from typing import TYPE_CHECKING

import pytest

from storm.supervisor.capacity import bytes_allowed, capacity, cores_allowed, group_limits, own_groups

if TYPE_CHECKING:
    from pathlib import Path

GB = 1 << 30


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_what_is_set_is_what_is_offered() -> None:
    assert capacity(3000, 150) == {"memory.mb": 3000.0, "cpu.pcore.percent": 150.0}


def test_else_it_is_at_most_what_the_machine_has() -> None:
    found = capacity(None, None)
    assert 0 < found["memory.mb"] <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    assert 0 < found["cpu.pcore.percent"] <= 100 * (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("text", "allowed"), [("2147483648\n", 2 * GB), ("max\n", inf), ("", inf), ("9223372036854771712", 2.0**63)]
)
def test_bytes_of_a_group(text: str, allowed: float) -> None:
    assert bytes_allowed(text) == pytest.approx(allowed)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("150000 100000\n", 1.5), ("max 100000\n", inf), ("-1 100000", inf), (" ", inf), ("100000", inf), ("1 0", inf)],
)
def test_cores_of_a_group(text: str, allowed: float) -> None:
    assert cores_allowed(text) == allowed


def test_groups_of_both_versions_are_told_apart() -> None:
    assert own_groups("4:memory:/a\n2:cpu,cpuacct:/b:c\n0::/system.slice/it.service\n") == {
        "memory": "/a",
        "cpu": "/b:c",
        "cpuacct": "/b:c",
        "": "/system.slice/it.service",
    }


def test_the_smallest_limit_counts_that_is_set_around_a_process(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/system.slice/storm.service\n",
            "sys/fs/cgroup/system.slice/storm.service/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/storm.service/cpu.max": "250000 100000\n",
            "sys/fs/cgroup/system.slice/memory.max": f"{3 * GB}\n",
            "sys/fs/cgroup/system.slice/cpu.max": "max 100000\n",
        },
    )
    assert group_limits(root) == (3 * GB, 2.5)


def test_a_containers_limits_stand_where_its_groups_are_mounted(tmp_path: Path) -> None:
    root = machine(tmp_path / "2", {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GB}\n"})
    assert group_limits(root) == (GB, inf)
    root = machine(
        tmp_path / "1",
        {
            "proc/self/cgroup": "4:memory:/docker/1234\n2:cpu,cpuacct:/docker/1234\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GB}\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert group_limits(root) == (GB, 0.5)


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert group_limits(tmp_path) == (inf, inf)
