from __future__ import annotations

from dataclasses import replace
from typing import Any

from storm.cluster.records import StormBase, TopologyStatus
from storm.ids import ExecutorId
from storm.nimbus.cluster_snapshot import ClusterSnapshot, plan_of
from storm.topology.parallelism import normalise

CONF: dict[str, Any] = {"topology.workers": 2, "topology.acker.executors": 2}
OLD = StormBase("old-1-5", "old", TopologyStatus.ACTIVE, 1, {}, 5)
NEW = replace(OLD, topology_id="new-2-9", name="new", launch_wall_secs=9)


def test_a_plan_numbers_tasks_by_sorted_component(cluster: Any) -> None:
    plan = plan_of(normalise(cluster.word_count(words=1, counts=2, count_tasks=4), CONF), CONF)
    assert dict(plan.component_tasks) == {"__acker": range(1, 3), "count": range(3, 7), "words": range(7, 8)}
    assert plan.num_tasks() == 7
    assert plan.component_of(ExecutorId(3, 4)) == "count"
    assert plan.executors({"__acker": 2, "count": 2, "words": 1})["count"] == [ExecutorId(3, 4), ExecutorId(5, 6)]


def test_topologies_are_known_by_name_and_age(cluster: Any) -> None:
    plan = plan_of(normalise(cluster.word_count(), CONF), CONF)
    snapshot = ClusterSnapshot(
        bases={NEW.topology_id: NEW, OLD.topology_id: OLD}, plans={NEW.topology_id: plan, OLD.topology_id: plan}
    )
    assert snapshot.id_of("new") == "new-2-9"
    assert snapshot.id_of("newer") is None
    assert snapshot.launch_order() == snapshot.schedulable() == ["old-1-5", "new-2-9"]
    killed = replace(snapshot, bases={**snapshot.bases, "old-1-5": replace(OLD, status=TopologyStatus.KILLED)})
    assert killed.id_of("old") == "old-1-5"
    assert killed.schedulable() == ["new-2-9"]
    assert replace(snapshot, plans={}).schedulable() == []


def test_a_name_is_taken_also_where_the_record_cannot_be_read() -> None:
    snapshot = ClusterSnapshot(
        bases={OLD.topology_id: OLD}, unreadable=frozenset({"a-b-3-7", "gone-4-8"}), lost=frozenset({"gone-4-8"})
    )
    assert snapshot.taken_by("old") == "old-1-5"
    assert snapshot.taken_by("a-b") == "a-b-3-7"
    assert snapshot.taken_by("a") is snapshot.taken_by("a-b-3") is None
    assert snapshot.taken_by("gone") is None, "ZooKeeper lost its record: it is to be submitted anew"


def test_topologies_that_have_a_timeout_of_their_own_are_told(cluster: Any) -> None:
    plan = plan_of(normalise(cluster.word_count(), CONF), CONF)
    patient = replace(plan, conf={**CONF, "topology.worker.timeout.secs": 180})
    silent = replace(plan, conf={**CONF, "topology.worker.timeout.secs": None})
    assert ClusterSnapshot(plans={"a": plan, "b": patient, "c": silent}).own_timeouts() == {"b": 180}
