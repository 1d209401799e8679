"""The hosts of a cluster and the links between them.

`Namespaces` gives every host a network namespace with a cable to one switch, in a world of the harness's own
(`isolation`), so that links can be cut. `Loopback` is for machines that do not allow that: all hosts are 127.0.0.1 and
differ by their ports, and of the links between them only those can be cut that pass through proxies (`links`).
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cluster_site import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tcp_proxy import Direction, TcpProxy

SWITCH = "switch"
SUBNET = "10.77"  # in a network namespace of our own: it meets no address of the machine
HARNESS = f"{SUBNET}.0.1"
DROP_PRIORITY, LOCAL_PRIORITY = 5, 10  # of rules: what is dropped is looked for before what is delivered


class Place(NamedTuple):
    """A host. `prefix` before a command makes it run there."""

    name: str
    address: str
    prefix: tuple[str, ...] = ()


class Network(Protocol):
    """`own_addresses`: each host has one, and every link can be cut; else those that proxies `carry`."""

    own_addresses: bool
    harness: str  # the harness's own address

    def place(self, name: str) -> Place:
        """The host of this name, made when it is asked for first."""

    def port(self, place: Place, wanted: int) -> int:
        """A port for what would listen on `wanted` if it had the host for itself; the same answer each time."""

    def alias(self, place: Place) -> str:
        """Another address for a host, which belongs to the harness: for proxies on the host's own ports."""

    def carry(self, proxy: TcpProxy, source: Place, target: Place) -> None:
        """What `source` says to `target`, and is answered, passes through this proxy."""

    def drop(self, sources: Iterable[Place], targets: Iterable[Place]) -> None:
        """What `sources` send to `targets` vanishes, without a word to either."""

    def deliver(self) -> None:
        """Nothing is dropped any more."""

    def unplug(self, place: Place) -> None:
        """Pull the host's cable: no interface, no error, no FIN."""

    def plug(self, place: Place) -> None:
        """Put it back."""


class Namespaces:
    """To be made once in a process that is in a world of its own."""

    own_addresses = True
    harness = HARNESS

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._dropped: list[tuple[Place, Place]] = []
        _ip("link", "add", SWITCH, "type", "bridge")
        _ip("addr", "add", f"{HARNESS}/16", "dev", SWITCH)
        _ip("link", "set", SWITCH, "up")

    def place(self, name: str) -> Place:
        if name in self._places:
            return self._places[name]
        number = len(self._places) + 2
        place = Place(name, f"{SUBNET}.0.{number}", ("ip", "netns", "exec", name))
        cable = f"cable-{number}"
        _ip("netns", "add", name)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", cable, "master", SWITCH, "up")
        for interface in ("lo", "eth0"):
            _ip("-n", name, "link", "set", interface, "up")
        _ip("-n", name, "addr", "add", f"{place.address}/16", "dev", "eth0")
        # The kernel looks first for what is its own: behind that no rule could drop anything.
        _ip("-n", name, "rule", "add", "pref", str(LOCAL_PRIORITY), "lookup", "local")
        _ip("-n", name, "rule", "del", "pref", "0")
        self._places[name] = place
        return place

    def port(self, place: Place, wanted: int) -> int:
        return wanted

    def alias(self, place: Place) -> str:
        address = place.address.replace(f"{SUBNET}.0.", f"{SUBNET}.1.")
        subprocess.run(["ip", "addr", "add", f"{address}/16", "dev", SWITCH], capture_output=True, check=False)
        return address

    def carry(self, proxy: TcpProxy, source: Place, target: Place) -> None: ...

    def drop(self, sources: Iterable[Place], targets: Iterable[Place]) -> None:
        for target in targets:
            for source in sources:
                if source != target and (source, target) not in self._dropped:
                    _ip("-n", target.name, *self._rule("add", source))
                    self._dropped.append((source, target))

    def deliver(self) -> None:
        while self._dropped:
            source, target = self._dropped.pop()
            _ip("-n", target.name, *self._rule("del", source))

    def unplug(self, place: Place) -> None:
        _ip("-n", place.name, "link", "set", "eth0", "down")

    def plug(self, place: Place) -> None:
        _ip("-n", place.name, "link", "set", "eth0", "up")

    @contextlib.contextmanager
    def thin(self, place: Place, bytes_a_second: int) -> Iterator[None]:
        """Within the block the host sends no more than that."""
        _run("tc", "-n", place.name, *thinned("eth0", bytes_a_second))
        try:
            yield
        finally:
            _run("tc", "-n", place.name, "qdisc", "del", "dev", "eth0", "root")

    def _rule(self, action: str, source: Place) -> list[str]:
        return ["rule", action, "pref", str(DROP_PRIORITY), "from", f"{source.address}/32", "blackhole"]


class Loopback:
    own_addresses = False
    harness = "127.0.0.1"

    def __init__(self) -> None:
        self._free: Iterator[int] = free_ports()
        self._ports: dict[tuple[str, int], int] = {}
        self._ways: defaultdict[tuple[str, str], list[Direction]] = defaultdict(list)  # by the names of two places

    def place(self, name: str) -> Place:
        return Place(name, "127.0.0.1")

    def port(self, place: Place, wanted: int) -> int:
        key = (place.name, wanted)
        if key not in self._ports:
            self._ports[key] = next(self._free)
        return self._ports[key]

    def alias(self, place: Place) -> str:
        raise NotImplementedError("a host on loopback has no second address")

    def carry(self, proxy: TcpProxy, source: Place, target: Place) -> None:
        self._ways[source.name, target.name].append(proxy.to_server)
        self._ways[target.name, source.name].append(proxy.to_client)

    def drop(self, sources: Iterable[Place], targets: Iterable[Place]) -> None:
        """It is held until it can be delivered, as by TCP: raises LookupError where no proxy carries it."""
        for pair in [(source.name, target.name) for source in sources for target in targets if source != target]:
            if not self._ways[pair]:
                raise LookupError(f"what {pair[0]} sends to {pair[1]} passes through no proxy")
            _stall(self._ways[pair], stalled=True)

    def deliver(self) -> None:
        for ways in self._ways.values():
            _stall(ways, stalled=False)

    def unplug(self, place: Place) -> None:
        self._stall_all_of(place, stalled=True)

    def plug(self, place: Place) -> None:
        self._stall_all_of(place, stalled=False)

    def _stall_all_of(self, place: Place, *, stalled: bool) -> None:
        for pair, ways in self._ways.items():
            if place.name in pair and pair != (place.name, place.name):
                _stall(ways, stalled=stalled)


def _stall(ways: Iterable[Direction], *, stalled: bool) -> None:
    for way in ways:
        way.stalled = stalled


def listens(place: Place, port: int) -> bool:
    """Whether somebody takes connections at this port of the host."""
    try:
        socket.create_connection((place.address, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def four_letters(place: Place, port: int, word: bytes) -> bytes:
    """What a ZooKeeper server answers to a word such as `srvr`; empty if it does not."""
    try:
        with socket.create_connection((place.address, port), timeout=1.0) as connection:
            connection.sendall(word)
            return b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return b""


def thinned(device: str, bytes_a_second: int) -> tuple[str, ...]:
    """What `tc` is told for that."""
    rate = ("rate", f"{bytes_a_second}bps", "burst", "32kb", "latency", "400ms")
    return "qdisc", "add", "dev", device, "root", "tbf", *rate


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
