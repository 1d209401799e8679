"""Whose turn it is to start workers of a topology again that run well.

So they are started again one by one in the whole cluster, and a new version of a blob that they cannot live with ends
one of them and no more. A turn is a node of its holder's session.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set

    from storm.clock import Clock
    from storm.cluster.storage import Watch
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import TopologyId

log = logging.getLogger(__name__)

# A turn that none of the supervisors has held for so long holds what nobody wrote: that of one that ended is gone with
# its session, which is shorter.
STRANGE_TURN_SECS = 30.0


class RestartTurns:
    """Those of one supervisor, which writes `me` into them. `watch` is called when one changes."""

    def __init__(self, me: str, clock: Clock, watch: Watch | None) -> None:
        self._me = me
        self._clock = clock
        self._watch = watch
        self._held: frozenset[TopologyId] = frozenset()
        self._strange: dict[TopologyId, tuple[str, float]] = {}  # whose others are, and since when that was seen

    def taken(self, cluster_state: StormClusterState, wanted: Set[TopologyId]) -> frozenset[TopologyId]:
        """Which turns this supervisor has of those that it wants; it gives those that it wants no more.

        Raises CoordinationError; then it may have some of them all the same.
        """
        held = set()
        self._held |= wanted  # whatever comes of this, what may be its own is given later
        for topology_id in sorted(self._held):
            holder = cluster_state.restart_turn(topology_id, self._watch)
            if topology_id not in wanted:
                if holder == self._me:
                    cluster_state.give_restart_turn(topology_id)
            elif holder == self._me or (holder is None and cluster_state.take_restart_turn(topology_id, self._me)):
                held.add(topology_id)
            elif holder is not None and self._is_nobodys(cluster_state, topology_id, holder):
                log.warning(
                    "the turn to restart workers of %s is ended: %r, who has it, is no supervisor", topology_id, holder
                )
                cluster_state.give_restart_turn(topology_id)
        self._held = frozenset(held)
        return self._held

    def _is_nobodys(self, cluster_state: StormClusterState, topology_id: TopologyId, holder: str) -> bool:
        now = self._clock.now()
        seen, since = self._strange.get(topology_id, ("", now))
        if seen == holder and now - since < STRANGE_TURN_SECS:
            return False
        self._strange[topology_id] = (holder, now)
        if seen != holder:
            return False
        living = {info.incarnation or node_id for node_id, info in cluster_state.supervisors().items()}
        return holder not in living and cluster_state.restart_turn(topology_id) == holder
