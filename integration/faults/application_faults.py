"""Faults of users' code, and what people do to a running topology."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from faults import Fault, Hand, Said
from load import WORKERS, tasks_of

if TYPE_CHECKING:
    from fault_site import WorkerProcess

ASK_SECS = 10.0
_turns = itertools.count()


def raise_in_bolt(hand: Hand) -> None:
    _ask_and_see(hand, "raise")


def exit_in_bolt(hand: Hand) -> None:
    _ask_and_see(hand, "exit")


def hold_interpreter(hand: Hand) -> None:
    hand.load.ask("hold")


def fork_in_bolt(hand: Hand) -> None:
    hand.load.ask("fork")


def slow_sinks(hand: Hand) -> None:
    hand.hit.undo.append(lambda: hand.load.slow(on=False))
    hand.load.slow(on=True)


def rebalance(hand: Hand) -> None:
    """To fewer workers and executors, then to more again."""
    smaller = next(_turns) % 2 == 0
    workers, executors = (WORKERS - 1, 2) if smaller else (WORKERS + 1, 4)
    hand.site.storm("rebalance", hand.load.name, "-w", "1", "-n", str(workers), "-e", f"forward={executors}")


def _ask_and_see(hand: Hand, kind: str) -> None:
    """Ask for what ends a worker; the one that it ended is the victim."""
    tasks = {worker: tasks_of(worker) for worker in hand.load.processes()}
    hand.load.ask(kind)

    def gone() -> list[WorkerProcess]:
        running = hand.load.processes()
        return [worker for worker in tasks if worker not in running]

    for worker in hand.site.wait(gone, f"a bolt does {kind}", ASK_SECS):
        hand.hit.victims.append(worker)
        hand.hit.victim_tasks |= tasks[worker]


APPLICATION_FAULTS = [
    Fault(
        "bolt-raises", "A1", "a bolt raises: its worker ends and is started again", "topology", raise_in_bolt,
        told=Said("supervisor", r"The worker on port \d+ exited with code 1"),
    ),
    Fault(
        "bolt-exits", "A1", "a bolt ends its process", "topology", exit_in_bolt,
        told=Said("supervisor", r"The worker on port \d+ exited with code 3"),
    ),
    Fault(
        "interpreter-held", "H6", "a bolt holds the interpreter for seconds, less than a timeout", "topology",
        hold_interpreter, spares_workers=True,
    ),
    Fault(
        "bolt-forks", "P16", "a bolt starts children by subprocess, fork and multiprocessing", "topology", fork_in_bolt,
        spares_workers=True,
    ),
    Fault(
        "sinks-slow", "H9", "the last bolt takes 20 ms a tuple for a while", "topology", slow_sinks,
        lambda timers: (1.5 * timers.message_secs, 2.5 * timers.message_secs), spares_workers=True,
    ),
    Fault("rebalanced", "A10", "rebalance to fewer workers and executors, then to more", "topology", rebalance),
]  # fmt: skip
