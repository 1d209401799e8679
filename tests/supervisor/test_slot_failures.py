from __future__ import annotations

from supervisor_models import ModelBlobs, ModelWorkers

from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.slot import BlobsSeen, BlobsState, SlotLimits
from storm.supervisor.slot_failures import FAILURE_CHARS_MAX, slot_failures
from storm.supervisor.slot_runner import SlotRunner
from storm.supervisor.worker_beats import WorkerBeats

WALL_SECS = 1_700_000_000


def test_a_slot_that_waits_comes_before_those_that_fail_and_none_comes_twice() -> None:
    workers, blobs = ModelWorkers(), ModelBlobs()
    slots = SlotRunner([1, 2, 3], SlotLimits(), workers, blobs, WorkerBeats(), lambda failure: None)
    workers.launch_failure = "x" * (FAILURE_CHARS_MAX + 1)
    blobs.states["waits"] = BlobsSeen(BlobsState.PENDING, waits_for="its environment")
    slots.want({
        port: LocalAssignment(topology_id, (ExecutorId(1, 1),), 1)
        for port, topology_id in ((1, "fails"), (2, "waits"), (3, "fails"))
    })  # fmt: skip
    slots.step(0.0)
    slots.step(0.0)
    found = list(slot_failures(slots, 2.0, WALL_SECS))
    assert [(each.port, each.topology_id) for each in found] == [(2, "waits"), (1, "fails"), (3, "fails")]
    assert [each.deaths > 0 for each in found] == [False, True, True]
    assert [len(each.reason) for each in found] == [len("waits for its environment"), *2 * [FAILURE_CHARS_MAX]]
    assert {each.wall_secs for each in found} == {WALL_SECS - 2}
