"""Feeds the slots of a supervisor and carries out what they ask for.

One owner for all ports: `step` looks at each port, asks its state machine and carries the commands out; nothing in
it waits. `storm.supervisor.daemon` calls it when a worker dies, a beat or a blob arrives, the wanted assignments
change, or the time that it named has come; a simulation calls it when it likes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from storm.errors import WorkerStartError
from storm.supervisor.assignment_sync import LocalAssignment, from_plain, to_plain
from storm.supervisor.left_code import LeftCode
from storm.supervisor.slot import (
    BLOBS_LOOK_SECS,
    BlobsSeen,
    Cause,
    Command,
    DownloadBlobs,
    ForgetWorker,
    KillWorker,
    LaunchWorker,
    ReportFailure,
    Slot,
    SlotInputs,
    SlotLimits,
    SlotState,
    WorkerSeen,
    adopted,
    is_healthy,
    resumed_back_off,
    step,
)
from storm.supervisor.worker_counts import WorkerCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from storm.ids import TopologyId
    from storm.supervisor.worker_beats import WorkerBeats

log = logging.getLogger(__name__)

STEPS_MAX = 8  # a port settles in three; more means a fault of the state machine, and the port waits for the next call
RESTART_PAUSE_SECS = 5.0  # a worker that cannot live with a new version of a blob has mostly died by then
RESTART_LOOK_SECS = 1.0  # between looks at whether it is the turn of a worker that is to be started again
# A port that somebody else had: Nimbus then looks for another one. Two such ports cannot have a worker move to and fro
# faster than this.
TAKEN_REMEMBERED_SECS = 600.0
BLOBS_FORGOTTEN_SECS = 3 * BLOBS_LOOK_SECS  # the thread of the slots hangs: on a disk, say
UNKILLABLE_SECS = 15.0  # after SIGKILL: what is alive then hangs in the kernel, and has its port


@dataclass(frozen=True, slots=True)
class WorkerHandle:
    """A worker process of this supervisor. `pid` 0: not a process (a model in a simulation)."""

    worker_id: str
    port: int
    assignment: LocalAssignment
    pid: int = 0


class Workers(Protocol):
    """The processes. Nothing here waits for a process."""

    def adopt(self) -> list[WorkerHandle]:
        """The workers of this supervisor that run already, each taken under watch."""

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        """Start a worker. Raises WorkerStartError."""

    def look(self, worker: WorkerHandle) -> WorkerSeen:
        """Whether it lives, or how it ended."""

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        """Ask it to end, or end it and all that it started."""

    def forget(self, worker: WorkerHandle) -> None:
        """It is dead: reap it, end what it left behind, remove its directory."""

    def log_tail(self, topology_id: TopologyId, port: int) -> str:
        """The last lines that the port's worker of this topology logged; empty if there are none."""


class Blobs(Protocol):
    """The code of topologies on this machine, with what it runs in, and the blobs that they name.

    Nothing here waits for a download or a build.
    """

    def request(self, assignment: LocalAssignment) -> None:
        """Bring it here, or begin again where that failed."""

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        """Whether it is here, and why not if that failed."""

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        """Remove the code of all other topologies."""

    def own_timeout(self, topology_id: TopologyId) -> float | None:
        """How many seconds a topology, whose code is here, lets its workers be silent; None: as the limits say."""

    def wants_restart(self, worker: WorkerHandle) -> bool:
        """Whether it runs with an old version of a blob that restarts workers, and the new one is here."""

    def keys(self) -> frozenset[str]:
        """The keys of the blobs that topologies here name. Any thread may call it."""

    def learn(self, contents: Mapping[str, str]) -> dict[str, str]:
        """{key: the SHA-256 of what the blob has now; empty: there is no such blob}; what is to be remembered of that.
        Any thread may call it.
        """


class OnlyCode:
    """Of a `Blobs` where topologies have code and nothing else: no blob that they name, and no limits of their own."""

    def own_timeout(self, topology_id: TopologyId) -> None:
        """As the limits say."""

    def wants_restart(self, worker: WorkerHandle) -> bool:
        return False

    def keys(self) -> frozenset[str]:
        return frozenset()

    def learn(self, contents: Mapping[str, str]) -> dict[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker that could not start or did not live. `reason` is in words, `at` is when, by the supervisor's clock.

    `deaths` in a row; `retry_secs` until it is tried again; `last_lines` are those of its log. `lacks_environment`:
    there was none, since its environment could not be built.
    """

    topology_id: TopologyId
    port: int
    reason: str
    deaths: int
    retry_secs: float
    last_lines: str
    at: float
    lacks_environment: bool = False

    @property
    def ending(self) -> str:
        """The rest of a sentence about the worker."""
        return self.reason if self.deaths == 1 else f"{self.reason} ({self.deaths} times in a row)"

    @property
    def text(self) -> str:
        """All of it, for people."""
        again = "at once" if self.retry_secs == 0 else f"in {self.retry_secs:g} s"
        text = f"The worker on port {self.port} {self.ending}; it is tried again {again}."
        return f"{text}\nLast lines of its log:\n{self.last_lines}" if self.last_lines else text


class SlotRunner:
    """The slots of one supervisor and their workers. One thread calls it, but for what says that any may."""

    def __init__(
        self,
        ports: Iterable[int],
        limits: SlotLimits,
        workers: Workers,
        blobs: Blobs,
        beats: WorkerBeats,
        report: Callable[[Failure], None],
    ) -> None:
        self._limits = limits
        self._workers = workers
        self._blobs = blobs
        self._beats = beats
        self._report = report
        self._slots = {port: Slot(port) for port in ports}
        self._handles: dict[int, WorkerHandle] = {}
        self._own_timeouts: dict[int, float | None] = {}  # of the workers in `_handles`, read once for each
        self._start_failures: dict[int, str] = {}
        self._failures: dict[int, Failure] = {}
        self._left = LeftCode()
        self._taken: dict[int, float] = {}  # ports that a worker found taken: until when that is remembered
        self._wanted: Mapping[int, LocalAssignment] = {}
        self._untold: set[int] = set()  # ports that go on backing off and wait for the first word of what is wanted
        self._waits_for: dict[int, tuple[str, float]] = {}  # and when it was looked at
        self._restarts_asked: set[str] = set()  # ids of workers
        self._kept: frozenset[TopologyId] | None = None
        # Restarts with another version of a blob: for which topologies it is the turn of this supervisor, None: all;
        # and which ones (to be read by any thread) want or have that turn.
        self._turns: Container[TopologyId] | None = None
        self.restarting: frozenset[TopologyId] = frozenset()
        self._outdated: set[TopologyId] = set()
        self.counts = WorkerCounts()

    def adopt(self, now: float, back_offs: Any = None) -> list[WorkerHandle]:
        """Take over the workers of a former run; what runs is wanted until somebody says otherwise, and what backs off
        stays so until then.

        `back_offs` is what a former run's `back_offs()` answered, from a disk: anything else is ignored.
        Of two workers on one port the one with the newer epoch stays and the other is killed at once.
        """
        for handle in sorted(self._workers.adopt(), key=lambda each: each.assignment.epoch):
            older = self._handles.get(handle.port)
            if older is not None:
                log.warning("port %d has two workers: %s is killed", handle.port, older.worker_id)
                self._workers.kill(older, force=True)
                self._workers.forget(older)  # no slot looks at it, and its end would wake the supervisor for ever
            self._handles[handle.port] = handle
        deaths = {}
        for port, assignment, failure, its in _read_back_offs(back_offs, now):
            deaths[port] = (assignment, failure.deaths, its)
            self._failures[port] = failure
            if port in self._slots:
                self._untold.add(port)
                self._slots[port] = resumed_back_off(port, assignment, failure.deaths, self._limits, now, its)
        self._untold -= self._handles.keys()
        for port, handle in self._handles.items():
            same = port in deaths and deaths[port][0].same_code(handle.assignment)
            self._slots[port] = adopted(port, handle.assignment, now, *(deaths[port][1:] if same else (0, 0)))
            self._own_timeouts[port] = self._blobs.own_timeout(handle.assignment.topology_id)
            self.counts.know(handle.assignment.topology_id)
            log.info("port %d: adopted worker %s, process %d", port, handle.worker_id, handle.pid)
        self._wanted = {port: handle.assignment for port, handle in self._handles.items()}
        return list(self._handles.values())

    def want(self, wanted: Mapping[int, LocalAssignment]) -> None:
        """From the next step on the ports should run this. Any thread may call it; the mapping is not changed later."""
        self._wanted = wanted
        self._untold = set()  # last: a step that finds it empty finds what is wanted too

    def running(self) -> Mapping[int, WorkerHandle]:
        """{port: its worker}, dead or alive, as of this moment. Any thread may call it."""
        return dict(self._handles)

    def ask_restart(self, worker: WorkerHandle) -> bool:
        """From the next step on this worker ends and another one takes its place; False where it does not run, or ends
        already. Any thread may call it.
        """
        slot = self._slots.get(worker.port)
        if slot is None or slot.state is not SlotState.RUNNING or self._handles.get(worker.port) != worker:
            return False
        self._restarts_asked.add(worker.worker_id)
        return True

    def slots(self) -> Mapping[int, Slot]:
        """{port: its slot}, as of this moment. Any thread may call it."""
        return dict(self._slots)

    def back_offs(self) -> dict[str, Any]:
        """The counts of deaths, and the last ones' reasons, as JSON can hold them, for `adopt` of the next run."""
        found: dict[str, Any] = {}
        for port, slot in sorted(self._slots.items()):
            if slot.deaths and slot.assignment is not None:
                found[str(port)] = entry = {"assignment": to_plain(slot.assignment), "deaths": slot.deaths}
                entry["worker_deaths"] = slot.worker_deaths
                failure = self._failures.get(port)
                if failure is not None:
                    entry |= {"reason": failure.reason, "last_lines": failure.last_lines}
                    entry |= {"lacks_environment": failure.lacks_environment}
        return found

    def failing(self, now: float) -> list[tuple[Slot, Failure]]:
        """The slots whose worker died lately, with its last failure: until one has run for `healthy_secs`. Any thread
        may call it.
        """
        found = []
        for port, failure in sorted(dict(self._failures).items()):
            slot = self._slots.get(port)
            if slot is None or slot.assignment is None or slot.assignment.topology_id != failure.topology_id:
                continue
            if slot.deaths and not is_healthy(slot, self._limits, now):
                found.append((slot, failure))
        return found

    def taken(self, now: float) -> tuple[int, ...]:
        """The ports on which somebody else listened when a worker wanted to, lately and the last time, and those whose
        worker does not end, whatever it is sent. Any thread may call it.
        """
        taken = {port for port, until in dict(self._taken).items() if now < until}
        killed_at = now - self._limits.kill_grace_secs - UNKILLABLE_SECS
        for port, slot in dict(self._slots).items():
            if slot.state is SlotState.KILLING and slot.entered_at <= killed_at:
                taken.add(port)
        return tuple(sorted(taken))

    def left(self, now: float) -> dict[TopologyId, int]:
        """{topology that has no port any more and whose worker died on one that it left lately: how often in a row}.

        Any thread may call it.
        """
        here = {slot.assignment.topology_id for slot in dict(self._slots).values() if slot.assignment is not None}
        return {topology_id: deaths for topology_id, deaths in self._left.told(now).items() if topology_id not in here}

    def works(self, port: int) -> bool:
        """A worker has this port; whether that is news. Any thread may call it."""
        return self._taken.pop(port, None) is not None

    def preparing(self, now: float) -> dict[int, tuple[Slot, str]]:
        """{port: (its slot, what it waits for)}, of slots whose worker waits for what takes long, as far as anybody
        looks at them still. Any thread may call it.
        """
        looked_at = now - BLOBS_FORGOTTEN_SECS
        waiting = {port: text for port, (text, at) in dict(self._waits_for).items() if text and at >= looked_at}
        return {port: (self._slots[port], text) for port, text in sorted(waiting.items())}

    def step(self, now: float, turns: Container[TopologyId] | None = None) -> float | None:
        """Bring every port forward as far as it goes; when to call again, None: when something happens.

        `turns`: the topologies whose outdated workers may be started again by this supervisor now; None: all.
        """
        self._turns = turns
        untold, wanted = self._untold, self._wanted
        for port in wanted.keys() - self._slots.keys():
            self._slots[port] = Slot(port)
        due: list[float] = []
        self._outdated.clear()
        self._left.look(slot for slot in self._slots.values() if self._may_be_left(slot, wanted.get(slot.port), now))
        for port in [each for each in self._slots if each not in untold]:
            next_due = self._settle(port, wanted.get(port), now)
            if next_due is not None:
                due.append(next_due)
        self._keep_used_blobs(wanted)
        if self._follow_restarts(now):
            due.append(now + RESTART_LOOK_SECS)
        return min(due, default=None)

    def _settle(self, port: int, wanted: LocalAssignment | None, now: float) -> float | None:
        for _ in range(STEPS_MAX):
            before = self._slots[port]
            seen = self._look(port, wanted, now)
            after, commands, next_due = step(before, seen, self._limits, now)
            self._slots[port] = after
            self._waits_for[port] = seen.blobs.waits_for, now
            if self._may_be_left(before, after.assignment, now):
                self._left.add(before, now)
            for command in commands:
                self._carry_out(port, command, now)
            if not commands and after == before:
                return next_due
        return now + 1.0

    def _look(self, port: int, wanted: LocalAssignment | None, now: float) -> SlotInputs:
        deaths_elsewhere = 0 if wanted is None else self._left.deaths(port, wanted, now)
        return replace(self._look_here(port, wanted, now), deaths_elsewhere=deaths_elsewhere)

    def _look_here(self, port: int, wanted: LocalAssignment | None, now: float) -> SlotInputs:
        slot = self._slots[port]
        if slot.state is SlotState.WAITING_FOR_BLOBS and slot.assignment is not None:
            return SlotInputs(wanted, self._blobs.look(slot.assignment))
        handle = self._handles.get(port)
        if handle is not None:
            beat_at = self._beats.seen_at(port, handle.worker_id)
            is_outdated = slot.state is SlotState.RUNNING and self._is_to_restart(handle, now)
            return SlotInputs(
                wanted,
                worker=self._workers.look(handle),
                heartbeat_at=beat_at,
                is_prepared=self._beats.is_prepared(port, handle.worker_id),
                is_outdated=is_outdated,
                is_restart_asked=handle.worker_id in self._restarts_asked,
                own_timeout_secs=self._own_timeouts.get(port),
            )
        if port in self._start_failures:
            return SlotInputs(wanted, worker=WorkerSeen(self._start_failures[port], launched=False))
        return SlotInputs(wanted)

    def _is_to_restart(self, worker: WorkerHandle, now: float) -> bool:
        """Whether it wants a restart and it is its turn: one worker of a topology at a time."""
        if not self._blobs.wants_restart(worker):
            return False
        topology_id = worker.assignment.topology_id
        self._outdated.add(topology_id)
        has_turn = self._turns is None or topology_id in self._turns
        return has_turn and self._is_calm(topology_id, now, but=worker.port)

    def _is_calm(self, topology_id: TopologyId, now: float, but: int | None = None) -> bool:
        """Whether the workers of the topology here run for a while, and have not died lately."""
        return all(
            slot.state is SlotState.RUNNING
            and slot.prepared_at is not None
            and now >= slot.prepared_at + RESTART_PAUSE_SECS
            and (not slot.deaths or is_healthy(slot, self._limits, now))
            for port, slot in self._slots.items()
            if port != but and slot.assignment is not None and slot.assignment.topology_id == topology_id
        )

    def _follow_restarts(self, now: float) -> bool:
        """Bring `restarting` up to date; whether there are any."""
        self.restarting = frozenset(self._outdated | {each for each in self.restarting if not self._is_calm(each, now)})
        return bool(self.restarting)

    def _carry_out(self, port: int, command: Command, now: float) -> None:
        match command:
            case DownloadBlobs(assignment):
                self._blobs.request(assignment)
            case LaunchWorker(assignment):
                self._launch(port, assignment)
            case KillWorker(reason, force):
                self._kill(port, reason, force=force)
            case ForgetWorker():
                self._start_failures.pop(port, None)
                handle = self._handles.pop(port, None)
                if handle is not None:
                    self._restarts_asked.discard(handle.worker_id)
                    self._workers.forget(handle)
                    self._beats.forget(port)
            case ReportFailure():
                self._fail(port, command, now)
            case _:
                assert_never(command)

    def _launch(self, port: int, assignment: LocalAssignment) -> None:
        assert port not in self._handles, f"port {port} has a worker already"
        try:
            handle = self._workers.launch(port, assignment)
        except WorkerStartError as error:
            self._start_failures[port] = f"could not be launched: {error}"
            return
        self._handles[port] = handle
        self._own_timeouts[port] = self._blobs.own_timeout(assignment.topology_id)
        self.counts.launched(assignment.topology_id)
        log.info("port %d: launched worker %s of %s", port, handle.worker_id, assignment.topology_id)

    def _kill(self, port: int, reason: str, *, force: bool) -> None:
        handle = self._handles.get(port)
        if handle is None:
            return
        how = "killing" if force else "stopping"
        log.info("port %d: %s worker %s of %s: %s", port, how, handle.worker_id, handle.assignment.topology_id, reason)
        self._workers.kill(handle, force=force)

    def _fail(self, port: int, report: ReportFailure, now: float) -> None:
        topology_id = report.assignment.topology_id
        said = self._workers.log_tail(topology_id, port) if report.last_lines is None else report.last_lines
        reason, last_lines = _printable(report.reason), _printable(said)
        failure = Failure(
            topology_id, port, reason, report.deaths, report.retry_secs, last_lines, now, report.lacks_environment
        )
        log.warning("%s: %s", topology_id, failure.text.partition("\n")[0])
        self._failures[port] = failure
        if report.cause is Cause.PORT_TAKEN:
            self._taken[port] = now + TAKEN_REMEMBERED_SECS
        self.counts.died(topology_id, report.cause)
        self._report(failure)

    def _keep_used_blobs(self, wanted: Mapping[int, LocalAssignment]) -> None:
        held = [slot.assignment for slot in self._slots.values() if slot.assignment is not None]
        used = frozenset(assignment.topology_id for assignment in (*wanted.values(), *held))
        if used != self._kept:
            self._kept = used
            self._blobs.keep(used)

    def _may_be_left(self, slot: Slot, other: LocalAssignment | None, now: float) -> bool:
        """Whether workers died there of other code than this, and not because the port was wrong."""
        code = slot.assignment
        if code is None or not slot.deaths or slot.port in self._taken or is_healthy(slot, self._limits, now):
            return False
        return other is None or not other.same_code(code)


def _read_back_offs(plain: Any, now: float) -> Iterable[tuple[int, LocalAssignment, Failure, int]]:
    """(port, what ran there, its last failure, the deaths of its workers)."""
    if not isinstance(plain, dict):
        return
    for port, entry in plain.items():
        try:
            number, assignment, deaths = int(port), from_plain(entry["assignment"]), int(entry["deaths"])
            worker_deaths = int(entry.get("worker_deaths", 0))
            reason = str(entry.get("reason", "died before this supervisor was started"))
            last_lines = str(entry.get("last_lines", ""))
            lacks_environment = entry.get("lacks_environment") is True
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("the back-off of port %r on the disk is not readable: it begins anew", port)
            continue
        failure = Failure(assignment.topology_id, number, reason, deaths, 0.0, last_lines, now, lacks_environment)
        yield number, assignment, failure, worker_deaths


def _printable(text: str) -> str:
    """Valid Unicode: reasons may name files, and logs and records take no others."""
    return text.encode("utf-8", "backslashreplace").decode()
