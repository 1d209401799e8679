"""Files in chunks over Thrift: packages that clients upload, blobs that supervisors download.

What a client is given to name its transfer is opaque and cannot be guessed; it is never a path. A transfer that stands
still for too long is forgotten, and its file deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm.errors import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobStoreError,
    InvalidTopologyError,
    PackageError,
    UploadNotFoundError,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from storm.blobstore.blob_store import BlobMeta, BlobStore
    from storm.clock import Clock

log = logging.getLogger(__name__)

TRANSFERS_MAX = 64  # of each kind at a time; one more is refused
UPLOADS_PER_ADDRESS_MAX = TRANSFERS_MAX // 2  # so that no host takes the place of all others
STALLED_SECS = 15.0  # what stood still for longer gives way to another: few tell that they gave one up
READ_CHUNK_BYTES = 65_536
REPLY_BYTES_MAX = 512 << 10  # of one download chunk: Storm's own clients take messages of 1 MiB
EMPTY_PACKAGE = b"PK\x05\x06" + bytes(18)  # a zip archive with nothing in it


@dataclass(slots=True)
class _Upload:
    path: Path
    sender: str
    used_at: float
    size_bytes: int = 0
    finished: bool = False


@dataclass(slots=True)
class _Download:
    key: str
    chunks: Iterator[bytes]
    used_at: float


class Uploads:
    """Files that clients send; any thread may call. Methods raise UploadNotFoundError for an unknown location."""

    def __init__(self, directory: Path, size_max_bytes: int, expiry_secs: float, *, clock: Clock, rng: random.Random):
        """Whatever an earlier Nimbus left in `directory` is deleted: nobody can name it any more."""
        self._directory = directory
        self._size_max_bytes = size_max_bytes
        self._expiry_secs = expiry_secs
        self._clock = clock
        self._rng = rng
        self._lock = threading.Lock()
        self._uploads: dict[str, _Upload] = {}
        directory.mkdir(parents=True, exist_ok=True)
        for left in directory.glob("*.upload"):
            left.unlink(missing_ok=True)

    def begin(self, sender: str = "") -> str:
        """A new file's location, for who sends from this address.

        Raises PackageError where too many are under way, and none of them has stood still for STALLED_SECS.
        """
        self.forget_old()
        with self._lock:
            own = {location: upload for location, upload in self._uploads.items() if upload.sender == sender}
            if len(own) >= UPLOADS_PER_ADDRESS_MAX:
                self._drop_stalled(own, f" from {sender or 'here'}")
            elif len(self._uploads) >= TRANSFERS_MAX:
                self._drop_stalled(self._uploads)
            location = f"{self._rng.getrandbits(128):032x}"
            path = self._directory / f"{location}.upload"
            with _disk_trouble(path), path.open("xb"):
                self._uploads[location] = _Upload(path, sender, self._clock.now())
            return location

    def refuse_larger(self, size_bytes: int) -> None:
        """Raises PackageError for more than the largest size."""
        if size_bytes > self._size_max_bytes:
            raise PackageError(
                f"The upload is larger than {self._size_max_bytes:,} bytes, the most that this cluster takes"
                " (nimbus.upload.max.bytes)."
            )

    def append(self, location: str, chunk: bytes) -> None:
        """Raises PackageError beyond the largest size, and forgets the file then."""
        with self._lock:
            upload = self._upload(location)
            if upload.finished:
                raise PackageError("This upload is finished: begin another.")
            self._write(upload, location, chunk)

    def put(self, location: str, offset: int, part: bytes) -> int:
        """Take what is new of `part`, which begins at byte `offset`; how many bytes of the file are here then.

        Called again, as by a client that got no answer, it does no more; one that is beyond what is here is not taken.
        Raises PackageError as `append` does.
        """
        with self._lock:
            upload = self._upload(location)
            new = upload.size_bytes - offset
            if 0 <= new < len(part):
                if upload.finished:
                    raise PackageError("This upload is finished: begin another.")
                self._write(upload, location, part[new:])
            return upload.size_bytes

    def finish(self, location: str) -> None:
        """No more will come."""
        with self._lock:
            self._upload(location).finished = True

    def finish_verified(self, location: str, sha256: str) -> None:
        """No more will come. Raises PackageError where what is here does not have this hash, and forgets it then."""
        with self._lock:
            path = self._upload(location).path
        with _disk_trouble(path), path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            self.discard(location)
            raise PackageError("The package was damaged on its way: what arrived has another hash. Submit it again.")
        self.finish(location)

    def package(self, location: str) -> Package:
        """The chunks of a finished upload; an empty package for an empty location.

        Raises UploadNotFoundError or InvalidTopologyError only when it is iterated over: who repeats a submission
        that has succeeded needs no upload any more.
        """
        return Package(self, location)

    def chunks(self, location: str) -> Iterable[bytes]:
        """See `package`."""
        if not location:
            return [EMPTY_PACKAGE]
        path = self.path(
            location,
            "The topology's package is not here: no upload was finished at the location that it names,"
            " or it was too long ago. Upload it again.",
        )
        if not zipfile.is_zipfile(path):
            raise InvalidTopologyError("The topology's package is not a zip archive.")
        return file_chunks(path)

    def path(self, location: str, missing: str) -> Path:
        """The file of a finished upload. Raises UploadNotFoundError, with the text `missing`."""
        with self._lock:
            upload = self._uploads.get(location)
            if upload is None or not upload.finished:
                raise UploadNotFoundError(missing)
            upload.used_at = self._clock.now()
            return upload.path

    def locations(self) -> set[str]:
        """Of all uploads that are under way, or finished and not used yet."""
        with self._lock:
            return set(self._uploads)

    def discard(self, location: str) -> None:
        """Delete the file, if there is one: its bytes are in the blob store, or nobody wants them."""
        with self._lock:
            self._drop(location)

    def forget_old(self) -> None:
        """Delete the files of uploads that have stood still for too long."""
        with self._lock:
            oldest = self._clock.now() - self._expiry_secs
            for location in [location for location, upload in self._uploads.items() if upload.used_at < oldest]:
                self._drop(location)

    def _drop_stalled(self, uploads: Mapping[str, _Upload], whose: str = "") -> None:
        """One that stood still for too long, of which least is lost."""
        stalled_at = self._clock.now() - STALLED_SECS
        stalled = [location for location, upload in uploads.items() if upload.used_at < stalled_at]
        if not stalled:
            raise PackageError(f"{len(uploads)} uploads{whose} are under way; try again when one of them is done.")
        self._drop(min(stalled, key=lambda location: (uploads[location].size_bytes > 0, uploads[location].used_at)))

    def _write(self, upload: _Upload, location: str, chunk: bytes) -> None:
        try:
            self.refuse_larger(upload.size_bytes + len(chunk))
        except PackageError:
            self._drop(location)
            raise
        with _disk_trouble(upload.path), upload.path.open("r+b") as file:
            file.seek(upload.size_bytes)  # a full disk may have taken a part of the last one
            file.write(chunk)
        upload.size_bytes += len(chunk)

    def _upload(self, location: str) -> _Upload:
        upload = self._uploads.get(location)
        if upload is None:
            raise UploadNotFoundError("There is no such upload, or it stood still for too long: begin another.")
        upload.used_at = self._clock.now()
        return upload

    def _drop(self, location: str) -> None:
        upload = self._uploads.pop(location, None)
        if upload is not None:
            with contextlib.suppress(OSError):
                upload.path.unlink(missing_ok=True)


class Package:
    """The bytes of an upload, looked for when they are needed."""

    def __init__(self, uploads: Uploads, location: str) -> None:
        self._uploads = uploads
        self._location = location

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._uploads.chunks(self._location))


class Downloads:
    """Blobs on their way to supervisors and other Nimbuses; any thread may call, one at a time for one session.

    `on_corrupt` is called with the key of a blob that is found to be damaged.
    """

    def __init__(self, blob_store: BlobStore, expiry_secs: float, *, clock: Clock, rng: random.Random):
        self._store = blob_store
        self._expiry_secs = expiry_secs
        self._clock = clock
        self._rng = rng
        self.on_corrupt: Callable[[str], None] = lambda key: None
        self._lock = threading.Lock()
        self._downloads: dict[str, _Download] = {}

    def begin(self, key: str) -> tuple[str, BlobMeta]:
        """A session and what it will bring. Raises BlobNotFoundError, BlobCorruptError; BlobStoreError when too many
        are under way.
        """
        try:
            meta = self._store.meta(key)
            chunks = self._store.read(key)
        except BlobCorruptError:
            self.on_corrupt(key)
            raise
        self.forget_old()
        with self._lock:
            if len(self._downloads) >= TRANSFERS_MAX:
                self._drop_stalled()
            session = f"{self._rng.getrandbits(128):032x}"
            self._downloads[session] = _Download(key, chunks, self._clock.now())
        return session, meta

    def forget_old(self) -> None:
        """End downloads that have stood still for too long, each of which holds a file open."""
        with self._lock:
            oldest = self._clock.now() - self._expiry_secs
            for session in [session for session, one in self._downloads.items() if one.used_at < oldest]:
                del self._downloads[session]

    def _is_damaged(self, key: str) -> bool:
        """Whether what is here now is damaged."""
        try:
            for _ in self._store.read(key):
                pass
        except BlobCorruptError:
            return True
        except BlobNotFoundError:
            pass
        return False

    def _drop_stalled(self) -> None:
        stalest = min(self._downloads, key=lambda session: self._downloads[session].used_at)
        if self._clock.now() - self._downloads[stalest].used_at <= STALLED_SECS:
            raise BlobStoreError(f"{TRANSFERS_MAX} downloads are under way; try again when one of them is done.")
        del self._downloads[stalest]

    def next_chunk(self, session: str) -> bytes:
        """The next bytes; none at the end, which also ends the session. Raises BlobStoreError for an unknown one."""
        with self._lock:
            download = self._downloads.pop(session, None)
        if download is None:
            raise BlobStoreError("There is no such download, or it stood still for too long: begin another.")
        parts: list[bytes] = []
        size = 0
        try:
            for part in download.chunks:
                parts.append(part)
                size += len(part)
                if size + READ_CHUNK_BYTES > REPLY_BYTES_MAX:
                    break
        except BlobCorruptError:
            if self._is_damaged(download.key):  # else another one took its place while this was read
                self.on_corrupt(download.key)
            raise
        if parts:
            download.used_at = self._clock.now()
            with self._lock:
                self._downloads[session] = download
        return b"".join(parts)


def file_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file."""
    with path.open("rb") as file:
        while chunk := file.read(READ_CHUNK_BYTES):
            yield chunk


@contextlib.contextmanager
def _disk_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PackageError(f"Nimbus cannot write {path.name}: {error.strerror or error}.") from error
