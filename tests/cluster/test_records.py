from __future__ import annotations

from storm.cluster.records import Assignment
from storm.ids import ExecutorId, WorkerSlot


def test_an_assignment_by_slot_has_executors_in_order() -> None:
    near, far = WorkerSlot("a", 6700), WorkerSlot("b", 6700)
    assignment = Assignment(
        "w-1-2",
        version=1,
        executor_slots={ExecutorId(5, 6): near, ExecutorId(3, 3): far, ExecutorId(1, 2): near},
        executor_start_wall_secs={},
        node_hosts={"a": "host-a", "b": "host-b"},
        slot_epochs={near: 1, far: 1},
    )
    assert assignment.slot_executors() == {near: (ExecutorId(1, 2), ExecutorId(5, 6)), far: (ExecutorId(3, 3),)}
