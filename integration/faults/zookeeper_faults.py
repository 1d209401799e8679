"""Faults of ZooKeeper and of sessions with it."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

from daemons import mode_of
from faults import Fault, Hand, Said
from process_faults import kill_daemon, pause_daemon
from sessions import close_session

if TYPE_CHECKING:
    from daemons import Daemon
    from fault_site import FaultSite
    from timers import Timers

SLOW_SECS = 2.0


def expire_session(hand: Hand) -> None:
    """The newest one of the target, of its daemon or a worker there."""
    site = hand.site
    for daemon in site.zookeepers:
        answer = site.first_answers.get((hand.target, daemon.name))
        if answer is not None and answer.contents:
            close_session(answer, (daemon.place.address, daemon.port))
            return
    raise RuntimeError(f"no session of {hand.target} passes through a proxy")


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
BACK = Said("supervisor", r"Connected to ZooKeeper at", each=True)

ZOOKEEPER_FAULTS = [
    Fault(
        "zookeeper-restarted", "Z1", "kill -9 ZooKeeper for less than a session", "zookeeper", kill_daemon,
        _within_session, spares_workers=True, told=LOST, back=BACK,
    ),
    Fault(
        "zookeeper-lost", "Z2", "kill -9 ZooKeeper for longer than a session", "zookeeper", kill_daemon,
        _past_session, spares_workers=True, told=LOST, back=BACK,
    ),
    Fault(
        "session-expired", "Z3", "end a session of a supervisor's host from outside", "host", expire_session,
        spares_workers=True, needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "nimbus-session-expired", "Z3", "end Nimbus's session from outside", "nimbus", expire_session,
        spares_workers=True, told=Said("nimbus", r"The session with ZooKeeper at .* ended"),
        back=Said("nimbus", r"leads now"), needs=frozenset({"zookeeper-proxy"}),
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
