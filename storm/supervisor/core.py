"""A supervisor without threads, sockets or sleep: what it does, but not when it waits.

Its two halves may run in two threads, and do in the daemon, so that a slow ZooKeeper never keeps a dead worker from
being started again: `coordinate` talks to the cluster's state and `run_slots` to the processes. Where they meet, each
thing is replaced at once or bounded: the wanted assignments, what is known of topologies, whose turn it is to restart
workers, the failures to report, the latest beats.
A simulation calls `step`, which is both, under a clock of its own.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from storm.cluster.records import (
    ErrorInfo,
    KnownTopology,
    Recording,
    SupervisorInfo,
    TopologyStatus,
    UnheardWorker,
)
from storm.errors import (
    AlreadyRunningError,
    CoordinationError,
    NimbusUnreachableError,
    NoPermissionError,
    NotAuthorizedError,
    StormError,
)
from storm.ids import SYSTEM_COMPONENT
from storm.supervisor import registration
from storm.supervisor.assignment_sync import LocalAssignment, from_plain, local_assignments, to_plain
from storm.supervisor.registration import Claim, Holder
from storm.supervisor.restart_turns import RestartTurns
from storm.supervisor.slot_failures import FAILURE_CHARS_MAX, slot_failures
from storm.supervisor.slot_runner import Blobs, Failure, SlotRunner, WorkerHandle, Workers
from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from storm.clock import Clock
    from storm.cluster.records import Assignment, BlobReplica, StormBase
    from storm.cluster.storage import Watch
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import TopologyId
    from storm.supervisor.local_state import DurableMap
    from storm.supervisor.log_viewer import LogViewer
    from storm.supervisor.options import SupervisorOptions

log = logging.getLogger(__name__)

FAILURES_MAX = 100  # waiting to be written to ZooKeeper; the oldest is dropped, and is in the log anyway
PAUSE_SECS = 2.0  # called so much later than asked for, the supervisor itself was stopped or the machine slept
COORDINATION_RETRY_SECS = 1.0  # after the cluster's state could not be reached, doubled up to:
COORDINATION_RETRY_MAX_SECS = 5.0
CLAIM_RETRY_SECS = 1.0  # between two looks at whether another supervisor with our id lives


def _nothing() -> None:
    pass


def _unknown(topology_id: TopologyId) -> bool:
    raise NimbusUnreachableError("this supervisor was not told of any")


class Shell(NamedTuple):
    """What a core is run by; by default, by nobody who waits.

    `wake_slots` and `wake_coordination` are called when that half has work; they must only wake it. `watch` is called
    when what was read of the cluster's state has changed; None: nobody needs to know. `has_code` says whether a Nimbus
    has a topology's code, and raises StormError where it cannot be asked. `log_viewer`: None, where nobody has said.
    `recordings` tells of profiles that are being recorded of these workers, {port: worker}.
    """

    wake_slots: Callable[[], None] = _nothing
    wake_coordination: Callable[[], None] = _nothing
    watch: Watch | None = None
    has_code: Callable[[TopologyId], bool] = _unknown
    log_viewer: LogViewer | None = None
    recordings: Callable[[Mapping[int, WorkerHandle]], tuple[Recording, ...]] = lambda running: ()


class SupervisorCore:
    """One supervisor, of these parts; it chooses nothing by itself. `thrift_port` is where its workers and Nimbus reach
    it.
    """

    def __init__(
        self,
        options: SupervisorOptions,
        *,
        clock: Clock,
        blobs: Blobs,
        workers: Workers,
        local_state: DurableMap,
        shell: Shell = Shell(),  # noqa: B008  it has no state
    ) -> None:
        """`options.node_id` must name it."""
        if not options.node_id:
            raise ValueError("options.node_id is empty: a supervisor needs its id")
        self._options = options
        self._shell = shell
        self._blobs = blobs
        self._clock = clock
        self._cluster_state: StormClusterState | None = None
        self._local_state = local_state
        self.thrift_port = options.thrift_port
        self.beats = WorkerBeats()
        self._failures: deque[Failure] = deque(maxlen=FAILURES_MAX)
        self.slots = SlotRunner(options.slot_ports, options.limits, workers, blobs, self.beats, self._note_failure)
        self._turns: frozenset[TopologyId] = frozenset()
        self._restart_turns = RestartTurns(options.incarnation or options.node_id, clock, shell.watch)
        self._start_wall_secs = clock.wall_secs()
        self._assignments: Mapping[TopologyId, Assignment] = {}
        self._known: Mapping[TopologyId, KnownTopology] = {}  # those that use this supervisor
        self._wanted: dict[int, LocalAssignment] = {}
        self._is_wanted_known = False
        self._sync_at = self._register_at = self._retry_at = clock.now()
        self._retry_secs = 0.0
        self._slots_due: float | None = None
        self._holder: Holder | None = None
        self._vanished: set[TopologyId] = set()
        self._illness = self._heeded_illness = ""

    @property
    def log_viewer(self) -> LogViewer | None:
        """The one beside it; None, where nobody has said."""
        return self._shell.log_viewer

    def attach(self, cluster_state: StormClusterState) -> None:
        """The cluster's state is reachable: `coordinate` may be called from now on."""
        self._cluster_state = cluster_state

    def adopt(self) -> list[WorkerHandle]:
        """Take over the workers that a former run left; call it first, before anybody can beat."""
        adopted = self.slots.adopt(self._clock.now(), self._local_state.get("back-offs"))
        remembered = self._local_state.get("blobs")
        self._blobs.learn(remembered if isinstance(remembered, dict) else {})
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
        restarting = self.slots.restarting
        self._slots_due = self.slots.step(now, self._turns)
        if self.slots.restarting != restarting:
            self._shell.wake_coordination()
        self._local_state.put("back-offs", self.slots.back_offs())
        return self._slots_due

    def receive_beat(self, beat: WorkerBeat) -> bool:
        """A worker says that it lives; whether its slot is to look at once. Any thread may call it.

        Raises NotAuthorizedError if the port belongs to another worker, or to none: then the caller must end.
        """
        handle = self.slots.running().get(beat.port)
        if handle is None or handle.worker_id != beat.worker_id:
            owner = "no worker" if handle is None else f"worker {handle.worker_id}"
            raise NotAuthorizedError(
                f"port {beat.port} of supervisor {self._options.node_id} has {owner}, not {beat.worker_id}"
            )
        if beat.is_up and self.slots.works(beat.port):
            self._register_at = self._clock.now()
            self._shell.wake_coordination()
        return self.beats.receive(beat, self._clock.now())

    # The half that talks to the cluster

    def wake(self) -> None:
        """Assignments may have changed: look at the next `coordinate`. Any thread may call it."""
        self._sync_at = self._retry_at = self._clock.now()

    def reconnected(self) -> None:
        """The session may be a new one: register and look again at the next `coordinate`. Any thread may call it."""
        self._register_at = self._clock.now()
        self.wake()

    def judge(self, illness: str) -> None:
        """What the health scripts say, empty: nothing. Any thread may call it; the next `coordinate` or
        `use_remembered` heeds it.
        """
        if illness != self._illness:
            if illness:
                log.error("this host is ill, and its workers are ended: %s", illness)
            else:
                log.info("this host is well again")
            self._illness = illness
            self._register_at = self._clock.now()
            self.wake()

    @property
    def illness(self) -> str:
        """What the health scripts complained of the last time; empty: nothing."""
        return self._illness

    @property
    def is_out_of_reach(self) -> bool:
        """Whether the cluster's state could not be reached the last time. Any thread may call it."""
        return self._retry_secs > 0

    def coordinate(self) -> float:
        """Register, read assignments and write failures, as far as due; when to call again at the latest.

        Where the cluster's state cannot be reached the workers run on, and this is tried again every few seconds.
        Raises AlreadyRunningError if another supervisor has the same id, and lives, and NoPermissionError if ZooKeeper
        refuses this one: then it must end.
        """
        assert self._cluster_state is not None, "attach comes first"
        now = self._clock.now()
        self._heed_illness()
        if now >= self._retry_at:
            try:
                if not self._register_if_due(self._cluster_state, now):
                    return self._register_at
                self._sync_if_due(self._cluster_state, now)
                self._have_turns(self._restart_turns.taken(self._cluster_state, self.slots.restarting))
                self._write_failures(self._cluster_state)
            except NoPermissionError:
                raise
            except CoordinationError as error:
                self._unreachable(error, now)
            else:
                if self._retry_secs:
                    log.info("the cluster's state is reachable again")
                self._retry_secs = 0.0
        return max(self._retry_at, min(self._register_at, self._sync_at))

    def use_remembered(self, why: CoordinationError) -> None:
        """Until the cluster says more, the ports should run what they last should, as far as the disk knows; nothing
        while this host is ill.
        """
        self._heed_illness()
        if not self._is_wanted_known and self._holder is None:
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

    def known(self, topology_id: TopologyId) -> KnownTopology | None:
        """The topology as last read, for a worker that cannot read it; None: not read yet, or it does not use this
        supervisor. Any thread may call it.
        """
        return self._known.get(topology_id)

    def replicas(self, key: str) -> list[BlobReplica]:
        """Which Nimbuses hold the blob, as ZooKeeper knows. Any thread may call it. Raises CoordinationError."""
        if self._cluster_state is None:
            raise CoordinationError("ZooKeeper was not reached yet")
        return self._cluster_state.blob_replicas(key)

    def _register_if_due(self, cluster_state: StormClusterState, now: float) -> bool:
        """Whether the id is ours, as far as is known: without it, nothing that is assigned to it is done."""
        if now < self._register_at:
            return self._holder is None
        # Set before the look at the slots, so that a failure during it is told soon.
        self._register_at = now + self._options.heartbeat_secs
        own = self._info(now)
        there = cluster_state.supervisor(own.node_id)
        claim, holder = registration.look(own, there, self._holder)
        if there is not None and claim is Claim.TAKEN:
            raise AlreadyRunningError(registration.why_refused(own, there[0]))
        if there is not None and claim is Claim.HELD:
            if self._holder is None:
                log.warning(
                    "supervisor id %s belongs to host %s, local directory %s: waiting to see whether it lives",
                    own.node_id, there[0].host, there[0].local_dir,
                )  # fmt: skip
            self._holder, self._register_at = holder, now + CLAIM_RETRY_SECS
            return False
        self._holder = None
        cluster_state.put_supervisor(own)
        return True

    def _info(self, now: float) -> SupervisorInfo:
        options = self._options
        return SupervisorInfo(
            node_id=options.node_id,
            host=options.host,
            slot_ports=() if self._illness else options.slot_ports,
            used_ports=tuple(sorted(self.slots.running())),
            thrift_port=self.thrift_port,
            start_wall_secs=self._start_wall_secs,
            version=options.version,
            meta=dict(options.meta),
            resources=dict(options.resources),
            failures=tuple(slot_failures(self.slots, now, self._clock.wall_secs())),
            local_dir=str(options.local_dir),
            home=options.home,
            incarnation=options.incarnation,
            illness=self._illness[:FAILURE_CHARS_MAX],
            python=options.python,
            architecture=options.architecture,
            unheard=tuple(self._unheard()),
            logviewer_port=None if self.log_viewer is None else self.log_viewer.port,
            daemon_logs=() if self.log_viewer is None else tuple(self.log_viewer.daemon_logs(options.log_dir)),
            recordings=self._shell.recordings(self.slots.running()),
            taken_ports=self.slots.taken(now),
            left=self.slots.left(now),
        )

    def _unheard(self) -> Iterator[UnheardWorker]:
        """Nimbus must not take them for dead because this host does not reach it."""
        running = self.slots.running()
        for port, (worker_id, beat_at) in sorted(self.beats.unheard().items()):
            handle = running.get(port)
            if handle is not None and handle.worker_id == worker_id:
                yield UnheardWorker(port, handle.assignment.topology_id, handle.assignment.epoch, int(beat_at))

    def _sync_if_due(self, cluster_state: StormClusterState, now: float) -> None:
        if now < self._sync_at:
            return
        # Set before the look, so that a wake-up during it is not lost.
        self._sync_at = now + self._options.sync_secs
        read: dict[TopologyId, Assignment] = {}
        bases: dict[TopologyId, StormBase | None] = {}
        unreadable: set[TopologyId] = set()
        before = {each.topology_id for each in self._wanted.values()}
        for topology_id in cluster_state.assignment_ids(self._shell.watch):
            if topology_id in before:
                # Opposite to the order of Nimbus's writes: who sees it active again sees its new assignment too.
                bases[topology_id] = cluster_state.storm_base(topology_id, self._shell.watch)
            assignment = cluster_state.assignment(topology_id, self._shell.watch)
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
        vanished = {assignment_here.topology_id for assignment_here in held.values()} - read.keys() - unreadable
        kept = self._not_over(cluster_state, vanished)
        for port, assignment_here in held.items():
            if assignment_here.topology_id in kept:
                wanted.setdefault(port, assignment_here)
        self._look_up_blobs(cluster_state)
        own = {each.topology_id for each in wanted.values()} & read.keys()
        for topology_id in sorted(own - bases.keys()):
            bases[topology_id] = cluster_state.storm_base(topology_id, self._shell.watch)
        self._known = {
            topology_id: KnownTopology(read[topology_id], base.status)
            for topology_id, base in bases.items()
            if base is not None and topology_id in own
        }
        self._assignments = read
        self._want(wanted)
        self._local_state.put("machine", self._options.machine)
        self._local_state.put("assignments", {str(port): to_plain(each) for port, each in wanted.items()})

    def _look_up_blobs(self, cluster_state: StormClusterState) -> None:
        keys = self._blobs.keys()
        if not keys and not self._local_state.get("blobs"):
            return
        found = {}
        for key in sorted(keys):
            blob = cluster_state.user_blob(key, self._shell.watch)
            found[key] = "" if blob is None else blob.sha256
        self._local_state.put("blobs", self._blobs.learn(found))

    def _have_turns(self, turns: frozenset[TopologyId]) -> None:
        is_news = not turns <= self._turns
        self._turns = turns
        if is_news:
            self._shell.wake_slots()

    def _not_over(self, cluster_state: StormClusterState, vanished: set[TopologyId]) -> set[TopologyId]:
        """Those of the topologies without an assignment whose end nobody has decided: ZooKeeper may have lost its data.

        Nimbus removes a killed topology's assignment first, then its code, its record last. So without a record
        it is over only if Nimbus has no code of it either. A Nimbus that does not answer is waited for once: meanwhile
        nothing new is begun here, and the record does not tell Nimbus of workers that live.
        """
        kept: dict[TopologyId, str] = {}
        unanswered = ""
        known = set(cluster_state.topology_ids()) if vanished else set()
        for topology_id in sorted(vanished):
            base = cluster_state.storm_base(topology_id)
            if base is not None or topology_id in known:
                if base is None or base.status is not TopologyStatus.KILLED:
                    kept[topology_id] = "it was not killed"
                continue
            try:
                if unanswered:
                    kept[topology_id] = unanswered
                elif self._shell.has_code(topology_id):
                    kept[topology_id] = "Nimbus still has its code"
            except StormError as error:
                kept[topology_id] = unanswered = f"Nimbus cannot be asked: {error}"
        for topology_id in kept.keys() - self._vanished:
            log.error(
                "topology %s has no assignment in ZooKeeper any more, but %s. Its workers run on; "
                "`storm kill-workers` ends them",
                topology_id, kept[topology_id],
            )  # fmt: skip
        self._vanished = set(kept)
        return self._vanished

    def _want(self, wanted: dict[int, LocalAssignment]) -> None:
        is_news = wanted != self._wanted or not self._is_wanted_known
        self._wanted = wanted
        self._is_wanted_known = True
        self._tell_slots()
        if is_news:
            self._shell.wake_slots()

    def _heed_illness(self) -> None:
        if self._illness != self._heeded_illness:
            self._heeded_illness = self._illness
            self._tell_slots()
            self._shell.wake_slots()

    def _tell_slots(self) -> None:
        """An ill host runs nothing, and remembers what it should."""
        self.slots.want({} if self._illness else self._wanted)

    def _write_failures(self, cluster_state: StormClusterState) -> None:
        while self._failures:
            failure = self._failures[0]
            ending = failure.ending[:FAILURE_CHARS_MAX]
            error = ErrorInfo(
                failure.text, self._clock.wall_secs(), self._options.host, failure.port, ending,
                failure.lacks_environment,
            )  # fmt: skip
            cluster_state.report_error(failure.topology_id, SYSTEM_COMPONENT, error)
            if self._failures and self._failures[0] is failure:
                self._failures.popleft()

    def _unreachable(self, error: CoordinationError, now: float) -> None:
        if not self._retry_secs:
            log.warning("the cluster's state cannot be reached, its workers run on: %s", error)
        self._retry_secs = min(COORDINATION_RETRY_MAX_SECS, self._retry_secs * 2 or COORDINATION_RETRY_SECS)
        self._retry_at = now + self._retry_secs
        self._register_at = now
        self._have_turns(frozenset())
        self.use_remembered(error)

    def _remembered(self) -> dict[int, LocalAssignment]:
        """What the ports should have run when this supervisor last knew; nothing if another machine knew it."""
        found: dict[int, LocalAssignment] = {}
        if self._local_state.get("machine") not in {None, "", self._options.machine}:
            log.warning("the local directory comes from another machine: what that one should run is not done here")
            return found
        stored = self._local_state.get("assignments")
        for port, plain in (stored if isinstance(stored, dict) else {}).items():
            try:
                found[int(port)] = from_plain(plain)
            except ValueError:
                log.warning("the assignment of port %r on the disk is not readable: it is not used", port)
        return found

    def _note_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._register_at = self._clock.now()
        self._shell.wake_coordination()
