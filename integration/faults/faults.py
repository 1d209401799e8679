"""What a fault is: how it is done to a cluster that runs a load, how it is undone, and what may be expected of it."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable  # noqa: TC003
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import psutil
from checkers import Bar
from load import tasks_of
from nemesis import Drawable

if TYPE_CHECKING:
    import signal
    from collections.abc import Collection, Sequence

    from fault_site import FaultSite, WorkerProcess
    from load import Load
    from nemesis import Event
    from timers import Timers


class Said(NamedTuple):
    """A line of a log. `role`: as FaultSite.logs takes it, or "target", or "target's workers", or "victim": a worker's
    and its supervisor's.

    `pattern`: a regular expression; with a victim, `{port}` in it is its port. `each`: every log of the role is
    expected to have it, and the last one counts. `after`: it is expected only after such a line of while the fault went
    on, or of NOTICED_SECS later where `late`, but before another fault began: of each log the last one counts. With
    `each` it is expected of the logs that have one, else of any log, after the first of these.
    """

    role: str
    pattern: str
    each: bool = False
    after: str = ""
    late: bool = False


# Roles, but "target", and kinds of targets: whose logs that are.
TELLERS = {
    "victim": "hosts", "supervisor": "hosts", "host": "hosts", "nimbus": "nimbus", "worker": "workers",
    "target's workers": "workers",
}  # fmt: skip
NOTICED_SECS = 5.0  # who stood still, or waits for an answer, notices after the fault what it has lost by it
LOST = r"The connection to ZooKeeper at .* is lost"
CONNECTED = r"Connected to ZooKeeper at"
NOT_TAKEN = "Nimbus does not take heartbeats"
TAKEN = r"Nimbus takes heartbeats again|supervisor \S+ listens on"


def connected_again(*, late: bool = False) -> tuple[Said, ...]:
    """Every supervisor and worker that lost ZooKeeper has it again, and a Nimbus leads if one had lost it."""
    return (
        Said("supervisor", CONNECTED, each=True, after=LOST, late=late),
        Said("worker", CONNECTED, each=True, after=LOST, late=late),
        Said("nimbus", "leads now", after=LOST, late=late),
    )


def heard_again(*, late: bool = False) -> Said:
    """Every supervisor that told Nimbus in vain is heard again."""
    return Said("supervisor", TAKEN, each=True, after=NOT_TAKEN, late=late)


def registered_again(*, late: bool = False) -> Said:
    """If a supervisor was gone for Nimbus, one is there: for a new leader it may have been there from the first."""
    return Said("nimbus", r"The supervisor of .* is there|leads now", after=r"The supervisor of .* is gone", late=late)


def said_worker_ended(how: str) -> Said:
    """A supervisor's line of a worker that ended so, a regular expression; of one that it adopted, a supervisor cannot
    know how.
    """
    return Said("victim", rf"The worker on port {{port}} ({how}|ended \(its exit code went to)")


@dataclass
class Hit:
    """A fault that was injected. Times are the monotonic clock's.

    `proofs`: what must hold before it is healed, in words, or it did not take place. `done_at`: when what it asked for
    was taken, where it waits for more.
    """

    event: Event
    at: float = 0.0
    healed_at: float | None = None
    victims: list[WorkerProcess] = field(default_factory=list)  # workers that it ended or stopped
    victim_tasks: frozenset[int] = frozenset()
    may_end: frozenset[int] = frozenset()  # processes of workers that may end by it besides
    settled: bool = True  # False: a worker that it hit may have been on its way out, or not have begun
    undo: list[Callable[[], None]] = field(default_factory=list)
    proofs: list[tuple[str, Callable[[], object]]] = field(default_factory=list)
    done_at: float | None = None
    problem: str = ""
    returned_at: float | None = None  # when victims went on that had been replaced meanwhile
    replaced: frozenset[int] = frozenset()  # processes of workers whose slots it took, though it hit none
    from_blow: bool = False  # others take over while it goes on: its recovery does not wait for its healing
    links: frozenset[tuple[str, str]] = frozenset()  # pairs of hosts, from and to, between which nothing passed
    missed: bool = False  # there was nothing to hit, or it may have been on its way out: nobody has to tell of it
    next_at: float = math.inf  # when the next fault began
    back: tuple[Said, ...] | None = None  # lines that say all is well again, where they are not those of its kind
    wrong: list[str] = field(default_factory=list)  # what did not hold afterwards, in words
    busy: float = 1.0  # the most of `busyness` that was seen

    def hits(self, workers: list[WorkerProcess]) -> list[WorkerProcess]:
        """Note these as victims, before they are hit."""
        self.victims += workers
        self.victim_tasks |= frozenset(task for worker in workers for task in tasks_of(worker))
        return workers


class Hand(NamedTuple):
    """What a fault gets into its hands. `going_on`: the events that are not healed yet, as of the moment."""

    site: FaultSite
    load: Load
    hit: Hit
    going_on: Sequence[Event] = ()

    @property
    def target(self) -> str:
        return self.hit.event.target

    @property
    def is_alone(self) -> bool:
        """Whether no other fault goes on: who would be asked, or waited for, may be what that one has taken away."""
        return all(event is self.hit.event for event in self.going_on)

    def leads(self) -> bool:
        """Whether the target is the Nimbus that leads, or may be: where another fault goes on, it may be that nobody
        says so. Else it is waited for: the blow counts from then on.
        """
        leader = self.site.leader()
        if leader is None and self.is_alone:
            with contextlib.suppress(AssertionError):
                leader = self.site.wait(self.site.leader, "a Nimbus leads", self.load.grace_secs)
        self.hit.at = time.monotonic()
        return leader is None or leader is self.site.daemon(self.target)

    def look_first(self) -> None:
        """Note whether all workers are well, which takes a moment: the blow counts from now on."""
        self.hit.settled = self.is_alone and self.load.is_settled()
        self.hit.at = time.monotonic()

    def worker(self) -> list[WorkerProcess]:
        """The worker that the event names, noted as victim; none if there is none at the moment."""
        self.look_first()
        workers = self.load.processes()
        number = int(self.target.rpartition("-")[2])
        return self.hit.hits(workers[number % len(workers) :][:1]) if workers else []

    def workers_may_end(self, hosts: Collection[str]) -> None:
        """Note the load's workers of these hosts: they may be replaced meanwhile, and end when they hear of it."""
        self.hit.may_end |= {worker.pid for worker in self.load.processes() if worker.host in hosts}


class Fault(NamedTuple):
    """A kind of fault.

    `seconds(timers)`: the shortest and longest that it lasts. `spares_workers`: no worker process may end by it, where
    `patience(timers)` says so.
    `told`: the line that names it; `back`: the lines that say all is well again; without one, or where none has to be
    said, that is when the ledger goes on. `never`: what no log may say before the next fault. `needs`: see
    scenarios.NEEDS. `about` says what happens. `bar`: how long its recovery should take. `raises`: texts of tracebacks
    that it causes. `takes`: see nemesis.Drawable. `waits_for`: parts of a cluster that it does not recover without.
    """

    name: str
    ids: str
    about: str
    target: str
    inject: Callable[[Hand], None]
    seconds: Callable[[Timers], tuple[float, float]] = lambda timers: (0.0, 0.0)
    spares_workers: bool = False
    told: Said | None = None
    back: tuple[Said, ...] = ()
    needs: frozenset[str] = frozenset()
    patience: Callable[[Timers], bool] = lambda timers: True
    bar: Callable[[Timers], Bar] | None = None
    raises: tuple[str, ...] = ()
    takes: frozenset[str] | None = None
    waits_for: frozenset[str] = frozenset()
    never: Said | None = None

    @property
    def told_by(self) -> frozenset[str]:
        """The part of a cluster, as in `takes`, in whose logs the line is that names it."""
        if self.told is None:
            return frozenset()
        return frozenset({TELLERS[self.target if self.told.role == "target" else self.told.role]})

    def drawable(self, timers: Timers) -> Drawable:
        return Drawable(self.name, self.target, self.seconds(timers), self.takes)


def bar(median: float, most: float | None = None) -> Callable[[Timers], Bar]:
    """Whatever the timers are."""
    return lambda timers: Bar(median, most)


def new_leader(timers: Timers) -> Bar:
    """Another Nimbus leads, or the same one again in another session."""
    return Bar(timers.session_secs + 3.0)


def inject(fault: Fault, hand: Hand) -> None:
    """Do it. What it raises is noted as a problem of the fault, and what it had begun is undone when it is healed."""
    hand.hit.at = time.monotonic()
    hand.hit.busy = max(hand.hit.busy, busyness())
    try:
        fault.inject(hand)
    except Exception as error:  # noqa: BLE001 - the schedule goes on, and the table says what failed
        hand.hit.problem = f"could not be injected: {type(error).__name__}: {error}"


def heal(hand: Hand) -> None:
    """Ask for the proofs that it took place, where it could be injected, and undo it, in the opposite order."""
    for what, holds in hand.hit.proofs:
        try:
            if not (hand.hit.problem or holds()):
                hand.hit.problem = f"did not take place: not so: {what}"
        except Exception as error:  # noqa: BLE001 - it is undone all the same
            hand.hit.problem = f"did not take place: {what}: {type(error).__name__}: {error}"
    while hand.hit.undo:
        try:
            hand.hit.undo.pop()()
        except Exception as error:  # noqa: BLE001 - the rest is undone all the same
            hand.hit.problem = hand.hit.problem or f"could not be healed: {type(error).__name__}: {error}"
    hand.hit.healed_at = time.monotonic()
    hand.hit.busy = max(hand.hit.busy, busyness())


def busyness() -> float:
    """How many threads there are that want a core, for each core, in the mean of the last minute; at least 1."""
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def send(workers: list[WorkerProcess], number: signal.Signals) -> None:
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, number)


def pause(hand: Hand, workers: list[WorkerProcess]) -> None:
    """Stop these processes; those of them that are still there go on when the fault is healed."""
    stopped = stop(workers)
    hand.hit.undo.append(lambda: go_on(stopped))


def stop(workers: list[WorkerProcess]) -> list[psutil.Process]:
    """SIGSTOP; those that were there, in a form in which a later process of the same number is never hit."""
    stopped = []
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(worker.pid)
            process.suspend()
            stopped.append(process)
    return stopped


def go_on(stopped: list[psutil.Process]) -> None:
    for process in stopped:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
