"""What is left of topologies of which there is no record, and what may be deleted of it when; see `cleanup`.

A Nimbus tells the remains of a topology that ended from those of a ZooKeeper that lost its data by the cluster's id:
the first leader makes it up, every topology's conf holds it, and a ZooKeeper that was wiped gets another one.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from storm.cluster.paths import CLUSTER_ID
from storm.errors import NodeExistsError
from storm.nimbus.cleanup import KEEP_LOST_SECS, orphans

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.nimbus.topology_blobs import TopologyBlobs

log = logging.getLogger(__name__)

ID_SHOWN_CHARS = 100  # Nimbus's own are shorter; what somebody wrote over one may be anything


class Remains:
    """Owned by Nimbus's one thread. Methods may raise CoordinationError."""

    def __init__(self, cluster_state: StormClusterState, blobs: TopologyBlobs, delay_secs: float) -> None:
        """`delay_secs`: how long remains must have been there to go.

        `cluster_id` is that of the ZooKeeper as it is now; None: it has none yet."""
        self.cluster_id: str | None = None
        self._state = cluster_state
        self._blobs = blobs
        self._delay_secs = delay_secs
        self._first_seen: dict[TopologyId, float] = {}
        self._told: set[TopologyId] = set()

    def look(self, snapshot: ClusterSnapshot, made_up: str | None) -> None:
        """Read the cluster's id; where there is none, the leader (only it gives one) makes it `made_up`."""
        before, self.cluster_id = self.cluster_id, self._state.cluster_id()
        if before is not None and self.cluster_id is not None and before != self.cluster_id:
            log.error(
                "ZooKeeper's %s was %r and is %r: it is another ZooKeeper, or somebody wrote over it. What is left of"
                " topologies that were submitted under the former id is kept for %.0f days.",
                CLUSTER_ID, before[:ID_SHOWN_CHARS], self.cluster_id[:ID_SHOWN_CHARS], KEEP_LOST_SECS / 86_400,
            )  # fmt: skip
        if self.cluster_id is not None or made_up is None:
            return
        with contextlib.suppress(NodeExistsError):
            self._state.create_cluster_id(made_up)
        self.cluster_id = self._state.cluster_id()
        owners = self._blobs.owners()
        if owners and not snapshot.bases:
            log.error(
                "ZooKeeper knows no topology, and this Nimbus has the code of %d: ZooKeeper's data was lost, or it is"
                " another ZooKeeper. That code is kept for %.0f days; docs/operations.md says what to do.",
                len(owners), KEEP_LOST_SECS / 86_400,
            )  # fmt: skip

    def forget(self) -> None:
        """Begin to count anew how long remains have been there."""
        self._first_seen.clear()

    def due(self, found: AbstractSet[TopologyId], lost: AbstractSet[TopologyId], now: float) -> list[TopologyId]:
        """Those of the `found` remains that may go now; `lost` ones nobody ended, as ZooKeeper itself shows."""

        def is_lost(topology_id: TopologyId) -> bool:
            home = self._blobs.cluster_id(topology_id)
            if topology_id not in lost and home in (None, self.cluster_id):
                return False
            if topology_id not in self._told:
                self._told.add(topology_id)
                log.error(
                    "ZooKeeper has no record of topology %s, though nobody ended it: its data was lost. What is left"
                    " of the topology stays for %.0f days.", topology_id, KEEP_LOST_SECS / 86_400,
                )  # fmt: skip
            return True

        self._first_seen, due = orphans(self._first_seen, found, self._delay_secs, is_lost, now)
        self._told &= self._first_seen.keys()
        return due
