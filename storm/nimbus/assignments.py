"""From a snapshot to new assignments: who needs slots, what the scheduler says, what changes.

Rules beyond the scheduler's:

* a slot stays with its executors while its worker lives and its supervisor still offers the port;
* a node that is drained, or has not the tags that a topology asks for, is given nothing new of it; what is there stays
  until the topology is rebalanced (`departures` sees to that), and its slots are nobody else's until it has left;
* a worker whose port somebody else has moves to another slot if there is one, and stays otherwise; until a worker has
  run on that port again, or its supervisor has forgotten it, the port is used only where nothing else is free;
* a worker that dies again and again is given up like one that is silent, and goes to a host where its topology's do
  not, if one has a slot: this host may be why;
* a topology that gets no slot at all keeps the assignment it has: when its machines come back, its workers go on; a
  rebalance that gives it new code or conf gives them to its workers where they are;
* a slot's epoch changes with its set of executors, with the code or conf that they run, and when its worker was found
  dead: then the supervisor starts a new worker there;
* a host that has another name or address now is told to the workers, which run on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storm.cluster.records import BUILDING_ENVIRONMENT, FETCHING, Assignment
from storm.ids import WorkerSlot
from storm.nimbus.heartbeats import AssignedSlot
from storm.scheduler.scheduling_state import SchedulingState, TopologyNeeds
from storm.scheduler.tags import fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import StormBase
    from storm.ids import ExecutorId, NodeId, TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.scheduler.scheduling_state import Placement, Scheduler


TAGS_KEY = "topology.scheduler.tags"
DEAD, TAKEN = 2, 3  # how much such slots are to be avoided; one of a node where the topology's workers die: 1
DEATHS_OF_A_HOST = 3  # of one worker in a row: one that was killed, and could not start for a moment, is none
FETCHING_SECS_MAX = 1_800.0  # then another host may be nearer, or its disk better; a build has its own limit
FAILURES_OF_THE_PREPARING = {BUILDING_ENVIRONMENT: 1, FETCHING: DEATHS_OF_A_HOST}
DEATHS_OF_A_MINUTE = 7  # of one worker in a row: the pauses before it, of 0, 1, 2, 4, 8 and 16 s, and the starts


@dataclass(frozen=True, slots=True)
class Round:
    """What a round knows beside the snapshot.

    `dead`: slots in use whose worker is dead. `spread`: topologies whose workers shall be shared out evenly
    over the nodes, because they are being rebalanced. `moving`: topologies that leave nodes where they should not be,
    for they wait no longer. `wall_secs`: now, since the epoch.
    """

    wall_secs: int
    dead: frozenset[AssignedSlot] = frozenset()
    spread: frozenset[TopologyId] = frozenset()
    moving: frozenset[TopologyId] = frozenset()


def new_assignments(snapshot: ClusterSnapshot, scheduler: Scheduler, this: Round) -> list[Assignment]:
    """The assignments that must be written; none where nothing changes."""
    placements, _ = scheduled(snapshot, scheduler, this)
    used = {slot for placement in placements.values() for slot in placement.values()}
    changed = []
    for topology_id, placement in placements.items():
        old = snapshot.assignments.get(topology_id)
        new = placement
        if not placement and (old is None or used.isdisjoint(old.executor_slots.values())):
            # nowhere to go, and nobody else took what it had
            if old is None or topology_id not in this.moving or not _is_only_renewed(snapshot, old):
                continue
            new = old.executor_slots  # now, while its spouts stand still, rather than in a later round
        assignment = _assignment(snapshot, topology_id, new, this)
        if assignment is not None:
            changed.append(assignment)
    return changed


def scheduled(
    snapshot: ClusterSnapshot, scheduler: Scheduler, this: Round
) -> tuple[dict[TopologyId, Placement], frozenset[TopologyId]]:
    """The placements, and which topologies of `this.moving` have somewhere to go.

    The others stay where they are, and their slots must not be counted on: without them it is asked again. So it is
    for workers that cannot have their ports.
    """
    leaving = _without_port(snapshot) - this.dead
    while True:
        placements = scheduler(scheduling_state(snapshot, replace(this, dead=this.dead | leaving)))
        able = frozenset(topology_id for topology_id in this.moving if placements.get(topology_id))
        left = _better_off(snapshot, leaving, placements)
        if able == this.moving and left == leaving:
            return placements, able
        this, leaving = replace(this, moving=able), left


def scheduling_state(snapshot: ClusterSnapshot, this: Round) -> SchedulingState:
    """What the scheduler is told."""
    schedulable = snapshot.schedulable()
    reserved = {
        slot
        for topology_id, assignment in snapshot.assignments.items()
        if topology_id not in schedulable and (topology_id in snapshot.bases or topology_id in snapshot.unreadable)
        for slot in assignment.executor_slots.values()
    }
    staying = [topology_id for topology_id in schedulable if topology_id not in this.moving]
    reserved.update(*(unwelcome_slots(snapshot, topology_id) for topology_id in staying))
    offered = {
        WorkerSlot(node_id, port)
        for node_id, info in snapshot.supervisors.items()
        if node_id not in snapshot.drains
        for port in info.slot_ports
    }
    needs = tuple(_needs(snapshot, topology_id, this) for topology_id in schedulable)
    avoid = dict.fromkeys((used.slot for used in this.dead), DEAD) | dict.fromkeys(_taken(snapshot), TAKEN)
    return SchedulingState(needs, tuple(sorted(offered - reserved)), avoid)


def tags_wanted(snapshot: ClusterSnapshot, topology_id: TopologyId) -> tuple[str, ...]:
    """Those that a host must have to run the topology's workers; none where its conf is not known."""
    plan = snapshot.plans.get(topology_id)
    return () if plan is None else tuple(plan.conf.get(TAGS_KEY) or ())


def is_welcome(snapshot: ClusterSnapshot, topology_id: TopologyId, node_id: NodeId) -> bool:
    """Whether the topology may have workers on this node: it is not drained, and has the tags, as far as is known."""
    supervisor = snapshot.supervisors.get(node_id)
    if node_id in snapshot.drains:
        return False
    return supervisor is None or fits(tags_wanted(snapshot, topology_id), supervisor.meta)


def unwelcome_slots(snapshot: ClusterSnapshot, topology_id: TopologyId) -> frozenset[WorkerSlot]:
    """The slots that the topology has on nodes where it should not be."""
    assignment = snapshot.assignments.get(topology_id)
    used = set() if assignment is None else set(assignment.executor_slots.values())
    nodes = {slot.node_id for slot in used}
    unwelcome = {node_id for node_id in nodes if not is_welcome(snapshot, topology_id, node_id)}
    return frozenset(slot for slot in used if slot.node_id in unwelcome)


def preparing(snapshot: ClusterSnapshot) -> dict[AssignedSlot, float]:
    """The slots whose supervisors build an environment for the first time: a failed one counts as any failure does. And
    those to which code or blobs come, unless that went wrong as often as makes another host better. Each with how many
    seconds from its assignment that counts at most.
    """
    return {
        AssignedSlot(failure.topology_id, WorkerSlot(node_id, failure.port)): (
            FETCHING_SECS_MAX if failure.state == FETCHING else math.inf
        )
        for node_id, info in snapshot.supervisors.items()
        for failure in info.failures
        if failure.deaths < FAILURES_OF_THE_PREPARING.get(failure.state, 0)
    }


def _taken(snapshot: ClusterSnapshot) -> frozenset[WorkerSlot]:
    """The slots whose ports somebody else has, by what their supervisors say."""
    return frozenset(
        WorkerSlot(node_id, port) for node_id, info in snapshot.supervisors.items() for port in info.taken_ports
    )


def dying(snapshot: ClusterSnapshot) -> frozenset[AssignedSlot]:
    """The uses of slots whose supervisors say that the worker has died for a minute or more, and wait to start it."""
    return frozenset(
        AssignedSlot(failure.topology_id, WorkerSlot(node_id, failure.port))
        for node_id, info in snapshot.supervisors.items()
        for failure in info.failures
        if failure.deaths >= DEATHS_OF_A_MINUTE and failure.retry_wall_secs is not None
    )


def _failing_nodes(snapshot: ClusterSnapshot, topology_id: TopologyId, *, is_spread: bool) -> frozenset[NodeId]:
    """The nodes where the topology's workers die again and again, but not for their ports, or where its environment
    cannot be built; or where they did before they left, unless somebody spreads it anew: they may be mended.
    """
    return frozenset(
        node_id
        for node_id, info in snapshot.supervisors.items()
        if (not is_spread and info.left.get(topology_id, 0) >= DEATHS_OF_A_HOST)
        or any(
            failure.topology_id == topology_id
            and failure.port not in info.taken_ports
            and failure.deaths >= (1 if failure.lacks_environment else DEATHS_OF_A_HOST)
            for failure in info.failures
        )
    )


def _silent_nodes(snapshot: ClusterSnapshot, topology_id: TopologyId, this: Round) -> frozenset[NodeId]:
    """The nodes where a worker of the topology is dead and its supervisor says no word of it, as one whose disk hangs:
    its other ports are no better, however many are free.
    """
    dead = {used.slot for used in this.dead if used.topology_id == topology_id}
    if not dead:
        return frozenset()
    told = {WorkerSlot(node_id, each.port) for node_id, info in snapshot.supervisors.items() for each in info.failures}
    return frozenset(slot.node_id for slot in dead - told - _taken(snapshot))


def _without_port(snapshot: ClusterSnapshot) -> frozenset[AssignedSlot]:
    """The uses of such slots."""
    taken = _taken(snapshot)
    return frozenset(
        AssignedSlot(topology_id, slot)
        for topology_id, assignment in snapshot.assignments.items()
        for slot in (taken.intersection(assignment.executor_slots.values()) if taken else ())
    )


def _better_off(
    snapshot: ClusterSnapshot, leaving: frozenset[AssignedSlot], placements: Mapping[TopologyId, Placement]
) -> frozenset[AssignedSlot]:
    """Those of `leaving` that get a slot whose port nobody has. The others had better stay than go to one like theirs,
    from which they would come back.
    """
    taken = _taken(snapshot)
    found: set[AssignedSlot] = set()
    for topology_id in {used.topology_id for used in leaving}:
        own = sorted(used for used in leaving if used.topology_id == topology_id)
        stays = set(snapshot.assignments[topology_id].executor_slots.values()) - {used.slot for used in own}
        slots = set(placements.get(topology_id, {}).values())
        no_better = slots & taken - stays
        if slots:
            gone = [used for used in own if used.slot not in slots]
            found.update(gone[: max(0, len(own) - len(no_better))])
    return frozenset(found)


def wanted_executors(snapshot: ClusterSnapshot, topology_id: TopologyId) -> tuple[ExecutorId, ...]:
    """Every executor that the topology must have, by first task."""
    plan, base = snapshot.plans[topology_id], snapshot.bases[topology_id]
    by_component = plan.executors(base.component_executors)
    return tuple(sorted(executor for executors in by_component.values() for executor in executors))


def _needs(snapshot: ClusterSnapshot, topology_id: TopologyId, this: Round) -> TopologyNeeds:
    base = snapshot.bases[topology_id]
    old = snapshot.assignments.get(topology_id)
    wanted = wanted_executors(snapshot, topology_id)
    placed: dict[ExecutorId, WorkerSlot] = {}
    if old is not None:
        slots = set(old.executor_slots.values())
        stay = {slot for slot in slots if _may_stay(snapshot, AssignedSlot(topology_id, slot), this)}
        placed = {executor: slot for executor, slot in old.executor_slots.items() if slot in stay}
    tags = tags_wanted(snapshot, topology_id)
    nodes = frozenset(node_id for node_id, info in snapshot.supervisors.items() if fits(tags, info.meta))
    is_spread = topology_id in this.spread
    failing = _failing_nodes(snapshot, topology_id, is_spread=is_spread) | _silent_nodes(snapshot, topology_id, this)
    return TopologyNeeds(topology_id, base.num_workers, wanted, placed, is_spread, nodes if tags else None, failing)


def _may_stay(snapshot: ClusterSnapshot, used: AssignedSlot, this: Round) -> bool:
    topology_id, slot = used
    if used in this.dead or (topology_id in this.moving and not is_welcome(snapshot, topology_id, slot.node_id)):
        return False
    supervisor = snapshot.supervisors.get(slot.node_id)
    return supervisor is None or slot.port in supervisor.slot_ports


def _is_only_renewed(snapshot: ClusterSnapshot, old: Assignment) -> bool:
    """Whether the topology wants what it has, with other code or conf."""
    base, wanted = snapshot.bases[old.topology_id], wanted_executors(snapshot, old.topology_id)
    return dict(old.blob_hashes) != dict(base.blob_hashes) and tuple(sorted(old.executor_slots)) == wanted


def _assignment(
    snapshot: ClusterSnapshot, topology_id: TopologyId, placement: Placement, this: Round
) -> Assignment | None:
    """The assignment of this placement; None: the one that stands says the same."""
    base, old = snapshot.bases[topology_id], snapshot.assignments.get(topology_id)
    first_version = this.wall_secs if topology_id in snapshot.unreadable_assignments else 1
    version = first_version if old is None else old.version + 1
    epochs = _epochs(base, old, placement, version, this)
    nodes = {slot.node_id for slot in placement.values()}
    hosts = {node_id: info.host for node_id, info in snapshot.supervisors.items() if node_id in nodes}
    if old is not None:
        hosts = {node_id: host for node_id, host in old.node_hosts.items() if node_id in nodes} | hosts
        if (dict(old.executor_slots), dict(old.slot_epochs), dict(old.node_hosts)) == (dict(placement), epochs, hosts):
            return None
    start_secs = {
        executor: (this.wall_secs if old is None or epochs[slot] == version else old.executor_start_wall_secs[executor])
        for executor, slot in placement.items()
    }
    return Assignment(
        topology_id, version, dict(placement), start_secs, hosts, epochs, dict(base.blob_hashes), base.owner
    )


def _epochs(
    base: StormBase, old: Assignment | None, placement: Placement, version: int, this: Round
) -> dict[WorkerSlot, int]:
    """For each slot the version at which its workers' present task was decided."""
    new = Assignment(base.topology_id, version, placement, {}, {}, {}).slot_executors()
    if old is None or dict(old.blob_hashes) != dict(base.blob_hashes):
        return dict.fromkeys(new, version)
    before = old.slot_executors()
    return {
        slot: (
            old.slot_epochs.get(slot, version)
            if before.get(slot) == executors and AssignedSlot(base.topology_id, slot) not in this.dead
            else version
        )
        for slot, executors in new.items()
    }
