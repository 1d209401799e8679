"""What Nimbus shows to Prometheus, and whether it does its work."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from storm.cluster.records import TopologyStatus
from storm.metrics.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.nimbus.cluster_snapshot import ClusterSnapshot

STEP_LATE_SECS = 60.0  # a round that is so much later than its period: the thread that does all the work hangs


def cluster_series(snapshot: ClusterSnapshot, silent_workers: int) -> Iterator[Series]:
    """The cluster as this Nimbus last read it."""
    used = {slot for assignment in snapshot.assignments.values() for slot in assignment.executor_slots.values()}
    slots = sum(len(info.slot_ports) for info in snapshot.supervisors.values())
    yield Series("storm_nimbus_supervisors", {}, len(snapshot.supervisors))
    yield Series("storm_nimbus_slots", {}, slots)
    yield Series("storm_nimbus_slots_used", {}, len(used))
    yield Series("storm_nimbus_silent_workers", {}, silent_workers)
    by_status = Counter(base.status for base in snapshot.bases.values())
    for status in TopologyStatus:
        yield Series("storm_nimbus_topologies", {"status": status.value}, by_status[status])
    for topology_id, base in snapshot.bases.items():
        labels = {"topology": topology_id}
        assignment, plan = snapshot.assignments.get(topology_id), snapshot.plans.get(topology_id)
        assigned = {} if assignment is None else assignment.executor_slots
        yield Series("storm_topology_workers", labels, len(set(assigned.values())))
        yield Series("storm_topology_workers_wanted", labels, base.num_workers)
        yield Series("storm_topology_executors_assigned", labels, len(assigned))
        if plan is not None:
            executors = sum(len(some) for some in plan.executors(base.component_executors).values())
            yield Series("storm_topology_executors", labels, executors)


def problem(last_error: str, step_age_secs: float, period_secs: float) -> str:
    """What keeps a Nimbus from its work, as a sentence; empty: nothing. One that does not lead does its work too.

    `last_error`: of its last round, empty if that was done; `period_secs`: how often there is one at least.
    """
    if step_age_secs > period_secs + STEP_LATE_SECS and not last_error:
        return f"Its last round was {step_age_secs:.0f} s ago, and there is to be one every {period_secs:g} s."
    return last_error and f"It cannot go on, and tries again: {last_error}"
