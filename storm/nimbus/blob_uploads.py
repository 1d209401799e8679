"""Blobs that people send, in pieces: what is not whole is in no store and under no key."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING, NamedTuple

from storm.blobstore.blob_store import verified, version_key
from storm.errors import BlobAlreadyExistsError, BlobCorruptError, BlobNotFoundError, UploadNotFoundError
from storm.nimbus.file_transfers import file_chunks
from storm.nimbus.user_blobs import BlobChange

if TYPE_CHECKING:
    from pathlib import Path

    from storm.blobstore.blob_store import BlobStore
    from storm.nimbus.file_transfers import Uploads

NOT_HERE = "There is no such upload of a blob, or it stood still for too long: begin another."


class BlobTarget(NamedTuple):
    """What is uploaded: a new blob, or the next content of one. `replication` as in BlobChange."""

    key: str
    is_new: bool
    replication: int | None


class BlobUploads:
    """Any thread may call. Methods raise UploadNotFoundError for an unknown session; see `Uploads` for others."""

    def __init__(self, uploads: Uploads, blob_store: BlobStore) -> None:
        self._uploads = uploads
        self._store = blob_store
        self._lock = threading.Lock()
        self._targets: dict[str, BlobTarget] = {}

    def begin(self, target: BlobTarget, sender: str = "") -> str:
        """A session, for who sends from this address."""
        session = self._uploads.begin(sender)
        with self._lock:
            known = self._uploads.locations()
            self._targets = {one: at for one, at in self._targets.items() if one in known}
            self._targets[session] = target
        return session

    def append(self, session: str, chunk: bytes) -> None:
        self._target(session)
        self._uploads.append(session, chunk)

    def finish(self, session: str) -> BlobChange:
        """No more will come: what came is in the store now, under the key of this content."""
        target = self._target(session)
        self._uploads.finish(session)
        path = self._uploads.path(session, NOT_HERE)
        digest, size_bytes = hashlib.sha256(), 0
        for chunk in file_chunks(path):
            digest.update(chunk)
            size_bytes += len(chunk)
        sha256 = digest.hexdigest()
        self._keep(version_key(target.key, sha256), sha256, path)
        return BlobChange(target.key, sha256, size_bytes, target.is_new, target.replication)

    def discard(self, session: str) -> None:
        """Forget the upload."""
        with self._lock:
            self._targets.pop(session, None)
        self._uploads.discard(session)

    def _keep(self, key: str, sha256: str, path: Path) -> None:
        """Store the content, in the place of a damaged one too."""
        try:
            self._store.create(key, verified(file_chunks(path), key, sha256))
        except BlobAlreadyExistsError:  # the blob had this content before
            try:
                for _ in self._store.read(key):
                    pass
            except (BlobCorruptError, BlobNotFoundError):
                with contextlib.suppress(BlobNotFoundError):
                    self._store.delete(key)
                with contextlib.suppress(BlobAlreadyExistsError):  # another Nimbus has given it meanwhile
                    self._store.create(key, verified(file_chunks(path), key, sha256))

    def _target(self, session: str) -> BlobTarget:
        with self._lock:
            found = self._targets.get(session)
        if found is None:
            raise UploadNotFoundError(NOT_HERE)
        return found
