"""Topologies that are to leave hosts: these are drained, or have not the tags that the topology asks for. Pure.

A topology leaves by a rebalance of its own, so that its spouts stand still and what is under way is done before any
worker ends. It begins only where somewhere else there is a slot for it: otherwise its spouts would stop and start again
for ever. Until then, and during the wait, its workers stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.nimbus.assignments import Round, is_welcome, scheduling_state
from storm.nimbus.topology_status import Action, Delay, transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cluster.records import StormBase
    from storm.ids import NodeId, TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.nimbus.heartbeats import AssignedSlot
    from storm.scheduler.scheduling_state import Scheduler

RUNNING = (TopologyStatus.ACTIVE, TopologyStatus.INACTIVE)


def unwelcome_nodes(snapshot: ClusterSnapshot, topology_id: TopologyId) -> frozenset[NodeId]:
    """The nodes that the topology uses and should not."""
    assignment = snapshot.assignments.get(topology_id)
    used = set() if assignment is None else {slot.node_id for slot in assignment.executor_slots.values()}
    return frozenset(node_id for node_id in used if not is_welcome(snapshot, topology_id, node_id))


def begun(
    snapshot: ClusterSnapshot,
    scheduler: Scheduler,
    dead: frozenset[AssignedSlot],
    delay: Callable[[StormBase, int | None], Delay],
) -> list[StormBase]:
    """The records of topologies that begin to leave now, with a rebalance that moves nothing else.

    `dead`: slots whose worker is dead. `delay` makes the wait of what a drain asks for (None: it asks for none).
    """
    leaving = {
        topology_id: nodes
        for topology_id in snapshot.schedulable()
        if snapshot.bases[topology_id].status in RUNNING and (nodes := unwelcome_nodes(snapshot, topology_id))
    }
    if not leaving:
        return []
    moved = scheduler(scheduling_state(snapshot, Round(0, dead, moving=frozenset(leaving))))
    changed = []
    for topology_id, nodes in leaving.items():
        if moved[topology_id]:
            base = snapshot.bases[topology_id]
            waits = [snapshot.drains[node_id].wait_secs for node_id in nodes if node_id in snapshot.drains]
            wait_secs = None if not waits or None in waits else max(wait for wait in waits if wait is not None)
            after = transition(base, Action.REBALANCE, delay(base, wait_secs), RebalanceRequest(spread=False))
            assert after is not None
            changed.append(after)
    return changed
