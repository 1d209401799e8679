"""Which hierarchy of control groups bounds memory, and that the kernel ends who wants more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from memory_cgroup import GROUPS, MOUNTS, VERSION_1, VERSION_2, bounded, hierarchy, why_not

LIMIT_BYTES = 32 << 20
HOARD = "input(); hoard = bytearray(b'x') * (256 << 20)"
HARNESS = f"""
import subprocess, sys
sys.path[:0] = {sys.path!r}
from memory_cgroup import bounded
with bounded({LIMIT_BYTES}) as put:
    child = subprocess.Popen(["sleep", "600"])
    put(child.pid)
    print(child.pid, flush=True)
    input()
"""


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


def groups_of(pid: int) -> list[Path]:
    """What there is of the groups that this process made."""
    found = hierarchy(MOUNTS.read_text())
    return [] if found is None else list(found.root.glob(f"{GROUPS}{pid}-*"))


def is_possible() -> bool:
    """Whether groups can be made here. If not, that is said, and of the attempt nothing is left."""
    reason = why_not()
    assert groups_of(os.getpid()) == []
    if reason is None:
        return True
    assert reason.startswith("no control group of memory can be made here: ")
    with pytest.raises(OSError, match=r"."), bounded(LIMIT_BYTES):
        pass
    assert groups_of(os.getpid()) == []
    return False


def test_who_takes_more_than_the_group_may_have_is_ended_by_the_kernel_and_the_group_removed() -> None:
    if not is_possible():
        return
    with bounded(LIMIT_BYTES) as put:
        process = subprocess.Popen([sys.executable, "-c", HOARD], stdin=subprocess.PIPE)
        put(process.pid)
        process.communicate(b"\n", timeout=60)
        assert process.returncode == -signal.SIGKILL
    assert groups_of(os.getpid()) == []


def divide(_: None) -> None:
    raise ZeroDivisionError


def test_what_goes_wrong_is_raised_though_somebody_is_in_the_group_who_is_killed() -> None:
    if not is_possible():
        return
    process = subprocess.Popen(["sleep", "600"])
    with pytest.raises(ZeroDivisionError), bounded(LIMIT_BYTES) as put:
        divide(put(process.pid))
    assert process.wait(60) == -signal.SIGKILL
    assert groups_of(os.getpid()) == []


def test_a_group_whose_harness_was_killed_is_removed_by_the_next_one_and_no_other() -> None:
    if not is_possible():
        return
    with (
        bounded(LIMIT_BYTES),
        subprocess.Popen([sys.executable, "-c", HARNESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as harness,
    ):
        assert harness.stdout is not None
        child = int(harness.stdout.readline())
        assert len(groups_of(harness.pid)) == len(groups_of(os.getpid())) == 1
        harness.kill()
        harness.wait(60)
        assert len(groups_of(harness.pid)) == 1
        assert why_not() is None
        assert groups_of(harness.pid) == []
        assert len(groups_of(os.getpid())) == 1
    assert is_ended(child)


def is_ended(pid: int) -> bool:
    """Whether it is no more, or only its exit code is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
