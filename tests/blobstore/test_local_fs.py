from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blob_store_contract import KEY, BlobStoreContract

from storm.blobstore.blob_store import CHUNK_BYTES
from storm.blobstore.local_fs import LocalFsBlobStore
from storm.errors import BlobAlreadyExistsError, BlobCorruptError, BlobNotFoundError, BlobStoreError

if TYPE_CHECKING:
    from collections.abc import Callable


class TestLocalFsBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalFsBlobStore:
        return LocalFsBlobStore(tmp_path)


def files_of(directory: Path, key: str) -> Path:
    (found,) = directory.glob(f"*/{key}")
    return found


def test_a_store_that_is_opened_again_has_its_blobs(tmp_path: Path) -> None:
    meta = LocalFsBlobStore(tmp_path).create(KEY, [b"data"])
    again = LocalFsBlobStore(tmp_path)
    assert again.meta(KEY) == meta
    assert b"".join(again.read(KEY)) == b"data"


@pytest.mark.parametrize("at", [0, CHUNK_BYTES, 2 * CHUNK_BYTES + 4])
def test_a_flipped_bit_is_found_before_the_blob_looks_complete(tmp_path: Path, at: int) -> None:
    store = LocalFsBlobStore(tmp_path)
    store.create(KEY, [b"x" * (2 * CHUNK_BYTES + 5)])
    data = files_of(tmp_path, KEY) / "data"
    damaged = bytearray(data.read_bytes())
    damaged[at] ^= 1
    data.write_bytes(damaged)
    received: list[bytes] = []
    with pytest.raises(BlobCorruptError, match="stormcode"):
        received.extend(store.read(KEY))
    assert sum(map(len, received)) < len(damaged)


def test_a_cut_blob_is_found_at_once(tmp_path: Path) -> None:
    store = LocalFsBlobStore(tmp_path)
    store.create(KEY, [b"x" * 1000])
    os.truncate(files_of(tmp_path, KEY) / "data", 500)
    with pytest.raises(BlobCorruptError, match=r"500 bytes.*1,000"):
        store.read(KEY)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff", b"[]", b"{}", b"null", b'{"key": 1}', b"[" * 4000,
        json.dumps({"key": "another", "size_bytes": 4, "sha256": "00", "version": 1}).encode(),
        json.dumps({"key": KEY, "size_bytes": "4", "sha256": "00", "version": 1}).encode(),
    ],
)  # fmt: skip
def test_a_meta_file_that_is_not_its_blobs_is_refused(tmp_path: Path, text: bytes) -> None:
    store = LocalFsBlobStore(tmp_path)
    store.create(KEY, [b"data"])
    (files_of(tmp_path, KEY) / "meta").write_bytes(text)
    with pytest.raises(BlobCorruptError, match="stormcode"):
        store.meta(KEY)
    with pytest.raises(BlobAlreadyExistsError):
        store.create(KEY, [b"data"])
    store.delete(KEY)
    assert store.keys() == []


def test_what_a_later_release_adds_to_a_meta_file_is_passed_over(tmp_path: Path) -> None:
    store = LocalFsBlobStore(tmp_path)
    meta = store.create(KEY, [b"data"])
    (files_of(tmp_path, KEY) / "meta").write_text(json.dumps({**meta._asdict(), "more": 1}))
    assert store.meta(KEY) == meta


@pytest.mark.parametrize("name", ["data", "meta"])
def test_a_blob_that_lacks_a_file_is_corrupt_and_can_be_deleted(tmp_path: Path, name: str) -> None:
    store = LocalFsBlobStore(tmp_path)
    store.create(KEY, [b"data"])
    (files_of(tmp_path, KEY) / name).unlink()
    with pytest.raises(BlobCorruptError, match=name):
        store.meta(KEY)
    store.delete(KEY)
    assert store.keys() == []


class Died(BaseException):
    """The process ends here: nothing cleans up."""


def fail_at(monkeypatch: pytest.MonkeyPatch, step: int, error: Callable[[], BaseException]) -> list[str]:
    """Let the `step`-th fsync, rename or making of a directory raise; the list grows by each that was asked for."""
    asked: list[str] = []

    def failing(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            asked.append(name)
            if len(asked) == step:
                raise error()
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    failing(os, "fsync")
    failing(Path, "rename")
    failing(Path, "mkdir")
    return asked


CREATE_STEPS = 7  # fsync of data, meta and their directory; bucket made and synced; rename; its directory synced


def test_the_steps_of_creating_a_blob_are_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFsBlobStore(tmp_path)
    asked = fail_at(monkeypatch, 0, Died)
    store.create(KEY, [b"data"])
    assert asked == ["fsync", "fsync", "fsync", "mkdir", "fsync", "rename", "fsync"]
    assert len(asked) == CREATE_STEPS


@pytest.mark.parametrize("step", range(1, CREATE_STEPS + 1))
def test_whatever_step_creating_dies_at_the_blob_is_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    store = LocalFsBlobStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_, **__: None)
        fail_at(patched, step, Died)
        with pytest.raises(Died):
            store.create(KEY, [b"data"])
    again = LocalFsBlobStore(tmp_path)
    if again.keys():
        assert b"".join(again.read(KEY)) == b"data"
    else:
        with pytest.raises(BlobNotFoundError):
            again.meta(KEY)
        again.create(KEY, [b"data"])
    assert list(tmp_path.glob("unfinished/*")) == []


@pytest.mark.parametrize("step", range(1, CREATE_STEPS))
def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    store = LocalFsBlobStore(tmp_path)
    with monkeypatch.context() as patched:
        fail_at(patched, step, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(BlobStoreError, match="No space left") as raised:
            store.create(KEY, [b"data"])
    assert str(tmp_path) in str(raised.value)
    assert store.keys() == []
    assert list(tmp_path.glob("unfinished/*")) == []
    store.create(KEY, [b"data"])


def test_a_full_disk_does_not_keep_a_blob_from_being_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalFsBlobStore(tmp_path)
    store.create(KEY, [b"data"])
    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", full)
        store.delete(KEY)
    assert store.keys() == []
    assert list(tmp_path.glob("unfinished/*")) == []


def full(*arguments: Any, **more: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_blob_that_is_deleted_while_it_is_read_reads_on_or_is_said_to_be_gone(tmp_path: Path) -> None:
    store = LocalFsBlobStore(tmp_path)
    data = b"x" * (3 * CHUNK_BYTES)
    store.create(KEY, [data])
    begun, waiting = store.read(KEY), store.read(KEY)
    first = next(begun)
    store.delete(KEY)
    assert first + b"".join(begun) == data
    with pytest.raises(BlobNotFoundError, match="deleted"):
        next(waiting)


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(BlobStoreError, match=str(tmp_path / "blobs")):
        LocalFsBlobStore(tmp_path / "blobs")
