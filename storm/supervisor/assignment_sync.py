"""From the cluster's assignments to what each port of this supervisor should run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.ids import ExecutorId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.cluster.records import Assignment
    from storm.ids import NodeId, TopologyId


class BlobHash(NamedTuple):
    """A blob that a topology needs: its key in the blob store and the SHA-256 of its bytes, in hex."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LocalAssignment:
    """What one port should run. Two that are equal are served by the same worker process.

    `epoch` is the version of the topology's assignment at which the port's executors were decided.
    """

    topology_id: TopologyId
    executors: tuple[ExecutorId, ...]
    epoch: int
    blob_hashes: tuple[BlobHash, ...] = ()

    def same_code(self, other: LocalAssignment) -> bool:
        """Whether both run the same bytes: the same topology, code and conf."""
        return (self.topology_id, self.blob_hashes) == (other.topology_id, other.blob_hashes)


def local_assignments(
    assignments: Iterable[Assignment], node_id: NodeId, held: Mapping[int, LocalAssignment]
) -> dict[int, LocalAssignment]:
    """{port: what it should run} of supervisor `node_id`.

    Assignments are read one topology after the other, so a port that just changed hands may show up in two. Then the
    topology that holds the port now (`held`) keeps it until the next look, else the first by id has it.
    """
    found: dict[int, LocalAssignment] = {}
    for assignment in sorted(assignments, key=lambda each: each.topology_id):
        blobs = tuple(sorted(BlobHash(*pair) for pair in assignment.blob_hashes.items()))
        for slot, executors in assignment.slot_executors().items():
            if slot.node_id != node_id:
                continue
            epoch = assignment.slot_epochs.get(slot, assignment.version)
            local = LocalAssignment(assignment.topology_id, executors, epoch, blobs)
            holder = held.get(slot.port)
            if slot.port not in found or (holder and holder.topology_id == local.topology_id):
                found[slot.port] = local
    return found


def to_plain(assignment: LocalAssignment) -> dict[str, Any]:
    """`assignment` as what JSON can hold; `from_plain` reads it."""
    return {
        "topology_id": assignment.topology_id,
        "executors": [list(executor) for executor in assignment.executors],
        "epoch": assignment.epoch,
        "blob_hashes": dict(assignment.blob_hashes),
    }


def from_plain(plain: Mapping[str, Any]) -> LocalAssignment:
    """Raises ValueError if `plain` is not what `to_plain` makes: it comes from a disk."""
    try:
        topology_id, epoch = plain["topology_id"], plain["epoch"]
        executors = tuple(ExecutorId(int(start), int(end)) for start, end in plain["executors"])
        blobs = tuple(sorted(BlobHash(str(key), str(value)) for key, value in plain["blob_hashes"].items()))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a local assignment ({type(error).__name__}: {error})") from error
    if not isinstance(topology_id, str) or not isinstance(epoch, int) or not executors:
        raise ValueError("not a local assignment: topology_id, epoch or executors are missing")
    return LocalAssignment(topology_id, executors, epoch, blobs)
