"""Hosts: a disk, the processes of workers, and the supervisor, which runs the real core."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from event_loop import HostClock, Loop, Process
from simulated_worker import BEAT_SECS, NOWHERE, WorkerProcess

from storm.cluster.storage import ConnectionState
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import AlreadyRunningError, BlobStoreError, NoPermissionError, StormError, WorkerStartError
from storm.messaging.batch import node_hash
from storm.supervisor.core import Shell, SupervisorCore
from storm.supervisor.local_state import MemoryState
from storm.supervisor.nimbus_link import HeartbeatForwarder, code_lookup, sources_of
from storm.supervisor.profiling import Profiler
from storm.supervisor.service import SupervisorService
from storm.supervisor.slot import BlobsSeen, BlobsState, WorkerSeen
from storm.supervisor.slot_runner import OnlyCode, WorkerHandle
from storm.worker.worker import EXIT_ORDERLY, EXIT_PORT_TAKEN

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from simulated_cluster import SimulatedCluster

    from storm.hosts.facts import HostReport
    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.blob_download import Sources
    from storm.supervisor.options import SupervisorOptions

DOWNLOAD_SECS = 2.0
SIGNAL_SECS = 0.01
JUNK = (None, 7, "junk", [], {"6700": None}, {"6700": {"assignment": 1}}, {"x": {}}, {"6701": {"deaths": -1}})


class SupervisorProcess(Process):
    """A supervisor: the real core, whose threads are loops here."""

    def __init__(self, host: Host, number: int) -> None:
        super().__init__(host.cluster.events, f"supervisor-{host.name}#{number}")
        self.host = host
        self.began_at = self.events.clock.now()
        self.session = host.cluster.zookeeper.session(self, host.name)
        shell = Shell(
            self.wake_slots,
            self.after_watch,
            lambda: self.core.wake(),
            code_lookup(host.cluster.nimbus_link(host, self), lambda key: self.core.replicas(key)),
        )
        self.core = SupervisorCore(
            host.options,
            clock=host.clock,
            blobs=host.blobs,
            workers=host.workers,
            local_state=host.disk,
            shell=shell,
        )
        self.core.attach(StormClusterState(self.session))
        self._coordinate = Loop(self, "coordinates", self._coordinated)
        self._slots = Loop(self, "slots", self._slots_run)
        self._forward = Loop(self, "forwards heartbeats", self._forwarded)
        profiler = Profiler(NOWHERE, host.clock)
        self.service = SupervisorService(
            self.core, NOWHERE, self._coordinate.wake, self.wake_slots, _no_report, profiler
        )
        self._forwarder = HeartbeatForwarder(host.node_id, self.core.beats, host.cluster.nimbus_link(host, self))
        self.session.add_listener(self._connection_changed)
        self.run(self._started)

    def wake_slots(self) -> None:
        """Something happened to a worker."""
        self._slots.wake()

    def after_watch(self) -> None:
        self._coordinate.wake()

    def on_death(self) -> None:
        self.session.part()

    def on_pause(self) -> None:
        self.session.part()

    def on_resume(self) -> None:
        self.session.reconnect()

    def _started(self) -> None:
        self.core.adopt()
        for loop in (self._coordinate, self._slots, self._forward):
            loop.wake()

    def _coordinated(self) -> float | None:
        try:
            return self.core.coordinate() - self.host.clock.now()
        except (AlreadyRunningError, NoPermissionError) as error:
            self.die(f"refused: {error}")
            return None

    def _slots_run(self) -> float | None:
        due = self.core.run_slots()
        return None if due is None else due - self.host.clock.now()

    def _forwarded(self) -> float:
        self._forwarder.forward()
        return BEAT_SECS

    def _connection_changed(self, state: ConnectionState) -> None:
        if state is ConnectionState.CONNECTED:
            self.core.reconnected()
            self._coordinate.wake()


class HostWorkers:
    """A supervisor's `Workers`: the processes of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def adopt(self) -> list[WorkerHandle]:
        host = self._host
        host.processes = {name: process for name, process in host.processes.items() if process.alive}
        return [process.handle for process in host.processes.values()]

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        return self._host.launch(port, assignment)

    def look(self, worker: WorkerHandle) -> WorkerSeen:
        process = self._host.processes.get(worker.worker_id)
        if process is None:
            return WorkerSeen("is gone")
        code = process.code
        ended = WorkerSeen(f"exited with code {code}", code == EXIT_ORDERLY, port_taken=code == EXIT_PORT_TAKEN)
        return WorkerSeen() if process.alive else ended

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        host = self._host
        process = host.processes.get(worker.worker_id)
        if process is not None and process.alive and host.supervisor is not None:
            host.cluster.checks.worker_is_ended(host.supervisor, process)
        host.signal(worker, force)

    def forget(self, worker: WorkerHandle) -> None:
        host = self._host
        host.act(f"forgets {worker.worker_id}")
        process = host.processes.pop(worker.worker_id, None)
        if process is not None and process.alive:
            host.cluster.checks.problem(f"{process.name} is given up and lives")
            process.die("SIGKILL, with all that it left")

    def log_tail(self, topology_id: TopologyId, port: int) -> str:
        return ""


class HostBlobs(OnlyCode):
    """A supervisor's `Blobs`: code on the host's disk, fetched from any Nimbus that holds it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._states: dict[LocalAssignment, BlobsSeen] = {}

    def request(self, assignment: LocalAssignment) -> None:
        host, events = self._host, self._host.cluster.events
        if _is_all(host.code.get(assignment.topology_id), assignment):
            self._states[assignment] = BlobsSeen(BlobsState.READY)
            return
        self._states[assignment] = BlobsSeen(BlobsState.PENDING)
        events.after(
            events.soon(DOWNLOAD_SECS), f"download of {assignment.topology_id} by {host.name}",
            lambda: self._due(assignment),
        )  # fmt: skip

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        return self._states.get(assignment, BlobsSeen(BlobsState.PENDING))

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        host = self._host
        host.code = {topology_id: blobs for topology_id, blobs in host.code.items() if topology_id in topology_ids}
        self._states = {each: state for each, state in self._states.items() if each.topology_id in topology_ids}

    def _due(self, assignment: LocalAssignment) -> None:
        if self._host.supervisor is not None:
            self._host.supervisor.run(lambda: self._downloaded(assignment))

    def _downloaded(self, assignment: LocalAssignment) -> None:
        """Nimbus may take a while: meanwhile nobody may want the code any more, or the supervisor ends."""
        if not self._awaits(assignment):
            return
        code: dict[str, bytes] = {}
        try:
            code, seen = self._fetched(assignment), BlobsSeen(BlobsState.READY)
        except StormError as error:
            seen = BlobsSeen(BlobsState.FAILED, f"download failed: {error}")
        host = self._host
        if self._awaits(assignment) and host.supervisor is not None:
            self._states[assignment] = seen
            if code:
                host.code[assignment.topology_id] = code
            host.supervisor.wake_slots()

    def _awaits(self, assignment: LocalAssignment) -> bool:
        host = self._host
        return assignment in self._states and host.is_served and host.blobs is self

    def _fetched(self, assignment: LocalAssignment) -> dict[str, bytes]:
        host, supervisor = self._host, self._host.supervisor
        assert supervisor is not None
        if host.disk.is_full:
            raise StormError("no space is left on the disk")
        sources = sources_of(host.cluster.nimbus_link(host, supervisor), supervisor.core.replicas)
        return {key: _download(sources, key, sha256) for key, sha256 in assignment.blob_hashes}


class HostDisk:
    """A supervisor's durable map; its process may die before or after each write. `is_full`: what is written is kept in
    memory only, as `LocalState` does.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._written: dict[str, Any] = {}
        self._values = MemoryState()
        self.is_full = False

    def get(self, name: str) -> Any:
        return self._values.get(name)

    def put(self, name: str, value: Any) -> None:
        if self._values.get(name) != value:
            self._host.act(f"writes {name}")
            self._values.put(name, value)
            if not self.is_full:
                self._written[name] = value

    def reopen(self) -> None:
        """Another supervisor reads what is there."""
        self._values = MemoryState()
        for name, value in self._written.items():
            self._values.put(name, value)

    def copied(self, host: Host) -> HostDisk:
        """The disk of another host, with all that is on this one."""
        copy = HostDisk(host)
        copy._written = dict(self._written)
        return copy

    def damage(self, rng: random.Random) -> None:
        """Some of it is lost, or is not what it was."""
        for name in ("assignments", "back-offs"):
            if rng.random() < 0.7:
                self._written[name] = rng.choice(JUNK)
            elif rng.random() < 0.5:
                self._written.pop(name, None)


class Host:
    """A machine. `code` is what its disk has of topologies, by id; its disk may be a copy of that of `original`."""

    def __init__(
        self, cluster: SimulatedCluster, number: int, options: SupervisorOptions, original: Host | None = None
    ) -> None:
        self.cluster = cluster
        self.number = number
        self.name = f"host{number}" if original is None else f"copy{len(cluster.copies)}-of-{original.name}"
        self.node_id = f"node{number}"
        self.node_hash = node_hash(self.node_id)
        self.options = replace(options, node_id=self.node_id, host=self.name, bind_host=self.name)
        self.options = replace(self.options, home=self.name, machine=self.name)
        self.original = original
        self.clock = HostClock(cluster.events.clock, cluster.rng.uniform(0, 1e6), cluster.rng.randint(-30, 30))
        self.disk = HostDisk(self)
        self.code: dict[TopologyId, dict[str, bytes]] = {}
        self.processes: dict[str, WorkerProcess] = {}
        self.workers = HostWorkers(self)
        self.blobs = HostBlobs(self)
        self.supervisor: SupervisorProcess | None = None
        self.starts = 0
        self._launches = 0
        self.is_left = False  # by its supervisor, for good

    def start_supervisor(self) -> None:
        """Unless it runs, or will never run again."""
        if not self.is_left and not self.is_served:
            self.starts += 1
            self.blobs = HostBlobs(self)
            self.disk.reopen()
            self.options = replace(self.options, incarnation=f"{self.name}#{self.starts}")
            self.supervisor = SupervisorProcess(self, self.starts)

    def act(self, what: str) -> None:
        """The supervisor does something that others see: it may die before that."""
        assert self.supervisor is not None
        self.supervisor.require_alive()
        self.cluster.weather.before_operation(self.supervisor, what)

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        """A new worker process; after it the supervisor may die without knowing of it."""
        self.act(f"launches a worker on {port}")
        if self.disk.is_full:
            raise WorkerStartError("no space is left on the disk")
        if self.original is not None:
            assert self.supervisor is not None
            self.cluster.checks.copy_launches(self, self.original)
            self.supervisor.die_here("somebody sees what it does")
        self._launches += 1
        handle = WorkerHandle(f"worker-{self.name}-{port}#{self._launches}", port, assignment)
        self.cluster.checks.worker_starts(self, handle)
        self.processes[handle.worker_id] = WorkerProcess(self, handle)
        self.act(f"has launched {handle.worker_id}")
        return handle

    def signal(self, worker: WorkerHandle, force: bool) -> None:
        """SIGKILL or SIGTERM."""
        self.act(f"signals {worker.worker_id}")
        process, events = self.processes.get(worker.worker_id), self.cluster.events
        if process is None:
            return
        if force:
            process.die("SIGKILL")
        else:
            events.after(
                events.soon(SIGNAL_SECS), f"SIGTERM for {process.name}", lambda: process.run(process.terminate)
            )

    def worker_ended(self) -> None:
        """Its supervisor notices at once."""
        if self.supervisor is not None:
            self.supervisor.wake_slots()

    def alive(self) -> list[WorkerProcess]:
        """Its worker processes."""
        return [process for process in self.processes.values() if process.alive]

    @property
    def is_registered(self) -> bool:
        """Whether ZooKeeper has a record of its present supervisor."""
        found = StormClusterState(self.cluster.zookeeper.tree.session()).supervisor(self.node_id)
        return self.is_served and found is not None and found[0].incarnation == self.options.incarnation

    @property
    def is_served(self) -> bool:
        """Whether its supervisor runs."""
        return self.supervisor is not None and self.supervisor.alive

    def crash(self) -> None:
        """The power is cut; what is on the disk stays."""
        for process in self.alive():
            process.die("its host crashed")
        if self.supervisor is not None:
            self.supervisor.die("its host crashed")
        self.processes.clear()

    def copied(self) -> Host:
        """A machine that was made of a copy of this one's disk; its supervisor does not run yet."""
        copy = Host(self.cluster, self.number, self.options, self)
        copy.disk = self.disk.copied(copy)
        copy.code = {topology_id: dict(blobs) for topology_id, blobs in self.code.items()}
        self.cluster.copies.append(copy)
        return copy

    def wipe(self) -> None:
        """The disk is empty."""
        self.disk = HostDisk(self)
        self.code = {}


def _is_all(code: dict[str, bytes] | None, assignment: LocalAssignment) -> bool:
    """Whether these are the blobs of the assignment."""
    return code is not None and all(
        key in code and hashlib.sha256(code[key]).hexdigest() == sha256 for key, sha256 in assignment.blob_hashes
    )


def _download(sources: Sources, key: str, sha256: str) -> bytes:
    """As `blob_download.download_verified`, into memory."""
    failures = []
    for download in sources(key, sha256):
        chunks: list[bytes] = []
        try:
            download(chunks.append)
        except StormError as error:
            failures.append(str(error))
            continue
        data = b"".join(chunks)
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        failures.append(f"{key} is not what it should be")
    raise BlobStoreError("; ".join(failures))


def _no_report(names: Sequence[str]) -> HostReport:
    raise AssertionError(f"nobody asks simulated hosts for {names}")
