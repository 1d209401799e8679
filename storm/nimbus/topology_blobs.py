"""A topology's three blobs: stored together, read back as a plan, its conf replaced at a rebalance."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from storm.blobstore.blob_store import code_key, conf_key, jar_key, topology_keys
from storm.errors import BlobAlreadyExistsError, BlobNotFoundError, StormError
from storm.nimbus.cluster_snapshot import TopologyPlan, plan_of
from storm.thrift.convert import topology_from_bytes, topology_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.blobstore.blob_store import BlobStore
    from storm.cluster.records import StormBase
    from storm.ids import TopologyId

log = logging.getLogger(__name__)


class TopologyBlobs:
    """Owned by Nimbus's one thread. Every method may raise BlobStoreError where the disk fails."""

    def __init__(self, blob_store: BlobStore) -> None:
        self._store = blob_store
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
            self.delete(topology_id)
            raise
        return {meta.key: meta.sha256 for meta in metas}

    def plan(self, base: StormBase) -> TopologyPlan | None:
        """The plan of this topology; None, and a line in the log, if its code or conf cannot be read here."""
        topology_id = base.topology_id
        known = self._plans.get(topology_id)
        if known is not None and known[0] == base.blob_hashes:
            return known[1]
        try:
            plan = plan_of(topology_from_bytes(self._bytes(code_key(topology_id))), self._conf(topology_id))
        except (StormError, ValueError) as error:
            if self._failures.get(topology_id) != str(error):
                self._failures[topology_id] = str(error)
                log.error("Topology %s stays as it is: its code cannot be read here. %s", topology_id, error)
            return None
        self._failures.pop(topology_id, None)
        self._plans[topology_id] = (dict(base.blob_hashes), plan)
        return plan

    def replace_conf(self, base: StormBase, conf: Mapping[str, Any]) -> dict[str, str]:
        """Store a new conf in the place of the old one; the topology's {key: sha256} afterwards.

        Blobs do not change: the new one is first put beside the old, so that there is always one to read.
        """
        topology_id = base.topology_id
        data = _encoded(conf)
        with contextlib.suppress(BlobNotFoundError):
            self._store.delete(_next_conf_key(topology_id))
        self._store.create(_next_conf_key(topology_id), [data])
        with contextlib.suppress(BlobNotFoundError):
            self._store.delete(conf_key(topology_id))
        meta = self._store.create(conf_key(topology_id), [data])
        self._store.delete(_next_conf_key(topology_id))
        return {**base.blob_hashes, meta.key: meta.sha256}

    def delete(self, topology_id: TopologyId) -> None:
        """Delete what there is of them."""
        for key in (*topology_keys(topology_id), _next_conf_key(topology_id)):
            with contextlib.suppress(BlobNotFoundError):
                self._store.delete(key)
        self._plans.pop(topology_id, None)
        self._failures.pop(topology_id, None)

    def owners(self) -> set[TopologyId]:
        """The topologies that have a blob here; users' own blobs belong to none."""
        found, keys = set(), self._store.keys()
        for key in keys:
            owner = key.rpartition("-storm")[0]
            if owner and key in (*topology_keys(owner), _next_conf_key(owner)):
                found.add(owner)
        return found

    def _conf(self, topology_id: TopologyId) -> dict[str, Any]:
        try:
            data = self._bytes(conf_key(topology_id))
        except BlobNotFoundError:
            data = self._bytes(_next_conf_key(topology_id))  # Nimbus ended in the middle of replace_conf
            with contextlib.suppress(BlobAlreadyExistsError):
                self._store.create(conf_key(topology_id), [data])
        conf = json.loads(data)
        if not isinstance(conf, dict):
            raise ValueError(f"{conf_key(topology_id)} does not hold a JSON object")
        return conf

    def _bytes(self, key: str) -> bytes:
        return b"".join(self._store.read(key))


def _next_conf_key(topology_id: TopologyId) -> str:
    return f"{topology_id}-stormconf-next.ser"


def _encoded(conf: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(conf), sort_keys=True).encode()
