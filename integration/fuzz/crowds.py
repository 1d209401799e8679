"""Attacks by numbers: idle connections, a byte a second, messages without an end, and no file descriptor left.

None needs a byte that is wrong. While they last the neighbour must be served as before, and a new client must get in;
where a daemon has a cap, the crowd is what it closes.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import time
from typing import TYPE_CHECKING

import psutil
from campaign import STALL_SECS, Outcome, Watch, between, figures, note_calls, quiet_phase
from surface import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from campaign import Plan
    from surface import Surface

SLOW_CONNECTIONS = 300
ENDLESS_CONNECTIONS, ENDLESS_BYTES = 8, 1 << 16
DESCRIPTORS, CROWD_OF_DESCRIPTORS = 64, 200
RECOVERY_SECS = 5.0
ROOM_SECS = 10.0  # half-sent frames may hold all places of the Thrift ports for 5 s
SPARE_DESCRIPTORS = 200  # for the attacker itself


def idle(surface: Surface, plan: Plan) -> Outcome:
    """Connections that say nothing, or half of them no more than the handshake, held for a while; then they go."""
    wanted = min(plan.crowd, raise_descriptors() - SPARE_DESCRIPTORS)

    def attack(outcome: Outcome) -> None:
        outcome.cases = 0
        for ports in surface.crowded():
            with contextlib.ExitStack() as stack:
                crowd = [connect(ports, number, stack) for number in range(wanted)]
                made = len([sock for sock in crowd if sock is not None])
                outcome.cases += made
                for sock in crowd[: wanted // 2]:
                    with contextlib.suppress(OSError, AttributeError):
                        sock.send(surface.handshake)  # type: ignore[union-attr]
                hold(surface, min(plan.secs or 10.0, 10.0), outcome)
                left = sum(1 for sock in crowd if sock is not None and is_open(sock))
                at = " and ".join(str(port) for port in ports)
                outcome.notes.append(f"{made} idle connections were made to {at}, {left} were still open at the end")

    return crowd_run(surface, "idle", plan, attack)


def slow(surface: Surface, plan: Plan) -> Outcome:
    """Connections that each send a whole session of the corpus, a byte a second."""
    raise_descriptors()
    seeds = [seed.data for seed in surface.seeds() if len(seed.data) > 60] or [bytes(64)]

    def attack(outcome: Outcome) -> None:
        with contextlib.ExitStack() as stack:
            crowd = [connect(crowded_ports(surface), number, stack) for number in range(SLOW_CONNECTIONS)]
            outcome.cases = len(crowd)
            for second in range(int(min(plan.secs or 40.0, 40.0))):
                for number, sock in enumerate(crowd):
                    with contextlib.suppress(OSError, AttributeError):
                        data = seeds[number % len(seeds)]
                        sock.send(data[second : second + 1])  # type: ignore[union-attr]
                hold(surface, 1.0, outcome)
            left = sum(1 for sock in crowd if sock is not None and is_open(sock))
            outcome.notes.append(f"{left} of {SLOW_CONNECTIONS} slow connections were still open at the end")

    return crowd_run(surface, "slow", plan, attack)


def endless(surface: Surface, plan: Plan) -> Outcome:
    """Connections that each send one message for ever, as fast as they can; who is cut off begins anew."""
    assert surface.endless is not None
    begin, more = surface.endless
    more *= ENDLESS_BYTES // len(more)

    def attack(outcome: Outcome) -> None:
        socks: dict[int, socket.socket] = {}
        until = time.monotonic() + min(plan.secs or 10.0, 10.0)
        sent_bytes = 0
        while time.monotonic() < until:
            if len(socks) < ENDLESS_CONNECTIONS:
                with contextlib.suppress(OSError):
                    socks[outcome.cases] = begun(surface.ports[outcome.cases % len(surface.ports)], begin)
                outcome.cases += 1
            for number, sock in [*socks.items()]:
                try:
                    sent_bytes += sock.send(more)
                except BlockingIOError:
                    continue
                except OSError:
                    socks.pop(number).close()
        if not gets_in(surface, ROOM_SECS):
            outcome.trouble.append(f"no new client got in within {ROOM_SECS:.0f} s")
        outcome.notes.append(f"{sent_bytes >> 20} MB were sent by {outcome.cases} connections")
        for sock in socks.values():
            sock.close()

    return crowd_run(surface, "endless", plan, attack)


def begun(port: int, begin: bytes) -> socket.socket:
    """A connection that has said how it begins, and was answered: what comes earlier is a part of the handshake."""
    sock = socket.create_connection((HOST, port), timeout=10.0)
    sock.sendall(begin)
    sock.recv(ENDLESS_BYTES)
    sock.setblocking(False)
    return sock


def descriptors(surface: Surface, plan: Plan) -> Outcome:
    """The process gets a limit of 64 open files while 200 idle connections come; then they go, and it recovers."""

    def attack(outcome: Outcome) -> None:
        limits = {}
        for pid in surface.processes().values():
            process = psutil.Process(pid)
            limits[pid] = process.rlimit(psutil.RLIMIT_NOFILE)
            process.rlimit(psutil.RLIMIT_NOFILE, (DESCRIPTORS, limits[pid][1]))
        try:
            with contextlib.ExitStack() as stack:
                crowd = [connect(crowded_ports(surface), number, stack) for number in range(CROWD_OF_DESCRIPTORS)]
                outcome.cases = len(crowd)
                hold(surface, min(plan.secs or 5.0, 5.0), outcome, expect_room=False)
            began = time.monotonic()
            if not gets_in(surface, RECOVERY_SECS):
                outcome.trouble.append(f"no new client got in within {RECOVERY_SECS:.0f} s after the crowd had gone")
            outcome.notes.append(f"a new client got in {time.monotonic() - began:.2f} s after the crowd had gone")
        finally:
            for pid, limit in limits.items():
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE, limit)

    return crowd_run(surface, "descriptors", plan, attack)


CROWDS: dict[str, Callable[[Surface, Plan], Outcome]] = {
    "idle": idle,
    "slow": slow,
    "endless": endless,
    "descriptors": descriptors,
}


def crowd_run(surface: Surface, name: str, plan: Plan, attack: Callable[[Outcome], None]) -> Outcome:
    """Quiet, attack, and where a call of the neighbour took too long the attack again: chance does not come twice."""
    outcome = Outcome(surface.name, name)
    outcome.quiet = outcome.control = figures(quiet_phase(surface, plan.quiet_secs))
    limit = outcome.quiet[1] + STALL_SECS
    watch = Watch(surface)
    for _ in range(2):
        began = time.monotonic()
        attack(outcome)
        ended = time.monotonic()
        during = between(surface.samples(), began, ended)
        outcome.secs += ended - began
        note_calls(surface, outcome, during)
        outcome.deaths = watch.deaths()
        stalled = sum(sample.secs > limit for sample in during)
        outcome.stalls = stalled if outcome.suspects else 0
        outcome.suspects += stalled
        if not stalled or outcome.deaths or not plan.blames:
            break
    time.sleep(1.0)  # for the daemon to see that the crowd has gone
    outcome.growth_bytes, outcome.peak_bytes = watch.close()
    return outcome


def crowded_ports(surface: Surface) -> list[int]:
    return [port for group in surface.crowded() for port in group]


def connect(ports: Sequence[int], number: int, stack: contextlib.ExitStack) -> socket.socket | None:
    sock = stack.enter_context(socket.socket())
    sock.settimeout(10.0)
    try:
        sock.connect((HOST, ports[number % len(ports)]))
    except OSError:
        return None
    sock.setblocking(False)
    return sock


def hold(surface: Surface, secs: float, outcome: Outcome, *, expect_room: bool = True) -> None:
    """Let the crowd stay for a while; meanwhile a new client must get in."""
    until = time.monotonic() + secs
    if expect_room and not gets_in(surface, ROOM_SECS):
        outcome.trouble.append(f"no new client got in beside the crowd within {ROOM_SECS:.0f} s")
    time.sleep(max(0.0, until - time.monotonic()))


def gets_in(surface: Surface, secs: float) -> bool:
    """Whether a client that has just come is served, at the latest after so long."""
    until = time.monotonic() + secs
    while not surface.serves_new_client():
        if time.monotonic() > until:
            return False
    return True


def is_open(sock: socket.socket) -> bool:
    """Whether the other side has not closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        if not selector.select(0):
            return True
    try:
        while data := sock.recv(1 << 16):
            del data
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def raise_descriptors() -> int:
    """Let this process open as many files as it may; how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard
