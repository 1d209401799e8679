"""The calls of the Thrift service Nimbus that are about files: packages, and blobs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

from storm.blobstore.blob_store import version_key
from storm.errors import (
    BlobNotFoundError,
    BlobStoreError,
    CoordinationError,
    InvalidTransitionError,
    NotLeaderError,
)
from storm.nimbus.blob_uploads import BlobTarget, BlobUploads
from storm.nimbus.queries import NimbusQueries
from storm.nimbus.topology_blobs import owner_of
from storm.nimbus.user_blobs import REPLICATION_WAIT_SECS, unknown_blob
from storm.thrift import caller
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from storm.blobstore.blob_store import BlobStore
    from storm.nimbus.core import NimbusCore
    from storm.nimbus.file_transfers import Downloads, Uploads
    from storm.nimbus.inbox import Requests
    from storm.thrift.interface import Struct

T = TypeVar("T")

KEYS_A_PAGE = 1_000
WAIT_SECS_MAX = 600.0  # of one call for other Nimbuses: it holds a thread
REPLICATION_KEY = "storm.blobstore.replication.factor"


class BlobService(NimbusQueries):
    """Part of `NimbusService`. A key is that of a blob that people made, or else that under which a Nimbus stores it:
    of a topology's blob, or of one content (`version_key`).
    """

    def __init__(
        self,
        core: NimbusCore,
        requests: Requests,
        *,
        uploads: Uploads,
        downloads: Downloads,
        blob_store: BlobStore,
    ) -> None:
        super().__init__(core)
        self._requests = requests
        self._uploads = uploads
        self._downloads = downloads
        self._blobs = blob_store
        self._blob_uploads = BlobUploads(uploads, blob_store)

    def forget_old_transfers(self) -> None:
        """Forget what has stood still for too long; called now and then."""
        self._uploads.forget_old()
        self._downloads.forget_old()

    # Packages

    def beginFileUpload(self) -> str:
        self._requests.call(self._core.require_leadership)
        return self._uploads.begin(caller.address())

    def uploadChunk(self, location: str, chunk: bytes) -> None:
        self._uploads.append(location, chunk)

    def finishFileUpload(self, location: str) -> None:
        self._uploads.finish(location)

    def uploadPart(self, location: str, offset: int, part: bytes) -> int:
        return self._uploads.put(location, offset, part)

    def finishUpload(self, location: str, sha256: str) -> None:
        self._uploads.finish_verified(location, sha256)

    # Blobs

    def beginCreateBlob(self, key: str, meta: Struct | None, size_bytes: int = 0) -> str:
        return self._begin(BlobTarget(key, True, self._replication(meta)), size_bytes)

    def beginUpdateBlob(self, key: str, size_bytes: int = 0) -> str:
        return self._begin(BlobTarget(key, False, None), size_bytes)

    def uploadBlobChunk(self, session: str, chunk: bytes) -> None:
        self._blob_uploads.append(session, chunk)

    def finishBlobUpload(self, session: str) -> None:
        with using_up(session, self._blob_uploads):
            change = self._blob_uploads.finish(session)
            pending = self._leading(lambda: self._core.user_blobs.begin(change))
            is_done = self._is_done_in(WAIT_SECS_MAX, pending.done)
        if not is_done:
            raise CoordinationError(
                f"The blob {change.key!r} is not on {pending.enough} Nimbuses yet: it has this content when it is, or"
                f" after {REPLICATION_WAIT_SECS:.0f} s."
            )

    def cancelBlobUpload(self, session: str) -> None:
        self._blob_uploads.discard(session)

    def getBlobMeta(self, key: str) -> Struct:
        t = storm_thrift()
        blob = self._core.user_blobs.known.get(key)
        if blob is None:
            with self._explained(key):
                meta = self._blobs.meta(key)
            return t.ReadableBlobMeta(settable=t.SettableBlobMeta(acl=[]), version=meta.version, sha256=meta.sha256)
        return t.ReadableBlobMeta(
            settable=t.SettableBlobMeta(acl=[], replication_factor=blob.replication),
            version=blob.version,
            sha256=blob.sha256,
            stored_as=version_key(key, blob.sha256),
            size_bytes=blob.size_bytes,
            updated_secs=blob.updated_wall_secs,
        )

    def beginBlobDownload(self, key: str) -> Struct:
        blob = self._core.user_blobs.known.get(key)
        with self._explained(key):
            session, meta = self._downloads.begin(key if blob is None else version_key(key, blob.sha256))
        version = meta.version if blob is None else blob.version
        return storm_thrift().BeginDownloadResult(version=version, session=session, data_size=meta.size_bytes)

    def downloadBlobChunk(self, session: str) -> bytes:
        return self._downloads.next_chunk(session)

    def deleteBlob(self, key: str) -> None:
        owner = owner_of(key)
        if owner:
            raise InvalidTransitionError(f"The blob {key!r} belongs to the topology {owner}, and goes with it.")
        self._requests.call(lambda: self._core.delete_blob(key))

    def listBlobs(self, session: str) -> Struct:
        """The blobs that people made; `session` is the last key of the page before."""
        keys = [key for key in sorted(self._core.user_blobs.known) if key > (session or "")][:KEYS_A_PAGE]
        return storm_thrift().ListBlobsResult(keys=keys, session=keys[-1] if keys else session or "")

    def getBlobReplication(self, key: str) -> int:
        """How many Nimbuses hold it."""
        return self._leading(lambda: self._core.user_blobs.count(key))

    def updateBlobReplication(self, key: str, replication: int) -> int:
        wanted = self._checked_replication(replication)
        self._leading(lambda: self._core.user_blobs.set_replication(key, wanted))
        return self.getBlobReplication(key)

    def isRemoteBlobExists(self, blobKey: str) -> bool:
        return blobKey in self._core.user_blobs.known or blobKey in self._blobs.keys(blobKey)

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # no blob can have this key
            raise BlobNotFoundError(str(error)) from None
        except BlobNotFoundError:
            raise unknown_blob(key, self._core.user_blobs.known) from None

    def _begin(self, target: BlobTarget, size_bytes: int) -> str:
        self._leading(lambda: self._core.user_blobs.refuse_impossible(target.key, is_new=target.is_new))
        self._uploads.refuse_larger(size_bytes)
        return self._blob_uploads.begin(target, caller.address())

    def _replication(self, meta: Struct | None) -> int:
        asked = None if meta is None else meta.replication_factor
        if asked is None or asked < 1:  # Storm's clients send -1 where nobody said
            return int(self._core.options.cluster_conf.get(REPLICATION_KEY, 3))
        return self._checked_replication(asked)

    def _checked_replication(self, wanted: int) -> int:
        if not 1 <= wanted <= 100:
            raise BlobStoreError(f"A blob is on 1 to 100 Nimbuses, not {wanted}.")
        return wanted

    def _is_done_in(self, secs: float, done: Future[None]) -> bool:
        """Wait; False: it is not done, after so long or where too many wait. Raises what `done` brings."""
        try:
            self._requests.wait(done, secs)
        except TimeoutError:
            return False
        return True

    def _leading(self, request: Callable[[], T]) -> T:
        def checked() -> T:
            self._core.require_leadership()
            return request()

        return self._requests.call(checked)


@contextlib.contextmanager
def using_up(upload: str, uploads: Uploads | BlobUploads) -> Iterator[None]:
    """Discard the upload in the end, but where its client may make the call again, with the same upload."""
    try:
        yield
    except (NotLeaderError, CoordinationError):
        raise
    except BaseException:
        uploads.discard(upload)
        raise
    uploads.discard(upload)
