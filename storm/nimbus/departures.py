"""Topologies that are to leave hosts: these are drained, or have not the tags that the topology asks for. Pure.

A topology leaves by a rebalance of its own, so that its spouts stand still and what is under way is done before any
worker ends. It begins only where somewhere else there is a slot for it: otherwise its spouts would stop and start again
for ever. Until then, and during the wait, its workers stay as they are.

A slot counts only if it is there at any time: not what another leaves later, nor what another that waits already shall
get. Only where nobody can move so, those begin that can change places all at once, when the longest of their waits
is over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.nimbus.assignments import Round, scheduled, unwelcome_slots
from storm.nimbus.topology_status import Action, Delay, transition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from storm.cluster.records import StormBase
    from storm.ids import NodeId, TopologyId, WorkerSlot
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.nimbus.heartbeats import AssignedSlot
    from storm.scheduler.scheduling_state import Placement, Scheduler, SchedulingState

RUNNING = (TopologyStatus.ACTIVE, TopologyStatus.INACTIVE)


def unwelcome_nodes(snapshot: ClusterSnapshot, topology_id: TopologyId) -> frozenset[NodeId]:
    """The nodes that the topology uses and should not."""
    return frozenset(slot.node_id for slot in unwelcome_slots(snapshot, topology_id))


def begun(
    snapshot: ClusterSnapshot,
    scheduler: Scheduler,
    dead: Callable[[], frozenset[AssignedSlot]],
    delay: Callable[[StormBase, int | None], Delay],
) -> list[StormBase]:
    """The records of topologies that begin to leave now, with a rebalance that moves nothing else.

    `dead` finds the slots whose worker is dead; it is asked where somebody would leave. `delay` makes the wait of what
    a drain asks for (None: it asks for none).
    """
    begin, is_exchange = _able_to_leave(snapshot, scheduler, dead)
    delays = {
        topology_id: delay(snapshot.bases[topology_id], _wait_secs(snapshot, topology_id)) for topology_id in begin
    }
    if is_exchange:
        delays = dict.fromkeys(delays, max(delays.values(), key=lambda each: each.wait_secs))
    changed = []
    for topology_id, each in delays.items():
        request = RebalanceRequest(spread=False)
        after = transition(snapshot.bases[topology_id], Action.REBALANCE, each, request)
        assert after is not None
        changed.append(after)
    return changed


def _able_to_leave(
    snapshot: ClusterSnapshot, scheduler: Scheduler, find_dead: Callable[[], frozenset[AssignedSlot]]
) -> tuple[list[TopologyId], bool]:
    """Who can begin to leave, and whether only all of them at once can."""
    out_of_place = {
        topology_id: slots
        for topology_id in snapshot.schedulable()
        if (slots := unwelcome_slots(snapshot, topology_id))
    }
    leaving = [topology_id for topology_id in out_of_place if snapshot.bases[topology_id].status in RUNNING]
    if not leaving:
        return [], False
    dead = find_dead()

    def trial(
        who: Iterable[TopologyId], taken: Collection[WorkerSlot]
    ) -> tuple[dict[TopologyId, Placement], frozenset[TopologyId]]:
        def schedule(state: SchedulingState) -> dict[TopologyId, Placement]:
            return scheduler(replace(state, slots=tuple(slot for slot in state.slots if slot not in taken)))

        return scheduled(snapshot, schedule, Round(0, dead, moving=frozenset(who)))

    taken = {slot for slots in out_of_place.values() for slot in slots}
    waiting = out_of_place.keys() - leaving
    if waiting:
        placements, _ = trial(waiting, taken)
        taken.update(slot for topology_id in waiting for slot in placements[topology_id].values())
    _, able = trial(leaving, taken)
    is_exchange = not able and not waiting
    if is_exchange:
        _, able = trial(leaving, ())
    return [topology_id for topology_id in leaving if topology_id in able], is_exchange and bool(able)


def _wait_secs(snapshot: ClusterSnapshot, topology_id: TopologyId) -> int | None:
    """The longest wait that the drains of its nodes ask for; None: the message timeout, as one of them says nothing."""
    nodes = unwelcome_nodes(snapshot, topology_id)
    waits = [snapshot.drains[node_id].wait_secs for node_id in nodes if node_id in snapshot.drains]
    return None if not waits or None in waits else max(wait for wait in waits if wait is not None)
