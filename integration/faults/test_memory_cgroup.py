"""Which hierarchy of control groups bounds memory, and that the kernel ends who wants more."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from memory_cgroup import VERSION_1, VERSION_2, bounded, hierarchy, why_not

LIMIT_BYTES = 32 << 20
HOARD = "input(); hoard = bytearray(b'x') * (256 << 20)"


def mount(root: object, kind: str, options: str) -> str:
    return f"31 23 0:28 / {root} rw,relatime - {kind} {kind} {options}\n"


def test_version_1_has_one_of_memory() -> None:
    mounts = mount("/sys/fs/cgroup/cpu", "cgroup", "rw,cpu") + mount("/sys/fs/cgroup/memory", "cgroup", "rw,memory")
    assert hierarchy(mounts) == (Path("/sys/fs/cgroup/memory"), VERSION_1)


@pytest.mark.parametrize(("given", "is_there"), [("cpu memory pids", True), ("cpu", False), ("", False)])
def test_version_2_has_it_where_groups_are_given_memory(tmp_path: Path, given: str, is_there: bool) -> None:
    (tmp_path / "cgroup.subtree_control").write_text(f"{given}\n")
    found = hierarchy(mount("/", "ext4", "rw") + mount(tmp_path, "cgroup2", "rw"))
    assert found == ((tmp_path, VERSION_2) if is_there else None)


def test_who_takes_more_than_the_group_may_have_is_ended_by_the_kernel_and_the_group_removed() -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with bounded(LIMIT_BYTES) as put:
        process = subprocess.Popen([sys.executable, "-c", HOARD], stdin=subprocess.PIPE)
        put(process.pid)
        process.communicate(b"\n", timeout=60)
        assert process.returncode == -signal.SIGKILL
