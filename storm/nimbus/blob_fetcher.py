"""Blobs from other Nimbuses, in a thread of its own: Nimbus's one thread never waits for a download.

What comes is trusted no more than its hash: a blob that is not what was asked for is not stored.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from storm.blobstore.blob_store import verified
from storm.clock import SystemClock
from storm.errors import BlobAlreadyExistsError, BlobStoreError, StormError
from storm.thrift.client import ThriftClient
from storm.thrift.nimbus_client import blob_chunks, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from storm.blobstore.blob_store import BlobStore
    from storm.clock import Clock

log = logging.getLogger(__name__)

CALL_TIMEOUT_SECS = 10.0
DISK_PAUSE_SECS = 60.0  # before a blob is tried again that the own disk did not take: its giver keeps the download open
_SYSTEM_CLOCK = SystemClock()


class _PeerError(StormError):
    """The other Nimbus, or the way to it, failed."""


class _Wanted(NamedTuple):
    key: str
    sha256: str
    nimbuses: tuple[str, ...]


class PeerBlobFetcher:
    """Implements `blob_replication.BlobFetcher`; any thread may call."""

    def __init__(self, blob_store: BlobStore, wake: Callable[[], None], *, clock: Clock = _SYSTEM_CLOCK) -> None:
        """`wake` is called, from another thread, when a blob has come."""
        self._store = blob_store
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()  # guards the next, and the beginning of the thread
        self._under_way: set[str] = set()
        self._paused_until: dict[str, float] = {}  # keys of blobs that the own disk did not take
        self._told: dict[str, str] = {}  # key -> the failure that was logged last; the thread's own
        self._queue: SimpleQueue[_Wanted | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def fetch(self, key: str, sha256: str, nimbuses: tuple[str, ...]) -> None:
        with self._lock:
            if key in self._under_way or self._clock.now() < self._paused_until.get(key, 0.0):
                return
            self._under_way.add(key)
            self._queue.put(_Wanted(key, sha256, nimbuses))
            self._begin()

    def close(self) -> None:
        """Begin nothing more; a download that is under way ends with the process."""
        self._queue.put(None)

    def _begin(self) -> None:
        """Have somebody look into the queue; a simulation has no threads."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="blob-fetcher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (wanted := self._queue.get()) is not None:
            self._carry_out(wanted)

    def _carry_out(self, wanted: _Wanted) -> None:
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
            try:
                self._fetch_from(nimbus, wanted)
            except _PeerError as error:
                failures.append(f"{nimbus}: {error}")
            except BlobStoreError as error:  # the own one's: no other Nimbus can help
                failures.append(str(error))
                with self._lock:
                    self._paused_until[wanted.key] = self._clock.now() + DISK_PAUSE_SECS
                break
            else:
                self._told.pop(wanted.key, None)
                with self._lock:
                    self._paused_until.pop(wanted.key, None)
                log.info("The blob %s was fetched from %s.", wanted.key, nimbus)
                return True
        text = "; ".join(failures)
        if self._told.get(wanted.key) != text:
            self._told[wanted.key] = text
            log.warning("The blob %s cannot be fetched yet: %s", wanted.key, text)
        return False

    def _fetch_from(self, nimbus: str, wanted: _Wanted) -> None:
        """Bring it into the store, unless it is there. Raises _PeerError; BlobStoreError if the own disk fails."""
        with contextlib.suppress(BlobAlreadyExistsError), contextlib.closing(self._chunks(nimbus, wanted)) as chunks:
            self._store.create(wanted.key, chunks)

    def _chunks(self, nimbus: str, wanted: _Wanted) -> Generator[bytes]:
        try:
            with self._connection(nimbus) as client:
                yield from verified(blob_chunks(client, wanted.key), wanted.key, wanted.sha256)
        except StormError as error:
            raise _PeerError(str(error)) from error

    def _connection(self, nimbus: str) -> ThriftClient:
        return ThriftClient("Nimbus", *parse_address(nimbus, 0), CALL_TIMEOUT_SECS)
