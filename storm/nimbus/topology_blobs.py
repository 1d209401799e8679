"""A topology's three blobs: stored together, read back as a plan, its conf replaced at a rebalance.

What is read is what the topology's record names by its hash, never just what lies under the key.

A rebalance that changes the conf first puts the new one beside the old (`stage_conf`), where other Nimbuses fetch
it; then the two change places (`replace_conf`), and when the record names the new one, what is beside it goes
(`settle`). A Nimbus may end in between, or learn of it late: one of the blobs always has the hash that is named.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from storm.blobstore.blob_store import code_key, conf_key, is_version_key, jar_key, topology_keys
from storm.errors import BlobCorruptError, BlobNotFoundError, BlobStoreError, StormError
from storm.nimbus.cluster_snapshot import TopologyPlan, plan_of
from storm.thrift.convert import topology_from_bytes, topology_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.blobstore.blob_store import BlobStore
    from storm.cluster.records import StormBase
    from storm.ids import TopologyId

CLUSTER_ID_KEY = "storm.cluster.id"  # in the conf of every topology: the cluster that it was submitted to

KEYS_REMEMBERED = 10_000  # each step looks at all

log = logging.getLogger(__name__)


class TopologyBlobs:
    """Owned by Nimbus's one thread. Every method may raise BlobStoreError where the disk fails."""

    def __init__(self, blob_store: BlobStore) -> None:
        """`corrupt`: keys whose bytes were found to be not what was stored; they count as missing."""
        self.corrupt: set[str] = set()
        self._store = blob_store
        self._hashes: dict[str, str] = {}
        self._plans: dict[TopologyId, tuple[Mapping[str, str], TopologyPlan]] = {}
        self._failures: dict[TopologyId, str] = {}

    def create(self, topology_id: TopologyId, plan: TopologyPlan, package: Iterable[bytes]) -> dict[str, str]:
        """Store all three, or none; {key: sha256}."""
        try:
            metas = [
                self._store.create(code_key(topology_id), [topology_to_bytes(plan.topology)]),
                self._store.create(conf_key(topology_id), [_encoded(plan.conf)]),
                self._store.create(jar_key(topology_id), package),
            ]
        except BaseException:
            with contextlib.suppress(BlobStoreError):  # why nothing can be stored says more; what is left goes later
                self.delete(topology_id)
            raise
        self._hashes.update((meta.key, meta.sha256) for meta in metas)
        return {meta.key: meta.sha256 for meta in metas}

    def plan(self, base: StormBase) -> TopologyPlan | None:
        """The plan of this topology; None, and a line in the log, if its code or conf cannot be read here."""
        topology_id = base.topology_id
        known = self._plans.get(topology_id)
        if known is not None and known[0] == base.blob_hashes:
            return known[1]
        try:
            plan = plan_of(topology_from_bytes(self._named(base, code_key(topology_id))), self._conf(base))
        except (StormError, ValueError) as error:
            if self._failures.get(topology_id) != str(error):
                self._failures[topology_id] = str(error)
                log.error("Topology %s stays as it is: its code cannot be read here. %s", topology_id, error)
            return None
        self._failures.pop(topology_id, None)
        self._plans[topology_id] = (dict(base.blob_hashes), plan)
        return plan

    def stage_conf(self, base: StormBase, conf: Mapping[str, Any]) -> dict[str, str]:
        """Put the conf that a rebalance leads to beside the present one; {its key: sha256}."""
        key, data = _next_conf_key(base.topology_id), _encoded(conf)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._sha256(key) != sha256:
            self.discard(key)
            self._create(key, data)
        return {key: sha256}

    def replace_conf(self, base: StormBase) -> dict[str, str]:
        """Let the staged conf change places with the old one; the topology's {key: sha256} afterwards."""
        key, staged = conf_key(base.topology_id), _next_conf_key(base.topology_id)
        data = self._bytes(staged)
        sha256 = hashlib.sha256(data).hexdigest()
        if self._sha256(key) != sha256:
            if self._sha256(key) == base.blob_hashes.get(key):  # else the one that is named is elsewhere already
                before = _previous_conf_key(base.topology_id)
                old = self._bytes(key)
                self.discard(before)
                self._create(before, old)
            self.discard(key)
            self._create(key, data)
        return {**base.blob_hashes, key: sha256}

    def settle(self, base: StormBase) -> None:
        """Bring the conf that the record names to its key, if it is beside it; without a rebalance under way nothing is
        beside it any more then.

        While one is, the one before stays beside it: a leader that has this store lets the two change places.
        """
        topology_id = base.topology_id
        key, wanted = conf_key(topology_id), base.blob_hashes.get(conf_key(topology_id))
        there = [other for other in beside(topology_id) if self._sha256(other) is not None or other in self.corrupt]
        if not there or wanted is None:
            return
        under_way = base.rebalance is not None
        if self._sha256(key) != wanted:
            source = next((other for other in there if self._sha256(other) == wanted), None)
            if source is None or (under_way and source == _previous_conf_key(topology_id)):
                return
            data = self._bytes(source)
            self.discard(key)
            self._create(key, data)
        for other in () if under_way else there:
            self.discard(other)

    def held_versions(self) -> list[str]:
        """The keys of all contents of people's blobs that are here, damaged ones too."""
        return [key for key in self._store.keys("") if is_version_key(key)]

    def held(self) -> dict[str, str]:
        """{key: sha256} of the topologies' blobs and the contents of people's that are here, as far as is known
        undamaged.
        """
        keys = [key for key in self._store.keys("") if owner_of(key) or is_version_key(key)]
        for key in self._hashes.keys() - keys:
            del self._hashes[key]
        for key in keys:
            if key not in self._hashes:
                self._sha256(key)
        self.corrupt &= set(keys)
        return {key: sha256 for key, sha256 in self._hashes.items() if key not in self.corrupt}

    def discard(self, key: str) -> None:
        """Delete a blob, if it is there."""
        self._hashes.pop(key, None)
        self.corrupt.discard(key)
        with contextlib.suppress(BlobNotFoundError):
            self._store.delete(key)

    def delete(self, topology_id: TopologyId) -> None:
        """Delete what there is of a topology."""
        for key in (*topology_keys(topology_id), *beside(topology_id)):
            self.discard(key)
        self._plans.pop(topology_id, None)
        self._failures.pop(topology_id, None)

    def cluster_id(self, topology_id: TopologyId) -> str | None:
        """The cluster that the topology was submitted to; None: not all of its blobs are here, or they do not say. Its
        conf may be beside its key, where a rebalance was cut short.
        """
        held = self.held()
        confs = [key for key in conf_places(topology_id) if key in held]
        if not {code_key(topology_id), jar_key(topology_id)} <= held.keys() or not confs:
            return None
        try:
            conf = json.loads(self._bytes(confs[0]))
        except (StormError, ValueError):
            return None
        found = conf.get(CLUSTER_ID_KEY) if isinstance(conf, dict) else None
        return found if isinstance(found, str) else None

    def owners(self) -> set[TopologyId]:
        """The topologies that have a blob here; people's own blobs belong to none."""
        return owners(self._store.keys())

    def _conf(self, base: StormBase) -> dict[str, Any]:
        conf = json.loads(self._named(base, conf_key(base.topology_id)))
        if not isinstance(conf, dict):
            raise ValueError(f"{conf_key(base.topology_id)} does not hold a JSON object")
        return conf

    def _named(self, base: StormBase, key: str) -> bytes:
        """The blob that the record names, wherever it is while a rebalance is under way."""
        wanted = base.blob_hashes.get(key)
        places = conf_places(base.topology_id) if key == conf_key(base.topology_id) else (key,)
        place = next((place for place in places if wanted is not None and self._sha256(place) == wanted), key)
        data = self._bytes(place)
        if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
            raise BlobNotFoundError(f"The blob {key!r} is here with other bytes than its topology's record names.")
        return data

    def _bytes(self, key: str) -> bytes:
        try:
            return b"".join(self._store.read(key))
        except BlobCorruptError:
            self.corrupt.add(key)
            raise

    def _create(self, key: str, data: bytes) -> None:
        self._hashes[key] = self._store.create(key, [data]).sha256

    def _sha256(self, key: str) -> str | None:
        """The hash that the blob was stored with; None: it is not here, or cannot be read, as far as is known."""
        if key in self.corrupt:
            return None
        try:
            found = self._store.meta(key).sha256
        except BlobNotFoundError:
            self._hashes.pop(key, None)
            return None
        except BlobCorruptError:
            self.corrupt.add(key)
            return None
        self._hashes[key] = found
        return found


def owners(keys: Iterable[str]) -> set[TopologyId]:
    """The topologies whose blobs these keys are."""
    return {owner for key in keys if (owner := owner_of(key))}


@lru_cache(KEYS_REMEMBERED)
def owner_of(key: str) -> TopologyId:
    """The topology that the key belongs to; empty: it is a blob of people's own."""
    owner = key.rpartition("-storm")[0]
    return owner if owner and key in (*topology_keys(owner), *beside(owner)) else ""


def _next_conf_key(topology_id: TopologyId) -> str:
    return f"{topology_id}-stormconf-next.ser"


def _previous_conf_key(topology_id: TopologyId) -> str:
    return f"{topology_id}-stormconf-previous.ser"


def beside(topology_id: TopologyId) -> tuple[str, str]:
    """The keys at which confs are while a rebalance is under way: the next one, and the one before."""
    return _next_conf_key(topology_id), _previous_conf_key(topology_id)


def conf_places(topology_id: TopologyId) -> tuple[str, ...]:
    """Where the conf that a topology's record names may be: at its key, or beside that."""
    return conf_key(topology_id), *beside(topology_id)


def _encoded(conf: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(conf), sort_keys=True).encode()
