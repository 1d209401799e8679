"""What must hold of the code of topologies in a simulated cluster, each of whose Nimbuses has a store of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from storm.blobstore.blob_store import code_key, conf_key, jar_key, topology_keys
from storm.cluster.storm_cluster_state import StormClusterState
from storm.nimbus.topology_blobs import CLUSTER_ID_KEY, conf_places, owners

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from simulated_cluster import SimulatedCluster
    from simulated_nimbus import NimbusPlace, NimbusProcess

    from storm.cluster.records import StormBase
    from storm.ids import TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.nimbus.pending_submissions import PendingSubmission


class ChecksOfCode:
    """`problem` is told what does not hold."""

    def __init__(self, cluster: SimulatedCluster, problem: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._problem = problem

    # At every step

    def submitted(self, nimbus: NimbusProcess, pending: PendingSubmission, since: float) -> None:
        """As many Nimbuses as were asked for hold what is acknowledged, or did until they lost something, unless the
        time to wait for them is over.
        """
        places = self._cluster.nimbuses
        holders = sum(place.disk.has(pending.base.blob_hashes) or place.disk.lost_at >= since for place in places)
        if holders < pending.enough and nimbus.core.clock.now() < pending.until:
            topology_id = pending.base.topology_id
            self._problem(f"{topology_id} is acknowledged, and {holders} of {pending.enough} Nimbuses hold it")

    def assigned(self, nimbus: NimbusProcess, topology_id: TopologyId) -> None:
        """A leader moves no topology whose code it lacks."""
        if topology_id not in nimbus.core.snapshot.plans:
            self._problem(f"{nimbus.name} assigns {topology_id}, whose code it lacks")

    def is_everywhere(self, topology_id: TopologyId) -> bool:
        """Whether each Nimbus has the code."""
        return all(place.disk.is_whole(code_key(topology_id)) for place in self._cluster.nimbuses)

    # After a quiet time

    def at_the_end(self, snapshot: ClusterSnapshot) -> set[TopologyId]:
        """Every Nimbus has what the records of topologies name, and one has what ZooKeeper forgot, as far as nothing
        happened to the disks. The topologies that no leader can move: all have lost their code.
        """
        for topology_id in sorted(self._cluster.user.lost - snapshot.bases.keys()):
            # One that was just to get another conf may have had the old one no more.
            is_there = any(_is_all(place, topology_id) for place in self._places)
            if not is_there and any(topology_id in place.disk.held for place in self._places):
                self._problem(f"nobody ended {topology_id}, and its code is not all there any more")
        codeless = {topology_id for topology_id, base in snapshot.bases.items() if self._is_codeless(base)}
        for topology_id in sorted(snapshot.bases.keys() - codeless):
            if topology_id not in snapshot.plans:
                self._problem(f"the leader cannot read the code of {topology_id}, which others have")
            for place in self._places:
                self._is_complete(place, snapshot.bases[topology_id])
        return codeless | (snapshot.bases.keys() - snapshot.plans.keys())

    def lost(self) -> set[TopologyId]:
        """The topologies whose whole code is there, as far as any Nimbus knows, of a ZooKeeper that lost its data."""
        found = set()
        present = StormClusterState(self._cluster.zookeeper.tree.session()).cluster_id()
        for place in self._places:
            for topology_id in owners(place.disk.keys()):
                confs = _confs(place, topology_id)
                if {code_key(topology_id), jar_key(topology_id)} <= set(place.disk.keys(topology_id)) and confs:
                    conf = json.loads(b"".join(place.disk.read(confs[0])))
                    if conf[CLUSTER_ID_KEY] != present:
                        found.add(topology_id)
        return found

    def _is_codeless(self, base: StormBase) -> bool:
        """Whether nobody has the code; nobody has lost it but with a disk, or by damage to it."""
        if any(place.disk.has(base.blob_hashes) for place in self._places):
            return False
        for place in self._places:
            if base.blob_hashes[conf_key(base.topology_id)] in place.disk.held.get(base.topology_id, ()):
                self._problem(f"{base.topology_id} has lost its code, and {place.host}, which had it, no disk")
        return True

    def _is_complete(self, place: NimbusPlace, base: StormBase) -> None:
        """It has the three blobs, whose damage may have gone unnoticed, and no other."""
        topology_id = base.topology_id
        assert place.process is not None
        if not base.blob_hashes.items() <= place.process.core._blobs.held().items():
            self._problem(f"{place.host} lacks code of {topology_id}, which others have")
        keys = place.disk.keys(f"{topology_id}-storm")
        if not set(keys) <= set(topology_keys(topology_id)):
            self._problem(f"{place.host} has of {topology_id} the blobs {keys}")

    @property
    def _places(self) -> list[NimbusPlace]:
        return self._cluster.nimbuses


def _is_all(place: NimbusPlace, topology_id: TopologyId) -> bool:
    """Whether the whole code of the topology is there, its conf at its key or beside that."""
    return (
        place.disk.is_whole(code_key(topology_id))
        and place.disk.is_whole(jar_key(topology_id))
        and bool(_confs(place, topology_id))
    )


def _confs(place: NimbusPlace, topology_id: TopologyId) -> list[str]:
    return [key for key in conf_places(topology_id) if place.disk.is_whole(key)]


def slots_asked(snapshot: ClusterSnapshot, codeless: Collection[TopologyId]) -> int:
    """How many slots all topologies want; those without code keep what they have, whatever their records ask for."""
    return sum(
        len(snapshot.assignments[topology_id].slot_executors())
        if topology_id in codeless and topology_id in snapshot.assignments
        else min(base.num_workers, sum(base.component_executors.values()))
        for topology_id, base in snapshot.bases.items()
    )
