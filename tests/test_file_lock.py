from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storm.file_lock import lock_file, owner

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_has_one_owner_at_a_time(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / "lock")
    assert lock is not None
    assert lock_file(tmp_path / "lock") is None
    os.close(lock)
    again = lock_file(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_locked_file_says_who_owns_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("4000000000 or another longer text that a former owner left\n")
    lock = lock_file(path)
    assert lock is not None
    assert owner(path) == str(os.getpid())
    os.close(lock)


def test_an_owner_that_could_not_say_so_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    assert owner(tmp_path / "lock") == owner(tmp_path / "nowhere") == "unknown"


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock_file(tmp_path / "nowhere" / "lock")
