"""What a fault is: how it is done to a cluster that runs a load, how it is undone, and what may be expected of it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable  # noqa: TC003
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import psutil
from load import tasks_of
from nemesis import Drawable

if TYPE_CHECKING:
    import signal

    from fault_site import FaultSite, WorkerProcess
    from load import Load
    from nemesis import Event
    from timers import Timers


class Said(NamedTuple):
    """A line of a log. `role`: as FaultSite.logs takes it, or "target"; `pattern`: a regular expression.

    `each`: every log of the role is expected to have it, and the last one counts.
    """

    role: str
    pattern: str
    each: bool = False


def said_worker_ended(how: str) -> Said:
    """A supervisor's line of a worker that ended so, a regular expression; of one that it adopted, a supervisor cannot
    know how.
    """
    return Said("supervisor", rf"The worker on port \d+ ({how}|ended \(its exit code went to)")


@dataclass
class Hit:
    """A fault that was injected. Times are the monotonic clock's."""

    event: Event
    at: float = 0.0
    healed_at: float | None = None
    victims: list[WorkerProcess] = field(default_factory=list)  # workers that it ended or stopped
    victim_tasks: frozenset[int] = frozenset()
    settled: bool = True  # False: a worker that it hit may have been on its way out, or not have begun
    undo: list[Callable[[], None]] = field(default_factory=list)
    problem: str = ""

    def hits(self, workers: list[WorkerProcess]) -> list[WorkerProcess]:
        """Note these as victims, before they are hit."""
        self.victims += workers
        self.victim_tasks |= frozenset(task for worker in workers for task in tasks_of(worker))
        return workers


class Hand(NamedTuple):
    """What a fault gets into its hands."""

    site: FaultSite
    load: Load
    hit: Hit

    @property
    def target(self) -> str:
        return self.hit.event.target

    def worker(self) -> list[WorkerProcess]:
        """The worker that the event names, noted as victim; none if there is none at the moment."""
        self.hit.settled = self.load.is_settled()
        workers = self.load.processes()
        number = int(self.target.rpartition("-")[2])
        return self.hit.hits(workers[number % len(workers) :][:1]) if workers else []


class Fault(NamedTuple):
    """A kind of fault.

    `seconds(timers)`: the shortest and longest that it lasts. `spares_workers`: no worker process may end by it.
    `told`: the line that names it; `back`: the line that says all is well again; without one, that is when the
    ledger goes on. `needs`: see scenarios.NEEDS. `about` says what happens.
    """

    name: str
    ids: str
    about: str
    target: str
    inject: Callable[[Hand], None]
    seconds: Callable[[Timers], tuple[float, float]] = lambda timers: (0.0, 0.0)
    spares_workers: bool = False
    told: Said | None = None
    back: Said | None = None
    needs: frozenset[str] = frozenset()

    def drawable(self, timers: Timers) -> Drawable:
        return Drawable(self.name, self.target, self.seconds(timers))


def inject(fault: Fault, hand: Hand) -> None:
    """Do it. What it raises is noted as a problem of the fault, and what it had begun is undone when it is healed."""
    hand.hit.at = time.monotonic()
    try:
        fault.inject(hand)
    except Exception as error:  # noqa: BLE001 - the schedule goes on, and the table says what failed
        hand.hit.problem = f"could not be injected: {type(error).__name__}: {error}"


def heal(hand: Hand) -> None:
    """Undo it, in the opposite order."""
    while hand.hit.undo:
        try:
            hand.hit.undo.pop()()
        except Exception as error:  # noqa: BLE001 - the rest is undone all the same
            hand.hit.problem = hand.hit.problem or f"could not be healed: {type(error).__name__}: {error}"
    hand.hit.healed_at = time.monotonic()


def send(workers: list[WorkerProcess], number: signal.Signals) -> None:
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, number)


def pause(hand: Hand, workers: list[WorkerProcess]) -> None:
    """Stop these processes; those of them that are still there go on when the fault is healed."""
    stopped = []
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(worker.pid)  # it knows when the process began: a later one is never hit
            process.suspend()
            stopped.append(process)

    def go_on() -> None:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    hand.hit.undo.append(go_on)
