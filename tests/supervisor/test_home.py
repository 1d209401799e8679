from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storm.errors import AlreadyRunningError
from storm.supervisor.home import lock_directory, node_id
from storm.supervisor.worker_launch import write_launch_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    lock = lock_directory(tmp_path / "supervisor")
    with pytest.raises(AlreadyRunningError, match=f"already running in .*supervisor, pid {os.getpid()}"):
        lock_directory(tmp_path / "supervisor")
    os.close(lock)
    os.close(lock_directory(tmp_path / "supervisor"))


def test_the_id_is_made_once(tmp_path: Path) -> None:
    assert node_id(tmp_path, tmp_path / "workers", lambda: "first") == "first"
    assert node_id(tmp_path, tmp_path / "workers", lambda: "second") == "first"


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"../x", b"a b", b"x" * 200])
def test_a_damaged_id_is_recovered_from_a_worker_or_made_anew(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "node-id").write_bytes(data)
    assert node_id(tmp_path, tmp_path / "workers", lambda: "new") == "new"
    (tmp_path / "node-id").write_bytes(data)
    write_launch_file(tmp_path / "workers" / "w0", {"node_id": "no/id"})
    write_launch_file(tmp_path / "workers" / "w1", {"node_id": "known"})
    assert node_id(tmp_path, tmp_path / "workers", lambda: "new") == "known"
