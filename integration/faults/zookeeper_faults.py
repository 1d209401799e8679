"""Faults of ZooKeeper and of sessions with it."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

from daemons import mode_of
from faults import Fault, Hand, Said, bar, new_leader
from process_faults import kill_daemon, pause_daemon
from sessions import close_session, owner_of

if TYPE_CHECKING:
    from daemons import Daemon
    from fault_site import FaultSite
    from sessions import FirstAnswer
    from timers import Timers

SLOW_SECS = 2.0


def expire_session(hand: Hand) -> None:
    """A Nimbus's. One that does not lead need not lead afterwards, either."""
    answers, server = _answers(hand)
    if not hand.leads():
        hand.hit.back = (REGISTERED,)
    close_session(answers, server)


def expire_supervisors_session(hand: Hand) -> None:
    answers, server = _answers(hand)
    close_session(answers, server, only=_supervisors_session(hand, server))


def expire_workers_session(hand: Hand) -> None:
    """The newest of the host's workers; nothing, if it has none."""
    answers, server = _answers(hand)
    supervisors = _supervisors_session(hand, server)

    def is_done() -> bool:
        if all(worker.host != hand.target for worker in hand.site.workers()):
            return True
        with contextlib.suppress(RuntimeError):  # it has not connected yet
            close_session(answers, server, others_than=(supervisors,))
            return True
        return False

    hand.site.wait(is_done, f"a worker of {hand.target} has a session", hand.load.grace_secs)


def _answers(hand: Hand) -> tuple[FirstAnswer, tuple[str, int]]:
    """What a server answered to those who came from the target, and the server."""
    site = hand.site
    for daemon in site.zookeepers:
        answers = site.first_answers.get((hand.target, daemon.name))
        if answers is not None and answers.contents:
            return answers, (daemon.place.address, daemon.port)
    raise RuntimeError(f"no session of {hand.target} passes through a proxy")


def _supervisors_session(hand: Hand, server: tuple[str, int]) -> int:
    """Once it is registered: after the fault before it may not have been yet."""
    node_id = (hand.site.supervisors[hand.target].local_dir / "supervisor" / "node-id").read_text().strip()
    path = f"/storm/supervisors/{node_id}"
    return int(hand.site.wait(lambda: owner_of(server, path), f"{path} is there", hand.load.grace_secs))


def slow_down(hand: Hand) -> None:
    """Every answer of ZooKeeper comes later."""
    ways = [proxy.to_client for proxy in hand.site.zookeeper_proxies.values()]

    def undo() -> None:
        for way in ways:
            way.delay_secs = 0.0

    hand.hit.undo.append(undo)
    for way in ways:
        way.delay_secs = SLOW_SECS


def kill_one_of_three(hand: Hand) -> None:
    """The leader, which is the worst."""
    daemon = _leading(hand.site)
    hand.hit.undo.append(lambda: hand.site.restart(daemon))
    daemon.end(signal.SIGKILL)


def pause_leader_of_three(hand: Hand) -> None:
    pause_daemon(hand, _leading(hand.site))


def _leading(site: FaultSite) -> Daemon:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for daemon in site.zookeepers:
            if mode_of(daemon) == "leader":
                return daemon
        time.sleep(0.1)
    raise RuntimeError("no ZooKeeper leads")


def _within_session(timers: Timers) -> tuple[float, float]:
    return 0.3 * timers.session_secs, 0.6 * timers.session_secs


def _past_session(timers: Timers) -> tuple[float, float]:
    return 1.5 * timers.session_secs, 2.5 * timers.session_secs


LOST = Said("supervisor", r"The connection to ZooKeeper at .* is lost")
ENDED = Said("target", r"The session with ZooKeeper at .* ended")
REGISTERED = Said("target", r"Connected to ZooKeeper at")
ZOOKEEPER_BAR = bar(5.0)
BACK = (
    Said("supervisor", r"Connected to ZooKeeper at", each=True),
    Said("worker", r"Connected to ZooKeeper at", each=True, after=r"The connection to ZooKeeper at .* is lost"),
    Said("nimbus", r"leads now", after=r"The connection to ZooKeeper at .* is lost"),
)

ZOOKEEPER_FAULTS = [
    Fault(
        "zookeeper-restarted", "Z1", "kill -9 ZooKeeper for less than a session", "zookeeper", kill_daemon,
        _within_session, spares_workers=True, told=LOST, back=BACK, bar=ZOOKEEPER_BAR,
    ),
    Fault(
        "zookeeper-lost", "Z2", "kill -9 ZooKeeper for longer than a session", "zookeeper", kill_daemon,
        _past_session, spares_workers=True, told=LOST, back=BACK, bar=ZOOKEEPER_BAR,
    ),
    Fault(
        "session-expired", "Z3", "end a supervisor's session from outside", "host", expire_supervisors_session,
        spares_workers=True, told=ENDED, back=(REGISTERED,), needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "worker-session-expired", "Z3", "end a worker's session from outside", "host", expire_workers_session,
        spares_workers=True, needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "nimbus-session-expired", "Z3", "end a Nimbus's session from outside", "nimbus", expire_session,
        spares_workers=True, told=ENDED, back=(Said("nimbus", r"leads now"),), bar=new_leader,
        needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "zookeeper-slow", "Z10", "every answer of ZooKeeper takes two seconds", "cluster", slow_down,
        _past_session, spares_workers=True, needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "one-zookeeper-killed", "Z1", "kill -9 the leader of three ZooKeepers", "cluster", kill_one_of_three,
        _past_session, spares_workers=True, needs=frozenset({"ensemble"}),
    ),
    Fault(
        "leading-zookeeper-paused", "H4", "SIGSTOP the leader of three ZooKeepers", "cluster", pause_leader_of_three,
        _past_session, spares_workers=True, needs=frozenset({"ensemble"}),
    ),
]  # fmt: skip
