from __future__ import annotations

import errno
import hashlib
import io
from typing import TYPE_CHECKING, Any

import pytest

from storm.client.blobs import BlobInfo, blob_info, blob_keys, create_blob, read_blob, update_blob
from storm.errors import (
    BlobAlreadyExistsError,
    BlobCorruptError,
    BlobNotFoundError,
    StormError,
    ThriftConnectionError,
    UploadNotFoundError,
)
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import UPLOAD_CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = bytes(UPLOAD_CHUNK_BYTES) + b"rest"


class ModelNimbus:
    """Blobs by key, in one thread. `lost`: the answer of finishBlobUpload does not come, though it is carried out.

    `is_former`: it does not know how an upload goes on.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, list[bytes]] = {}  # {key: its contents, the present one last}
        self.uploads: dict[str, tuple[str, list[bytes]]] = {}
        self.lost = self.refused = self.is_former = False
        self.replication: int | None = None
        self.announced: list[int] = []

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self, method)(*arguments)

    def beginCreateBlob(self, key: str, meta: Any, size_bytes: int) -> str:
        if key in self.blobs:
            raise BlobAlreadyExistsError(key)
        self.replication = meta.replication_factor
        self.announced.append(size_bytes)
        return self._begin(key)

    def beginUpdateBlob(self, key: str, size_bytes: int) -> str:
        self.announced.append(size_bytes)
        if key not in self.blobs:
            raise BlobNotFoundError(key)
        return self._begin(key)

    def _begin(self, key: str) -> str:
        self.uploads["s"] = (key, [])
        return "s"

    def uploadBlobChunk(self, session: str, chunk: bytes) -> None:
        if session not in self.uploads or self.refused:
            raise UploadNotFoundError(session)
        self.uploads[session][1].append(chunk)

    def upload_part(self, session: str, offset: int, chunk: bytes) -> int | None:
        if self.is_former:
            return None
        assert offset == sum(map(len, self.uploads[session][1]))
        self.uploadBlobChunk(session, chunk)
        return offset + len(chunk)

    def finishBlobUpload(self, session: str) -> None:
        key, chunks = self.uploads.pop(session)
        if not self.refused:
            self.blobs.setdefault(key, []).append(b"".join(chunks))
        if self.lost:
            raise ThriftConnectionError("no answer", sent=True)

    def cancel_upload(self, session: str) -> None:
        del self.uploads[session]

    def getBlobMeta(self, key: str) -> Any:
        if key not in self.blobs:
            raise BlobNotFoundError(key)
        t, data = storm_thrift(), self.blobs[key][-1]
        return t.ReadableBlobMeta(
            settable=t.SettableBlobMeta(acl=[]), version=len(self.blobs[key]), sha256=hashlib.sha256(data).hexdigest(),
            stored_as=f"{key}@{len(self.blobs[key])}", size_bytes=len(data), updated_secs=7,
        )  # fmt: skip

    def getBlobReplication(self, key: str) -> int:
        return 2

    def listBlobs(self, session: str) -> Any:
        keys = [key for key in sorted(self.blobs) if key > session][:2]
        return storm_thrift().ListBlobsResult(keys=keys, session=keys[-1] if keys else session)

    def download_blob(self, stored_as: str, write: Callable[[bytes], object]) -> None:
        key, _, version = stored_as.partition("@")
        write(self.blobs[key][int(version) - 1])


@pytest.fixture
def nimbus() -> Any:
    return ModelNimbus()


@pytest.mark.parametrize("is_former", [False, True])
def test_a_blob_is_sent_in_pieces_and_read_back(nimbus: Any, is_former: bool) -> None:
    nimbus.is_former = is_former
    told: list[int] = []
    create_blob(nimbus, "words.txt", io.BytesIO(LARGE), 2, told.append, len(LARGE))
    assert (nimbus.replication, told) == (2, [UPLOAD_CHUNK_BYTES, len(LARGE)])
    update_blob(nimbus, "words.txt", io.BytesIO(b""))
    update_blob(nimbus, "words.txt", io.BytesIO(LARGE), size_bytes=7)
    assert nimbus.announced == [len(LARGE), 0, 7]
    assert blob_info(nimbus, "words.txt") == BlobInfo(
        "words.txt", 3, len(LARGE), hashlib.sha256(LARGE).hexdigest(), 7, 2
    )
    got: list[bytes] = []
    read_blob(nimbus, "words.txt", got.append)
    assert b"".join(got) == LARGE


def test_all_keys_come_page_by_page(nimbus: Any) -> None:
    for key in "edcba":
        create_blob(nimbus, key, io.BytesIO(b"x"))
    assert list(blob_keys(nimbus)) == list("abcde")


def test_what_nimbus_refuses_is_raised(nimbus: Any) -> None:
    create_blob(nimbus, "words.txt", io.BytesIO(b"one"))
    with pytest.raises(BlobAlreadyExistsError):
        create_blob(nimbus, "words.txt", io.BytesIO(b"two"))
    with pytest.raises(BlobNotFoundError):
        update_blob(nimbus, "other.txt", io.BytesIO(b"two"))


def test_an_upload_that_fails_is_given_up(nimbus: Any) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if found := super().read(size):
                return found
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_blob(nimbus, "words.txt", Broken(b"one"))
    assert (nimbus.uploads, nimbus.blobs) == ({}, {})

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise IsADirectoryError(errno.EISDIR, "Is a directory")

    with pytest.raises(StormError, match="cannot be read: Is a directory"):
        create_blob(nimbus, "words.txt", Failing())
    assert nimbus.uploads == {}
    nimbus.refused = True
    with pytest.raises(UploadNotFoundError):
        create_blob(nimbus, "words.txt", io.BytesIO(b"one"))
    assert nimbus.uploads == {}


def test_a_lost_answer_is_told_from_a_failure(nimbus: Any) -> None:
    nimbus.lost = True
    create_blob(nimbus, "words.txt", io.BytesIO(b"one"))
    assert nimbus.blobs == {"words.txt": [b"one"]}
    nimbus.finishBlobUpload = lambda session: (_ for _ in ()).throw(ThriftConnectionError("no answer", sent=True))
    with pytest.raises(ThriftConnectionError):
        update_blob(nimbus, "words.txt", io.BytesIO(b"two"))


def test_bytes_that_are_not_right_are_said(nimbus: Any) -> None:
    create_blob(nimbus, "words.txt", io.BytesIO(b"one"))
    nimbus.download_blob = lambda stored_as, write: write(b"two")
    with pytest.raises(BlobCorruptError, match=r"'words\.txt' does not have its hash"):
        read_blob(nimbus, "words.txt", lambda chunk: None)


def test_an_update_that_another_overtook_is_said(nimbus: Any) -> None:
    create_blob(nimbus, "words.txt", io.BytesIO(b"one"))
    finish = nimbus.finishBlobUpload

    def overtaken(session: str) -> None:
        finish(session)
        nimbus.blobs["words.txt"].append(b"of somebody else")

    nimbus.finishBlobUpload = overtaken
    with pytest.raises(BlobCorruptError, match="somebody else"):
        update_blob(nimbus, "words.txt", io.BytesIO(b"two"))
