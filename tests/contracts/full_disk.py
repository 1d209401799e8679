"""A Nimbus's disk that takes nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.blobstore.memory import MemoryBlobStore
from storm.errors import BlobStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storm.blobstore.blob_store import BlobMeta


class FullDisk(MemoryBlobStore):
    """While `full`."""

    full = False

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        if self.full:
            raise BlobStoreError("no space left")
        return super().create(key, chunks)
