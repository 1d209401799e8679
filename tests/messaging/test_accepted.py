from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

from storm.messaging.accepted import AcceptedConnections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"


class Port(NamedTuple):
    listener: socket.socket
    client: socket.socket
    server: socket.socket  # the client's other end
    accepted: AcceptedConnections


@pytest.fixture(params=[HOST, "::1"])
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    try:
        listener = socket.create_server((request.param, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 here")
    number = listener.getsockname()[1]
    accepted = AcceptedConnections(number)
    with listener, socket.create_connection((request.param, number), timeout=20) as client:
        server, _ = listener.accept()
        with server:
            yield Port(listener, client, server, accepted)
    accepted.close()


def is_open(one: socket.socket, other: socket.socket) -> bool:
    one.sendall(b"x")
    return other.recv(1) == b"x"


def test_both_ends_see_that_a_connection_was_shut(port: Port) -> None:
    assert port.accepted.shut(port.server.fileno())
    assert port.client.recv(1) == b""
    assert port.server.recv(1) == b""


def test_nothing_is_left_of_it_when_its_owner_closes_it(port: Port) -> None:
    port.accepted.shut(port.server.fileno())
    port.server.close()
    with pytest.raises(ConnectionError):
        port.client.send(b"x")


def test_the_number_stays_its_owners(port: Port) -> None:
    number = port.server.fileno()
    port.accepted.shut(number)
    assert port.server.fileno() == number
    os.fstat(number)


def test_what_has_come_is_counted_taken_or_not(port: Port) -> None:
    assert port.accepted.received_bytes(port.server.fileno()) == 0
    port.client.sendall(b"four")
    assert port.server.recv(2) == b"fo"
    assert port.accepted.received_bytes(port.server.fileno()) == 4


def test_a_number_that_belongs_to_something_else_by_now_is_left_alone(port: Port, tmp_path: Path) -> None:
    pair = socket.socketpair()
    with (
        socket.create_server((HOST, 0)) as elsewhere,
        socket.create_connection(elsewhere.getsockname(), timeout=20) as other,
        elsewhere.accept()[0] as other_end,
        pair[0],
        pair[1],
        (tmp_path / "file").open("w") as file,
    ):
        numbers = [port.listener, port.client, other, other_end, elsewhere, pair[0], file]
        for number in [*(one.fileno() for one in numbers), 1_000_000]:
            assert not port.accepted.shut(number)
            assert port.accepted.received_bytes(number) is None
        assert is_open(other, other_end)
        assert is_open(*pair)
        assert is_open(port.client, port.server)


def test_a_lock_of_the_process_is_kept(port: Port, tmp_path: Path) -> None:
    """Closing any descriptor of a file gives up the process's locks of it."""
    with (tmp_path / "file").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        port.accepted.shut(file.fileno())
        child = os.fork()
        if not child:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_no_free_descriptor_is_needed(port: Port) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, soft), hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(0)
        size_bytes, shut = port.accepted.received_bytes(port.server.fileno()), port.accepted.shut(port.server.fileno())
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert size_bytes == 0
    assert shut


def test_a_limit_that_was_lowered_below_all_numbers_breaks_nothing(port: Port) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert not port.accepted.shut(port.server.fileno())
        assert port.accepted.received_bytes(port.server.fileno()) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert is_open(port.client, port.server)
