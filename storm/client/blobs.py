"""Blobs as people use them: sent from a stream, received into one, each checked by its hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from storm.errors import BlobCorruptError, StormError, ThriftConnectionError
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import UPLOAD_CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.thrift.nimbus_client import NimbusClient


class BlobInfo(NamedTuple):
    """A blob as the cluster has it. `version` counts its contents from 1; `updated_wall_secs` is when it got this one;
    `nimbuses`: how many of those that live hold it.
    """

    key: str
    version: int
    size_bytes: int
    sha256: str
    updated_wall_secs: int
    nimbuses: int


def create_blob(
    nimbus: NimbusClient,
    key: str,
    source: BinaryIO,
    replication: int | None = None,
    progress: Callable[[int], None] | None = None,
    size_bytes: int = 0,
) -> None:
    """Make a blob of all that `source` gives; where the link breaks it goes on from what has arrived.

    `replication`: how many Nimbuses must hold it before this returns; None: as the cluster says. `progress` is told how
    many bytes are sent. `size_bytes`: how many there are, 0: nobody knows; so what is too large is not sent.

    Raises BlobAlreadyExistsError; BlobStoreError for a key that no blob can have; StormError where `source` cannot be
    read. Then, and whatever else is raised, there is no such blob, but for ThriftConnectionError: the answer may be
    what was lost; and CoordinationError: it may not be on enough Nimbuses yet.
    """
    meta = storm_thrift().SettableBlobMeta(acl=[], replication_factor=replication)
    _send(nimbus, key, nimbus.call("beginCreateBlob", key, meta, size_bytes), source, progress)


def update_blob(
    nimbus: NimbusClient,
    key: str,
    source: BinaryIO,
    progress: Callable[[int], None] | None = None,
    size_bytes: int = 0,
) -> None:
    """Replace the content of a blob. Raises BlobNotFoundError; whatever is raised, see `create_blob`, it has the
    content that it had.
    """
    _send(nimbus, key, nimbus.call("beginUpdateBlob", key, size_bytes), source, progress)


def read_blob(nimbus: NimbusClient, key: str, write: Callable[[bytes], object]) -> None:
    """Give a blob's bytes to `write`. Raises BlobNotFoundError; BlobCorruptError, at the end, if they are not right."""
    meta = nimbus.call("getBlobMeta", key)
    digest = hashlib.sha256()

    def checked(chunk: bytes) -> None:
        digest.update(chunk)
        write(chunk)

    nimbus.download_blob(meta.stored_as or key, checked)
    if digest.hexdigest() != meta.sha256:
        raise BlobCorruptError(f"What came of the blob {key!r} does not have its hash, {meta.sha256}.")


def blob_keys(nimbus: NimbusClient) -> Iterator[str]:
    """The keys of all blobs that people made, sorted."""
    session = ""
    while (page := nimbus.call("listBlobs", session)).keys:
        yield from page.keys
        session = page.session


def blob_info(nimbus: NimbusClient, key: str) -> BlobInfo:
    """Raises BlobNotFoundError."""
    meta = nimbus.call("getBlobMeta", key)
    nimbuses = nimbus.call("getBlobReplication", key)
    return BlobInfo(key, meta.version, meta.size_bytes, meta.sha256, meta.updated_secs, nimbuses)


def _send(
    nimbus: NimbusClient, key: str, session: Any, source: BinaryIO, progress: Callable[[int], None] | None
) -> None:
    digest, done, is_resumable = hashlib.sha256(), 0, True
    try:
        while chunk := _read(source):
            is_resumable = is_resumable and nimbus.upload_part(session, done, chunk) is not None
            if not is_resumable:
                nimbus.call("uploadBlobChunk", session, chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done)
    except BaseException:
        nimbus.cancel_upload(session)
        raise
    try:
        nimbus.call("finishBlobUpload", session)
    except ThriftConnectionError:
        if nimbus.call("getBlobMeta", key).sha256 != digest.hexdigest():
            raise
        return  # it was carried out, and the answer lost
    if nimbus.call("getBlobMeta", key).sha256 != digest.hexdigest():
        raise BlobCorruptError(f"The blob {key!r} does not have what was sent: somebody else has updated it since.")


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(UPLOAD_CHUNK_BYTES)
    except OSError as error:
        raise StormError(f"What is to be sent cannot be read: {error.strerror or error}") from None
