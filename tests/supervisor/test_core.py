"""A whole supervisor without threads, over a cluster's state in memory and a model machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor_models import ModelBlobs, ModelWorkers

from storm.cluster.memory import Fault, MemoryTree
from storm.cluster.records import (
    BUILDING_ENVIRONMENT,
    FETCHING,
    Assignment,
    Recording,
    StormBase,
    TopologyStatus,
    UserBlob,
)
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import (
    AlreadyRunningError,
    CoordinationError,
    NimbusUnreachableError,
    NoPermissionError,
    NotAuthorizedError,
)
from storm.ids import SYSTEM_COMPONENT, ExecutorId, WorkerSlot
from storm.supervisor.core import Shell, SupervisorCore
from storm.supervisor.local_state import MemoryState
from storm.supervisor.log_viewer import FoundRecords, LogViewer
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.slot import BLOBS_LOOK_SECS, ITS_CODE, ITS_ENVIRONMENT, BlobsSeen, BlobsState, WorkerSeen
from storm.supervisor.worker_beats import WorkerBeat
from storm.testing.simulated_clock import SimulatedClock

if TYPE_CHECKING:
    from storm.cluster.memory import MemoryStorage
    from storm.cluster.records import SlotFailure
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.slot_runner import WorkerHandle

NODE = "node-1"
PORT = 6700
OPTIONS = SupervisorOptions(Path("/nowhere"), Path("/nowhere"), node_id=NODE, host="h1", slot_ports=(PORT, PORT + 1))


class Cluster:
    """One machine whose supervisor can be replaced, and what Nimbus writes."""

    def __init__(self, workers: ModelWorkers | None = None) -> None:
        self.clock = SimulatedClock()
        self.tree = MemoryTree()
        self.nimbus = StormClusterState(self.tree.session())
        self.nimbus.prepare()
        self.workers = workers or ModelWorkers()
        self.blobs = ModelBlobs()
        self.disk = MemoryState()
        self.code_at_nimbus: set[str] | None = set()  # None: Nimbus is away
        self.core = self.started()

    def has_code(self, topology_id: str) -> bool:
        if self.code_at_nimbus is None:
            raise NimbusUnreachableError("nobody answers")
        return topology_id in self.code_at_nimbus

    def started(
        self, *, attached: bool = True, options: SupervisorOptions = OPTIONS, shell: Shell | None = None
    ) -> SupervisorCore:
        """Another run of the supervisor; `shell` None: one with a watch, whose Nimbus can be asked."""
        self.session = self.tree.session()
        core = SupervisorCore(
            options,
            clock=self.clock,
            blobs=self.blobs,
            workers=self.workers,
            local_state=self.disk,
            shell=shell or Shell(watch=lambda: core.wake(), has_code=self.has_code),
        )
        if attached:
            core.attach(StormClusterState(self.session))
        core.adopt()
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
                beat = WorkerBeat(handle.worker_id, handle.assignment.topology_id, handle.port, None, is_prepared=True)
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


def test_it_tells_of_the_log_viewer_beside_it(cluster: Cluster) -> None:
    cluster.core.step()
    info = cluster.nimbus.supervisors()[NODE]
    assert (info.logviewer_port, info.daemon_logs) == (None, ())
    log_viewer = LogViewer(8001, lambda log_dir: [f"{log_dir.name}.log"], lambda *_: FoundRecords(()))
    cluster.started(shell=Shell(log_viewer=log_viewer)).step()
    info = cluster.nimbus.supervisors()[NODE]
    assert (info.logviewer_port, info.daemon_logs) == (8001, ("nowhere.log",))


def test_it_tells_of_profiles_that_are_being_recorded(cluster: Cluster) -> None:
    cluster.core.step()
    assert cluster.nimbus.supervisors()[NODE].recordings == ()
    told = (Recording(PORT, "words-1-1", 1_000),)
    cluster.started(shell=Shell(recordings=lambda running: told)).step()
    assert cluster.nimbus.supervisors()[NODE].recordings == told


def test_it_tells_what_its_host_has(cluster: Cluster) -> None:
    has = {"memory.mb": 2000.0, "cpu.pcore.percent": 400.0}
    cluster.started(options=replace(OPTIONS, resources=tuple(has.items()))).step()
    assert cluster.nimbus.supervisors()[NODE].resources == has


def test_a_watch_brings_an_assignment_at_once(cluster: Cluster) -> None:
    cluster.core.step()
    cluster.assign("words", PORT)
    cluster.core.step()
    assert [handle.port for handle in cluster.workers.alive()] == [PORT]


def test_without_the_watch_it_comes_with_the_period(cluster: Cluster) -> None:
    cluster.core = cluster.started(shell=Shell())
    cluster.core.step()
    cluster.assign("words", PORT)
    cluster.run(OPTIONS.sync_secs - 1)
    assert cluster.workers.alive() == []
    cluster.run(2)
    assert [handle.port for handle in cluster.workers.alive()] == [PORT]


def test_step_says_when_it_wants_to_be_called(cluster: Cluster) -> None:
    assert cluster.core.step() == OPTIONS.heartbeat_secs


def test_a_zookeeper_that_gives_no_permission_ends_it_and_no_worker(cluster: Cluster) -> None:
    def refuse(storage: MemoryStorage, method: str, path: str) -> None:
        raise NoPermissionError(f"no permission to {method} {path}")

    cluster.assign("words", PORT)
    cluster.run(6)
    before = cluster.workers.alive()
    cluster.tree.faults = refuse
    with pytest.raises(NoPermissionError, match="no permission to get /supervisors/node-1"):
        cluster.run(OPTIONS.sync_secs + OPTIONS.heartbeat_secs)
    assert cluster.workers.alive() == before != []


def test_failures_are_written_as_errors_of_the_system_component(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.core.step()
    cluster.workers.die(cluster.workers.alive()[0])
    cluster.run(1)
    (error,) = cluster.nimbus.errors("words", SYSTEM_COMPONENT)
    assert (error.host, error.port) == ("h1", PORT)
    assert "exited with code 1" in error.text
    assert (error.reason, error.lacks_environment) == ("exited with code 1 (an executor failed)", False)


def told_of_waiting(cluster: Cluster, waits_for: str) -> SlotFailure:
    """What the record says of a slot of 'words' that waits for this."""
    cluster.blobs.states["words"] = BlobsSeen(BlobsState.PENDING, waits_for=waits_for)
    cluster.assign("words", PORT)
    cluster.run(6)
    (waiting,) = cluster.nimbus.supervisors()[NODE].failures
    return waiting


def test_a_slot_that_waits_for_its_environment_is_in_the_record_without_having_died(cluster: Cluster) -> None:
    waiting = told_of_waiting(cluster, ITS_ENVIRONMENT)
    assert (waiting.port, waiting.state, waiting.deaths) == (PORT, BUILDING_ENVIRONMENT, 0)
    assert waiting.reason == f"waits for {ITS_ENVIRONMENT}"
    cluster.blobs.states["words"] = BlobsSeen(
        BlobsState.FAILED, "could not build it", "ERROR: no", 3.0, lacks_environment=True
    )
    cluster.run(1)
    (failed,) = cluster.nimbus.supervisors()[NODE].failures
    assert (failed.state, failed.deaths, failed.last_lines) == ("backing-off", 1, "ERROR: no")
    (error,) = cluster.nimbus.errors("words", SYSTEM_COMPONENT)
    assert (waiting.lacks_environment, failed.lacks_environment, error.lacks_environment) == (False, True, True)
    cluster.blobs.states["words"] = BlobsSeen(BlobsState.PENDING, waits_for=ITS_ENVIRONMENT)
    cluster.run(9)
    (again,) = cluster.nimbus.supervisors()[NODE].failures
    assert (again.state, again.deaths, again.reason) == (BUILDING_ENVIRONMENT, 1, "could not build it")
    del cluster.blobs.states["words"]
    cluster.run(75)
    assert cluster.nimbus.supervisors()[NODE].failures == ()


def test_a_slot_whose_code_still_comes_says_so_until_it_does_no_longer(cluster: Cluster) -> None:
    waiting = told_of_waiting(cluster, ITS_CODE)
    assert (waiting.port, waiting.state, waiting.deaths) == (PORT, FETCHING, 0)
    cluster.blobs.states["words"] = BlobsSeen(BlobsState.PENDING)  # nobody says so: a link hangs
    cluster.run(BLOBS_LOOK_SECS + 6)
    assert cluster.nimbus.supervisors()[NODE].failures == ()


def test_a_failing_slot_is_in_the_record_at_once_and_leaves_it_when_it_is_well(cluster: Cluster) -> None:
    cluster.assign("words", PORT, PORT + 1)
    cluster.run(2)
    wall_secs = cluster.clock.wall_secs()
    for deaths in (1, 2):
        cluster.workers.die(cluster.workers.alive(PORT)[0])
        cluster.core.run_slots()
        cluster.core.coordinate()
        (failure,) = cluster.nimbus.supervisors()[NODE].failures
        assert (failure.port, failure.topology_id, failure.deaths) == (PORT, "words", deaths)
        assert failure.reason == "exited with code 1 (an executor failed)"
        assert (failure.last_lines, failure.wall_secs) == (f"last words on {PORT}", wall_secs)
    assert (failure.state, failure.retry_wall_secs) == ("backing-off", wall_secs + 1)
    cluster.run(6)
    (failure,) = cluster.nimbus.supervisors()[NODE].failures
    assert (failure.state, failure.retry_wall_secs) == ("running", None)
    cluster.run(66)
    assert cluster.nimbus.supervisors()[NODE].failures == ()


def test_a_port_that_somebody_has_is_in_the_record_until_a_worker_works_there(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(2)
    cluster.workers.die(cluster.workers.alive()[0], WorkerSeen("exited with code 14", port_taken=True))
    cluster.core.run_slots()
    cluster.core.coordinate()
    assert cluster.nimbus.supervisors()[NODE].taken_ports == (PORT,)
    cluster.run(8)  # it beats, as a worker does before it listens
    assert cluster.nimbus.supervisors()[NODE].taken_ports == (PORT,)
    (handle,) = cluster.workers.alive()
    cluster.core.receive_beat(WorkerBeat(handle.worker_id, "words", PORT, None, is_up=True))
    cluster.core.coordinate()
    assert cluster.nimbus.supervisors()[NODE].taken_ports == ()


def test_a_topology_that_died_here_before_it_left_is_in_the_record_for_a_while(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(2)
    for _ in range(3):
        cluster.workers.die(cluster.workers.alive(PORT)[0])
        cluster.run(4)
    assert cluster.nimbus.supervisors()[NODE].left == {}
    cluster.nimbus.remove_assignment("words")
    cluster.code_at_nimbus.discard("words")
    cluster.run(6)
    assert cluster.nimbus.supervisors()[NODE].left == {"words": 3}
    cluster.code_at_nimbus.add("words")
    cluster.assign("words", PORT + 1, version=2)
    cluster.run(6)
    assert cluster.nimbus.supervisors()[NODE].left == {}, "it is here"
    cluster.nimbus.remove_assignment("words")
    cluster.code_at_nimbus.discard("words")
    cluster.run(6)
    assert set(cluster.nimbus.supervisors()[NODE].left) == {"words"}
    cluster.run(600)
    assert cluster.nimbus.supervisors()[NODE].left == {}


def test_many_failing_slots_with_long_words_in_any_bytes_still_make_a_record(cluster: Cluster) -> None:
    ports = tuple(range(1000, 1300))
    cluster.core = cluster.started(options=replace(OPTIONS, slot_ports=ports))
    cluster.workers.launch_failure = "\udcff" + "\N{SNOWMAN}" * 5000
    cluster.assign("words", *ports)
    cluster.run(1)
    failures = cluster.nimbus.supervisors()[NODE].failures
    assert len(failures) == 100
    assert failures[0].reason.startswith("could not be launched: \\udcff")


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


def test_a_supervisor_that_stood_still_does_not_blame_its_workers(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    before = cluster.workers.alive()
    cluster.clock.advance(60)
    cluster.core.run_slots()
    cluster.run(60)
    assert cluster.workers.alive() == before


def test_a_worker_that_falls_silent_is_replaced(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    (before,) = cluster.workers.alive()
    due = cluster.core.step()
    while cluster.workers.alive() == [before]:
        cluster.clock.jump_to(due)
        due = cluster.core.step()
    assert cluster.clock.now() == 31.0
    assert len(cluster.workers.alive(PORT)) == 1


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


def base(status: TopologyStatus) -> StormBase:
    return StormBase("words", "words", status, 1, {}, 0)


@pytest.mark.parametrize(
    ("status", "code", "is_kept"),
    [
        (TopologyStatus.KILLED, {"words"}, False),
        (TopologyStatus.ACTIVE, set(), True),
        (None, {"words"}, True),
        (None, None, True),
        (None, set(), False),
    ],
)
def test_a_topology_that_vanished_is_ended_only_if_that_was_decided(
    cluster: Cluster, status: TopologyStatus | None, code: set[str] | None, is_kept: bool
) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    before = cluster.workers.alive()
    if status is not None:
        cluster.nimbus.create_storm_base(base(status))
    cluster.code_at_nimbus = code
    cluster.nimbus.remove_assignment("words")
    cluster.run(30)
    assert cluster.workers.alive() == (before if is_kept else [])
    cluster.core = cluster.started()
    cluster.run(1)
    assert cluster.workers.alive() == (before if is_kept else [])
    cluster.nimbus.remove_storm_base("words")
    cluster.code_at_nimbus = set()
    cluster.run(30)
    assert cluster.workers.alive() == []


def test_a_nimbus_that_does_not_answer_is_waited_for_once_however_many_topologies_vanished(cluster: Cluster) -> None:
    asked = []

    def has_code(topology_id: str) -> bool:
        asked.append(topology_id)
        raise NimbusUnreachableError("nobody answers")

    cluster.core = cluster.started(shell=Shell(has_code=has_code))
    cluster.assign("words", PORT)
    cluster.assign("other", PORT + 1)
    cluster.run(1)
    for topology_id in ("words", "other"):
        cluster.nimbus.remove_assignment(topology_id)
    cluster.core.wake()
    cluster.core.step()
    assert asked == ["other"]
    assert len(cluster.workers.alive()) == 2


def test_a_record_that_nobody_can_read_is_no_killed_topology(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    cluster.session.put("/storms/words", b"garbage")
    cluster.nimbus.remove_assignment("words")
    cluster.run(30)
    assert len(cluster.workers.alive()) == 1


def test_on_its_return_a_supervisor_ends_what_was_given_to_others_meanwhile(cluster: Cluster) -> None:
    cluster.assign("words", PORT, PORT + 1)
    cluster.run(1)
    elsewhere = {ExecutorId(1, 1): WorkerSlot("node-2", PORT), ExecutorId(2, 2): WorkerSlot(NODE, PORT + 1)}
    epochs = {WorkerSlot("node-2", PORT): 2, WorkerSlot(NODE, PORT + 1): 1}
    cluster.nimbus.put_assignment(Assignment("words", 2, elsewhere, {}, {NODE: "h1", "node-2": "h2"}, epochs))
    _, kept = cluster.workers.alive()
    cluster.core = cluster.started()
    cluster.core.step()
    assert cluster.workers.alive() == [kept]


HERE = replace(OPTIONS, home="home-1", machine="machine-1", incarnation="run-1")
COPY = replace(OPTIONS, host="h2", local_dir=Path("/copy"), home="home-2", machine="machine-2", incarnation="run-9")


def test_a_copied_directory_is_refused_and_its_supervisor_does_nothing_before(cluster: Cluster) -> None:
    cluster.core = cluster.started(options=HERE)
    cluster.assign("words", PORT)
    cluster.run(1)
    copy = Cluster()
    copy.tree, copy.nimbus, copy.clock = cluster.tree, cluster.nimbus, cluster.clock
    copy.core = copy.started(options=COPY)

    def both_run() -> None:
        for _ in range(20):
            copy.core.step()
            cluster.run(1)

    with pytest.raises(AlreadyRunningError, match="in use: a supervisor on host h1 with local directory /nowhere"):
        both_run()
    assert copy.workers.launched == []
    assert cluster.nimbus.supervisors()[NODE].host == "h1"
    assert len(cluster.workers.alive(PORT)) == 1


def test_a_copy_beside_the_original_does_nothing_that_is_remembered_either(cluster: Cluster) -> None:
    cluster.core = cluster.started(options=HERE)
    cluster.assign("words", PORT)
    cluster.run(1)
    original, cluster.workers = cluster.workers, ModelWorkers()
    cluster.core = cluster.started(options=replace(COPY, machine=HERE.machine))
    cluster.core.step()
    cluster.tree.suspend(cluster.session)
    cluster.run(10)
    assert cluster.workers.launched == []
    assert len(original.alive(PORT)) == 1


def test_a_registration_that_failed_is_made_again_soon(cluster: Cluster) -> None:
    refusals = [Fault.REFUSED]
    cluster.tree.faults = lambda storage, method, path: (
        refusals.pop() if method == "put_ephemeral" and refusals else None
    )
    cluster.core.step()
    assert cluster.nimbus.supervisors() == {}
    cluster.run(1.5)
    assert list(cluster.nimbus.supervisors()) == [NODE]


def test_of_two_that_registered_at_the_same_moment_one_goes(cluster: Cluster) -> None:
    cluster.core = cluster.started(options=HERE)
    cluster.core.step()
    other = StormClusterState(cluster.tree.session())
    taken = replace(cluster.nimbus.supervisors()[NODE], incarnation="run-9", home="home-2", host="h2")

    def both_run() -> None:
        for _ in range(20):
            other.put_supervisor(taken)
            cluster.run(1)

    with pytest.raises(AlreadyRunningError, match="on host h2"):
        both_run()


def test_a_moved_disk_takes_over_when_the_session_of_the_old_machine_has_ended(cluster: Cluster) -> None:
    cluster.core = cluster.started(options=HERE)
    cluster.core.step()
    former = cluster.session
    cluster.assign("words", PORT)
    cluster.core = cluster.started(options=COPY)
    cluster.run(10)
    assert cluster.workers.launched == []
    cluster.tree.expire(former)
    cluster.run(2)
    assert cluster.nimbus.supervisors()[NODE].host == "h2"
    assert len(cluster.workers.alive(PORT)) == 1


def test_after_a_kill_the_same_directory_is_registered_again_at_once(cluster: Cluster) -> None:
    cluster.core = cluster.started(options=HERE)
    cluster.core.step()
    cluster.core = cluster.started(options=replace(HERE, host="renamed", incarnation="run-2"))
    cluster.core.step()
    assert cluster.nimbus.supervisors()[NODE].host == "renamed"


def test_what_another_machine_remembers_is_not_done_without_the_cluster(cluster: Cluster) -> None:
    cluster.core = cluster.started(options=HERE)
    cluster.assign("words", PORT)
    cluster.run(1)
    cluster.workers = ModelWorkers()
    for options, count in ((COPY, 0), (HERE, 1)):
        cluster.core = cluster.started(attached=False, options=options)
        cluster.core.use_remembered(CoordinationError("no ZooKeeper."))
        cluster.core.run_slots()
        assert len(cluster.workers.alive()) == count


def test_a_beat_of_a_replaced_worker_is_refused(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(1)
    with pytest.raises(NotAuthorizedError, match="has worker worker-1, not another"):
        cluster.core.receive_beat(WorkerBeat("another", "words", PORT, None))
    with pytest.raises(NotAuthorizedError, match="has no worker"):
        cluster.core.receive_beat(WorkerBeat("another", "words", PORT + 1, None))


def test_while_nimbus_takes_no_beats_the_record_tells_of_them(cluster: Cluster) -> None:
    cluster.assign("words", PORT, version=7)
    cluster.run(6)
    assert cluster.nimbus.supervisors()[NODE].unheard == ()
    told = []
    for _ in range(3):
        cluster.core.beats.give_back(cluster.core.beats.take_for_nimbus())
        cluster.run(OPTIONS.heartbeat_secs)
        told.append(cluster.nimbus.supervisors()[NODE].unheard)
    assert [[(each.port, each.topology_id, each.epoch) for each in one] for one in told] == 3 * [[(PORT, "words", 7)]]
    assert len({one[0].beat_secs for one in told}) == 3
    cluster.core.beats.delivered()
    cluster.run(OPTIONS.heartbeat_secs)
    assert cluster.nimbus.supervisors()[NODE].unheard == ()


def test_it_answers_the_assignments_that_use_it(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.core.step()
    found = cluster.core.assignment("words")
    assert found is not None
    assert found.topology_id == "words"
    assert cluster.core.assignment("other") is None


def test_it_knows_the_topologies_that_use_it_also_while_zookeeper_is_away(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.core.step()
    assert cluster.core.known("words") is None, "nobody wrote its record"
    base = StormBase("words", "words", TopologyStatus.INACTIVE, 1, {}, 0)
    cluster.nimbus.create_storm_base(base)
    cluster.core.wake()
    cluster.core.step()
    cluster.tree.suspend(cluster.session)
    cluster.core.wake()
    cluster.core.step()
    known = cluster.core.known("words")
    assert known is not None
    assert known.status is TopologyStatus.INACTIVE
    assert known.assignment == cluster.core.assignment("words")
    assert cluster.core.known("other") is None


def test_an_expired_session_is_followed_by_a_new_registration(cluster: Cluster) -> None:
    cluster.core.step()
    cluster.nimbus.remove_supervisor(NODE)
    cluster.core.reconnected()
    cluster.core.step()
    assert cluster.nimbus.supervisor_ids() == [NODE]


def test_without_an_id_it_is_not_built() -> None:
    with pytest.raises(ValueError, match="node_id is empty"):
        SupervisorCore(
            SupervisorOptions(Path("/nowhere"), Path("/nowhere")),
            clock=SimulatedClock(),
            blobs=ModelBlobs(),
            workers=ModelWorkers(),
            local_state=MemoryState(),
        )


class Crashed(BaseException):
    """The supervisor dies at this line."""


class CrashingWorkers(ModelWorkers):
    """Ends the supervisor before or after the `fuse`-th thing that it does to a process."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = -1

    def _burn(self) -> None:
        self.fuse -= 1
        if self.fuse == 0:
            raise Crashed

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        self._burn()
        assert self.alive(port) == [], "two workers on a port"
        handle = super().launch(port, assignment)
        self._burn()
        return handle

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        self._burn()
        super().kill(worker, force=force)
        self._burn()

    def forget(self, worker: WorkerHandle) -> None:
        self._burn()
        super().forget(worker)
        self._burn()


TOPOLOGIES = ("a", "b")
FAULTS = st.one_of(
    st.tuples(st.just("assign"), st.sampled_from(TOPOLOGIES), st.sets(st.sampled_from([PORT, PORT + 1]))),
    st.tuples(st.just("worker dies"), st.integers(0, 1)),
    st.tuples(st.just("workers are deaf"), st.booleans()),
    st.tuples(st.just("supervisor restarts")),
    st.tuples(st.just("supervisor crashes soon"), st.integers(1, 6)),
    st.tuples(st.just("session ends")),
    st.tuples(st.just("cluster is away"), st.booleans()),
    st.tuples(st.just("time passes"), st.integers(1, 40)),
)


class Story:
    """A cluster to which faults happen; the supervisor is started again whenever it dies."""

    def __init__(self) -> None:
        self.cluster = Cluster(CrashingWorkers())
        self.wanted: dict[int, str] = {}
        self.version = 0

    def happens(self, what: str, *details: object) -> None:
        cluster = self.cluster
        match what, *details:
            case "assign", str(topology_id), set(ports):
                free = {port for port in ports if self.wanted.get(port, topology_id) == topology_id}
                self.version += 1
                self.wanted = {port: held for port, held in self.wanted.items() if held != topology_id}
                self.wanted |= dict.fromkeys(free, topology_id)
                cluster.assign(topology_id, *sorted(free), version=self.version)
            case "worker dies", int(number):
                for worker in cluster.workers.alive()[number : number + 1]:
                    cluster.workers.die(worker)
            case "workers are deaf", bool(are_deaf):
                cluster.workers.are_deaf = are_deaf
            case ["supervisor restarts"]:
                cluster.core = cluster.started()
            case "supervisor crashes soon", int(fuse):
                cluster.workers.fuse = fuse  # type: ignore[attr-defined]
            case ["session ends"]:
                cluster.tree.expire(cluster.session)
            case "cluster is away", bool(is_away):
                (cluster.tree.suspend if is_away else cluster.tree.resume)(cluster.session)
            case "time passes", int(secs):
                self.run(secs)

    def run(self, secs: int) -> None:
        for _ in range(secs):
            try:
                self.cluster.run(1)
            except Crashed:
                self.cluster.core = self.cluster.started()
            ports = [worker.port for worker in self.cluster.workers.alive()]
            assert len(ports) == len(set(ports)), "two workers on a port"


@pytest.mark.slow
@given(st.lists(FAULTS, max_size=25))
def test_whatever_happens_each_port_runs_what_is_assigned_once_faults_stop(faults: list[tuple[object, ...]]) -> None:
    story = Story()
    for fault in faults:
        story.happens(*fault)  # type: ignore[arg-type]
        story.run(1)
    story.happens("cluster is away", False)
    story.cluster.workers.fuse = -1  # type: ignore[attr-defined]
    story.run(180)
    found = {worker.port: worker.assignment.topology_id for worker in story.cluster.workers.alive()}
    assert found == story.wanted
    assert len(story.cluster.workers.processes) == len(found)
    assert story.cluster.nimbus.supervisors()[NODE].used_ports == tuple(sorted(found))
    assert story.cluster.blobs.kept == set(story.wanted.values())


def test_an_ill_host_ends_its_workers_offers_no_port_and_comes_back(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(2)
    assert len(cluster.workers.alive()) == 1
    cluster.core.judge("disk.sh says ERROR sda")
    cluster.run(OPTIONS.limits.kill_grace_secs + 2)
    info = cluster.nimbus.supervisors()[NODE]
    assert (info.slot_ports, info.illness, cluster.core.illness) == ((), *["disk.sh says ERROR sda"] * 2)
    assert cluster.workers.alive() == []
    cluster.assign("words", PORT, PORT + 1, version=2)
    cluster.run(15)
    assert cluster.workers.alive() == [], "what is assigned in the meantime waits"
    cluster.core.judge("")
    cluster.run(2)
    info = cluster.nimbus.supervisors()[NODE]
    assert (info.slot_ports, info.illness) == ((PORT, PORT + 1), "")
    assert sorted(handle.port for handle in cluster.workers.alive()) == [PORT, PORT + 1]


def test_an_ill_host_ends_its_workers_without_zookeeper_too(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(2)

    def unreachable(*_: object) -> None:
        raise CoordinationError("nobody answers")

    cluster.tree.faults = unreachable
    cluster.run(10)
    assert len(cluster.workers.alive()) == 1
    cluster.core.judge("disk.sh says ERROR sda")
    cluster.run(OPTIONS.limits.kill_grace_secs + 2)
    assert cluster.workers.alive() == []


def test_a_host_that_falls_ill_before_zookeeper_is_reached_ends_what_it_adopted(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(2)
    core = cluster.started(attached=False)
    away = CoordinationError("no ZooKeeper.")
    core.use_remembered(away)
    core.run_slots()
    assert len(cluster.workers.alive()) == 1
    core.judge("disk.sh says ERROR sda")
    core.use_remembered(away)
    core.run_slots()
    assert cluster.workers.alive() == []
    core.judge("")
    core.use_remembered(away)
    core.run_slots()
    assert len(cluster.workers.alive()) == 1


def test_a_host_that_is_ill_from_the_start_ends_what_it_adopted(cluster: Cluster) -> None:
    cluster.assign("words", PORT)
    cluster.run(2)
    cluster.core = cluster.started()
    cluster.core.judge("disk.sh says ERROR sda")
    cluster.run(OPTIONS.limits.kill_grace_secs + 2)
    assert cluster.workers.alive() == []
    assert cluster.disk.get("assignments").keys() == {str(PORT)}, "what it should run is remembered"


# Blobs


def test_what_a_blob_has_now_is_looked_up_and_followed(cluster: Cluster) -> None:
    cluster.blobs.named = frozenset({"words.txt", "none.txt"})
    cluster.nimbus.put_user_blob(UserBlob("words.txt", 1, "a1", 3, 0))
    cluster.core.step()
    assert cluster.blobs.contents == {"words.txt": "a1", "none.txt": ""}
    cluster.nimbus.put_user_blob(UserBlob("words.txt", 2, "a2", 3, 0))
    cluster.nimbus.put_user_blob(UserBlob("none.txt", 1, "b1", 3, 0))
    cluster.core.step()  # at once, by the watch
    assert cluster.blobs.contents == {"words.txt": "a2", "none.txt": "b1"}


def test_without_zookeeper_a_supervisor_goes_by_what_it_was_told_last(cluster: Cluster) -> None:
    cluster.blobs.named = frozenset({"words.txt"})
    cluster.nimbus.put_user_blob(UserBlob("words.txt", 1, "a1", 3, 0))
    cluster.core.step()
    cluster.blobs = ModelBlobs()
    cluster.started(attached=False)
    assert cluster.blobs.contents == {"words.txt": "a1"}


def test_what_no_topology_names_any_more_is_not_remembered(cluster: Cluster) -> None:
    cluster.blobs.named = frozenset({"words.txt"})
    cluster.core.step()
    assert cluster.disk.get("blobs") == {"words.txt": ""}
    cluster.blobs.named = frozenset()
    cluster.core.wake()
    cluster.core.step()
    assert cluster.disk.get("blobs") == {}


def wanting_restart(cluster: Cluster) -> set[str]:
    """Two workers of a topology that want another version of a blob; their ids."""
    cluster.assign("words", PORT, PORT + 1)
    cluster.run(10)
    old = {handle.worker_id for handle in cluster.workers.alive()}
    cluster.blobs.outdated = old
    return old


def alive_of(cluster: Cluster, workers: set[str]) -> int:
    return sum(handle.worker_id in workers for handle in cluster.workers.alive())


def test_workers_are_restarted_while_it_is_the_turn_of_their_supervisor(cluster: Cluster) -> None:
    old = wanting_restart(cluster)
    there = cluster.nimbus.supervisors()[NODE]
    cluster.nimbus.put_supervisor(replace(there, node_id="n2", incarnation="another supervisor"))
    assert cluster.nimbus.take_restart_turn("words", "another supervisor")
    cluster.run(30)
    assert alive_of(cluster, old) == 2
    cluster.nimbus.give_restart_turn("words")
    cluster.run(1)
    assert alive_of(cluster, old) == 1
    assert cluster.nimbus.restart_turn("words") == NODE
    cluster.run(30)
    assert (alive_of(cluster, old), len(cluster.workers.alive())) == (0, 2)
    assert cluster.nimbus.restart_turn("words") is None


def test_the_turn_is_kept_while_a_worker_does_not_live(cluster: Cluster) -> None:
    old = wanting_restart(cluster)
    for _ in range(100):
        cluster.run(0.5)
        for handle in cluster.workers.alive():
            if handle.worker_id not in old:
                cluster.workers.die(handle)
    assert alive_of(cluster, old) == 1
    assert cluster.nimbus.restart_turn("words") == NODE
    cluster.assign("words", version=2)
    cluster.run(15)
    assert cluster.nimbus.restart_turn("words") is None


def test_without_zookeeper_no_worker_is_restarted(cluster: Cluster) -> None:
    old = wanting_restart(cluster)
    cluster.tree.faults = lambda storage, method, path: Fault.REFUSED
    cluster.run(30)
    assert alive_of(cluster, old) == 2
    cluster.tree.faults = None
    cluster.run(40)
    assert alive_of(cluster, old) == 0
