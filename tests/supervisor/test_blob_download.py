from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from storm.errors import BlobCorruptError, PackageError
from storm.supervisor.blob_download import download_verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHA256 = hashlib.sha256(b"one two").hexdigest()


def download(key: str, write: Callable[[bytes], object]) -> None:
    for chunk in (b"one", b" ", key.encode()):
        write(chunk)


def test_chunks_become_the_file(tmp_path: Path) -> None:
    download_verified(download, "two", tmp_path / "file", SHA256, bytes_max=7)
    assert (tmp_path / "file").read_bytes() == b"one two"


def test_other_bytes_than_the_hash_says_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BlobCorruptError, match="blob too: its 7 bytes do not have the hash that its record names"):
        download_verified(download, "too", tmp_path / "file", SHA256)


def test_it_ends_at_the_limit_and_not_after_it(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="blob two has more than 6 bytes"):
        download_verified(download, "two", tmp_path / "file", SHA256, bytes_max=6)
    assert len((tmp_path / "file").read_bytes()) <= 6
