"""The blobs that people made: created, updated and deleted by the leader, each content on every Nimbus.

A record in ZooKeeper says which content a blob has now. A new content is put into the leader's store first, under a key
of its own (`version_key`), and announced, so that the others fetch it; the record names it when enough of them hold it.
So there is no blob that is half there, and whoever reads a content by its key gets that one, also while it is replaced.
A content that no record names any more is kept for a while: supervisors may be fetching it.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from storm.blobstore.blob_store import USER_KEY_BYTES_MAX, checked_key, is_version_key, version_key
from storm.cluster.records import UserBlob
from storm.config.blob_map import KEY, conf_uses
from storm.errors import (
    BadVersionError,
    BlobAlreadyExistsError,
    BlobNotFoundError,
    BlobStoreError,
    InvalidTopologyError,
    InvalidTransitionError,
    NotLeaderError,
    StormError,
)
from storm.nimbus.cleanup import orphans
from storm.nimbus.submission import unknown
from storm.nimbus.topology_blobs import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from storm.clock import Clock
    from storm.cluster.records import StormBase
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.nimbus.blob_replication import BlobReplication
    from storm.nimbus.topology_blobs import TopologyBlobs

log = logging.getLogger(__name__)

REPLICATION_WAIT_SECS = 60.0  # for Nimbuses that do not fetch a content; then it goes on with as many as there are
READ_ALL_SECS = 300.0  # between looks at all records, also at those of which no watch has told
CLEAN_UP_SECS = 10.0  # between looks for contents that nobody needs: the whole store is listed
NAMES_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class BlobChange:
    """A content that is in the store of the leader and shall be that of `key`. `is_new`: the blob is created by it.

    `replication`: how many Nimbuses must hold it, and the next ones; None: as many as the blob's record says.
    """

    key: str
    sha256: str
    size_bytes: int
    is_new: bool
    replication: int | None

    @property
    def stored(self) -> dict[str, str]:
        """{key of the content: its hash}."""
        return {version_key(self.key, self.sha256): self.sha256}


@dataclass(frozen=True, slots=True)
class PendingBlob:
    """A change that waits until `enough` Nimbuses hold its content; `done` tells when, or why it will not be."""

    change: BlobChange
    enough: int
    until: float
    done: Future[None] = field(default_factory=Future)


class _Reading:
    """What was read of a blob's record; `is_old`: it may have changed since, or was never read."""

    def __init__(self) -> None:
        self.blob: UserBlob | None = None
        self.is_old = True

    def outdate(self) -> None:
        self.is_old = True


class UserBlobs:
    """Owned by Nimbus's one thread; `known` may be read by any, it is replaced whole. Methods may raise
    CoordinationError, and NotLeaderError where the leader's fence does not hold.
    """

    def __init__(
        self,
        cluster_state: StormClusterState,
        blobs: TopologyBlobs,
        replication: BlobReplication,
        clock: Clock,
        keep_secs: float,
    ) -> None:
        """`keep_secs`: how long a content is kept that no record names."""
        self.known: Mapping[str, UserBlob] = {}
        self._state = cluster_state
        self._blobs = blobs
        self._replication = replication
        self._clock = clock
        self._keep_secs = keep_secs
        self._pending: list[PendingBlob] = []
        self._readings: dict[str, _Reading] = {}
        self._read_all_at = 0.0
        self._term = 0
        self._unreadable: frozenset[str] = frozenset()  # keys of blobs whose records cannot be read
        self._cluster_id: str | None = ""  # no ZooKeeper's: this one is not looked at yet
        self._brought: set[str] = set()  # keys of contents that were here before this ZooKeeper was looked at
        self._were_named: set[str] = set()  # and of those that a record of it has named
        self._first_seen: dict[str, float] = {}
        self._clean_up_at = 0.0

    # Steps

    def look(self, cluster_id: str | None, term: int) -> None:
        """Read the records that may have changed.

        Of another `cluster_id` than at the last look, it is another ZooKeeper; in another `term` this Nimbus leads
        anew, and others have written since.
        """
        now = self._clock.now()
        if cluster_id != self._cluster_id:
            self._brought = set(self._blobs.held_versions())
            self._were_named.clear()
            self._cluster_id, self._read_all_at = cluster_id, now
        if term != self._term:
            self._term, self._read_all_at = term, now
        found = self._read(now)
        self._unreadable = frozenset(key for key, blob in found.items() if blob is None)
        self.known = {key: blob for key, blob in found.items() if blob is not None} | {
            key: self.known[key] for key in self._unreadable & self.known.keys()
        }
        self._note_named()

    def contents(self) -> dict[str, str]:
        """{key of a content: its hash} of all that every Nimbus should hold."""
        pending = {key: sha256 for one in self._pending for key, sha256 in one.change.stored.items()}
        return {**pending, **self._named()}

    def needed(self, base: StormBase) -> dict[str, str]:
        """{key: sha256} of a topology's own blobs, and of the contents of those that its conf, if it is here, names."""
        plan = self._blobs.plan(base)
        named = {} if plan is None else plan.conf.get(KEY) or {}
        blobs = (self.known[key] for key in named if key in self.known)
        return {**base.blob_hashes, **{version_key(blob.key, blob.sha256): blob.sha256 for blob in blobs}}

    def step(self, now: float, *, leads: bool) -> None:
        """Finish the changes that need wait no longer, and delete contents that nobody needs."""
        if not leads:
            self.fail_all(NotLeaderError("This Nimbus does not lead any more; the blob is as it was."))
        for one in list(self._pending):
            holders = self._replication.count(one.change.stored)
            if holders < one.enough and now < one.until:
                continue
            if holders < one.enough:
                log.warning("The blob %r is on %d of %d Nimbuses.", one.change.key, holders, one.enough)
            self._pending.remove(one)
            try:
                self._write(one.change)
            except StormError as error:
                one.done.set_exception(error)
            else:
                one.done.set_result(None)
        if now >= self._clean_up_at:
            self._clean_up_at = now + CLEAN_UP_SECS
            self._clean_up(now)

    def next_secs(self, now: float) -> float:
        """Until the first change has waited long enough; infinity: none waits."""
        return min((max(0.0, one.until - now) for one in self._pending), default=inf)

    def fail_all(self, error: StormError) -> None:
        """Tell all who wait that their change will not be."""
        failed, self._pending = self._pending, []
        for one in failed:
            one.done.set_exception(error)

    # Requests, of the leader

    def refuse_impossible(self, key: str, *, is_new: bool) -> None:
        """Raises what `begin` would, before anything is uploaded."""
        if is_new:
            self._checked_new(key)
        elif key not in self.known:
            raise unknown_blob(key, self.known)

    def begin(self, change: BlobChange) -> PendingBlob:
        """Let the blob have this content, as soon as enough Nimbuses hold it.

        Raises BlobAlreadyExistsError, BlobNotFoundError, and BlobStoreError if the content is not here.
        """
        self.refuse_impossible(change.key, is_new=change.is_new)
        stored = change.stored
        self._blobs.corrupt.difference_update(stored)  # whoever uploaded it has looked at what is in the store
        if not stored.items() <= self._blobs.held().items():
            raise BlobStoreError(
                f"What was uploaded for the blob {change.key!r} is not here any more: upload it again."
            )
        enough = min(self._replication_of(change), len(self._state.nimbuses()))
        pending = PendingBlob(change, enough, self._clock.now() + REPLICATION_WAIT_SECS)
        self._replication.announce(stored)
        if enough <= 1:
            self._write(change)
            pending.done.set_result(None)
        else:
            self._pending.append(pending)
        return pending

    def set_replication(self, key: str, replication: int) -> None:
        """How many Nimbuses must hold the blob's next content before it becomes the present one."""
        there = self._present(key)
        self._put(UserBlob(key, there.version, there.sha256, there.size_bytes, there.updated_wall_secs, replication))

    def count(self, key: str) -> int:
        """How many live Nimbuses hold the blob's present content."""
        return self._replication.count({version_key(key, self._present(key).sha256): self._present(key).sha256})

    def delete(self, key: str, bases: Iterable[StormBase]) -> None:
        """Raises BlobNotFoundError; InvalidTransitionError where one of these topologies wants the blob, or will after
        a rebalance that waits, or it cannot be known, as its conf is not here.
        """
        self._present(key)
        names = sorted(base.name for base in bases if self._may_want(base, key))
        if names:
            more = "" if len(names) <= NAMES_SHOWN_MAX else f" and {len(names) - NAMES_SHOWN_MAX} more"
            raise InvalidTransitionError(
                f"The blob {key!r} cannot be deleted while topologies want it ({KEY}): "
                f"{', '.join(names[:NAMES_SHOWN_MAX])}{more}. Kill them first."
            )
        self._fenced(lambda: self._state.remove_user_blob(key))
        self.known = {name: blob for name, blob in self.known.items() if name != key}
        log.info("The blob %r is deleted.", key)

    def check(self, conf: Mapping[str, object]) -> None:
        """Raises InvalidTopologyError that names a blob which `conf` wants and nobody made."""
        for use in conf_uses(conf):
            if use.key not in self.known:
                raise InvalidTopologyError(
                    f"{KEY} names the blob {use.key!r}, which does not exist: "
                    f"`storm blobstore create -f FILE {use.key}` makes it, `storm blobstore list` shows all."
                )

    def _may_want(self, base: StormBase, key: str) -> bool:
        plan = self._blobs.plan(base)
        if plan is None:
            return True
        overrides = {} if base.rebalance is None else base.rebalance.conf_overrides
        return any(key in (conf.get(KEY) or {}) for conf in (plan.conf, overrides))

    def _present(self, key: str) -> UserBlob:
        there = self.known.get(key)
        if there is None:
            raise unknown_blob(key, self.known)
        return there

    def _checked_new(self, key: str) -> None:
        try:
            checked_key(key)
        except ValueError as error:
            raise BlobStoreError(str(error)) from None
        if owner_of(key) or is_version_key(key):
            raise BlobStoreError(f"{key!r} cannot be a blob's key: Nimbus names its own blobs so.")
        if len(key.encode()) > USER_KEY_BYTES_MAX:
            raise BlobStoreError(f"The blob key {key[:40]!r}... takes more than {USER_KEY_BYTES_MAX} bytes.")
        if key in self.known:
            raise BlobAlreadyExistsError(f"There is a blob {key!r} already: `storm blobstore update` replaces it.")

    def _write(self, change: BlobChange) -> None:
        """Name the content in the blob's record, which may have changed since the change began."""
        self.refuse_impossible(change.key, is_new=change.is_new)
        there, replication = self.known.get(change.key), self._replication_of(change)
        if there is not None and (there.sha256, there.replication) == (change.sha256, replication):
            return
        version = 1 if there is None else there.version + (there.sha256 != change.sha256)
        wall_secs = self._clock.wall_secs()
        self._put(UserBlob(change.key, version, change.sha256, change.size_bytes, wall_secs, replication))
        log.info("The blob %r has version %d now, %d bytes.", change.key, version, change.size_bytes)

    def _replication_of(self, change: BlobChange) -> int:
        return self._present(change.key).replication if change.replication is None else change.replication

    def _put(self, blob: UserBlob) -> None:
        self._readings.pop(blob.key, None)  # the watch may tell of this only after the next look
        self._fenced(lambda: self._state.put_user_blob(blob))
        self.known = {**self.known, blob.key: blob}
        self._note_named()

    def _fenced(self, write: Callable[[], None]) -> None:
        try:
            write()
        except BadVersionError:
            raise NotLeaderError("This Nimbus does not lead any more; the blob is as it was.") from None

    def _named(self) -> dict[str, str]:
        return {version_key(blob.key, blob.sha256): blob.sha256 for blob in self.known.values()}

    def _read(self, now: float) -> dict[str, UserBlob | None]:
        """Every record, None where it cannot be read. Only those are asked for that may have changed since."""
        keys = self._state.user_blob_keys()
        self._readings = {key: self._readings.get(key) or _Reading() for key in keys}
        if now >= self._read_all_at:
            self._read_all_at = now + READ_ALL_SECS
            for reading in self._readings.values():
                reading.outdate()
        for key, reading in self._readings.items():
            if reading.is_old:
                reading.is_old = False  # before it is read: what changes from here on makes it old again
                try:
                    reading.blob = self._state.user_blob(key, reading.outdate)
                except BaseException:
                    reading.is_old = True
                    raise
        return {key: reading.blob for key, reading in self._readings.items()}

    def _note_named(self) -> None:
        """They were needed now: how long they are not, if they are replaced, counts from then."""
        named = self._named().keys()
        self._were_named |= named
        for key in named & self._first_seen.keys():
            del self._first_seen[key]

    def _clean_up(self, now: float) -> None:
        needed = self.contents().keys()
        unneeded = [
            key
            for key in self._blobs.held_versions()
            if key not in needed and key.rpartition(".")[0] not in self._unreadable
        ]

        def is_lost(key: str) -> bool:
            """It is of before this ZooKeeper, as far as is known: nobody replaced or deleted it, or gave it up."""
            return key in self._brought and key not in self._were_named

        self._first_seen, due = orphans(self._first_seen, unneeded, self._keep_secs, is_lost, now)
        for key in due:
            self._blobs.discard(key)


def unknown_blob(key: str, known: Iterable[str]) -> BlobNotFoundError:
    """A sentence that says which ones there are."""
    return BlobNotFoundError(unknown("blob", key, known))
