"""As test_checks.py, of the code of topologies: what replicates it, and what a leader does that lacks it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from broken_cores import Broken, is_found, named
from checks_of_code import slots_asked

from storm.cluster.records import Assignment, StormBase
from storm.ids import ExecutorId, WorkerSlot
from storm.nimbus import assignments
from storm.nimbus.blob_replication import BlobReplication
from storm.nimbus.cluster_snapshot import ClusterSnapshot
from storm.nimbus.pending_submissions import PendingSubmissions
from storm.nimbus.topology_blobs import TopologyBlobs, beside, owner_of
from storm.nimbus.topology_status import TopologyStatus

if TYPE_CHECKING:
    from storm.errors import StormError
    from storm.nimbus.pending_submissions import PendingSubmission

LOST = "disk_of_nimbus_is_lost"
DAMAGED = "blob_is_damaged"


def submissions_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BlobReplication, "count_pending", lambda self, topology_id, needed: 99)


def nothing_is_fetched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BlobReplication, "_fetch", lambda self, key, sha256, is_here: None)


def a_damaged_blob_is_kept(patch: pytest.MonkeyPatch) -> None:
    """Found so when another Nimbus wants it, and fetched again from nobody."""
    fetch = BlobReplication._fetch

    def content(self: BlobReplication, key: str, sha256: str, *, is_here: bool) -> None:
        if key not in self._blobs.corrupt:
            fetch(self, key, sha256, is_here=is_here)

    patch.setattr(BlobReplication, "_fetch", content)


def followers_delete_what_they_had_taken_when_they_led(patch: pytest.MonkeyPatch) -> None:
    """Not only what still waits."""
    add, fail_all, taken = PendingSubmissions.add, PendingSubmissions.fail_all, defaultdict(list)

    def remembered(self: PendingSubmissions, submission: PendingSubmission) -> None:
        taken[self].append(submission)
        add(self, submission)

    def all_of_them(self: PendingSubmissions, error: StormError) -> list[PendingSubmission]:
        fail_all(self, error)
        return taken[self]

    patch.setattr(PendingSubmissions, "add", remembered)
    patch.setattr(PendingSubmissions, "fail_all", all_of_them)


def what_is_beside_a_conf_stays(patch: pytest.MonkeyPatch) -> None:
    """After a rebalance."""
    discard = TopologyBlobs.discard
    patch.setattr(
        TopologyBlobs, "discard", lambda self, key: None if key in beside(owner_of(key)) else discard(self, key)
    )


def a_conf_is_looked_for_under_its_own_key_only(patch: pytest.MonkeyPatch) -> None:
    """Also where a rebalance that was cut short put it beside that."""
    patch.setattr(BlobReplication, "_place", lambda self, key, sha256: key)


def a_topology_without_code_is_moved(patch: pytest.MonkeyPatch) -> None:
    """With the executors that it had."""
    wanted = assignments.wanted_executors

    def schedulable(self: ClusterSnapshot) -> list[str]:
        return [each for each in self.launch_order() if self.bases[each].status is not TopologyStatus.KILLED
                and (each in self.plans or each in self.assignments)]  # fmt: skip

    def as_before(snapshot: ClusterSnapshot, topology_id: str) -> Any:
        if topology_id in snapshot.plans:
            return wanted(snapshot, topology_id)
        return tuple(sorted(snapshot.assignments[topology_id].executor_slots))

    patch.setattr(ClusterSnapshot, "schedulable", schedulable)
    patch.setattr(assignments, "wanted_executors", as_before)


BROKEN = [
    Broken(submissions_do_not_wait, "is acknowledged, and"),
    Broken(nothing_is_fetched, "lacks code of"),
    Broken(nothing_is_fetched, "the leader cannot read the code", (LOST,), first=18),
    Broken(a_damaged_blob_is_kept, "lacks code of", (DAMAGED, LOST), first=97),
    Broken(
        followers_delete_what_they_had_taken_when_they_led,
        "has lost its code, and",
        ("all_sessions_expire",),
        first=148,
    ),
    Broken(what_is_beside_a_conf_stays, "the blobs", ("rebalance",)),
    Broken(
        a_conf_is_looked_for_under_its_own_key_only,
        "has lost its code, and",
        ("rebalance", "death at a change", "download failed", "nimbus_is_far_from_others"),
        first=80,
    ),
    Broken(a_topology_without_code_is_moved, "whose code it lacks", (LOST, "worker_dies")),
]


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=named)
def test_a_broken_core_is_found(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    is_found(broken, monkeypatch)


def test_topologies_without_code_ask_for_the_slots_that_they_have() -> None:
    """A rebalance to two workers that nobody can carry out leaves them three."""
    places = {ExecutorId(task, task): WorkerSlot("node0", 6700 + task) for task in (1, 2, 3)}
    bases = {
        topology_id: StormBase(topology_id, topology_id, TopologyStatus.REBALANCING, 2, {"spout": 3}, 0)
        for topology_id in ("held", "never placed")
    }
    there = ClusterSnapshot(bases=bases, assignments={"held": Assignment("held", 1, places, {}, {}, {})})
    assert slots_asked(there, set()) == 2 + 2
    assert slots_asked(there, {"held", "never placed"}) == 3 + 2
