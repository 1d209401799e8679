from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

import pytest

from storm.errors import BlobCorruptError, BlobNotFoundError, BlobStoreError, PackageError
from storm.supervisor.blob_download import FetchFailure, download_verified, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[bytes], object]

SHA256 = hashlib.sha256(b"one two").hexdigest()


def two(write: Write) -> None:
    for chunk in (b"one", b" ", b"two"):
        write(chunk)


def too(write: Write) -> None:
    write(b"one too")


def cut(write: Write) -> None:
    write(b"one")
    raise BlobNotFoundError("nothing more came")


def test_chunks_become_the_file(tmp_path: Path) -> None:
    download_verified(lambda key, sha256: [two], "two", tmp_path / "file", SHA256, bytes_max=7)
    assert (tmp_path / "file").read_bytes() == b"one two"


def test_other_bytes_than_the_hash_says_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BlobCorruptError, match="blob two: its 7 bytes do not have the hash that its record names"):
        download_verified(lambda key, sha256: [too], "two", tmp_path / "file", SHA256)


def test_it_ends_at_the_limit_and_not_after_it(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="blob two has more than 6 bytes"):
        download_verified(lambda key, sha256: [two], "two", tmp_path / "file", SHA256, bytes_max=6)
    assert len((tmp_path / "file").read_bytes()) <= 6


def test_a_blob_comes_from_the_first_place_that_has_it(tmp_path: Path) -> None:
    asked = []

    def sources(key: str, sha256: str) -> list[Callable[[Write], None]]:
        asked.append((key, sha256))
        return [cut, too, two, lambda write: pytest.fail("it was there")]

    download_verified(sources, "two", tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == b"one two"
    assert asked == [("two", SHA256)]


def test_what_each_place_said_is_told_once(tmp_path: Path) -> None:
    said = "^nothing more came; blob two: its 7 bytes do not have the hash that its record names$"
    with pytest.raises(BlobStoreError, match=said):
        download_verified(lambda key, sha256: [cut, too, cut], "two", tmp_path / "file", SHA256)
    with pytest.raises(BlobNotFoundError, match=r"^nothing more came$"):
        download_verified(lambda key, sha256: [cut, cut], "two", tmp_path / "file", SHA256)


def raising(*errors: Exception) -> Callable[[], None]:
    """A fetch that raises these, one each time; then it succeeds."""
    left = list(errors)

    def fetch() -> None:
        if left:
            raise left.pop(0)

    return fetch


def full(code: int = errno.ENOSPC) -> OSError:
    return OSError(code, "No room")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_where_room_could_be_made_on_a_full_disk_it_is_fetched_once_more(code: int) -> None:
    assert failure_of(raising(full(code)), "its code", lambda: True) is None
    failed = FetchFailure(f"could not get its code: [Errno {code}] No room")
    assert failure_of(raising(full(code)), "its code", lambda: False) == failed
    rooms = iter([True, True, False])
    assert failure_of(raising(full(code), full(code)), "its code", lambda: next(rooms)) is None
    assert failure_of(raising(full(code), full(code)), "its code", lambda: next(rooms)) == failed


def test_room_is_made_for_a_full_disk_only() -> None:
    for error in (PermissionError(errno.EACCES, "No access"), BlobNotFoundError("no blob")):
        failed = FetchFailure(f"could not get its code: {error}")
        assert failure_of(raising(error), "its code", lambda: pytest.fail("the disk is not full")) == failed


def test_what_is_wrong_with_a_blob_itself_lasts() -> None:
    failed = FetchFailure("could not get its blob 'a': too large", is_lasting=True)
    assert failure_of(raising(PackageError("too large")), "its blob 'a'", lambda: True) == failed


def test_a_mistake_of_ours_fails_one_fetch_and_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    failed = FetchFailure("could not get its code: KeyError: 'x'")
    assert failure_of(raising(KeyError("x")), "its code", lambda: True) == failed
    assert "Traceback" in caplog.text
