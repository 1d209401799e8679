"""Which workers this one should be connected to, and whose frames it takes: decisions over the assignment.

Connections are level-triggered: `plan` compares those that are wanted with those that are open. A peer that changed
in any respect is another peer: its connection is closed, with what waited for it, and a new one is opened.

Fencing rests on two facts of `Assignment`: its version grows with every change, and a slot's epoch is the version at
which the slot got its present executors. So a frame from a slot that the assignment does not have, or has with another
epoch, is old if its epoch is not newer than the assignment, and otherwise from a worker that we have yet to hear of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from storm.messaging.batch import WorkerAddress, node_hash, topology_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.cluster.records import Assignment, SupervisorInfo
    from storm.ids import NodeId, TaskId, TopologyId, WorkerSlot


class Peer(NamedTuple):
    """Another worker of the topology: where it listens, and the epoch of the executors that it should run."""

    slot: WorkerSlot
    host: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection to a peer."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection to a peer; what waits for it is dropped."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class View:
    """What one assignment says to one worker.

    `peers` by the hashes that their frames carry; `task_peers` says where each task outside this worker runs;
    `epochs` is {(node hash, port): epoch} of every slot.
    """

    topology_hash: int
    version: int
    peers: Mapping[tuple[int, int], Peer]
    task_peers: Mapping[TaskId, Peer]
    epochs: Mapping[tuple[int, int], int]


class Sender(NamedTuple):
    """Who sent a frame, as far as the view knows: `peer` is None for one that the assignment does not have yet."""

    fenced: bool
    peer: Peer | None


def view(assignment: Assignment, own_slot: WorkerSlot) -> View:
    """The assignment as the worker at `own_slot` needs it. A slot whose host is not known is left out."""
    peers: dict[tuple[int, int], Peer] = {}
    task_peers: dict[TaskId, Peer] = {}
    epochs: dict[tuple[int, int], int] = {}
    for slot, executors in assignment.slot_executors().items():
        key = (node_hash(slot.node_id), slot.port)
        epochs[key] = epoch = assignment.slot_epochs.get(slot, assignment.version)
        host = assignment.node_hosts.get(slot.node_id)
        if slot == own_slot or host is None:
            continue
        peers[key] = peer = Peer(slot, host, epoch)
        for executor in executors:
            task_peers.update(dict.fromkeys(executor.tasks(), peer))
    return View(topology_hash(assignment.topology_id), assignment.version, peers, task_peers, epochs)


def alone(topology_id: TopologyId, slot: WorkerSlot, epoch: int) -> View:
    """What a worker knows before it has seen an assignment."""
    return View(topology_hash(topology_id), epoch, {}, {}, {(node_hash(slot.node_id), slot.port): epoch})


def plan(wanted: View, opened: Iterable[Peer]) -> list[Connect | Disconnect]:
    """What to do so that the open connections are the wanted ones; closing comes first."""
    there = set(opened)
    peers = set(wanted.peers.values())
    close = [Disconnect(peer) for peer in sorted(there - peers)]
    return [*close, *(Connect(peer) for peer in sorted(peers - there))]


def awaited(
    missing: Iterable[Peer], supervisors: Mapping[NodeId, SupervisorInfo], topology_id: TopologyId
) -> list[Peer]:
    """Those of the peers that were not heard of yet which are about to come, as far as their supervisors say.

    Not one whose worker of this topology died more than once in a row: it may die again, any number of times. Nor one
    whose supervisor is gone: nobody starts it. `supervisors`: the records of those that live.
    """
    failing = {
        (node_id, failure.port)
        for node_id, info in supervisors.items()
        for failure in info.failures
        if failure.topology_id == topology_id and failure.deaths > 1
    }
    return [peer for peer in missing if peer.slot.node_id in supervisors and peer.slot not in failing]


def sender(seen: View, address: WorkerAddress) -> Sender:
    """Who sent a frame of this topology, and whether it is fenced: replaced already in the assignment that we know."""
    key = (address.node_hash, address.port)
    epoch = seen.epochs.get(key)
    if epoch == address.epoch:
        return Sender(False, seen.peers.get(key))
    return Sender(address.epoch <= seen.version, None)


def own_address(assignment_view: View, slot: WorkerSlot, epoch: int) -> WorkerAddress:
    """What this worker's own frames carry."""
    return WorkerAddress(assignment_view.topology_hash, node_hash(slot.node_id), slot.port, epoch)
