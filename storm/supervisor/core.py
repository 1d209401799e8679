"""A supervisor without threads, sockets or sleep: what it does, but not when it waits.

Its two halves may run in two threads, and do in the daemon, so that a slow ZooKeeper never keeps a dead worker from
being started again: `coordinate` talks to the cluster's state and `run_slots` to the processes. They meet in three
places, each replaced at once or bounded: the wanted assignments, the failures to report, the latest beats.
A simulation calls `step`, which is both, under a clock of its own.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from storm.cluster.records import ErrorInfo, SupervisorInfo
from storm.errors import CoordinationError, NotAuthorizedError
from storm.ids import SYSTEM_COMPONENT
from storm.supervisor.assignment_sync import LocalAssignment, from_plain, local_assignments, to_plain
from storm.supervisor.slot_runner import Blobs, Failure, SlotRunner, WorkerHandle, Workers
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.clock import Clock
    from storm.cluster.records import Assignment
    from storm.cluster.storage import Watch
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import TopologyId
    from storm.supervisor.options import SupervisorOptions

log = logging.getLogger(__name__)

FAILURES_MAX = 100  # waiting to be written to ZooKeeper; the oldest is dropped, and is in the log anyway
PAUSE_SECS = 2.0  # called so much later than asked for, the supervisor itself was stopped or the machine slept
COORDINATION_RETRY_SECS = 1.0  # after the cluster's state could not be reached, doubled up to:
COORDINATION_RETRY_MAX_SECS = 5.0


class DurableMap(Protocol):
    """What survives the process: `local_state.LocalState`, or a model of it."""

    def get(self, name: str) -> Any:
        """The value of `name`; None where there is none."""

    def put(self, name: str, value: Any) -> None:
        """Keep a JSON value."""


class SupervisorCore:
    """One supervisor. `options.node_id` names it; `thrift_port` is where its workers and Nimbus reach it.

    `on_wanted` and `on_failure` are called when the other half has work; they must only wake it.
    """

    def __init__(
        self,
        options: SupervisorOptions,
        *,
        clock: Clock,
        blobs: Blobs,
        workers: Workers,
        local_state: DurableMap,
    ) -> None:
        self._options = options
        self._clock = clock
        self._cluster_state: StormClusterState | None = None
        self._local_state = local_state
        self.thrift_port = options.thrift_port
        self.beats = WorkerBeats()
        self._failures: deque[Failure] = deque(maxlen=FAILURES_MAX)
        self.slots = SlotRunner(options.slot_ports, options.limits, workers, blobs, self.beats, self._note_failure)
        self.on_wanted: Callable[[], None] = _nothing
        self.on_failure: Callable[[], None] = _nothing
        self.watch: Watch | None = None
        self._start_wall_secs = clock.wall_secs()
        self._assignments: Mapping[TopologyId, Assignment] = {}
        self._wanted: dict[int, LocalAssignment] = {}
        self._is_wanted_known = False
        self._sync_at = self._register_at = self._retry_at = clock.now()
        self._retry_secs = 0.0
        self._slots_due: float | None = None

    def attach(self, cluster_state: StormClusterState) -> None:
        """The cluster's state is reachable: `coordinate` may be called from now on."""
        self._cluster_state = cluster_state

    def adopt(self) -> list[WorkerHandle]:
        """Take over the workers that a former run left; call it first, before anybody can beat."""
        adopted = self.slots.adopt(self._clock.now(), self._local_state.get("back-offs"))
        self._wanted = {handle.port: handle.assignment for handle in adopted}
        return adopted

    def step(self) -> float:
        """Everything that is due now; when to call again at the latest (`run_slots` wakes earlier on events)."""
        coordinate_due = self.coordinate()
        slots_due = self.run_slots()
        return coordinate_due if slots_due is None else min(coordinate_due, slots_due)

    # The half that looks after processes

    def run_slots(self) -> float | None:
        """Bring every port forward; when to call again, None: when something happens."""
        now = self._clock.now()
        if self._slots_due is not None and now > self._slots_due + PAUSE_SECS:
            log.warning("the supervisor stood still for %.0f s: its workers are given time", now - self._slots_due)
            self.beats.pardon(now)
        self._slots_due = self.slots.step(now)
        self._local_state.put("back-offs", self.slots.back_offs())
        return self._slots_due

    def receive_beat(self, beat: WorkerBeat) -> bool:
        """A worker says that it lives; whether this is its first word. Any thread may call it.

        Raises NotAuthorizedError if the port belongs to another worker, or to none: then the caller must end.
        """
        handle = self.slots.running().get(beat.port)
        if handle is None or handle.worker_id != beat.worker_id:
            owner = "no worker" if handle is None else f"worker {handle.worker_id}"
            raise NotAuthorizedError(
                f"port {beat.port} of supervisor {self._options.node_id} has {owner}, not {beat.worker_id}"
            )
        return self.beats.receive(beat, self._clock.now())

    # The half that talks to the cluster

    def wake(self) -> None:
        """Assignments may have changed: look at the next `coordinate`. Any thread may call it."""
        self._sync_at = self._retry_at = self._clock.now()

    def reconnected(self) -> None:
        """The session may be a new one: register and look again at the next `coordinate`. Any thread may call it."""
        self._register_at = self._clock.now()
        self.wake()

    def coordinate(self) -> float:
        """Register, read assignments and write failures, as far as due; when to call again at the latest.

        Where the cluster's state cannot be reached the workers run on, and this is tried again every few seconds.
        """
        assert self._cluster_state is not None, "attach comes first"
        now = self._clock.now()
        if now >= self._retry_at:
            try:
                self._register_if_due(self._cluster_state, now)
                self._sync_if_due(self._cluster_state, now)
                self._write_failures(self._cluster_state)
            except CoordinationError as error:
                self._unreachable(error, now)
            else:
                if self._retry_secs:
                    log.info("the cluster's state is reachable again")
                self._retry_secs = 0.0
        return max(self._retry_at, min(self._register_at, self._sync_at))

    def use_remembered(self, why: CoordinationError) -> None:
        """Until the cluster says more, the ports should run what they last should, as far as the disk knows."""
        if not self._is_wanted_known:
            log.warning("%s Doing what was assigned when this supervisor last knew.", why)
            self._want(self._remembered() | self._wanted)

    def is_synced(self) -> bool:
        """Whether it is known, from the cluster or from the disk, what the ports should run."""
        return self._is_wanted_known

    def assignment(self, topology_id: TopologyId) -> Assignment | None:
        """The topology's assignment as last read, if it uses this supervisor. Any thread may call it."""
        found = self._assignments.get(topology_id)
        uses = found and any(slot.node_id == self._options.node_id for slot in found.executor_slots.values())
        return found if uses else None

    def _register_if_due(self, cluster_state: StormClusterState, now: float) -> None:
        if now < self._register_at:
            return
        options = self._options
        used = tuple(sorted(self.slots.running()))
        cluster_state.put_supervisor(
            SupervisorInfo(
                node_id=options.node_id,
                host=options.host,
                slot_ports=options.slot_ports,
                used_ports=used,
                thrift_port=self.thrift_port,
                start_wall_secs=self._start_wall_secs,
                version=options.version,
                meta=dict(options.meta),
            )
        )
        self._register_at = now + options.heartbeat_secs

    def _sync_if_due(self, cluster_state: StormClusterState, now: float) -> None:
        if now < self._sync_at:
            return
        # Set before the look, so that a wake-up during it is not lost.
        self._sync_at = now + self._options.sync_secs
        read: dict[TopologyId, Assignment] = {}
        unreadable: set[TopologyId] = set()
        for topology_id in cluster_state.assignment_ids(self.watch):
            assignment = cluster_state.assignment(topology_id, self.watch)
            if assignment is None:
                unreadable.add(topology_id)
            else:
                read[topology_id] = assignment
        held = {port: handle.assignment for port, handle in self.slots.running().items()}
        wanted = local_assignments(read.values(), self._options.node_id, held)
        for port, assignment_here in (held | self._wanted).items():
            # A record that nobody can read is no reason to end what runs well.
            if assignment_here.topology_id in unreadable:
                wanted.setdefault(port, assignment_here)
        self._assignments = read
        self._want(wanted)
        self._local_state.put("assignments", {str(port): to_plain(each) for port, each in wanted.items()})

    def _want(self, wanted: dict[int, LocalAssignment]) -> None:
        is_news = wanted != self._wanted or not self._is_wanted_known
        self._wanted = wanted
        self._is_wanted_known = True
        self.slots.want(wanted)
        if is_news:
            self.on_wanted()

    def _write_failures(self, cluster_state: StormClusterState) -> None:
        while self._failures:
            failure = self._failures[0]
            error = ErrorInfo(failure.text, self._clock.wall_secs(), self._options.host, failure.port)
            cluster_state.report_error(failure.topology_id, SYSTEM_COMPONENT, error)
            if self._failures and self._failures[0] is failure:
                self._failures.popleft()

    def _unreachable(self, error: CoordinationError, now: float) -> None:
        if not self._retry_secs:
            log.warning("the cluster's state cannot be reached, its workers run on: %s", error)
        self._retry_secs = min(COORDINATION_RETRY_MAX_SECS, self._retry_secs * 2 or COORDINATION_RETRY_SECS)
        self._retry_at = now + self._retry_secs
        self.use_remembered(error)

    def _remembered(self) -> dict[int, LocalAssignment]:
        """What the ports should have run when this supervisor last knew."""
        found = {}
        stored = self._local_state.get("assignments")
        for port, plain in (stored if isinstance(stored, dict) else {}).items():
            try:
                found[int(port)] = from_plain(plain)
            except ValueError:
                log.warning("the assignment of port %r on the disk is not readable: it is not used", port)
        return found

    def _note_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        self.on_failure()


def _nothing() -> None:
    pass
