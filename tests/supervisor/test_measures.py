"""A supervisor without threads, over models of its cluster and machine; its figures as Prometheus would get them."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor_models import ModelBlobs, ModelWorkers

from storm.cluster.memory import Fault, MemoryTree
from storm.cluster.records import Assignment
from storm.cluster.storm_cluster_state import StormClusterState
from storm.ids import ExecutorId, WorkerSlot
from storm.metrics.families import SUPERVISOR
from storm.metrics.series import Series, encode
from storm.supervisor.core import SupervisorCore
from storm.supervisor.local_state import MemoryState
from storm.supervisor.measures import SupervisorMeasures
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.worker_beats import WorkerBeat
from storm.testing.simulated_clock import SimulatedClock

OPTIONS = SupervisorOptions(
    Path("/nowhere"), Path("/nowhere"), node_id="node-1", host="h1", slot_ports=(6700, 6701), version="1"
)


class Forwarder:
    is_taken = True


class Story:
    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.tree = MemoryTree()
        nimbus = StormClusterState(self.tree.session())
        nimbus.prepare()
        slots = {ExecutorId(1, 1): WorkerSlot("node-1", 6700)}
        nimbus.put_assignment(Assignment("wc-1-0", 1, slots, {}, {"node-1": "h1"}, {WorkerSlot("node-1", 6700): 1}))
        self.workers = ModelWorkers()
        self.core = SupervisorCore(
            OPTIONS, clock=self.clock, blobs=ModelBlobs(), workers=self.workers, local_state=MemoryState()
        )
        self.core.attach(StormClusterState(self.tree.session()))
        self.forwarder = Forwarder()
        self.measures = SupervisorMeasures(self.core, self.forwarder, OPTIONS, self.clock)  # type: ignore[arg-type]

    def run(self, text: str | None = None) -> None:
        for _ in range(4):
            self.clock.advance(1.0)
            self.core.step()
            for handle in self.workers.alive():
                self.core.receive_beat(WorkerBeat(handle.worker_id, "wc-1-0", 6700, None, None, text))

    def shown(self) -> dict[str, list[Series]]:
        found: dict[str, list[Series]] = {}
        for series in self.measures.series():
            assert set(series.labels) <= set(SUPERVISOR[series.name].labels)
            found.setdefault(series.name, []).append(series)
        return found

    def value(self, name: str) -> float:
        [series] = self.shown()[name]
        assert isinstance(series.value, int | float)
        return series.value


@pytest.fixture
def story() -> Story:
    return Story()


def test_it_shows_itself_and_its_workers(story: Story) -> None:
    text = encode([Series("storm_worker_peers", {"topology": "a lie", "port": "1"}, 3)], [])
    story.run(text)
    story.clock.advance(2.0)
    shown = story.shown()
    [info] = shown["storm_supervisor_info"]
    assert info.labels == {"supervisor": "node-1", "host": "h1", "version": "1"}
    labels = {"topology": "wc-1-0", "port": "6700"}
    assert shown["storm_worker_peers"] == [Series("storm_worker_peers", labels, 3.0)]
    assert shown["storm_worker_heartbeat_age_seconds"] == [Series("storm_worker_heartbeat_age_seconds", labels, 2.0)]
    assert (story.value("storm_supervisor_slots"), story.value("storm_supervisor_workers")) == (2, 1)
    assert shown["storm_supervisor_worker_launches_total"] == [
        Series("storm_supervisor_worker_launches_total", {"topology": "wc"}, 1)
    ]
    assert {series.value for series in shown["storm_supervisor_worker_deaths_total"]} == {0}
    assert story.measures.problem() == ""


def test_deaths_are_counted_and_what_a_dead_worker_told_is_gone(story: Story) -> None:
    story.run(encode([Series("storm_worker_peers", {}, 3)], []))
    [worker] = story.workers.alive()
    story.workers.die(worker)
    story.core.step()
    deaths = {series.labels["reason"]: series.value for series in story.shown()["storm_supervisor_worker_deaths_total"]}
    assert (deaths["died"], sum(deaths.values())) == (1, 1)
    assert "storm_worker_peers" not in story.shown()
    assert story.value("storm_supervisor_failing_slots") == 1


def test_workers_of_a_former_run_are_known_with_the_causes_of_deaths_to_come(story: Story) -> None:
    story.run()
    after = SupervisorCore(
        OPTIONS, clock=story.clock, blobs=ModelBlobs(), workers=story.workers, local_state=MemoryState()
    )
    after.adopt()
    story.measures = SupervisorMeasures(after, story.forwarder, OPTIONS, story.clock)  # type: ignore[arg-type]
    assert story.value("storm_supervisor_worker_launches_total") == 0
    assert {series.value for series in story.shown()["storm_supervisor_worker_deaths_total"]} == {0}


def test_sessions_with_zookeeper_that_are_lost_are_counted(story: Story) -> None:
    session = story.tree.session()
    session.add_listener(story.measures.connection_changed)
    story.tree.suspend(session)
    story.tree.resume(session)
    assert story.value("storm_zookeeper_sessions_lost_total") == 0
    story.tree.expire(session)
    assert story.value("storm_zookeeper_sessions_lost_total") == 1


def test_what_keeps_it_from_its_work_is_a_sentence(story: Story) -> None:
    assert story.measures.problem() == "It does not know yet what it should run."
    story.run()
    story.forwarder.is_taken = False
    assert story.measures.problem() == "Nimbus does not take heartbeats; its workers run on."
    assert story.value("storm_supervisor_nimbus_up") == 0
    story.tree.faults = lambda storage, method, path: Fault.REFUSED
    story.clock.advance(20.0)
    story.core.step()
    assert story.measures.problem() == "ZooKeeper cannot be reached; its workers run on."
    assert story.value("storm_supervisor_zookeeper_up") == 0
    story.core.judge("its disk is full")
    assert story.measures.problem() == "This host is ill, and runs no workers: its disk is full"
    assert story.value("storm_supervisor_well") == 0
