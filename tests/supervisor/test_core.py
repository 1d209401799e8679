"""A whole supervisor without threads, over a cluster's state in memory and a model machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from supervisor_models import ModelBlobs, ModelWorkers

from storm.cluster.memory import MemoryTree
from storm.cluster.records import Assignment
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import CoordinationError, NotAuthorizedError
from storm.ids import SYSTEM_COMPONENT, ExecutorId, WorkerSlot
from storm.supervisor.daemon import build_supervisor
from storm.supervisor.local_state import MemoryState
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.worker_beats import WorkerBeat
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from storm.supervisor.core import SupervisorCore

NODE = "node-1"
PORT = 6700
OPTIONS = SupervisorOptions(Path("/nowhere"), Path("/nowhere"), node_id=NODE, host="h1", slot_ports=(PORT, PORT + 1))


class Cluster:
    """One machine whose supervisor can be replaced, and what Nimbus writes."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.tree = MemoryTree()
        self.nimbus = StormClusterState(self.tree.session())
        self.nimbus.prepare()
        self.workers = ModelWorkers()
        self.blobs = ModelBlobs()
        self.disk = MemoryState()
        self.core = self.started()

    def started(self, *, attached: bool = True) -> SupervisorCore:
        self.session = self.tree.session()
        core = build_supervisor(
            OPTIONS,
            clock=self.clock,
            cluster_state=StormClusterState(self.session) if attached else None,
            blobs=self.blobs,
            workers=self.workers,
            local_state=self.disk,
        )
        core.adopt()
        core.watch = core.wake
        return core

    def assign(self, topology_id: str, *ports: int, version: int = 1) -> None:
        slots = {ExecutorId(n, n): WorkerSlot(NODE, port) for n, port in enumerate(ports, 1)}
        epochs = dict.fromkeys(slots.values(), version)
        self.nimbus.put_assignment(Assignment(topology_id, version, slots, {}, {NODE: "h1"}, epochs))

    def run(self, secs: float) -> None:
        """Let time pass; every living worker beats twice a second."""
        for _ in range(int(secs * 2)):
            self.clock.advance(0.5)
            for handle in self.workers.alive():
                beat = WorkerBeat(handle.worker_id, handle.assignment.topology_id, handle.port, None)
                self.core.receive_beat(beat)
            self.core.step()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_it_registers_and_says_what_it_has(cluster: Cluster) -> None:
    cluster.core.step()
    info = cluster.nimbus.supervisors()[NODE]
    assert (info.host, info.slot_ports, info.used_ports) == ("h1", (PORT, PORT + 1), ())
    cluster.assign("words", PORT)
    cluster.run(6)
    assert cluster.nimbus.supervisors()[NODE].used_ports == (PORT,)


def test_a_watch_brings_an_assignment_at_once(cluster: Cluster) -> None:
    cluster.core.step()
    cluster.assign("words", PORT)
    cluster.core.step()
    assert [handle.port for handle in cluster.workers.alive()] == [PORT]


def test_without_the_watch_it_comes_with_the_period(cluster: Cluster) -> None:
    cluster.core.watch = None
    cluster.core.step()
    cluster.assign("words", PORT)
    cluster.run(OPTIONS.sync_secs - 1)
    assert cluster.workers.alive() == []
    cluster.run(2)
    assert [handle.port for handle in cluster.workers.alive()] == [PORT]


def test_step_says_when_it_wants_to_be_called(cluster: Cluster) -> None:
    assert cluster.core.step() == OPTIONS.heartbeat_secs


def test_failures_are_written_as_errors_of_the_system_component(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.core.step()
    cluster.workers.die(cluster.workers.alive()[0])
    cluster.run(1)
    (error,) = cluster.nimbus.errors("words", SYSTEM_COMPONENT)
    assert (error.host, error.port) == ("h1", PORT)
    assert "exited with code 1" in error.text


def test_the_lost_cluster_state_ends_no_worker_and_a_dead_one_is_replaced(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    cluster.tree.suspend(cluster.session)
    (first,) = cluster.workers.alive()
    cluster.run(60)
    assert cluster.workers.alive() == [first]
    cluster.workers.die(first)
    cluster.run(1)
    assert len(cluster.workers.alive(PORT)) == 1
    cluster.tree.resume(cluster.session)
    cluster.run(6)
    assert len(cluster.nimbus.errors("words", SYSTEM_COMPONENT)) == 1


def test_a_supervisor_that_starts_without_the_cluster_does_what_it_last_knew(cluster: Cluster) -> None:
    cluster.assign("words", PORT, PORT + 1)
    cluster.run(1)
    for handle in cluster.workers.alive():
        cluster.workers.die(handle)
    cluster.core = cluster.started(attached=False)
    cluster.core.run_slots()
    assert cluster.workers.alive() == []
    assert not cluster.core.is_synced()
    cluster.core.use_remembered(CoordinationError("no ZooKeeper."))
    cluster.core.run_slots()
    assert {handle.port for handle in cluster.workers.alive()} == {PORT, PORT + 1}


def test_a_restart_keeps_the_workers(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    before = cluster.workers.alive()
    cluster.core = cluster.started()
    cluster.run(60)
    assert cluster.workers.alive() == before


def test_an_assignment_that_nobody_can_read_ends_no_worker(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    before = cluster.workers.alive()
    cluster.session.put("/assignments/words", b"garbage")
    cluster.run(30)
    assert cluster.workers.alive() == before
    cluster.nimbus.remove_assignment("words")
    cluster.run(1)
    assert cluster.workers.alive() == []


def test_a_beat_of_a_replaced_worker_is_refused(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    with pytest.raises(NotAuthorizedError, match="has worker worker-1, not another"):
        cluster.core.receive_beat(WorkerBeat("another", "words", PORT, None))
    with pytest.raises(NotAuthorizedError, match="has no worker"):
        cluster.core.receive_beat(WorkerBeat("another", "words", PORT + 1, None))


def test_it_answers_the_assignments_that_use_it(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.core.step()
    found = cluster.core.assignment("words")
    assert found is not None
    assert found.topology_id == "words"
    assert cluster.core.assignment("other") is None


def test_an_expired_session_is_followed_by_a_new_registration(cluster: Cluster) -> None:
    cluster.core.step()
    cluster.nimbus.remove_supervisor(NODE)
    cluster.core.reconnected()
    cluster.core.step()
    assert cluster.nimbus.supervisor_ids() == [NODE]


def test_without_an_id_it_is_not_built() -> None:
    with pytest.raises(ValueError, match="node_id is empty"):
        build_supervisor(
            SupervisorOptions(Path("/nowhere"), Path("/nowhere")),
            clock=SimulatedClock(),
            cluster_state=None,
            blobs=ModelBlobs(),
            workers=ModelWorkers(),
            local_state=MemoryState(),
        )
