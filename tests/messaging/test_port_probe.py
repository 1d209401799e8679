"""Real sockets on loopback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from storm.messaging.port_probe import Address, PortProbe, peer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FAMILIES = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


def listening(host: str) -> socket.socket:
    try:
        return socket.create_server((host, 0), family=FAMILIES[host])
    except OSError:
        pytest.skip(f"this host has no {host}")


@pytest.fixture(params=FAMILIES)
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with listening(request.param) as made:
        yield made


def answer(address: Address) -> bool:
    probe = PortProbe(address)
    try:
        while (found := probe.is_closed()) is None:
            pass
        return found
    finally:
        probe.close()


def test_a_port_is_closed_once_nobody_listens(listener: socket.socket) -> None:
    address = listener.getsockname()
    assert not answer(address)
    listener.close()
    assert answer(address)


def test_who_is_at_the_other_end(listener: socket.socket) -> None:
    address = listener.getsockname()
    with socket.create_connection(address[:2]) as connection:
        assert peer_of(connection.fileno(), address[1]) == address
        assert peer_of(connection.fileno(), address[1] + 1) is None, "the descriptor is another connection's by now"
        assert connection.getpeername() == address, "it is still open"
        descriptor = connection.fileno()
    assert peer_of(descriptor, address[1]) is None


def test_who_says_nothing_has_not_ended() -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    with full, socket.create_connection(full.getsockname()):
        silent = [PortProbe(full.getsockname()) for _ in range(3)]  # more than it lets wait
        assert silent[-1].is_closed() is None
        for each in silent:
            each.close()
