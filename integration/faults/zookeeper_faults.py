"""Faults of ZooKeeper and of sessions with it."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

from daemons import mode_of
from faults import CONNECTED, LOST, Fault, Hand, Said, bar, busyness, connected_again, new_leader, registered_again
from log_lines import Logs, monotonic_offset
from process_faults import kill_daemon, pause_daemon
from sessions import NoSessionError, close_session, owner_of
from timers import past_session, within_session

if TYPE_CHECKING:
    from daemons import Daemon
    from sessions import FirstAnswer

SLOW_SECS = 2.0
TOLD_SECS = 2.0  # a worker whose session a server has ended hears of it at once


def expire_session(hand: Hand) -> None:
    """A Nimbus's. One that does not lead need not lead afterwards, either."""
    answers, server = _answers(hand)
    if not hand.leads():
        hand.hit.back = (RENEWED,)
    close_session(answers, server)


def expire_supervisors_session(hand: Hand) -> None:
    answers, server = _answers(hand)
    session = _supervisors_session(hand, server)
    hand.hit.at = time.monotonic()  # since it is registered, it is connected: the next time comes of this
    close_session(answers, server, only=session)


def expire_workers_session(hand: Hand) -> None:
    """The newest of the host's workers; nothing, if it has none. A session may be one that a dead worker or supervisor
    left behind: then nobody tells of its end, and it is the next one's turn. Nor need anybody where not all are well.
    """
    hand.look_first()
    hand.hit.from_blow = True
    answers, server = _answers(hand)
    supervisors = _supervisors_session(hand, server)
    closed: list[float] = []

    def told_at() -> float | None:
        if not closed:
            return None
        logs, since = Logs(monotonic_offset()), closed[0]
        paths = hand.site.logs(f"{hand.target}'s workers")
        return min((at for path in paths if (at := logs.first(path, ENDED.pattern, since)) is not None), default=None)

    def is_done() -> bool:
        if all(worker.host != hand.target for worker in hand.site.workers()):
            hand.hit.missed = True
            return True
        with contextlib.suppress(NoSessionError):  # it has not connected yet
            closing = time.monotonic()
            close_session(answers, server, others_than=(supervisors,))
            closed.append(closing)
        with contextlib.suppress(AssertionError):  # it was not a worker's
            told = hand.site.wait(told_at, "a worker tells of it", TOLD_SECS * busyness())
            hand.hit.at = max((at for at in closed if at <= told), default=closed[0])
            return True
        return False

    hand.site.wait(is_done, f"a worker of {hand.target} tells that its session ended", hand.load.grace_secs)
    hand.hit.missed |= not hand.hit.settled


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
    """Every answer of ZooKeeper comes later, as a call shows that goes the way of a daemon's."""
    ways = [proxy.to_client for proxy in hand.site.zookeeper_proxies.values()]

    def undo() -> None:
        for way in ways:
            way.delay_secs = 0.0

    hand.hit.undo.append(undo)
    for way in ways:
        way.delay_secs = SLOW_SECS
    proxy = next(iter(hand.site.zookeeper_proxies.values()))
    began = time.monotonic()
    owner_of((hand.site.network.harness, proxy.port), "/storm")
    if (took := time.monotonic() - began) < SLOW_SECS:
        raise RuntimeError(f"a call of ZooKeeper took {took:.1f} s")


def kill_one_of_three(hand: Hand) -> None:
    """The leader, which is the worst."""
    daemon = _leading(hand)
    hand.hit.undo.append(lambda: hand.site.restart(daemon))
    hand.hit.from_blow = True
    hand.hit.at = time.monotonic()
    daemon.end(signal.SIGKILL)


def pause_leader_of_three(hand: Hand) -> None:
    """The others notice by ZooKeeper's own timeout (syncLimit): daemons have it again from when another leads."""
    daemon = _leading(hand)
    hand.hit.at = time.monotonic()
    pause_daemon(hand, daemon)
    _leading(hand, but=daemon)
    hand.hit.done_at = time.monotonic()


def _leading(hand: Hand, but: Daemon | None = None) -> Daemon:
    """The ZooKeeper that leads, once another does than `but`."""
    others = [daemon for daemon in hand.site.zookeepers if daemon is not but]

    def leader() -> Daemon | None:
        return next((daemon for daemon in others if mode_of(daemon) == "leader"), None)

    found: Daemon = hand.site.wait(leader, "a ZooKeeper leads", hand.load.grace_secs)
    return found


SUPERVISOR_LOST = Said("supervisor", LOST)
ENDED = Said("target", r"The session with ZooKeeper at .* counts as ended")
RENEWED = Said("target", CONNECTED)
ZOOKEEPER_BAR = bar(5.0)
ALL_BACK = (Said("supervisor", CONNECTED, each=True), *connected_again())

ZOOKEEPER_FAULTS = [
    Fault(
        "zookeeper-restarted", "Z1", "kill -9 ZooKeeper for less than a session", "zookeeper", kill_daemon,
        within_session, spares_workers=True, told=SUPERVISOR_LOST, back=ALL_BACK, bar=ZOOKEEPER_BAR,
    ),
    Fault(
        "zookeeper-lost", "Z2", "kill -9 ZooKeeper for longer than a session", "zookeeper", kill_daemon,
        past_session, spares_workers=True, told=SUPERVISOR_LOST, back=ALL_BACK, bar=ZOOKEEPER_BAR,
    ),
    Fault(
        "session-expired", "Z3", "end a supervisor's session from outside", "host", expire_supervisors_session,
        spares_workers=True, told=ENDED, back=(RENEWED, registered_again(late=True)), bar=ZOOKEEPER_BAR,
        needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "worker-session-expired", "Z3", "end a worker's session from outside", "host", expire_workers_session,
        spares_workers=True, told=ENDED._replace(role="target's workers"),
        back=(RENEWED._replace(role="target's workers"),), bar=ZOOKEEPER_BAR, needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "nimbus-session-expired", "Z3", "end a Nimbus's session from outside", "nimbus", expire_session,
        spares_workers=True, told=ENDED, back=(Said("nimbus", r"leads now"),), bar=new_leader,
        needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "zookeeper-slow", "Z10", "every answer of ZooKeeper takes two seconds", "cluster", slow_down,
        past_session, spares_workers=True, back=connected_again(late=True), bar=ZOOKEEPER_BAR,
        needs=frozenset({"zookeeper-proxy"}),
    ),
    Fault(
        "one-zookeeper-killed", "Z1", "kill -9 the leader of three ZooKeepers", "cluster", kill_one_of_three,
        past_session, spares_workers=True, told=SUPERVISOR_LOST, back=connected_again(), bar=ZOOKEEPER_BAR,
        needs=frozenset({"ensemble"}),
    ),
    Fault(
        "leading-zookeeper-paused", "H4", "SIGSTOP the leader of three ZooKeepers", "cluster", pause_leader_of_three,
        past_session, spares_workers=True, told=SUPERVISOR_LOST, back=connected_again(), bar=ZOOKEEPER_BAR,
        needs=frozenset({"ensemble"}),
    ),
]  # fmt: skip
