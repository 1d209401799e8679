"""Faults of users' code, and what people do to a running topology."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from faults import Fault, Hand, Said, said_worker_ended
from load import WORKERS, tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable

ASK_SECS = 10.0
STUCK_SECS = 3
STUCK_CONF = {"topology.executor.stuck.secs": STUCK_SECS, "topology.executor.stuck.restart": True}
STUCK = frozenset({"stuck", "stuck-restart"})
HARMLESS = {"hold", "fork"}


def asking(kind: str) -> Callable[[Hand], None]:
    """Ask for this; where it harms no worker, nobody is a victim."""
    return partial(ask, kind=kind) if kind not in HARMLESS else lambda hand: hand.load.ask(kind)


def slow_sinks(hand: Hand) -> None:
    hand.hit.undo.append(lambda: hand.load.slow(on=False))
    hand.load.slow(on=True)


def rebalance(hand: Hand) -> None:
    """To fewer workers and executors, or, where there are few, to more."""
    smaller = len(hand.load.processes()) >= WORKERS
    workers, executors = (WORKERS - 1, 2) if smaller else (WORKERS + 1, 4)
    hand.site.storm("rebalance", hand.load.name, "-w", "1", "-n", str(workers), "-e", f"forward={executors}")


def ask(hand: Hand, kind: str) -> None:
    """Ask for what harms a worker: the one that does it is the victim."""
    tasks = {worker.pid: (worker, tasks_of(worker)) for worker in hand.load.processes()}
    hand.load.ask(kind)
    pid = hand.site.wait(lambda: hand.load.did(kind), f"a bolt does {kind}", ASK_SECS)
    if pid in tasks:
        worker, its_tasks = tasks[pid]
        hand.hit.victims.append(worker)
        hand.hit.victim_tasks |= its_tasks


APPLICATION_FAULTS = [
    Fault(
        "bolt-raises", "A1", "a bolt raises: its worker ends and is started again", "topology", asking("raise"),
        told=said_worker_ended("exited with code 1"),
    ),
    Fault(
        "bolt-exits", "A1", "a bolt ends its process", "topology", asking("exit"),
        told=said_worker_ended("exited with code 3"),
    ),
    Fault(
        "bolt-takes-memory", "P15", "a bolt uses up the memory that its process may have", "topology", asking("memory"),
        told=said_worker_ended("exited with code 1"),
    ),
    Fault(
        "bolt-spins", "H5", "a bolt does not return from its loop: it is named, and its worker restarted", "topology",
        asking("spin"), told=Said("worker", r"component '\w+' is stuck, and"), needs=STUCK,
    ),
    Fault(
        "bolt-sleeps", "H7", "a bolt waits for ever: it is named, and its worker restarted", "topology",
        asking("sleep"), told=Said("worker", r"component '\w+' is stuck, and"), needs=STUCK,
    ),
    Fault(
        "interpreter-held", "H6", "a bolt holds the interpreter for seconds, less than a timeout", "topology",
        asking("hold"), spares_workers=True,
    ),
    Fault(
        "bolt-forks", "P16", "a bolt starts children by subprocess, fork and multiprocessing", "topology",
        asking("fork"), spares_workers=True,
    ),
    Fault(
        "sinks-slow", "H9", "the last bolt takes 20 ms a tuple for a while", "topology", slow_sinks,
        lambda timers: (1.5 * timers.message_secs, 2.5 * timers.message_secs), spares_workers=True,
    ),
    Fault("rebalanced", "A10", "rebalance to fewer workers and executors, then to more", "topology", rebalance),
]  # fmt: skip
