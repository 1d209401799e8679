"""Faults of processes: they die, are told to end, or stand still."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import psutil
from faults import (
    CONNECTED,
    LOST,
    Fault,
    Hand,
    Said,
    bar,
    connected_again,
    go_on,
    heard_again,
    new_leader,
    pause,
    registered_again,
    said_worker_ended,
    send,
    stop,
)
from log_lines import Logs, monotonic_offset
from network_faults import LINKS, cut
from network_faults import heal as deliver
from timers import past_reassignment, within_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemons import Daemon
    from timers import Timers


def kill_worker(hand: Hand) -> None:
    send(hand.worker(), signal.SIGKILL)


def kill_workers(hand: Hand) -> None:
    send(hand.hit.hits(hand.load.processes()), signal.SIGKILL)


def terminate_worker(hand: Hand) -> None:
    send(hand.worker(), signal.SIGTERM)


def pause_worker(hand: Hand) -> None:
    pause(hand, hand.worker())


def kill_daemon(hand: Hand) -> None:
    daemon = hand.site.daemon(hand.target)
    hand.hit.undo.append(lambda: hand.site.restart(daemon) if hand.is_alone else daemon.start())
    daemon.end(signal.SIGKILL)


def kill_nimbus(hand: Hand) -> None:
    """One that does not lead need not lead afterwards, either."""
    if hand.leads():
        hand.hit.from_blow = len(hand.site.nimbuses) > 1  # another takes over, whether this one comes back or not
    else:
        hand.hit.back = (Said("target", r"Nimbus listens on"),)
    kill_daemon(hand)


def lose_host(hand: Hand) -> None:
    """The supervisor first, or it would start its workers again."""
    site, load = hand.site, hand.load
    version = site.assignment_version(load.topology_id)
    kill_daemon(hand)
    here = [worker for worker in site.workers() if worker.host == hand.target]
    send(hand.hit.hits(here), signal.SIGKILL)

    def is_assigned_anew() -> bool:
        return bool(site.wait(lambda: site.assignment_version(load.topology_id) > version, "it is", load.grace_secs))

    if any(worker.topology_id == load.topology_id for worker in here):
        hand.hit.proofs.append(("its work was assigned elsewhere before it came back", is_assigned_anew))


def pause_host(hand: Hand) -> None:
    """The host of a worker stands still, and its workers go on when they were replaced, without their supervisor and
    without hearing that they were.
    """
    site, load, hit = hand.site, hand.load, hand.hit
    named = hand.worker()
    if not named:
        return
    host = named[0].host
    supervisor = site.supervisors[host]
    node_id = (supervisor.local_dir / "supervisor" / "node-id").read_text().strip()
    cut(hand, [host], [daemon.name for daemon in (*site.nimbuses, *site.zookeepers)])
    hit.undo.append(lambda: supervisor.send(signal.SIGCONT))
    supervisor.send(signal.SIGSTOP)
    here = [worker for worker in load.processes() if worker.host == host]
    hit.hits([worker for worker in here if worker not in named])
    stopped = stop(here)
    hit.undo.append(lambda: come_back(hand, stopped, node_id))

    def is_replaced() -> bool:
        return bool(site.wait(lambda: load.runs_without(node_id), f"it runs without host {host}", load.grace_secs))

    def is_stopped() -> bool:
        return [process.status() for process in stopped] == [psutil.STATUS_STOPPED] * len(here)

    hit.proofs += [("its work was taken over elsewhere", is_replaced), ("its workers still stood there", is_stopped)]


def come_back(hand: Hand, stopped: list[psutil.Process], node_id: str) -> None:
    """Workers that were replaced go on: the others take nothing from them, and they end themselves."""
    site, load, hit = hand.site, hand.load, hand.hit
    if hit.problem:  # they were not replaced, or nobody knows
        go_on(stopped)
        return
    before = load.fenced_frames(node_id)
    hit.returned_at = time.monotonic()
    go_on(stopped)

    def must(condition: Callable[[], object], what: str) -> None:
        try:
            site.wait(condition, what, load.grace_secs)
        except AssertionError as error:
            hit.wrong.append(str(error))

    def are_gone() -> bool:
        return not any(is_alive(process) for process in stopped)

    must(lambda: are_gone() or load.fenced_frames(node_id) > before, "the others count frames of the replaced workers")
    deliver(hand)
    must(are_gone, "workers that were replaced end by themselves")
    told = r"Ending \(exit code 0\): assignment \d+ (has no worker on|gives) port"
    logs = Logs(monotonic_offset())
    for worker in hit.victims if hit.settled else ():
        paths = site.worker_logs(worker)
        aborted = any(ABORTED in path.read_text(errors="replace") for path in paths)
        if not aborted and all(logs.first(path, told, hit.returned_at) is None for path in paths):
            hit.wrong.append(f"worker {worker.pid} does not say that it ends because it was replaced")


def is_alive(process: psutil.Process) -> bool:
    """A child that ended is there until its supervisor, which stands still, has seen it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_everything(hand: Hand) -> None:
    site = hand.site
    workers = hand.hit.hits(hand.load.processes())
    send(workers, signal.SIGSTOP)  # so that none ends by itself, or is replaced, before all are dead
    daemons = list(site.daemons)
    for daemon in daemons:
        hand.hit.undo.append(daemon.start)
    for daemon in reversed(daemons):
        daemon.end(signal.SIGKILL)
    send(workers, signal.SIGKILL)


def pause_daemon(hand: Hand, *daemons: Daemon) -> None:
    paused = daemons or (hand.site.daemon(hand.target),)
    for daemon in paused:
        hand.hit.undo.append(lambda daemon=daemon: daemon.send(signal.SIGCONT))  # type: ignore[misc]
        daemon.send(signal.SIGSTOP)

    def is_stopped() -> bool:
        return all(psutil.Process(daemon.pid).status() == psutil.STATUS_STOPPED for daemon in paused)

    hand.hit.proofs.append(("the daemons stood still", is_stopped))


def pause_coordination(hand: Hand) -> None:
    pause_daemon(hand, *hand.site.nimbuses, *hand.site.zookeepers)


def pause_everything(hand: Hand) -> None:
    pause(hand, hand.load.processes())
    pause_daemon(hand, *hand.site.daemons)


def _moments(timers: Timers) -> tuple[float, float]:
    return 1.0, 3.0


def _past_worker_timeout(timers: Timers) -> tuple[float, float]:
    return 1.3 * timers.worker_secs, 1.8 * timers.worker_secs


def _seen_by_who_stood_still(timers: Timers) -> tuple[float, float]:
    """A supervisor says so when it is 2 s late for a worker's timeout, which may have been a whole one ahead."""
    return 1.6 * timers.worker_secs, 2.0 * timers.worker_secs


# libzmq 4.3.5 ends a process whose peers closed a connection while it stood still, if it could write just then, too.
ABORTED = "Assertion failed: !_io_error"
WORKER_BAR = bar(2.0, 5.0)
LISTENS = Said("target", r"supervisor \S+ listens on")
DIED = said_worker_ended("was killed by signal 9")

PROCESS_FAULTS = [
    Fault("worker-killed", "P1 A6", "kill -9 one worker", "worker", kill_worker, told=DIED, bar=WORKER_BAR),
    Fault("workers-killed", "P2", "kill -9 all workers at once", "topology", kill_workers, told=DIED),
    Fault(
        "worker-terminated", "P4", "SIGTERM to one worker: it ends in order, and is started again", "worker",
        terminate_worker, told=Said("victim", r"Ending \(exit code 0\): told by a signal"),
        # Its supervisor tells of no end that was in order. Nor may the signal kill it, however early it comes: it is
        # started with it blocked, and lets it through when it can heed it.
        back=(Said("victim", r"storm\.worker\.worker: Ended: "),), bar=WORKER_BAR,
        # Not `said_worker_ended`: of one that it adopted it says the same, however that ended.
        never=Said("victim", r"The worker on port {port} (was killed by signal \d+|exited with code [1-9]\d*)"),
    ),
    Fault(
        "supervisor-killed", "P5", "kill -9 a supervisor; the next one adopts its workers", "host",
        kill_daemon, _moments, spares_workers=True, back=(LISTENS,),
    ),
    Fault(
        "host-lost", "P6", "kill -9 a supervisor and its workers; back after they were assigned elsewhere", "host",
        lose_host, past_reassignment,
        told=Said("nimbus", r"does not beat|Assignment \d+ of|supervisor of \S+ \S+ is gone"),
    ),
    Fault(
        "nimbus-killed", "P7", "kill -9 a Nimbus; back some seconds later", "nimbus", kill_nimbus, _moments,
        spares_workers=True, back=(Said("nimbus", r"leads now"),), bar=new_leader,
    ),
    Fault(
        "cluster-killed", "P18", "kill -9 everything at once, and start it again", "cluster", kill_everything,
        _moments, back=(LISTENS._replace(role="supervisor", each=True), Said("nimbus", "leads now")),
    ),
    Fault(
        "worker-paused", "H1", "SIGSTOP a worker until its supervisor kills it", "worker", pause_worker,
        _past_worker_timeout, told=Said("victim", r"port {port}\b.* sent no heartbeat for"),
    ),
    Fault(
        "host-paused", "H1", "SIGSTOP a supervisor and its workers until others have their work; these go on, cut off",
        "worker", pause_host, past_reassignment,
        told=Said("nimbus", r"does not beat|Assignment \d+ of|supervisor of \S+ \S+ is gone"), needs=LINKS,
    ),
    Fault(
        "supervisor-paused", "H3", "SIGSTOP a supervisor for longer than its session; its workers go on", "host",
        pause_daemon, _past_worker_timeout, spares_workers=True,
        back=(Said("target", CONNECTED, after=LOST, late=True), registered_again()),
    ),
    Fault(
        "coordination-paused", "H4", "SIGSTOP Nimbus and ZooKeeper for less than a session", "cluster",
        pause_coordination, within_session, spares_workers=True,
        back=(*connected_again(late=True), heard_again(late=True)),
    ),
    Fault(
        "everything-paused", "T4", "SIGSTOP everything, as when a machine sleeps, then SIGCONT", "cluster",
        pause_everything, _seen_by_who_stood_still, spares_workers=True,
        back=(
            Said("supervisor", "the supervisor stood still for", each=True), *connected_again(late=True),
            heard_again(late=True),
        ),
    ),
]  # fmt: skip
