from __future__ import annotations

import pytest
from blob_store_contract import BlobStoreContract

from storm.blobstore.memory import MemoryBlobStore


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self) -> MemoryBlobStore:
        return MemoryBlobStore()
