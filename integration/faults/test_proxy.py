"""The proxy passes bytes on, or does what its weather says. No time is asserted but that nothing comes early."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from proxy import FAIR, Proxy, Route, Weather

if TYPE_CHECKING:
    from collections.abc import Iterator

SECS = 10.0


class Echo:
    """A server that sends back what it is sent."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while content := connection.recv(65536):
                    connection.sendall(content)
            except OSError:
                return


@pytest.fixture
def route() -> Iterator[Route]:
    """A route to an echo server."""
    echo, proxy = Echo(), Proxy(seed=1)
    yield proxy.route(("127.0.0.1", 0), echo.address)
    proxy.close()
    echo.listener.close()


def connected(route: Route) -> socket.socket:
    return socket.create_connection(route.listen, timeout=SECS)


def received(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size and (part := connection.recv(size - len(content))):
        content += part
    return content


def test_what_is_sent_comes_unharmed_and_an_end_is_passed_on(route: Route) -> None:
    content = bytes(range(256)) * 4000
    with connected(route) as connection:
        sender = threading.Thread(target=connection.sendall, args=(content,))
        sender.start()
        assert received(connection, len(content)) == content
        sender.join()
        assert route.answered == content[:64]
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_what_is_delayed_does_not_come_earlier(route: Route) -> None:
    route.back = Weather(delay_secs=0.2)
    with connected(route) as connection:
        began = time.monotonic()
        connection.sendall(b"x")
        assert received(connection, 1) == b"x"
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("weather", [Weather(stalls=True), Weather(vanishes=True)], ids=["stalls", "vanishes"])
def test_where_nothing_passes_the_connection_stays_open(route: Route, weather: Weather) -> None:
    with connected(route) as connection:
        connection.sendall(b"a")
        assert received(connection, 1) == b"a"
        route.out = weather
        connection.sendall(b"b")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        route.out = FAIR
        connection.settimeout(SECS)
        connection.sendall(b"c")
        assert received(connection, 1) == (b"b" if weather.stalls else b"c")


def test_bits_are_turned_and_counted(route: Route) -> None:
    route.out = Weather(flip_every=1000)
    content = bytes(100_000)
    with connected(route) as connection:
        connection.sendall(content)
        damaged = received(connection, len(content))
    assert sum(byte.bit_count() for byte in damaged) == route.damaged > 0


def test_a_connection_is_cut_after_so_many_bytes(route: Route) -> None:
    route.back = Weather(cut_after=10)
    with connected(route) as connection:
        connection.sendall(b"0123456789")
        assert received(connection, 10) == b"0123456789"
        connection.sendall(b"more")
        with contextlib.suppress(ConnectionResetError):  # an end is an end
            assert connection.recv(1) == b""


def test_a_server_that_is_not_there_ends_the_connection() -> None:
    proxy = Proxy()
    try:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = gone.getsockname()
        route = proxy.route(("127.0.0.1", 0), address)
        with connected(route) as connection:
            assert connection.recv(1) == b""
    finally:
        proxy.close()
