"""Faults of users' code, and what people do to a running topology."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING

import psutil
from faults import Fault, Hand, Said, bar, busyness, said_worker_ended
from load import WORKERS, executors_of, tasks_of

from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fault_site import WorkerProcess

ASK_SECS = 10.0
STUCK_SECS = 3
STUCK_CONF = {"topology.executor.stuck.secs": STUCK_SECS, "topology.executor.stuck.restart": True}
STUCK = frozenset({"stuck", "stuck-restart"})
STUCK_MAX_SECS = 2 * STUCK_SECS  # until it is told: the catalogue's H5
STUCK_REPORT = re.compile(
    rf"component 'forward', task \d+, has been in one call for (\d+) s .*stuck\.secs is {STUCK_SECS}\)\n"
    r"It works on \[(\d+), .*\] from 'numbers' "
)
HARMLESS = {"hold", "fork"}
SLOW_SECS = 0.02  # of the sinks in topologies/numbered.py
GROWTH_MAX_BYTES = 64 << 20
WORKER_BAR = bar(2.0, 5.0)
STUCK_TOLD = Said("victim", r"component 'forward' is stuck, and topology\.executor\.stuck\.restart is true")


def asking(kind: str) -> Callable[[Hand], None]:
    """Ask for this; where it harms no worker, nobody is a victim."""
    return partial(ask, kind=kind) if kind not in HARMLESS else lambda hand: hand.load.ask(kind)


def hang(hand: Hand, kind: str) -> None:
    """Ask for a call that does not return. It is told of in time, among the errors that `storm get-errors` shows, with
    the component, the tuple that it holds and the line where it is.
    """
    ask(hand, kind)
    began = time.monotonic()
    acked = {each.number for each in hand.load.read().acks}
    for worker in hand.hit.victims:
        may_take = STUCK_MAX_SECS * busyness()
        try:
            text = hand.site.wait(partial(stuck_report, hand, worker), "it is told of", 2 * may_take + ASK_SECS)
        except AssertionError:
            hand.hit.wrong.append(f"no error of `forward` tells that worker {worker.pid} hangs")
            continue
        hand.hit.wrong += wrong_report(text, kind, acked)
        if (took := time.monotonic() - began) > may_take:
            hand.hit.wrong.append(f"it was told of after {took:.1f} s, at most {may_take:.1f} s it may take")


def stuck_report(hand: Hand, worker: WorkerProcess) -> str | None:
    """What the worker, since the blow, told last of a call that does not return."""
    since = time.time() - (time.monotonic() - hand.hit.at)
    place = hand.site.supervisors[worker.host].settings.get(
        "storm.local.hostname", hand.site.network.place(worker.host).address
    )
    for error in hand.site.state.errors(hand.load.topology_id, "forward"):
        if (error.host, error.port) == (place, worker.port) and error.wall_secs >= int(since) and "call" in error.text:
            return error.text
    return None


def wrong_report(text: str, kind: str, acked: Collection[int]) -> list[str]:
    """What is wrong with the report of a call of `kind` that does not return; `acked`: the numbers that it cannot hold,
    since they were acked when it began.
    """
    found = STUCK_REPORT.match(text)
    if found is None:
        return [f"the report lacks the component, its task, the time or the tuple: {text[:300]}"]
    secs, number = map(int, found.groups())
    wrong = []
    if not STUCK_SECS <= secs <= STUCK_MAX_SECS:
        wrong.append(f"the report says {secs} s, from {STUCK_SECS} to {STUCK_MAX_SECS} s it may be")
    if number in acked:
        wrong.append(f"the report names tuple {number}, which was acked before")
    if f", in {kind}\n" not in text:
        wrong.append(f"the report does not show the line of `{kind}`: {text[-300:]}")
    return wrong


def slow_sinks(hand: Hand) -> None:
    """What waits for the sinks waits at the spouts: no worker grows."""
    workers = hand.load.processes()
    before = rss_bytes(hand)

    def is_held_back() -> bool:
        return hand.load.processes() == workers and rss_bytes(hand) - before <= GROWTH_MAX_BYTES

    hand.hit.undo.append(lambda: hand.load.slow(on=False))
    hand.hit.proofs.append((f"no worker grew by {GROWTH_MAX_BYTES >> 20} MiB", is_held_back))
    hand.load.slow(on=True)


def rss_bytes(hand: Hand) -> int:
    """Of its largest worker."""
    return max(psutil.Process(worker.pid).memory_info().rss for worker in hand.load.processes())


def rebalance(hand: Hand) -> None:
    """To fewer workers and executors, or, where there are few, to more; it is over when so many run."""
    site, load, hit = hand.site, hand.load, hand.hit
    hit.settled = load.is_settled()
    before = load.processes()
    had = {worker.pid: executors_of(worker) for worker in before}
    version = site.assignment_version(load.topology_id)
    workers, executors = (WORKERS - 1, 2) if len(before) >= WORKERS else (WORKERS + 1, 4)
    wanted = storm_thrift().RebalanceOptions(wait_secs=1, num_workers=workers, num_executors={"forward": executors})
    site.call("rebalance", load.name, wanted)
    site.wait(lambda: site.assignment_version(load.topology_id) > version, "it is assigned anew", load.grace_secs)
    hit.done_at = time.monotonic()
    site.wait(
        lambda: load.runs_on() == (workers, executors),
        f"it runs on {workers} workers with {executors} executors of `forward`", load.grace_secs,
    )  # fmt: skip
    after = load.processes()
    hit.replaced = frozenset(had) - {worker.pid for worker in after}
    if hit.settled:
        hit.wrong += [
            f"worker {old.pid} was restarted though nothing changed for its slot, {old.host}:{old.port}"
            for old in before
            for new in after
            if old.pid != new.pid and (old.host, old.port) == (new.host, new.port)
            and had[old.pid] == executors_of(new)
        ]  # fmt: skip


def ask(hand: Hand, kind: str) -> None:
    """Ask for what harms a worker: the one that does it is the victim."""
    hand.look_first()
    tasks = {worker.pid: (worker, tasks_of(worker)) for worker in hand.load.processes()}
    hand.load.ask(kind)
    try:
        pid = hand.site.wait(lambda: hand.load.did(kind), f"a bolt does {kind}", ASK_SECS)
    except AssertionError:
        hand.load.ask_no_more(kind)
        pid = hand.load.did(kind)
        if pid is None:
            raise
    if pid in tasks:
        worker, its_tasks = tasks[pid]
        hand.hit.victims.append(worker)
        hand.hit.victim_tasks |= its_tasks
    else:  # it was started meanwhile
        hand.hit.may_end |= {pid}


APPLICATION_FAULTS = [
    Fault(
        "bolt-raises", "A1", "a bolt raises: its worker ends and is started again", "topology", asking("raise"),
        told=said_worker_ended("exited with code 1"), bar=WORKER_BAR,
    ),
    Fault(
        "bolt-exits", "A1", "a bolt ends its process", "topology", asking("exit"),
        told=said_worker_ended("exited with code 3"), bar=WORKER_BAR,
    ),
    Fault(
        "bolt-takes-memory", "P15", "a bolt uses up the memory that its process may have", "topology", asking("memory"),
        told=said_worker_ended(r"exited with code \d+|was killed by signal \d+"), raises=("MemoryError",),
    ),
    Fault(
        "bolt-spins", "H5", "a bolt does not return from its loop: it is named, and its worker restarted", "topology",
        partial(hang, kind="spin"), told=STUCK_TOLD, needs=STUCK,
    ),
    Fault(
        "bolt-sleeps", "H7", "a bolt waits for ever: it is named, and its worker restarted", "topology",
        partial(hang, kind="sleep"), told=STUCK_TOLD, needs=STUCK,
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
    Fault(
        "rebalanced", "A10", "rebalance to fewer workers and executors, then to more", "topology", rebalance,
        bar=bar(3.0),
    ),
]  # fmt: skip
