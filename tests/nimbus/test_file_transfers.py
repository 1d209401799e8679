from __future__ import annotations

import hashlib
import random
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.memory import MemoryBlobStore
from storm.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobStoreError,
    InvalidTopologyError,
    PackageError,
    UploadNotFoundError,
)
from storm.nimbus.file_transfers import (
    EMPTY_PACKAGE,
    REPLY_BYTES_MAX,
    STALLED_SECS,
    TRANSFERS_MAX,
    UPLOADS_PER_ADDRESS_MAX,
    Downloads,
    Uploads,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storm.blobstore.blob_store import BlobMeta


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.py", "x = 1\n" * 30_000)
    return path.read_bytes()


@pytest.fixture
def uploads(cluster: Any, tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "inbox", 200_000, 600, clock=cluster.clock, rng=random.Random(1))


@pytest.fixture
def downloads(cluster: Any) -> Downloads:
    return Downloads(cluster.blob_store, 600, clock=cluster.clock, rng=random.Random(1))


def files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "inbox").iterdir())


def uploaded(uploads: Uploads, data: bytes) -> str:
    location = uploads.begin()
    for at in range(0, len(data), 70_000):
        uploads.append(location, data[at : at + 70_000])
    uploads.finish(location)
    return location


def test_a_file_arrives_whole(uploads: Uploads, archive: bytes, tmp_path: Path) -> None:
    location = uploaded(uploads, archive)
    assert b"".join(uploads.package(location)) == archive
    uploads.discard(location)
    assert files(tmp_path) == []
    with pytest.raises(UploadNotFoundError, match="not here"):
        list(uploads.package(location))


def test_a_location_is_opaque_and_never_a_path(uploads: Uploads, tmp_path: Path) -> None:
    secret = tmp_path / "secret.zip"
    secret.write_bytes(EMPTY_PACKAGE)
    for location in (str(secret), "../secret.zip", "unknown"):
        with pytest.raises(UploadNotFoundError, match="not here"):
            list(uploads.package(location))
        with pytest.raises(UploadNotFoundError):
            uploads.append(location, b"x")
        with pytest.raises(UploadNotFoundError):
            uploads.finish(location)


def test_parts_may_come_twice_and_none_may_lack(uploads: Uploads, archive: bytes) -> None:
    location = uploads.begin()
    half = len(archive) // 2
    assert uploads.put(location, 0, archive[:half]) == half
    assert uploads.put(location, 0, archive[:half]) == half, "the answer was lost"
    assert uploads.put(location, half + 1, b"x") == half, "something lacks before it"
    assert uploads.put(location, half - 10, archive[half - 10 :]) == len(archive)
    uploads.finish_verified(location, hashlib.sha256(archive).hexdigest())
    uploads.finish_verified(location, hashlib.sha256(archive).hexdigest())
    assert uploads.put(location, 0, archive) == len(archive)
    assert b"".join(uploads.package(location)) == archive
    with pytest.raises(PackageError, match="finished"):
        uploads.put(location, len(archive), b"x")
    with pytest.raises(UploadNotFoundError):
        uploads.put("unknown", 0, b"x")


def test_what_arrived_damaged_is_refused_and_deleted(uploads: Uploads, archive: bytes, tmp_path: Path) -> None:
    location = uploads.begin()
    uploads.put(location, 0, archive)
    with pytest.raises(PackageError, match="damaged on its way"):
        uploads.finish_verified(location, hashlib.sha256(b"other").hexdigest())
    assert files(tmp_path) == []


def test_a_part_that_would_make_it_too_large_is_refused(uploads: Uploads, tmp_path: Path) -> None:
    location = uploads.begin()
    with pytest.raises(PackageError, match=r"nimbus\.upload\.max\.bytes"):
        uploads.put(location, 0, bytes(200_001))
    assert files(tmp_path) == []


def test_what_is_unfinished_or_no_archive_cannot_be_submitted(uploads: Uploads, archive: bytes) -> None:
    location = uploads.begin()
    uploads.append(location, archive)
    with pytest.raises(UploadNotFoundError, match="no upload was finished"):
        list(uploads.package(location))
    with pytest.raises(InvalidTopologyError, match="not a zip"):
        list(uploads.package(uploaded(uploads, b"hello")))


def test_an_upload_is_looked_for_only_when_its_bytes_are_needed(uploads: Uploads, archive: bytes) -> None:
    location = uploaded(uploads, archive)
    package = uploads.package(location)
    uploads.discard(location)
    uploads.package("unknown")
    with pytest.raises(UploadNotFoundError):
        list(package)


def test_a_finished_upload_takes_no_more(uploads: Uploads, archive: bytes) -> None:
    with pytest.raises(PackageError, match="finished"):
        uploads.append(uploaded(uploads, archive), b"x")


def test_a_topology_without_code_of_its_own_has_an_empty_package(uploads: Uploads, tmp_path: Path) -> None:
    path = tmp_path / "empty.zip"
    path.write_bytes(b"".join(uploads.package("")))
    assert zipfile.ZipFile(path).namelist() == []


def test_a_file_that_is_too_large_is_refused_and_deleted(uploads: Uploads, tmp_path: Path) -> None:
    location = uploads.begin()
    uploads.append(location, bytes(150_000))
    with pytest.raises(PackageError, match=r"200,000 bytes.*nimbus\.upload\.max\.bytes"):
        uploads.append(location, bytes(50_001))
    assert files(tmp_path) == []


def crowd(uploads: Uploads, count: int = TRANSFERS_MAX) -> list[str]:
    """So many uploads that are under way, each from another host."""
    return [uploads.begin(f"192.0.2.{host}") for host in range(count)]


def test_uploads_that_stand_still_are_forgotten(uploads: Uploads, cluster: Any, tmp_path: Path) -> None:
    crowd(uploads)
    cluster.clock.secs += 601
    uploads.begin()
    assert len(files(tmp_path)) == 1


def test_an_upload_that_was_given_up_makes_room_when_room_is_needed(
    uploads: Uploads, cluster: Any, tmp_path: Path
) -> None:
    first, second, *others = crowd(uploads)
    uploads.put(second, 0, b"x")
    cluster.clock.secs += STALLED_SECS
    for going_on in (first, *others[1:]):
        uploads.put(going_on, 0, b"x")
    with pytest.raises(PackageError, match="64 uploads are under way"):
        uploads.begin()
    cluster.clock.secs += 1
    empty = others[0]
    for dropped in (empty, second):  # of whom nothing has come goes before who is silent for as long
        uploads.begin()
        with pytest.raises(UploadNotFoundError):
            uploads.put(dropped, 1, b"x")
    with pytest.raises(PackageError, match="64 uploads are under way"):
        uploads.begin()
    assert len(files(tmp_path)) == TRANSFERS_MAX


def test_one_host_leaves_room_for_the_uploads_of_others(uploads: Uploads, cluster: Any) -> None:
    stalled, *_ = [uploads.begin("192.0.2.1") for _ in range(UPLOADS_PER_ADDRESS_MAX)]
    with pytest.raises(PackageError, match=r"32 uploads from 192\.0\.2\.1 are under way"):
        uploads.begin("192.0.2.1")
    other = uploads.begin("192.0.2.2")
    cluster.clock.secs += STALLED_SECS + 1
    uploads.begin("192.0.2.1")  # in the place of one of its own
    assert stalled not in uploads.locations()
    assert other in uploads.locations()


def test_what_stands_still_can_be_forgotten_without_another(
    uploads: Uploads, downloads: Downloads, cluster: Any, tmp_path: Path
) -> None:
    cluster.blob_store.create("key", [b"x"])
    old, session = uploads.begin(), downloads.begin("key")[0]
    cluster.clock.secs += 300
    used = uploads.begin()
    cluster.clock.secs += 301
    uploads.forget_old()
    downloads.forget_old()
    assert (uploads.locations(), len(files(tmp_path))) == ({used}, 1)
    assert old != used
    with pytest.raises(BlobStoreError, match="no such download"):
        downloads.next_chunk(session)


def test_what_an_earlier_nimbus_left_is_deleted(uploads: Uploads, cluster: Any, tmp_path: Path) -> None:
    uploads.begin()
    Uploads(tmp_path / "inbox", 1, 1, clock=cluster.clock, rng=random.Random(2))
    assert files(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, REPLY_BYTES_MAX, REPLY_BYTES_MAX * 3 + 1])
def test_a_blob_comes_in_chunks_and_then_nothing(downloads: Downloads, cluster: Any, size: int) -> None:
    data = random.Random(size).randbytes(size)
    cluster.blob_store.create("key", [data])
    session, meta = downloads.begin("key")
    assert meta.size_bytes == size
    received = b""
    while chunk := downloads.next_chunk(session):
        assert len(chunk) <= REPLY_BYTES_MAX
        received += chunk
    assert received == data
    with pytest.raises(BlobStoreError, match="no such download"):
        downloads.next_chunk(session)


def test_an_unknown_blob_is_told_at_once(downloads: Downloads) -> None:
    with pytest.raises(BlobNotFoundError):
        downloads.begin("nothing")


def test_downloads_that_stand_still_make_room_for_others(downloads: Downloads, cluster: Any) -> None:
    assert isinstance(cluster.blob_store, MemoryBlobStore)
    cluster.blob_store.create("key", [b"x"])
    sessions = [downloads.begin("key")[0] for _ in range(TRANSFERS_MAX)]
    with pytest.raises(BlobStoreError, match="under way"):
        downloads.begin("key")
    cluster.clock.secs += 601
    downloads.begin("key")
    with pytest.raises(BlobStoreError):
        downloads.next_chunk(sessions[0])


def test_a_download_that_was_given_up_makes_room_when_room_is_needed(downloads: Downloads, cluster: Any) -> None:
    cluster.blob_store.create("key", [bytes(2 * REPLY_BYTES_MAX)])
    sessions = [downloads.begin("key")[0] for _ in range(TRANSFERS_MAX)]
    cluster.clock.secs += STALLED_SECS
    assert downloads.next_chunk(sessions[0])  # it goes on, though it was the first to begin
    with pytest.raises(BlobStoreError, match="under way"):
        downloads.begin("key")
    cluster.clock.secs += 1
    new = downloads.begin("key")[0]
    assert [downloads.next_chunk(session) != b"" for session in (sessions[0], new, *sessions[2:])] == [True] * 64
    with pytest.raises(BlobStoreError, match="no such download"):
        downloads.next_chunk(sessions[1])


class DamagedStore(MemoryBlobStore):
    """Finds out at its last chunk, or at once, that the blob is not what was stored."""

    def __init__(self, at_once: bool) -> None:
        super().__init__()
        self.at_once = at_once

    def meta(self, key: str) -> BlobMeta:
        if self.at_once:
            raise BlobCorruptError(f"{key} lacks its file")
        return super().meta(key)

    def read(self, key: str) -> Iterator[bytes]:
        yield b"half"
        raise BlobCorruptError(f"{key} has other bytes")


@pytest.mark.parametrize("at_once", [True, False])
def test_who_is_responsible_hears_of_a_damaged_blob(cluster: Any, at_once: bool) -> None:
    store = DamagedStore(at_once)
    store.create("k", [b"whole"])
    downloads = Downloads(store, 600, clock=cluster.clock, rng=random.Random(1))
    told: list[str] = []
    downloads.on_corrupt = told.append
    with pytest.raises(BlobCorruptError):
        downloads.next_chunk(downloads.begin("k")[0])
    assert told == ["k"]


def test_nobody_hears_of_a_damaged_blob_that_has_been_replaced_meanwhile(cluster: Any) -> None:
    """By one that is sound: it would count as missing for as long as this Nimbus lives."""
    store = DamagedStore(at_once=False)
    store.create("k", [b"whole"])
    downloads = Downloads(store, 600, clock=cluster.clock, rng=random.Random(1))
    told: list[str] = []
    downloads.on_corrupt = told.append
    session, _ = downloads.begin("k")
    store.__class__ = MemoryBlobStore  # type: ignore[assignment]
    with pytest.raises(BlobCorruptError):
        downloads.next_chunk(session)
    assert told == []
