"""Reads the cluster's state, and the code that belongs to it, into a snapshot."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from storm.nimbus.cluster_snapshot import ClusterSnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import SupervisorInfo
    from storm.cluster.storage import Watch
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.nimbus.topology_blobs import TopologyBlobs


log = logging.getLogger(__name__)


class SnapshotReader:
    """`read` may raise CoordinationError; `watch` fires when supervisors come or go. That is logged, too."""

    def __init__(self, cluster_state: StormClusterState, blobs: TopologyBlobs) -> None:
        self._state = cluster_state
        self._blobs = blobs
        self._supervisors: Mapping[str, SupervisorInfo] | None = None  # at the last read

    def read(self, watch: Watch | None = None) -> ClusterSnapshot:
        # Assignments before topologies: one that is made meanwhile must not look like the remains of a dead one.
        assigned = self._state.assignment_ids()
        assignments = {topology_id: self._state.assignment(topology_id) for topology_id in assigned}
        topology_ids = self._state.topology_ids()
        versioned = {topology_id: self._state.storm_base_versioned(topology_id) for topology_id in topology_ids}
        found = {topology_id: there for topology_id, there in versioned.items() if there is not None}
        plans = {topology_id: self._blobs.plan(base) for topology_id, (base, _) in found.items()}
        supervisors = self._state.supervisors(watch)
        self._tell_changes(supervisors)
        return ClusterSnapshot(
            bases={topology_id: base for topology_id, (base, _) in found.items()},
            base_versions={topology_id: version for topology_id, (_, version) in found.items()},
            unreadable=frozenset((*assigned, *topology_ids)) - found.keys(),
            lost=frozenset(assigned) - frozenset(topology_ids),
            assignments={topology_id: one for topology_id, one in assignments.items() if one is not None},
            unreadable_assignments=frozenset(t for t, one in assignments.items() if one is None),
            supervisors=supervisors,
            drains=self._state.drains(),
            plans={topology_id: plan for topology_id, plan in plans.items() if plan is not None},
        )

    def _tell_changes(self, supervisors: Mapping[str, SupervisorInfo]) -> None:
        before, self._supervisors = self._supervisors, supervisors
        if before is None:
            return
        for node_id in sorted(before.keys() - supervisors.keys()):
            log.warning("The supervisor of %s (%s) is gone.", before[node_id].host, node_id)
        for node_id in sorted(supervisors.keys() - before.keys()):
            log.info("The supervisor of %s (%s) is there.", supervisors[node_id].host, node_id)
