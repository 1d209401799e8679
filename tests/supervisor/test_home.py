from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from storm.errors import AlreadyRunningError, StormError
from storm.supervisor.home import home_fingerprint, lock_directory, machine_fingerprint, node_id
from storm.supervisor.worker_launch import write_launch_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "supervisor")
    with pytest.raises(AlreadyRunningError, match=f"already running in .*supervisor, pid {os.getpid()}"):
        lock_directory(tmp_path / "supervisor")
    os.close(lock)
    os.close(lock_directory(tmp_path / "supervisor"))


def test_another_users_directory_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may lock it, but would take the workers, which are the other user's, for dead and remove their files."""
    os.close(lock_directory(tmp_path / "supervisor"))
    (tmp_path / "supervisor" / "supervisor.lock").write_text("7\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: 4_000_000)
        with pytest.raises(StormError, match=r"belongs to the supervisor of user .*, and this is user 4000000"):
            lock_directory(tmp_path / "supervisor")
    assert (tmp_path / "supervisor" / "supervisor.lock").read_text() == "7\n", "nor is it written to"
    os.close(lock_directory(tmp_path / "supervisor"))


def test_a_directory_on_a_full_disk_is_owned_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        lock = lock_directory(tmp_path / "supervisor")
    with pytest.raises(AlreadyRunningError, match="pid unknown"):
        lock_directory(tmp_path / "supervisor")
    os.close(lock)


def test_a_directory_is_told_from_its_copy_and_known_again_elsewhere(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "supervisor")
    home = home_fingerprint(lock)
    os.close(lock)
    shutil.copytree(tmp_path / "supervisor", tmp_path / "copy")
    copy = lock_directory(tmp_path / "copy")
    assert home_fingerprint(copy) != home
    os.close(copy)
    (tmp_path / "supervisor").rename(tmp_path / "moved")
    moved = lock_directory(tmp_path / "moved")
    assert home_fingerprint(moved) == home
    os.close(moved)
    assert machine_fingerprint() == machine_fingerprint()


FIRST, SECOND = "0f5e2c1a-3b4d-4e5f-8a9b-0c1d2e3f4a5b", "11111111-2222-3333-4444-555555555555"


def test_the_id_is_made_once(tmp_path: Path) -> None:
    assert node_id(tmp_path, tmp_path / "workers", lambda: FIRST) == FIRST
    assert node_id(tmp_path, tmp_path / "workers", lambda: SECOND) == FIRST


WHOLE = f"{FIRST}\n".encode()
DAMAGED = [b"", WHOLE[:1], WHOLE[: len(WHOLE) // 2], WHOLE[:-2], bytes(37), b"\xff\xfe", b"../x", WHOLE * 2, b"x" * 200]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_id_is_recovered_from_a_worker_or_made_anew(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "node-id").write_bytes(data)
    assert node_id(tmp_path, tmp_path / "workers", lambda: SECOND) == SECOND
    (tmp_path / "node-id").write_bytes(data)
    write_launch_file(tmp_path / "workers" / "w0", {"node_id": "no/id"})
    write_launch_file(tmp_path / "workers" / "w1", {"node_id": FIRST})
    assert node_id(tmp_path, tmp_path / "workers", lambda: SECOND) == FIRST


def test_an_id_without_its_newline_is_whole(tmp_path: Path) -> None:
    (tmp_path / "node-id").write_bytes(WHOLE[:-1])
    assert node_id(tmp_path, tmp_path / "workers", lambda: SECOND) == FIRST
