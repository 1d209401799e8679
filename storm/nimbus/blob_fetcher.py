"""Blobs from other Nimbuses, in a thread of its own: Nimbus's one thread never waits for a download.

What comes is trusted no more than its hash: a blob that is not what was asked for is not stored.
"""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from storm.blobstore.blob_store import verified
from storm.errors import BlobAlreadyExistsError, StormError
from storm.thrift.client import ThriftClient
from storm.thrift.nimbus_client import blob_chunks, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.blobstore.blob_store import BlobStore

log = logging.getLogger(__name__)

CALL_TIMEOUT_SECS = 10.0


class _Wanted(NamedTuple):
    key: str
    sha256: str
    nimbuses: tuple[str, ...]


class PeerBlobFetcher:
    """Implements `blob_replication.BlobFetcher`; any thread may call."""

    def __init__(self, blob_store: BlobStore, wake: Callable[[], None]) -> None:
        """`wake` is called, from another thread, when a blob has come."""
        self._store = blob_store
        self._wake = wake
        self._lock = threading.Lock()  # guards the next, and the beginning of the thread
        self._under_way: set[str] = set()
        self._told: dict[str, str] = {}  # key -> the failure that was logged last; the thread's own
        self._queue: SimpleQueue[_Wanted | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def fetch(self, key: str, sha256: str, nimbuses: tuple[str, ...]) -> None:
        with self._lock:
            if key in self._under_way:
                return
            self._under_way.add(key)
            self._queue.put(_Wanted(key, sha256, nimbuses))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="blob-fetcher", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Begin nothing more; a download that is under way ends with the process."""
        self._queue.put(None)

    def _run(self) -> None:
        while (wanted := self._queue.get()) is not None:
            has_come = False
            try:
                has_come = self._bring(wanted)
            except Exception:  # the next one is not to wait for ever
                log.exception("Fetching the blob %s failed.", wanted.key)
            with self._lock:
                self._under_way.discard(wanted.key)
            if has_come:
                self._wake()

    def _bring(self, wanted: _Wanted) -> bool:
        failures = []
        for nimbus in wanted.nimbuses:
            failure = self._fetched_from(nimbus, wanted)
            if failure is None:
                self._told.pop(wanted.key, None)
                log.info("The blob %s was fetched from %s.", wanted.key, nimbus)
                return True
            failures.append(f"{nimbus}: {failure}")
        text = "; ".join(failures)
        if self._told.get(wanted.key) != text:
            self._told[wanted.key] = text
            log.warning("The blob %s cannot be fetched yet: %s", wanted.key, text)
        return False

    def _fetched_from(self, nimbus: str, wanted: _Wanted) -> str | None:
        """Why it could not be; None: the blob is here."""
        try:
            with ThriftClient("Nimbus", *parse_address(nimbus, 0), CALL_TIMEOUT_SECS) as client:
                self._store.create(wanted.key, verified(blob_chunks(client, wanted.key), wanted.key, wanted.sha256))
        except BlobAlreadyExistsError:
            return None
        except StormError as error:
            return str(error)
        return None
