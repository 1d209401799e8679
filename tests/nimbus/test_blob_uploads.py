from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from storm.errors import PackageError, UploadNotFoundError
from storm.nimbus.blob_uploads import BlobTarget, BlobUploads
from storm.nimbus.file_transfers import Uploads

if TYPE_CHECKING:
    from pathlib import Path

TARGET = BlobTarget("words.txt", True, 2)


@pytest.fixture
def uploads(cluster: Any, tmp_path: Path) -> BlobUploads:
    files = Uploads(tmp_path / "inbox", 1000, 600, clock=cluster.clock, rng=random.Random(1))
    return BlobUploads(files, cluster.blob_store)


def sent(uploads: BlobUploads, *chunks: bytes) -> str:
    session = uploads.begin(TARGET)
    for chunk in chunks:
        uploads.append(session, chunk)
    return session


def test_what_came_is_stored_under_the_key_of_its_content(cluster: Any, uploads: BlobUploads) -> None:
    session = sent(uploads, b"one ", b"two")
    assert cluster.blob_store.keys() == []
    change = uploads.finish(session)
    [key] = cluster.blob_store.keys()
    assert change.stored == {key: cluster.blob_store.meta(key).sha256}
    assert (change.key, change.size_bytes, change.is_new, change.replication) == ("words.txt", 7, True, 2)
    assert b"".join(cluster.blob_store.read(key)) == b"one two"
    assert uploads.finish(sent(uploads, b"one two")) == change  # it is there already


def test_an_empty_blob_is_a_blob(uploads: BlobUploads) -> None:
    assert uploads.finish(sent(uploads)).size_bytes == 0


def test_an_upload_that_is_given_up_leaves_nothing(cluster: Any, uploads: BlobUploads, tmp_path: Path) -> None:
    session = sent(uploads, b"one")
    uploads.discard(session)
    for refused in (lambda: uploads.append(session, b"two"), lambda: uploads.finish(session)):
        with pytest.raises(UploadNotFoundError, match="no such upload of a blob"):
            refused()
    assert (cluster.blob_store.keys(), list((tmp_path / "inbox").iterdir())) == ([], [])


def test_an_upload_that_stands_still_is_forgotten(cluster: Any, uploads: BlobUploads) -> None:
    session = sent(uploads, b"one")
    cluster.clock.secs += 601
    sent(uploads)
    with pytest.raises(UploadNotFoundError):
        uploads.finish(session)


def test_the_largest_size_holds_for_blobs_too(uploads: BlobUploads) -> None:
    with pytest.raises(PackageError, match=r"larger than 1,000 bytes.*nimbus\.upload\.max\.bytes"):
        sent(uploads, bytes(600), bytes(600))
