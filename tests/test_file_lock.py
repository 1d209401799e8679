from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storm.file_lock import lock_file

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


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lock_file(tmp_path / "nowhere" / "lock")
