"""Real sockets on loopback."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from storm.messaging.port_probe import Address, PortProbe, peer_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def test_a_number_that_is_no_connection_by_now_is_nobodys(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with (tmp_path / "file").open("w") as file, near, far:
        open_before = len(os.listdir("/proc/self/fd"))
        assert peer_of(file.fileno(), 6700) is None
        assert peer_of(near.fileno(), 6700) is None
        assert len(os.listdir("/proc/self/fd")) == open_before


def test_who_says_nothing_has_not_ended() -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    with full, socket.create_connection(full.getsockname()):
        probes = [PortProbe(full.getsockname()) for _ in range(4)]  # more than it lets wait
        answers = [probe.is_closed() for _ in range(50) for probe in probes]
        assert True not in answers
        assert probes[-1].is_closed() is None
        for probe in probes:
            probe.close()
