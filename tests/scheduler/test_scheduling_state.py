from __future__ import annotations

from storm.ids import ExecutorId, WorkerSlot
from storm.scheduler.scheduling_state import TopologyNeeds


def test_a_topology_is_placed_when_each_executor_has_a_slot() -> None:
    one, two = ExecutorId(1, 1), ExecutorId(2, 3)
    slot = WorkerSlot("n", 6700)
    assert TopologyNeeds("t", 1, (one, two), {one: slot, two: slot}).is_placed()
    assert not TopologyNeeds("t", 1, (one, two), {one: slot}).is_placed()
