from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from tcp_proxy import BitFlips, TcpProxy, Truncation

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
SECS = 20.0
MESSAGE = bytes(range(256)) * 400


class EchoServer:
    """Answers with what it is told, until the other side has no more."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = self._listener.accept()
                threading.Thread(target=self._echo, args=(taken,), daemon=True).start()

    def _echo(self, taken: socket.socket) -> None:
        with taken, contextlib.suppress(OSError):
            while data := taken.recv(65_536):
                taken.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    server = EchoServer()
    with TcpProxy((HOST, server.port)) as made:
        yield made
    server.close()


def dial(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), SECS)


def said_back(connection: socket.socket, message: bytes) -> bytes:
    """What the server answers to `message`, to the end of the connection."""
    sender = threading.Thread(target=lambda: (connection.sendall(message), connection.shutdown(socket.SHUT_WR)))
    sender.start()
    found = b"".join(iter(lambda: connection.recv(65_536), b""))
    sender.join()
    return found


def test_bytes_pass_in_both_directions_to_their_end(proxy: TcpProxy) -> None:
    for _ in range(3):
        with dial(proxy) as connection:
            assert said_back(connection, MESSAGE) == MESSAGE
    assert proxy.accepted == 3
    assert proxy.to_server.passed_bytes == proxy.to_client.passed_bytes == 3 * len(MESSAGE)


def test_delay_and_little_bandwidth_lose_nothing_and_keep_the_order(proxy: TcpProxy) -> None:
    proxy.to_server.delay_secs, proxy.to_server.jitter_secs = 0.01, 0.02
    proxy.to_client.bytes_per_sec = 2_000_000
    with dial(proxy) as connection:
        assert said_back(connection, MESSAGE) == MESSAGE


def test_a_cut_link_resets_and_refuses_until_it_is_healed(proxy: TcpProxy) -> None:
    with dial(proxy) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert proxy.open_connections == 0
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    proxy.heal()
    with dial(proxy) as connection:
        assert said_back(connection, b"again") == b"again"


def test_a_half_open_link_holds_what_is_sent_and_what_is_dialled(proxy: TcpProxy) -> None:
    with dial(proxy) as connection:
        connection.sendall(b"a")
        assert connection.recv(1) == b"a"
        proxy.stall()
        connection.sendall(b"held")
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        with dial(proxy) as second:
            second.sendall(b"too")
            proxy.heal()
            connection.settimeout(SECS)
            assert said_back(connection, b"!") == b"held!"
            assert said_back(second, b"!") == b"too!"


def test_one_direction_alone_may_be_down(proxy: TcpProxy) -> None:
    proxy.to_client.swallowed = True
    with dial(proxy) as connection:
        assert said_back(connection, MESSAGE) == b""
    assert proxy.to_server.passed_bytes == len(MESSAGE)


def test_bits_flip_as_often_as_told_and_the_same_with_the_same_seed(proxy: TcpProxy) -> None:
    found = []
    for _ in range(2):
        proxy.to_server.change = flips = BitFlips(seed=1, every_bytes=1_000, spare_bytes=50_000)
        with dial(proxy) as connection:
            answer = said_back(connection, MESSAGE)
        found.append([(at, byte) for at, (byte, sent) in enumerate(zip(answer, MESSAGE, strict=True)) if byte != sent])
        assert len(found[-1]) == flips.flips
    assert found[0] == found[1]
    assert 20 < len(found[0]) < 120
    assert found[0][0][0] >= 50_000


def test_a_truncated_connection_ends_early_with_the_beginning_of_what_was_sent(proxy: TcpProxy) -> None:
    proxy.to_client.change = truncation = Truncation(seed=1, every_bytes=10_000)
    with dial(proxy) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(MESSAGE)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert MESSAGE.startswith(answer)
        assert 5_000 <= len(answer) < 20_000
    assert truncation.cuts == 1


def test_a_taken_port_is_an_error(proxy: TcpProxy) -> None:
    with pytest.raises(OSError, match="in use"):
        TcpProxy((HOST, 1), port=proxy.port)
