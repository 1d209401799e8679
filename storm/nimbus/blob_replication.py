"""Which blobs of topologies and of people this Nimbus holds, lacks and tells the others about.

Every Nimbus wants the blobs that the records of topologies and of people's blobs name, and those that the leader has
announced and no record names yet: of a submission, rebalance or update that waits until enough hold them. What one
lacks it fetches from another that announces the same content; what it holds it announces below /blobstore, as long as
it lives. So /blobstore is at once the request and the answer, and a Nimbus that was away catches up by looking.
"""

from __future__ import annotations

import logging
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from storm.blobstore.blob_store import conf_key, is_version_key
from storm.cluster.records import BlobReplica
from storm.errors import BlobStoreError, CoordinationError, StormError
from storm.nimbus.topology_blobs import beside, conf_places, owner_of, owners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from storm.cluster.leader_election import LeaderElection
    from storm.cluster.records import StormBase
    from storm.cluster.storage import Watch
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import TopologyId
    from storm.nimbus.topology_blobs import TopologyBlobs

log = logging.getLogger(__name__)

NOTHING: Mapping[str, str] = MappingProxyType({})


class BlobFetcher(Protocol):
    """Brings blobs from other Nimbuses into this one's store, in its own time."""

    def fetch(self, key: str, sha256: str, nimbuses: tuple[str, ...]) -> None:
        """Bring this content of the blob from one of these (`host:port`); nothing happens if it is under way already.

        Where that fails, the next request tries again.
        """


class NoPeers:
    """For a Nimbus that is alone, or shares its store with the others."""

    def fetch(self, key: str, sha256: str, nimbuses: tuple[str, ...]) -> None:
        return


class BlobReplication:
    """Owned by Nimbus's one thread. Methods may raise CoordinationError, and all but `look` and `delete` BlobStoreError
    where the disk fails.
    """

    def __init__(
        self, cluster_state: StormClusterState, blobs: TopologyBlobs, election: LeaderElection, wake: Watch
    ) -> None:
        """`fetcher` is how blobs come here. `counts`: how many Nimbuses hold a topology and the blobs that it names, as
        the leader last saw it.
        """
        self.fetcher: BlobFetcher = NoPeers()
        self.counts: Mapping[TopologyId, int] = {}
        self._state = cluster_state
        self._blobs = blobs
        self._election = election
        self._wake = wake
        self.trouble = ""  # what this disk refused in the last step, for people; any thread may read it
        self._logged = ""
        self._announced: dict[str, str] = {}
        self._former: dict[str, str] = {}  # what was announced before `forget_announcements`, or may have been
        self._doubted: set[str] = set()  # announced contents whose node changed since it was read; watches add to it

    def look(
        self, bases: Mapping[TopologyId, StormBase], contents: Mapping[str, str] = NOTHING, *, leads: bool
    ) -> frozenset[TopologyId] | None:
        """What `step` does and answers; None: this disk fails, for which no topology's workers should have to wait."""
        self.trouble = ""
        try:
            return self.step(bases, contents, leads=leads)
        except BlobStoreError as error:
            self._note(str(error))
            return None

    def delete(self, topology_id: TopologyId) -> bool:
        """Delete what there is of a topology, then what is announced of it; False: the disk refuses."""
        try:
            self._blobs.delete(topology_id)
        except BlobStoreError as error:
            self._note(f"Topology {topology_id} cannot be removed yet: {error}")
            return False
        self.remove(topology_id)
        return True

    def _note(self, trouble: str) -> None:
        self.trouble = trouble
        if trouble != self._logged:
            self._logged = trouble
            log.error("%s", trouble)

    def step(
        self, bases: Mapping[TopologyId, StormBase], contents: Mapping[str, str] = NOTHING, *, leads: bool
    ) -> frozenset[TopologyId]:
        """Fetch what is lacking, announce what is here; the topologies whose blobs ZooKeeper speaks of.

        `contents` are those of people's blobs that every Nimbus should hold: {key of a content: its sha256}.
        """
        for base in bases.values():
            self._settle(base)
        held = self._blobs.held()
        named = {key: sha256 for base in bases.values() for key, sha256 in _not_here(base, held).items()}
        known = self._state.blob_keys(self._wake)
        asked = {} if leads else self._asked_for(known, bases, contents)
        for key, sha256 in {**named, **contents, **asked}.items():
            if held.get(key) != sha256 and not _is_needed(key, held, bases):
                place = self._place(key, sha256)
                self._fetch(place, sha256, is_here=place in held)
        if leads:
            self._remove_settled(known, bases)
            self._remove_replaced(known, contents)
        else:
            self.counts = {}
        for key in sorted((self._announced.keys() | self._former.keys()) - held.keys()):
            self._withdraw(key)
        self._doubted.difference_update(self._doubted - self._announced.keys())
        spoken_of = owners(known)
        wanted = spoken_of | bases.keys()
        for key, sha256 in held.items():
            if _is_over(key, bases) and (leads or key in self._announced):
                continue  # the leader takes it back, and would do so without end
            if owner_of(key) in wanted or key in contents or key in asked:
                self._announce(key, sha256)
        return frozenset(spoken_of)

    def announce(self, hashes: Mapping[str, str]) -> None:
        """Say now that these are here: the other Nimbuses then fetch them."""
        for key, sha256 in hashes.items():
            self._announce(key, sha256)

    def forget_announcements(self) -> None:
        """The session in which they were made is gone, and they with it, but for those that the next session made
        before this was heard.
        """
        self._former.update(self._announced)
        self._announced.clear()

    def count(self, hashes: Mapping[str, str]) -> int:
        """How many live Nimbuses hold all of these; `wake` is called when that may have changed."""
        return self._count(hashes, self._wake)

    def count_pending(self, topology_id: TopologyId, needed: Mapping[str, str]) -> int:
        """As `count`, of what this topology needs; noted in `counts`, so that who submitted it can read it at once."""
        holders = self.count(needed)
        self.counts = {**self.counts, topology_id: holders}
        return holders

    def count_all(self, bases: Iterable[StormBase], needed: Callable[[StormBase], Mapping[str, str]]) -> None:
        """Set `counts`; `needed` says what must be held of each topology."""
        self.counts = {base.topology_id: self._count(needed(base), None) for base in bases}

    def remove(self, topology_id: TopologyId) -> None:
        """Tell the others, as the leader, that nobody needs the blobs of this topology any more."""
        for key in self._state.blob_keys():
            if owner_of(key) == topology_id:
                self._state.remove_blob(key)
                self._announced.pop(key, None)

    def _count(self, hashes: Mapping[str, str], watch: Watch | None) -> int:
        holders = [
            {replica.nimbus_address for replica in self._state.blob_replicas(key, watch) if replica.sha256 == sha256}
            for key, sha256 in hashes.items()
        ]
        return len(set.intersection(*holders)) if holders else 0

    def _settle(self, base: StormBase) -> None:
        try:
            self._blobs.settle(base)
        except StormError as error:
            log.error("The conf of %s cannot be put in its place yet: %s", base.topology_id, error)

    def _remove_settled(self, known: Iterable[str], bases: Mapping[TopologyId, StormBase]) -> None:
        """Nobody needs a conf beside its key any more once its rebalance is done."""
        for key in known:
            base = bases.get(owner_of(key))
            if base is not None and base.rebalance is None and key not in base.blob_hashes:
                self._state.remove_blob(key)
                self._announced.pop(key, None)

    def _remove_replaced(self, known: Iterable[str], contents: Mapping[str, str]) -> None:
        """Nobody needs a content any more that its blob has no longer."""
        for key in known:
            if is_version_key(key) and key not in contents:
                self._state.remove_blob(key)
                self._announced.pop(key, None)

    def _asked_for(
        self, known: Iterable[str], bases: Mapping[TopologyId, StormBase], contents: Mapping[str, str]
    ) -> dict[str, str]:
        """{key: sha256} of what the leader has announced and no record names."""
        named = {key for base in bases.values() for key in base.blob_hashes} | contents.keys()
        keys = [key for key in known if key not in named and (owner_of(key) or is_version_key(key))]
        leader = self._election.leader() if keys else None
        if leader is None:
            return {}
        return {
            key: replica.sha256
            for key in keys
            for replica in self._state.blob_replicas(key, self._wake)
            if replica.nimbus_address == leader.address
        }

    def _place(self, key: str, sha256: str) -> str:
        """The key at which others have this content: a conf's, beside its own where a rebalance was cut short."""
        if key != conf_key(owner_of(key)):
            return key
        me = self._election.info.address
        for place in conf_places(owner_of(key)):
            others = (each for each in self._state.blob_replicas(place, self._wake) if each.nimbus_address != me)
            if any(replica.sha256 == sha256 for replica in others):
                return place
        return key

    def _fetch(self, key: str, sha256: str, *, is_here: bool) -> None:
        me = self._election.info.address
        replicas = self._state.blob_replicas(key, self._wake)
        for mine in replicas:
            if mine.nimbus_address == me and key not in self._announced:  # of an earlier life, with another disk
                self._state.remove_blob_replica(key, mine)
        sources = tuple(
            replica.nimbus_address for replica in replicas if replica.sha256 == sha256 and replica.nimbus_address != me
        )
        if not sources:
            return
        if is_here or key in self._blobs.corrupt:  # it is another content, or damaged: there is a better one now
            self._withdraw(key)
            self._blobs.discard(key)
        self.fetcher.fetch(key, sha256, sources)

    def _announce(self, key: str, sha256: str) -> None:
        if self._announced.get(key) == sha256 and not self._is_taken_back(key, sha256):
            return
        self._withdraw(key, but=sha256)
        self._former[key] = sha256  # also where the answer is lost
        self._state.put_blob_replica(key, BlobReplica(self._election.info.address, sha256))
        self._announced[key] = sha256
        self._former.pop(key, None)
        if is_version_key(key) or key in beside(owner_of(key)):
            self._doubted.add(key)

    def _is_taken_back(self, key: str, sha256: str) -> bool:
        """A leader removes a replaced content, or a conf beside its key, for all Nimbuses; it may come once more."""
        if key not in self._doubted:
            return False
        self._doubted.discard(key)  # before it is read: what changes from here on counts again
        try:
            replicas = self._state.blob_replicas(key, partial(self._doubted.add, key))
        except CoordinationError:
            self._doubted.add(key)
            raise
        return BlobReplica(self._election.info.address, sha256) not in replicas

    def _withdraw(self, key: str, but: str = "") -> None:
        for announced in (self._announced, self._former):
            sha256 = announced.get(key)
            if sha256 is not None:
                if sha256 != but:
                    self._state.remove_blob_replica(key, BlobReplica(self._election.info.address, sha256))
                del announced[key]


def _not_here(base: StormBase, held: Mapping[str, str]) -> dict[str, str]:
    """What the record names and is not here; a conf may be beside its key while a rebalance is under way."""
    lacking = {key: sha256 for key, sha256 in base.blob_hashes.items() if held.get(key) != sha256}
    conf = conf_key(base.topology_id)
    if lacking.get(conf) in {held.get(key) for key in beside(base.topology_id)}:
        lacking.pop(conf, None)
    return lacking


def _is_needed(key: str, held: Mapping[str, str], bases: Mapping[TopologyId, StormBase]) -> bool:
    """Whether this is where the conf is that the record names, beside its key, though a leader has another one there.

    Of a leader that died as it let the two change places this may be the only one; who leads now fetches it.
    """
    base = bases.get(owner_of(key))
    if base is None or key not in beside(base.topology_id):
        return False
    conf = conf_key(base.topology_id)
    return held.get(key) == base.blob_hashes.get(conf) != held.get(conf)


def _is_over(key: str, bases: Mapping[TopologyId, StormBase]) -> bool:
    """Whether it is beside its key, and the rebalance for which it was is done."""
    base = bases.get(owner_of(key))
    return base is not None and base.rebalance is None and key in beside(base.topology_id)
