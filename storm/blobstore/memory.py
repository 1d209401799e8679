"""A BlobStore in memory, for tests and for a cluster in one process."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from storm.blobstore.blob_store import CHUNK_BYTES, BlobMeta, checked_key
from storm.errors import BlobAlreadyExistsError, BlobNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class MemoryBlobStore:
    """See BlobStore. Any thread may call."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[BlobMeta, bytes]] = {}
        self._lock = threading.Lock()

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        checked_key(key)
        self._refuse_existing(key)
        data = b"".join(chunks)
        meta = BlobMeta(key, len(data), hashlib.sha256(data).hexdigest())
        with self._lock:
            self._refuse_existing(key)
            self._blobs[key] = (meta, data)
        return meta

    def read(self, key: str) -> Iterator[bytes]:
        data = self._blob(key)[1]
        return (data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))

    def meta(self, key: str) -> BlobMeta:
        return self._blob(key)[0]

    def delete(self, key: str) -> None:
        with self._lock:
            if self._blobs.pop(checked_key(key), None) is None:
                raise BlobNotFoundError(f"There is no blob {key!r}.")

    def keys(self, prefix: str = "") -> list[str]:
        with self._lock:
            return sorted(key for key in self._blobs if key.startswith(prefix))

    def _blob(self, key: str) -> tuple[BlobMeta, bytes]:
        found = self._blobs.get(checked_key(key))
        if found is None:
            raise BlobNotFoundError(f"There is no blob {key!r}.")
        return found

    def _refuse_existing(self, key: str) -> None:
        if key in self._blobs:
            raise BlobAlreadyExistsError(f"There is a blob {key!r} already.")
