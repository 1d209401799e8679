"""The life of one port of a supervisor, as a pure state machine.

`step` looks at what the supervisor sees now and answers with the next slot, the commands to carry out, and when it
wants to be called next. It starts no process, never sleeps and reads no clock.

    EMPTY ──► WAITING_FOR_BLOBS ──► WAITING_FOR_WORKER_START ──► RUNNING
      ▲            ▲   │ failed          │ died, too slow          │ died, silent
      │            │   ▼                 ▼                         ▼
      │            └─ BACKING_OFF ◄──────┴──── KILLING ◄───────────┤
      └────────────────────────────────────────┴───────────────────┘ assignment gone or changed

Rules for whoever changes it:
* It is level-triggered: every step compares wanted with actual, so a lost wake-up costs time and nothing else.
* A worker is launched only from WAITING_FOR_BLOBS, which is entered only when the port has no process. That is why
  two workers never share a port.
* A worker is replaced when anything of its assignment differs: executors, epoch or the hashes of its code.
* One that is outdated ends as one whose assignment changed, and is followed by one with the same assignment.
* The back-off belongs to the code: the same topology with the same bytes keeps its count of deaths when its executors
  move, also to another port of this supervisor; new bytes start afresh.
* A worker that had settled and was ended by somebody's signal dies a first death: that says nothing of its code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.supervisor.assignment_sync import LocalAssignment


class SlotState(Enum):
    """Where a port is in its life."""

    EMPTY = "empty"
    WAITING_FOR_BLOBS = "waiting-for-blobs"
    WAITING_FOR_WORKER_START = "waiting-for-worker-start"
    RUNNING = "running"
    KILLING = "killing"
    BACKING_OFF = "backing-off"


class Cause(Enum):
    """Why a worker is not there: its code or environment could not be had; it did not start, or died before its first
    heartbeat; somebody else has its port; it was silent; somebody's signal ended it; or it died by itself or by the
    kernel.
    """

    NO_CODE = "no-code"
    NOT_STARTED = "not-started"
    PORT_TAKEN = "port-taken"
    SILENT = "silent"
    KILLED = "killed"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Slot:
    """One port. `assignment` is what the present state is about: None in EMPTY, and there only.

    `entered_at` is when `state` was entered. `deaths` counts what the back-off counts in a row, with no healthy while
    between: the worker's deaths, and what kept it from starting; `worker_deaths` those only of a process that did not
    end in order, nor for its port. `due_at` is when the state acts by itself: the next (harder) kill in KILLING, the
    new try in BACKING_OFF.
    `failure` is, in KILLING, what the worker did wrong, and `cause` what that counts as; None if it only has to make
    room. `in_order`: in BACKING_OFF, whether the last worker ended with exit code 0. `prepared_at`: in RUNNING, since
    when its components are prepared; None: they are not.
    """

    port: int
    state: SlotState = SlotState.EMPTY
    assignment: LocalAssignment | None = None
    entered_at: float = 0.0
    deaths: int = 0
    due_at: float = 0.0
    failure: str | None = None
    in_order: bool = False
    cause: Cause = Cause.DIED
    worker_deaths: int = 0
    prepared_at: float | None = None


class BlobsState(Enum):
    """Whether the code of an assignment is on this machine."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class BlobsSeen(NamedTuple):
    """An assignment's code and environment as of now. Where they FAILED: why, what a tool said last, how long to
    wait at least until they are requested again, and whether the environment could not be built. `waits_for`: what
    takes long, in words, while it is PENDING.
    """

    state: BlobsState
    failure: str = ""
    last_lines: str = ""
    retry_secs: float = 0.0
    waits_for: str = ""
    lacks_environment: bool = False


ITS_ENVIRONMENT = "its environment, which this host is building"
ITS_CODE = "its code or blobs, which are coming"
BLOBS_LOOK_SECS = 10.0  # where they take long: whether they still come

_NOT_ASKED = BlobsSeen(BlobsState.PENDING)


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """The slot's process. `exit_text`: None while it lives, else how it ended, in words: "exited with code 1".

    `orderly`: it ended with exit code 0, as a worker does that was told to or found itself replaced. `from_outside`:
    somebody ended it with a signal, not the kernel for want of memory; of one that lives: a signal has stopped it.
    `launched`: there was a process. `port_taken`: it ended because somebody else listens on its port.
    """

    exit_text: str | None = None
    orderly: bool = False
    from_outside: bool = False
    launched: bool = True
    port_taken: bool = False


@dataclass(frozen=True, slots=True)
class SlotInputs:
    """What the supervisor sees of a port at one moment.

    `worker` is None where the port has no process, also after the process was forgotten. `heartbeat_at`: when, on this
    supervisor's clock, the worker last beat; None if it has not. `is_prepared`: its components are, as it told.
    `deaths_elsewhere`: how often in a row the wanted code died on a port that it has left lately, or leaves just now.
    `blobs` counts only where the slot waits for them. `is_outdated`: a blob that the worker runs with has another
    version now, and it is the worker's turn to be started again with that. `is_restart_asked`: somebody wants it to be
    started again. `own_timeout_secs`: how long its topology lets the worker be silent; None: as the limits say.
    """

    wanted: LocalAssignment | None
    blobs: BlobsSeen = _NOT_ASKED
    worker: WorkerSeen | None = None
    heartbeat_at: float | None = None
    is_prepared: bool = False
    deaths_elsewhere: int = 0
    is_outdated: bool = False
    is_restart_asked: bool = False
    own_timeout_secs: float | None = None


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """`healthy_secs`: a worker that ran, prepared, this long and then dies is a first death again; `settled_secs`: so
    it is if it ran this long and was ended from outside.

    The back-off is 0 s after the first death, then 1, 2, 4 … at most `back_off_max_secs`; a failed download waits the
    same, but at most `download_back_off_max_secs`, since it fails when Nimbus is away and not through the topology.
    SIGKILL follows `kill_grace_secs` after SIGTERM and is repeated every `kill_repeat_secs` without end: the port
    cannot be used while the process is there. A topology's own timeout counts, for the start too, where it is
    longer, up to `own_timeout_max_secs`.
    """

    start_timeout_secs: float = 120.0
    heartbeat_timeout_secs: float = 30.0
    own_timeout_max_secs: float = 600.0
    kill_grace_secs: float = 3.0
    kill_repeat_secs: float = 5.0
    healthy_secs: float = 60.0
    settled_secs: float = 3.0
    back_off_max_secs: float = 60.0
    download_back_off_max_secs: float = 10.0


@dataclass(frozen=True, slots=True)
class DownloadBlobs:
    """Bring the assignment's code to this machine, or begin again where that failed."""

    assignment: LocalAssignment


@dataclass(frozen=True, slots=True)
class LaunchWorker:
    """Start the worker process of the port."""

    assignment: LocalAssignment


@dataclass(frozen=True, slots=True)
class KillWorker:
    """Ask the port's process to end; with `force`, end it and all it started."""

    reason: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class ForgetWorker:
    """The port's process is dead: reap it, end what it left behind, remove its directory."""


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """Tell people that the worker cannot start or does not live; it is tried again in `retry_secs` seconds.

    `last_lines`: of what failed before there was a worker; None: those of the worker's log say more.
    `lacks_environment`: there was none, since its environment could not be built.
    """

    assignment: LocalAssignment
    reason: str
    deaths: int
    retry_secs: float
    last_lines: str | None = None
    cause: Cause = Cause.DIED
    lacks_environment: bool = False


Command = DownloadBlobs | LaunchWorker | KillWorker | ForgetWorker | ReportFailure


class Step(NamedTuple):
    """`next_due`: when the slot wants to be called even if nothing happens; None: not at all."""

    slot: Slot
    commands: list[Command]
    next_due: float | None


Move = tuple[Slot, list[Command]]


def step(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Step:
    """One look at the port at clock second `now`."""
    after, commands = _HANDLERS[slot.state](slot, seen, limits, now)
    return Step(after, commands, _next_due(after, seen, limits, now))


def adopted(port: int, assignment: LocalAssignment, now: float, deaths: int = 0, worker_deaths: int = 0) -> Slot:
    """The slot of a worker that a former run of the supervisor left running; it must beat as any running worker."""
    return Slot(port, SlotState.RUNNING, assignment, now, deaths, worker_deaths=worker_deaths)


def resumed_back_off(
    port: int, assignment: LocalAssignment, deaths: int, limits: SlotLimits, now: float, worker_deaths: int = 0
) -> Slot:
    """The slot of a worker whose deaths a former run of the supervisor counted."""
    due_at = now + back_off_secs(deaths, limits.back_off_max_secs)
    return Slot(port, SlotState.BACKING_OFF, assignment, now, deaths, due_at, worker_deaths=worker_deaths)


def back_off_secs(deaths: int, max_secs: float) -> float:
    """Seconds to wait after the `deaths`-th death in a row: 0, 1, 2, 4 … `max_secs`."""
    return 0.0 if deaths <= 1 else min(max_secs, 2.0 ** min(deaths - 2, 30))


def is_healthy(slot: Slot, limits: SlotLimits, now: float) -> bool:
    """Whether its worker has run for long enough that the deaths before it are forgotten.

    From when its components were prepared: one that dies in a `prepare` that takes minutes never ran.
    """
    prepared_at = slot.prepared_at
    return slot.state is SlotState.RUNNING and prepared_at is not None and now >= prepared_at + limits.healthy_secs


def _empty(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move:
    return _follow(slot, seen.wanted, now, seen.deaths_elsewhere)


def _waiting_for_blobs(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move:
    assert slot.assignment is not None
    if seen.wanted != slot.assignment:
        return _follow(slot, seen.wanted, now, seen.deaths_elsewhere)
    blobs = seen.blobs
    if blobs.state is BlobsState.READY:
        after = replace(slot, state=SlotState.WAITING_FOR_WORKER_START, entered_at=now)
        return after, [LaunchWorker(slot.assignment)]
    if blobs.state is BlobsState.FAILED:
        failed = replace(slot, deaths=slot.deaths + 1)
        wait_secs = max(blobs.retry_secs, back_off_secs(failed.deaths, limits.download_back_off_max_secs))
        return _wait(failed, wait_secs, now, blobs.failure, Cause.NO_CODE, blobs)
    return slot, []


def _waiting_for_worker_start(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move:
    if moved := _death_or_change(slot, seen, limits, now):
        return moved
    if seen.heartbeat_at is not None:
        return replace(slot, state=SlotState.RUNNING, entered_at=now), []
    timeout_secs = _timeout_secs(limits.start_timeout_secs, seen, limits)
    if now >= slot.entered_at + timeout_secs:
        return _kill_failed(slot, f"did not start within {timeout_secs:g} s", limits, now)
    return slot, []


def _running(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move:
    if moved := _death_or_change(slot, seen, limits, now):
        return moved
    timeout_secs = _timeout_secs(limits.heartbeat_timeout_secs, seen, limits)
    if now >= _beat_or_entry(slot, seen) + timeout_secs:
        is_stopped = seen.worker is not None and seen.worker.from_outside
        why = f"sent no heartbeat for {timeout_secs:g} s"
        return _kill_failed(slot, why + (": a signal had stopped it" if is_stopped else ""), limits, now, is_stopped)
    if seen.is_prepared and slot.prepared_at is None:
        return replace(slot, prepared_at=now), []
    return slot, []


def _killing(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move:
    if seen.worker is None or seen.worker.exit_text is not None:
        forget: list[Command] = [ForgetWorker()]
        if slot.failure is not None and seen.wanted == slot.assignment:
            wait_secs = back_off_secs(slot.deaths, limits.back_off_max_secs)
            after, commands = _wait(slot, wait_secs, now, slot.failure, slot.cause)
        else:
            after, commands = _follow(slot, seen.wanted, now, seen.deaths_elsewhere)
        return after, forget + commands
    if now >= slot.due_at:
        harder = replace(slot, due_at=now + limits.kill_repeat_secs)
        return harder, [KillWorker(f"alive {now - slot.entered_at:g} s after it was told to end", force=True)]
    return slot, []


def _backing_off(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move:
    assert slot.assignment is not None
    if seen.wanted is None or not seen.wanted.same_code(slot.assignment) or now >= slot.due_at:
        return _follow(slot, seen.wanted, now, seen.deaths_elsewhere)
    if slot.in_order and seen.wanted != slot.assignment:
        # Its worker had heard of the new assignment before this supervisor did: that was no death.
        return _follow(replace(slot, deaths=slot.deaths - 1), seen.wanted, now, seen.deaths_elsewhere)
    return replace(slot, assignment=seen.wanted), []


def _death_or_change(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> Move | None:
    """What follows if the worker is dead or not the wanted one; None if neither."""
    if seen.worker is None or seen.worker.exit_text is not None:
        forget: list[Command] = [ForgetWorker()]
        if seen.wanted != slot.assignment:
            after, commands = _follow(slot, seen.wanted, now, seen.deaths_elsewhere)
        else:
            worker = seen.worker or WorkerSeen("is gone")
            is_workers = worker.launched and not worker.orderly and not worker.port_taken
            counted = _count_death(slot, limits, now, worker.from_outside, is_workers)
            wait_secs = back_off_secs(counted.deaths, limits.back_off_max_secs)
            after, commands = _wait(counted, wait_secs, now, worker.exit_text or "", _cause(slot, worker))
            if after.state is SlotState.BACKING_OFF:
                after = replace(after, in_order=worker.orderly)
            if worker.orderly and counted.deaths == 1:
                # It was told to end, or found itself replaced: once, that is no failure.
                commands = [each for each in commands if not isinstance(each, ReportFailure)]
        return after, forget + commands
    is_to_restart = slot.state is SlotState.RUNNING and (seen.is_outdated or seen.is_restart_asked)
    if seen.wanted != slot.assignment or is_to_restart:
        reason = "its slot is wanted no more" if seen.wanted is None else "its assignment changed"
        if seen.wanted == slot.assignment:
            reason = (
                "a blob that it runs with has a new version" if seen.is_outdated else "somebody asked for a restart"
            )
        well = replace(slot, deaths=0, worker_deaths=0) if is_healthy(slot, limits, now) else slot
        after = _enter_killing(well, None, now + limits.kill_grace_secs, now)
        return after, [KillWorker(reason)]
    return None


def _follow(slot: Slot, wanted: LocalAssignment | None, now: float, deaths_elsewhere: int = 0) -> Move:
    """The port has no process and turns to what is wanted."""
    if wanted is None:
        return slot if slot.state is SlotState.EMPTY else Slot(slot.port, entered_at=now), []
    is_same = slot.assignment is not None and slot.assignment.same_code(wanted)
    deaths = slot.deaths if is_same else deaths_elsewhere
    worker_deaths = slot.worker_deaths if is_same else 0
    after = Slot(slot.port, SlotState.WAITING_FOR_BLOBS, wanted, now, deaths, worker_deaths=worker_deaths)
    return after, [DownloadBlobs(wanted)]


def _cause(slot: Slot, worker: WorkerSeen) -> Cause:
    """What the death counts as of the worker that ended by itself."""
    if worker.port_taken:
        return Cause.PORT_TAKEN
    if slot.state is SlotState.WAITING_FOR_WORKER_START:
        return Cause.NOT_STARTED
    return Cause.KILLED if worker.from_outside else Cause.DIED


def _wait(slot: Slot, wait_secs: float, now: float, reason: str, cause: Cause, blobs: BlobsSeen | None = None) -> Move:
    """The port has no process after the `slot.deaths`-th failure of what is still wanted; `blobs`: that failed."""
    assert slot.assignment is not None
    report = ReportFailure(slot.assignment, reason, slot.deaths, wait_secs, cause=cause)
    if blobs is not None:
        report = replace(report, last_lines=blobs.last_lines, lacks_environment=blobs.lacks_environment)
    if wait_secs == 0.0:
        after, commands = _follow(slot, slot.assignment, now)
        return after, [report, *commands]
    due_at, its = now + wait_secs, slot.worker_deaths
    after = Slot(slot.port, SlotState.BACKING_OFF, slot.assignment, now, slot.deaths, due_at, worker_deaths=its)
    return after, [report]


def _kill_failed(slot: Slot, reason: str, limits: SlotLimits, now: float, from_outside: bool = False) -> Move:
    """A worker that does not answer does not end politely either: it is killed at once."""
    cause = Cause.NOT_STARTED if slot.state is SlotState.WAITING_FOR_WORKER_START else Cause.SILENT
    counted = replace(_count_death(slot, limits, now, from_outside), cause=cause)
    after = _enter_killing(counted, reason, now + limits.kill_repeat_secs, now)
    return after, [KillWorker(reason, force=True)]


def _enter_killing(slot: Slot, failure: str | None, due_at: float, now: float) -> Slot:
    return replace(slot, state=SlotState.KILLING, entered_at=now, due_at=due_at, failure=failure)


def _count_death(
    slot: Slot, limits: SlotLimits, now: float, from_outside: bool = False, is_workers: bool = True
) -> Slot:
    had_settled = slot.state is SlotState.RUNNING and now >= slot.entered_at + limits.settled_secs
    is_first = is_healthy(slot, limits, now) or (from_outside and had_settled)
    deaths, worker_deaths = (0, 0) if is_first else (slot.deaths, slot.worker_deaths)
    return replace(slot, deaths=deaths + 1, worker_deaths=worker_deaths + is_workers)


def _beat_or_entry(slot: Slot, seen: SlotInputs) -> float:
    return slot.entered_at if seen.heartbeat_at is None else max(slot.entered_at, seen.heartbeat_at)


def _timeout_secs(usual_secs: float, seen: SlotInputs, limits: SlotLimits) -> float:
    """As in Storm, a topology can have its workers waited for longer, not shorter."""
    return max(usual_secs, min(seen.own_timeout_secs or 0.0, limits.own_timeout_max_secs))


def _next_due(slot: Slot, seen: SlotInputs, limits: SlotLimits, now: float) -> float | None:
    match slot.state:
        case SlotState.EMPTY:
            return None
        case SlotState.WAITING_FOR_BLOBS:
            return now + BLOBS_LOOK_SECS if seen.blobs.waits_for else None
        case SlotState.WAITING_FOR_WORKER_START:
            return slot.entered_at + _timeout_secs(limits.start_timeout_secs, seen, limits)
        case SlotState.RUNNING:
            return _beat_or_entry(slot, seen) + _timeout_secs(limits.heartbeat_timeout_secs, seen, limits)
        case SlotState.KILLING | SlotState.BACKING_OFF:
            return slot.due_at


_HANDLERS: dict[SlotState, Callable[[Slot, SlotInputs, SlotLimits, float], Move]] = {
    SlotState.EMPTY: _empty,
    SlotState.WAITING_FOR_BLOBS: _waiting_for_blobs,
    SlotState.WAITING_FOR_WORKER_START: _waiting_for_worker_start,
    SlotState.RUNNING: _running,
    SlotState.KILLING: _killing,
    SlotState.BACKING_OFF: _backing_off,
}
