"""What every implementation of `storm.blobstore.blob_store.BlobStore` must do; subclasses say which one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from storm.blobstore.blob_store import CHUNK_BYTES
from storm.errors import BlobAlreadyExistsError, BlobNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.blobstore.blob_store import BlobStore

KEY = "wc-1-1700000000-stormcode.ser"


class BlobStoreContract:
    @pytest.fixture
    def store(self) -> BlobStore:
        """An empty store."""
        raise NotImplementedError

    @pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES - 1])
    def test_a_blob_reads_as_it_was_stored(self, store: BlobStore, size: int) -> None:
        data = bytes(i % 251 for i in range(size))
        meta = store.create(KEY, [data[:10], b"", data[10:]])
        assert (meta.key, meta.size_bytes) == (KEY, size)
        assert meta.sha256 == hashlib.sha256(data).hexdigest()
        assert store.meta(KEY) == meta
        assert b"".join(store.read(KEY)) == data

    def test_it_is_read_in_chunks_of_a_known_size(self, store: BlobStore) -> None:
        store.create(KEY, [b"x" * (2 * CHUNK_BYTES + 5)])
        assert [len(chunk) for chunk in store.read(KEY)] == [CHUNK_BYTES, CHUNK_BYTES, 5]

    def test_a_key_is_used_once(self, store: BlobStore) -> None:
        store.create(KEY, [b"first"])
        with pytest.raises(BlobAlreadyExistsError, match="stormcode"):
            store.create(KEY, [b"second"])
        assert b"".join(store.read(KEY)) == b"first"

    def test_of_two_that_create_a_key_the_first_to_finish_wins(self, store: BlobStore) -> None:
        def slow() -> Iterator[bytes]:
            yield b"slow"
            store.create(KEY, [b"quick"])

        with pytest.raises(BlobAlreadyExistsError):
            store.create(KEY, slow())
        assert b"".join(store.read(KEY)) == b"quick"

    def test_a_blob_whose_bytes_stop_coming_is_not_there(self, store: BlobStore) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionError

        with pytest.raises(Exception):  # noqa: B017, PT011 - which error, is the caller's
            store.create(KEY, broken())
        assert store.keys() == []
        store.create(KEY, [b"whole"])
        assert b"".join(store.read(KEY)) == b"whole"

    def test_a_missing_blob_is_named(self, store: BlobStore) -> None:
        with pytest.raises(BlobNotFoundError, match="stormcode"):
            store.read(KEY)
        with pytest.raises(BlobNotFoundError, match="stormcode"):
            store.meta(KEY)
        with pytest.raises(BlobNotFoundError, match="stormcode"):
            store.delete(KEY)

    def test_a_deleted_blob_is_gone_and_its_key_free(self, store: BlobStore) -> None:
        store.create(KEY, [b"old"])
        store.delete(KEY)
        assert store.keys() == []
        store.create(KEY, [b"new"])
        assert b"".join(store.read(KEY)) == b"new"

    def test_keys_are_sorted_and_chosen_by_prefix(self, store: BlobStore) -> None:
        for key in ("wc-2", "wc-10", "other.ser", "größe _\t1"):
            store.create(key, [key.encode()])
        assert store.keys() == ["größe _\t1", "other.ser", "wc-10", "wc-2"]
        assert store.keys("wc-") == ["wc-10", "wc-2"]
        assert store.keys("none") == []

    @pytest.mark.parametrize("key", ["", ".", "..", "a/b", "../x", "a\n", "a\x00", "k" * 251, "é" * 126])
    def test_a_key_that_could_leave_its_directory_is_refused(self, store: BlobStore, key: str) -> None:
        for call in (lambda: store.create(key, [b""]), lambda: store.read(key), lambda: store.meta(key)):
            with pytest.raises(ValueError, match="key"):
                call()
        with pytest.raises(ValueError, match="key"):
            store.delete(key)
        assert store.keys() == []
