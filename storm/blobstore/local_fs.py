"""A BlobStore in a directory of this machine.

`<hash of key % 1024>/<key>/` holds `data` and `meta`. A blob is built in `unfinished`, forced to disk and
renamed into place as a whole directory: whatever happens in between, the blob is there or is not. Renaming
onto one that exists fails, so of two that create the same key one wins.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm.blobstore.blob_store import CHUNK_BYTES, BlobMeta, checked_key
from storm.errors import BlobAlreadyExistsError, BlobCorruptError, BlobNotFoundError, BlobStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUCKETS = 1024  # Storm's: keeps directories small
META_BYTES_MAX = 4096


class LocalFsBlobStore:
    """See BlobStore. Any thread may call; one process at a time owns the directory.

    What a process that died left half done is removed when the next one opens the store.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` is created where it is missing. Raises BlobStoreError."""
        self._blobs = directory
        self._unfinished = directory / "unfinished"
        with self._explained("open"):
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._unfinished.mkdir(parents=True, exist_ok=True)

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        place = self._place(key)
        if place.exists():
            raise BlobAlreadyExistsError(f"There is a blob {key!r} already.")
        with self._explained("create"):
            built = Path(tempfile.mkdtemp(dir=self._unfinished))
            try:
                meta = self._build(built, key, chunks)
                self._make_bucket(place.parent)
                _rename_new(built, place, key)
                _sync_directory(place.parent)
            finally:
                shutil.rmtree(built, ignore_errors=True)
        return meta

    def read(self, key: str) -> Iterator[bytes]:
        return self._chunks(self.meta(key))

    def meta(self, key: str) -> BlobMeta:
        place = self._place(key)
        with self._explained("read"):
            if not place.is_dir():
                raise BlobNotFoundError(f"There is no blob {key!r}.")
            try:
                with (place / "meta").open("rb") as file:
                    text = file.read(META_BYTES_MAX)
                size_bytes = (place / "data").stat().st_size
            except FileNotFoundError as e:
                if not place.is_dir():
                    raise BlobNotFoundError(f"There is no blob {key!r}.") from e
                raise BlobCorruptError(f"The blob {key!r} in {place} lacks its file {e.filename!r}.") from e
        meta = _parsed(text, key, place)
        if meta.size_bytes != size_bytes:
            raise BlobCorruptError(
                f"The blob {key!r} in {place} has {size_bytes:,} bytes and was stored with {meta.size_bytes:,}."
            )
        return meta

    def delete(self, key: str) -> None:
        place = self._place(key)
        with self._explained("delete"):
            # Renamed first: a blob is gone at once or not at all. A full disk may have no room for a new directory.
            grave = self._unfinished / f"deleted-{secrets.token_hex(16)}"
            try:
                place.rename(grave)
            except FileNotFoundError as e:
                raise BlobNotFoundError(f"There is no blob {key!r}.") from e
            shutil.rmtree(grave, ignore_errors=True)
            _sync_directory(place.parent)

    def keys(self, prefix: str = "") -> list[str]:
        with self._explained("list"):
            buckets = [entry for entry in self._blobs.iterdir() if entry.name.isdecimal()]
            return sorted(name for bucket in buckets for name in os.listdir(bucket) if name.startswith(prefix))

    def _place(self, key: str) -> Path:
        return self._blobs / str(zlib.crc32(checked_key(key).encode()) % BUCKETS) / key

    def _build(self, built: Path, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        digest, size_bytes = hashlib.sha256(), 0
        with (built / "data").open("wb") as data_file:
            for chunk in chunks:
                digest.update(chunk)
                size_bytes += len(chunk)
                data_file.write(chunk)
            _sync(data_file)
        meta = BlobMeta(key, size_bytes, digest.hexdigest())
        with (built / "meta").open("wb") as meta_file:
            meta_file.write(json.dumps(meta._asdict()).encode())
            _sync(meta_file)
        _sync_directory(built)
        return meta

    def _chunks(self, meta: BlobMeta) -> Iterator[bytes]:
        """The data; each chunk is held back until the next one is there, the last until the hash is right."""
        place = self._place(meta.key)
        digest, held = hashlib.sha256(), b""
        with self._explained("read"):
            try:
                file = (place / "data").open("rb")
            except FileNotFoundError as e:
                raise BlobNotFoundError(f"The blob {meta.key!r} was deleted.") from e
        with file:
            while True:
                with self._explained("read"):
                    chunk = file.read(CHUNK_BYTES)
                if not chunk:
                    break
                if held:
                    yield held
                digest.update(chunk)
                held = chunk
        if digest.hexdigest() != meta.sha256:
            raise BlobCorruptError(f"The bytes of the blob {meta.key!r} in {place} are not those that were stored.")
        if held:
            yield held

    def _make_bucket(self, bucket: Path) -> None:
        try:
            bucket.mkdir()
        except FileExistsError:
            return
        _sync_directory(self._blobs)

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise BlobStoreError(f"Cannot {action} blobs in {self._blobs}: {e.strerror or e}.") from e


def _parsed(text: bytes, key: str, place: Path) -> BlobMeta:
    try:
        fields: Any = json.loads(text)
        meta = BlobMeta(**{name: fields[name] for name in BlobMeta._fields if name in fields})
    except (ValueError, TypeError, RecursionError) as e:
        raise BlobCorruptError(f"The blob {key!r} in {place} has an unreadable meta file.") from e
    shapes = (meta.key == key, isinstance(meta.size_bytes, int), isinstance(meta.sha256, str))
    if not all((*shapes, isinstance(meta.version, int))):
        raise BlobCorruptError(f"The meta file of the blob {key!r} in {place} is not that of this blob.")
    return meta


def _rename_new(built: Path, place: Path, key: str) -> None:
    try:
        built.rename(place)
    except OSError as e:
        if e.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise BlobAlreadyExistsError(f"There is a blob {key!r} already.") from e
        raise


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Force the directory's entries to disk: without it a rename may be lost with the power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
