"""Hosts: a disk, worker processes that outlive their supervisor, and the supervisor. All of it runs the real cores."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_loop import HostClock, Loop, Process
from simulated_zookeeper import Session

from storm.cluster.records import TopologyStatus
from storm.cluster.storage import ConnectionState
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import StormError, ThriftConnectionError, ThriftTimeoutError
from storm.messaging.batch import node_hash
from storm.supervisor.daemon import build_supervisor
from storm.supervisor.local_state import MemoryState
from storm.supervisor.nimbus_link import HeartbeatForwarder, code_lookup
from storm.supervisor.service import SupervisorService
from storm.supervisor.slot import BlobsState, WorkerSeen
from storm.supervisor.slot_runner import WorkerHandle
from storm.worker.daemon import EXIT_EXECUTOR_ERROR, EXIT_NOT_STARTED, EXIT_ORDERLY, WorkerParts, build_worker
from storm.worker.heartbeats import Heartbeats
from storm.worker.launch import Launch

if TYPE_CHECKING:
    from collections.abc import Collection

    from simulated_cluster import SimulatedCluster

    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.core import SupervisorCore
    from storm.supervisor.options import SupervisorOptions
    from storm.worker.daemon import Worker

NOWHERE = Path("/nowhere")
BOOT_SECS = 1.5
BEAT_SECS = 1.0
REFRESH_SECS = 5.0
DOWNLOAD_SECS = 2.0
SIGNAL_SECS = 0.01
EXCHANGE_SECS_MIN = 0.06  # between two turns that nobody woke: a busy machine's, and fewer events
LATE_BEAT_SECS = 5.0


class WorkerProcess(Process):
    """A worker: the real one, whose threads are loops here. `code` is how it ended, as a process does."""

    def __init__(self, host: Host, handle: WorkerHandle) -> None:
        super().__init__(host.cluster.events, handle.worker_id)
        self.host = host
        self.handle = handle
        self.code: int | None = None
        self.worker: Worker | None = None
        self.session = Session(self, host.cluster.tree, host.cluster.weather)
        self._told = self._launch()
        self._heartbeats: Heartbeats | None = None
        self._ending: tuple[int, str] | None = None
        self._epochs_known: dict[tuple[int, int], tuple[int, float]] = {}  # of slots, and since when
        self._boot = Loop(self, "starts", self._start)
        self._main = Loop(self, "main", self._turn)
        self._lanes = Loop(self, "lanes", self._step_lanes)
        self._exchange = Loop(self, "exchange", self._step_exchange)
        self._beats = Loop(self, "heartbeat", self._beat)
        self._boot.wake(self.events.soon(BOOT_SECS))

    def _launch(self) -> Launch:
        host, assignment = self.host, self.handle.assignment
        return Launch(
            topology_id=assignment.topology_id,
            node_id=host.node_id,
            host=host.name,
            bind_host=host.name,
            port=self.handle.port,
            worker_id=self.name,
            epoch=assignment.epoch,
            executors=assignment.executors,
            supervisor_port=0,
            dist_dir=NOWHERE,
            log_dir=NOWHERE,
        )

    def knew_replaced(self, other: WorkerProcess, at: float) -> bool:
        """Whether this worker knew by then that the other's slot had been given to a newer one."""
        slot = (node_hash(other.host.node_id), other.handle.port)
        epoch, since = self._epochs_known.get(slot, (0, 0.0))
        return self.handle.assignment.topology_id == other.handle.assignment.topology_id and (
            epoch > other.handle.assignment.epoch and since < at
        )

    def is_forgotten(self, topology_ids: Collection[TopologyId]) -> bool:
        """Whether nobody can tell this worker to end: its supervisor is gone for good, and its topology was removed so
        soon after it was killed that the worker never read of it. To a worker this looks as if ZooKeeper lost its data,
        for which it does not end.
        """
        is_gone = self.handle.assignment.topology_id not in topology_ids
        was_told = self.worker is None or self.worker._status is TopologyStatus.KILLED
        return self.host.is_left and is_gone and not was_told

    def terminate(self) -> None:
        """SIGTERM."""
        if self.worker is None:
            self._exit(EXIT_ORDERLY, "told to end while it started")
        else:
            self._end(EXIT_ORDERLY, "SIGTERM")

    def on_death(self) -> None:
        if self.code is None:
            self.code = -9
        self._close()
        self.host.worker_ended()

    def on_pause(self) -> None:
        self.session.abandon()

    def on_resume(self) -> None:
        self.session.reconnect()

    # Its threads

    def _start(self) -> None:
        cluster = self.host.cluster
        self._heartbeats = Heartbeats(
            self._told,
            self.host.clock,
            SupervisorLink(self.host),
            lambda: cluster.nimbus_link(self.host.name),
            lambda: self._end(EXIT_ORDERLY, "another worker owns this slot"),
        )
        self._beat()
        self._beats.wake(BEAT_SECS)
        if self._ending is not None:
            self._exit(*self._ending)
            return
        transport = cluster.network.transport_at(self.host.name, self._exchange.wake)
        rng = random.Random(self.events.rng.getrandbits(64))
        parts = WorkerParts(self.host.clock, StormClusterState(self.session), transport, rng)
        self._transport = transport
        try:
            plan = cluster.worker_plan(self._told, self.host.code)
            self.worker = build_worker(self._told, cluster.settings, parts, plan)
        except StormError as error:
            self._exit(EXIT_NOT_STARTED, str(error))
            return
        self._heartbeats.stats = self.worker.lanes.stats
        self._main.wake()

    def _turn(self) -> float | None:
        worker = self.worker
        assert worker is not None
        if self._ended():
            return None
        secs = worker.turn(REFRESH_SECS)
        return None if self._ended() else secs

    def _ended(self) -> bool:
        assert self.worker is not None
        if self.worker.ending is None:
            return False
        self._exit(*self.worker.ending)
        return True

    def _step_lanes(self) -> float | None:
        worker, record = self.worker, self.host.cluster.record
        assert worker is not None
        record.worker = self
        did = worker.lanes.step(self.host.clock.now())
        if worker.lanes.failure is not None:
            self._end(EXIT_EXECUTOR_ERROR, f"an executor failed: {worker.lanes.failure}")
            return None
        if did:
            self._exchange.wake()
            return 0.0
        due = worker.lanes.next_due()
        return None if due is None else due - self.host.clock.now()

    def _step_exchange(self) -> float | None:
        worker = self.worker
        if worker is None:
            return None
        due = worker.exchange.step()
        for slot, epoch in worker.exchange.view.epochs.items():
            if self._epochs_known.get(slot, (0, 0.0))[0] < epoch:
                self._epochs_known[slot] = epoch, self.events.clock.now()
        return max(EXCHANGE_SECS_MIN, due - self.host.clock.now())

    def _beat(self) -> float:
        assert self._heartbeats is not None
        self._heartbeats.beat()
        if self.worker is not None:
            self.worker.lanes.reports.write_queued()
        return BEAT_SECS

    def after_call(self) -> None:
        worker = self.worker
        if worker is None or not self.alive:
            return
        if any(lane.woken for lane in worker.lanes.lanes):
            self._lanes.wake()
        if worker.ending is not None:
            self._main.wake()

    def after_watch(self) -> None:
        self._main.wake()

    def _end(self, code: int, reason: str) -> None:
        if self.worker is None:
            self._ending = (code, reason)
        else:
            self.worker.end(code, reason)
            self._main.wake()

    def _exit(self, code: int, reason: str) -> None:
        """The orderly end of the process."""
        self.code = code
        if self.worker is not None:
            self.host.cluster.record.worker = self
            self.worker.shut_down(0.0)
        self.session.close()
        self.die(f"exit code {code}: {reason}")

    def _close(self) -> None:
        if self.worker is not None:
            self._transport.close()
        self.session.abandon()


class SupervisorLink:
    """How a worker calls its supervisor."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def call(self, method: str, *arguments: Any) -> Any:
        supervisor, weather, events = self._host.supervisor, self._host.cluster.weather, self._host.cluster.events
        if supervisor is None or not supervisor.alive:
            raise ThriftConnectionError("nobody listens there")
        if supervisor.paused or weather.strikes("heartbeat lost"):
            raise ThriftTimeoutError("no answer came", sent=True)

        def late() -> None:
            with contextlib.suppress(StormError):
                getattr(supervisor.service, method)(*arguments)

        if weather.strikes("heartbeat late"):
            events.after(
                events.soon(LATE_BEAT_SECS), f"late {method} for {supervisor.name}", lambda: supervisor.run(late)
            )
            raise ThriftTimeoutError("no answer came", sent=True)
        return getattr(supervisor.service, method)(*arguments)

    def close(self) -> None:
        """There is nothing to close."""


class SupervisorProcess(Process):
    """A supervisor: the real core, whose threads are loops here."""

    def __init__(self, host: Host, number: int) -> None:
        super().__init__(host.cluster.events, f"supervisor-{host.name}#{number}")
        self.host = host
        self.session = Session(self, host.cluster.tree, host.cluster.weather)
        state = StormClusterState(self.session)
        self.core: SupervisorCore = build_supervisor(
            host.options,
            clock=host.clock,
            cluster_state=state,
            blobs=host.blobs,
            workers=host.workers,
            local_state=host.disk,
        )
        self._coordinate = Loop(self, "coordinates", self._coordinated)
        self._slots = Loop(self, "slots", self._slots_run)
        self._forward = Loop(self, "forwards heartbeats", self._forwarded)
        self.service = SupervisorService(self.core, NOWHERE, self._coordinate.wake, self.wake_slots)
        self._forwarder = HeartbeatForwarder(host.node_id, self.core.beats, host.cluster.nimbus_link(host.name))
        self.core.on_wanted = self.wake_slots
        self.core.on_failure = self._coordinate.wake
        self.core.watch = self.core.wake
        self.core.has_code = code_lookup(host.cluster.nimbus_link(host.name))
        self.session.add_listener(self._connection_changed)
        self.run(self._started)

    def wake_slots(self) -> None:
        """Something happened to a worker."""
        self._slots.wake()

    def after_watch(self) -> None:
        self._coordinate.wake()

    def on_death(self) -> None:
        self.session.abandon()

    def on_pause(self) -> None:
        self.session.abandon()

    def on_resume(self) -> None:
        self.session.reconnect()

    def _started(self) -> None:
        self.core.adopt()
        for loop in (self._coordinate, self._slots, self._forward):
            loop.wake()

    def _coordinated(self) -> float:
        return self.core.coordinate() - self.host.clock.now()

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
        return WorkerSeen() if process.alive else WorkerSeen(f"exited with code {process.code}", process.code == 0)

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        self._host.signal(worker, force)

    def forget(self, worker: WorkerHandle) -> None:
        host = self._host
        host.act(f"forgets {worker.worker_id}")
        process = host.processes.pop(worker.worker_id, None)
        if process is not None and process.alive:
            host.cluster.checks.problem(f"{process.name} is given up and lives")
            process.die("SIGKILL, with all that it left")

    def log_tail(self, topology_id: TopologyId, port: int) -> str:
        return ""


class HostBlobs:
    """A supervisor's `Blobs`: code on the host's disk, fetched from the leading Nimbus."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._states: dict[LocalAssignment, tuple[BlobsState, str]] = {}

    def request(self, assignment: LocalAssignment) -> None:
        host = self._host
        self._states[assignment] = (BlobsState.PENDING, "")
        events = host.cluster.events
        events.after(
            events.soon(DOWNLOAD_SECS), f"download of {assignment.topology_id} by {host.name}",
            lambda: self._downloaded(assignment),
        )  # fmt: skip

    def look(self, assignment: LocalAssignment) -> tuple[BlobsState, str]:
        return self._states.get(assignment, (BlobsState.PENDING, ""))

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        host = self._host
        host.code = {topology_id: blobs for topology_id, blobs in host.code.items() if topology_id in topology_ids}
        self._states = {each: state for each, state in self._states.items() if each.topology_id in topology_ids}

    def _downloaded(self, assignment: LocalAssignment) -> None:
        host = self._host
        if assignment not in self._states or host.supervisor is None or not host.supervisor.alive:
            return
        try:
            if host.cluster.weather.strikes("download failed"):
                raise ThriftConnectionError("the connection broke")
            host.code[assignment.topology_id] = host.cluster.nimbus_link(host.name).download(assignment.blob_hashes)
            self._states[assignment] = (BlobsState.READY, "")
        except StormError as error:
            self._states[assignment] = (BlobsState.FAILED, f"download failed: {error}")
        host.supervisor.wake_slots()


class HostDisk:
    """A supervisor's durable map; its process may die before or after each write."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._values = MemoryState()

    def get(self, name: str) -> Any:
        return self._values.get(name)

    def put(self, name: str, value: Any) -> None:
        if self._values.get(name) != value:
            self._host.act(f"writes {name}")
            self._values.put(name, value)


class Host:
    """A machine. `code` is what its disk has of topologies, by id."""

    def __init__(self, cluster: SimulatedCluster, number: int, options: SupervisorOptions) -> None:
        self.cluster = cluster
        self.name = f"host{number}"
        self.node_id = f"node{number}"
        self.options = replace(options, node_id=self.node_id, host=self.name, bind_host=self.name)
        self.clock = HostClock(cluster.events.clock, cluster.rng.uniform(0, 1e6), cluster.rng.randint(-30, 30))
        self.disk = HostDisk(self)
        self.code: dict[TopologyId, dict[str, bytes]] = {}
        self.processes: dict[str, WorkerProcess] = {}
        self.workers = HostWorkers(self)
        self.blobs = HostBlobs(self)
        self.supervisor: SupervisorProcess | None = None
        self._starts = 0
        self._launches = 0
        self.is_left = False  # by its supervisor, for good

    def start_supervisor(self) -> None:
        """Unless it runs, or will never run again."""
        if not self.is_left and not self.is_served:
            self._starts += 1
            self.blobs = HostBlobs(self)
            self.supervisor = SupervisorProcess(self, self._starts)

    def act(self, what: str) -> None:
        """The supervisor does something that others see: it may die before that."""
        assert self.supervisor is not None
        self.supervisor.require_alive()
        self.cluster.weather.before_operation(self.supervisor, what)

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        """A new worker process; after it the supervisor may die without knowing of it."""
        self.act(f"launches a worker on {port}")
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

    def wipe(self) -> None:
        """The disk is empty."""
        self.disk = HostDisk(self)
        self.code = {}
