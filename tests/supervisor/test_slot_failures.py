from __future__ import annotations

from supervisor_models import ModelBlobs, ModelWorkers

from storm.cluster.records import BUILDING_ENVIRONMENT, FETCHING
from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import LocalAssignment
from storm.supervisor.slot import ITS_CODE, ITS_ENVIRONMENT, BlobsSeen, BlobsState, SlotLimits
from storm.supervisor.slot_failures import FAILURE_CHARS_MAX, slot_failures
from storm.supervisor.slot_runner import BLOBS_FORGOTTEN_SECS, SlotRunner
from storm.supervisor.worker_beats import WorkerBeats

WALL_SECS = 1_700_000_000


def test_a_slot_that_waits_comes_before_those_that_fail_and_none_comes_twice() -> None:
    workers, blobs = ModelWorkers(), ModelBlobs()
    slots = SlotRunner([1, 2, 3], SlotLimits(), workers, blobs, WorkerBeats(), lambda failure: None)
    workers.launch_failure = "x" * (FAILURE_CHARS_MAX + 1)
    blobs.states["waits"] = BlobsSeen(BlobsState.PENDING, waits_for=ITS_ENVIRONMENT)
    slots.want({
        port: LocalAssignment(topology_id, (ExecutorId(1, 1),), 1)
        for port, topology_id in ((1, "fails"), (2, "waits"), (3, "fails"))
    })  # fmt: skip
    slots.step(0.0)
    slots.step(0.0)
    found = list(slot_failures(slots, 2.0, WALL_SECS))
    assert [(each.port, each.topology_id) for each in found] == [(2, "waits"), (1, "fails"), (3, "fails")]
    assert [each.deaths > 0 for each in found] == [False, True, True]
    assert [len(each.reason) for each in found] == [len(f"waits for {ITS_ENVIRONMENT}"), *2 * [FAILURE_CHARS_MAX]]
    assert {each.wall_secs for each in found} == {WALL_SECS - 2}
    assert found[0].state == BUILDING_ENVIRONMENT
    blobs.states["waits"] = BlobsSeen(BlobsState.PENDING, waits_for=ITS_CODE)
    slots.step(3.0)
    assert next(slot_failures(slots, 3.0, WALL_SECS)).state == FETCHING
    assert len(list(slot_failures(slots, 3.0 + BLOBS_FORGOTTEN_SECS, WALL_SECS))) == 3
    late = list(slot_failures(slots, 3.1 + BLOBS_FORGOTTEN_SECS, WALL_SECS))
    assert [each.topology_id for each in late] == 2 * ["fails"], "nobody looks any more"
