"""Faults of ZooKeeper and of sessions with it."""

from __future__ import annotations

import contextlib
import signal
import struct
import time
from typing import TYPE_CHECKING

from daemons import mode_of
from faults import Fault, Hand, Said
from kazoo.protocol import serialization as wire
from process_faults import kill_daemon, pause_daemon
from proxy import Weather
from zookeeper_raw_client import RawClient

if TYPE_CHECKING:
    from daemons import Daemon
    from fault_site import FaultSite
    from proxy import Route
    from timers import Timers

# What a server answers to a new connection: length, protocol version, timeout, session id, length of password, it.
CONNECTED = struct.Struct(">iiiqi16s")
SLOW_SECS = 2.0


def expire_session(hand: Hand) -> None:
    """Of one daemon or worker of the host: its session is taken over by its id and password, and closed."""
    site = hand.site
    for daemon in site.zookeepers:
        route = site.zookeeper_routes.get((hand.target, daemon.name))
        if route is not None and len(route.answered) >= CONNECTED.size:
            close_session(site, route)
            return
    raise RuntimeError(f"no session of {hand.target} passes through the proxy")


def close_session(site: FaultSite, route: Route) -> None:
    """The newest one that passed through this route. Raises RuntimeError if there was none."""
    *_, session_id, size, password = CONNECTED.unpack(route.answered[: CONNECTED.size])
    if size != 16 or session_id == 0:
        raise RuntimeError("the server's answer has no session in it")
    taken = site.proxy.route(("127.0.0.1", 0), route.target)
    client = RawClient(taken.listen[1])
    client.session_id, client.password = session_id, password
    client.connect()
    if client.timeout_ms == 0:
        raise RuntimeError("the session had ended already")
    with contextlib.suppress(ConnectionError):  # the server may close before it answers
        client.call(wire.CloseInstance)
    client.close()


def slow_down(hand: Hand) -> None:
    """Every answer of ZooKeeper comes later."""
    routes = list(hand.site.zookeeper_routes.values())
    for route in routes:
        route.back = Weather(delay_secs=SLOW_SECS)

    def heal() -> None:
        for route in routes:
            route.back = Weather()

    hand.hit.undo.append(heal)


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
