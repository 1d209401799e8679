from __future__ import annotations

import contextlib
import errno
import json
import socket
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest

from storm.clock import SystemClock
from storm.config.addresses import is_loopback
from storm.errors import AlreadyRunningError, ConfigError
from storm.exposition import server as served
from storm.exposition.server import CONNECTIONS_MAX, HEAD_BYTES_MAX, Answer, ExpositionServer
from storm.listening import listening_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_SECS = 10.0
LARGE = b"x" * (32 << 20)  # more than the kernel takes without a reader


def broken() -> Answer:
    raise ZeroDivisionError


PAGES = {
    "/metrics": lambda: Answer(200, "text/plain", b"storm 1\n"),
    "/large": lambda: Answer(200, "text/plain", LARGE),
    "/broken": broken,
}


@pytest.fixture
def server() -> Iterator[ExpositionServer]:
    found = ExpositionServer("127.0.0.1", 0, PAGES, SystemClock(), frozenset({"node-1"}))
    found.start()
    yield found
    found.stop()


def connected(server: ExpositionServer, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((address, server.port), WAIT_SECS)


def address_in_the_network() -> str | None:
    """One of this machine's that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect(("192.0.2.1", 9))
        address = str(sock.getsockname()[0])
        return None if is_loopback(address) else address
    return None


def answer_to(server: ExpositionServer, *parts: bytes, address: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    with connected(server, address) as client:
        for part in parts:
            client.sendall(part)
        return answered(client, parts[0].partition(b" ")[0].decode("latin-1"))


def answered(client: socket.socket, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    response = HTTPResponse(client, method=method)
    response.begin()
    return response.status, dict(response.headers), response.read()


def is_closed(client: socket.socket) -> bool:
    """Waits until it is, or WAIT_SECS."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:  # what it sent was not read
        return True


def test_a_page_is_answered(server: ExpositionServer) -> None:
    status, headers, body = answer_to(server, b"GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\n", b"\r\n")
    assert (status, body) == (200, b"storm 1\n")
    assert (headers["content-length"], headers["content-type"]) == ("8", "text/plain")


def test_a_scraper_asks_again_on_its_connection(server: ExpositionServer) -> None:
    with connected(server) as client:
        for request in (b"GET /metrics HTTP/1.1\r\n", b"HEAD /metrics HTTP/1.1\r\n", b"GET /other HTTP/1.1\r\n") * 2:
            client.sendall(request)
            client.sendall(b"Host: localhost\r\n\r\n")
            status, headers, body = answered(client, request.partition(b" ")[0].decode())
            assert headers["connection"] == "keep-alive"
            assert (status, body) == (200, b"storm 1\n") or b"GET /metrics" not in request
        client.sendall(b"GET /metrics HTTP/1.1\r\nConnection: Close\r\n\r\n")
        assert answered(client)[2] == b"storm 1\n"
        assert is_closed(client)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /metrics HTTP/1.0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nTransfer-Encoding:\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_what_may_have_a_body_and_what_is_older_is_asked_once(server: ExpositionServer, request_bytes: bytes) -> None:
    with connected(server) as client:
        client.sendall(request_bytes)
        assert answered(client)[1]["connection"] == "close"
        assert is_closed(client)


def test_head_has_no_body(server: ExpositionServer) -> None:
    status, headers, body = answer_to(server, b"HEAD /metrics HTTP/1.0\r\n\r\n")
    assert (status, headers["content-length"], body) == (200, "8", b"")


def test_a_large_page_comes_whole(server: ExpositionServer) -> None:
    assert answer_to(server, b"GET /large HTTP/1.1\r\n\r\n")[2] == LARGE


@pytest.mark.parametrize(
    ("request_bytes", "status", "sentence"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", 404, "There is nothing at this path; there is /broken, /large, /metrics."),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405, "This port only shows; ask by GET."),
        (b"\x16\x03\x01\r\n\r\n", 400, "A request is a line and at most 8192 bytes of headers."),
        (b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * HEAD_BYTES_MAX, 400, "A request is a line and at most 8192"),
        (b"GET /broken HTTP/1.1\r\n\r\n", 500, "The daemon failed at this; its log says at what. Please report it."),
    ],
)
def test_what_is_not_served_is_said(server: ExpositionServer, request_bytes: bytes, status: int, sentence: str) -> None:
    if status == 400 and len(request_bytes) > HEAD_BYTES_MAX:
        request_bytes = request_bytes[: HEAD_BYTES_MAX + 1]  # what is not read would reset the connection
    found, _, body = answer_to(server, request_bytes)
    assert found == status
    assert json.loads(body)["errorMessage"].startswith(sentence)


@pytest.mark.parametrize("path", [b"/metrics", b"/live", b"/other"])
@pytest.mark.parametrize(
    "host", [b"rebound.example.org", b"127.0.0.1.example.org:80", b"", b"localhost\r\nHost: rebound.example.org"]
)
def test_over_loopback_a_name_that_is_not_ours_reads_nothing(
    server: ExpositionServer, path: bytes, host: bytes
) -> None:
    status, _, body = answer_to(server, b"GET " + path + b" HTTP/1.1\r\nhOST : " + host + b"\r\n\r\n")
    assert (status, "does not go by the name" in json.loads(body)["errorMessage"]) == (403, True)


@pytest.mark.parametrize("host", [b"localhost:9627", b"127.0.0.1", b"[::1]:9627", b"10.0.0.5:9627", b"Node-1:9627"])
def test_addresses_and_own_names_are_served(server: ExpositionServer, host: bytes) -> None:
    assert answer_to(server, b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0] == 200


def test_prometheus_on_another_host_comes_by_any_name() -> None:
    address = address_in_the_network()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    everywhere = ExpositionServer("0.0.0.0", 0, PAGES, SystemClock())
    everywhere.start()
    request = b"GET /metrics HTTP/1.1\r\nHost: nimbus.prometheus.example.org\r\n\r\n"
    assert answer_to(everywhere, request)[0] == 403
    assert answer_to(everywhere, request, address=address)[0] == 200
    everywhere.stop()


def test_a_crowd_takes_the_places_of_its_own_and_who_asks_is_answered(server: ExpositionServer) -> None:
    """Of those that say nothing or half a request the oldest go; who has asked before stays."""
    with contextlib.ExitStack() as stack:
        scraper = stack.enter_context(connected(server))
        scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert answered(scraper)[0] == 200
        silent = [stack.enter_context(connected(server)) for _ in range(CONNECTIONS_MAX * 3)]
        with contextlib.suppress(OSError):
            for each in silent:
                each.sendall(b"GET /met")
        assert answer_to(server, b"GET /metrics HTTP/1.1\r\n\r\n")[0] == 200
        assert all(is_closed(each) for each in silent[: CONNECTIONS_MAX * 2])
        scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert answered(scraper)[0] == 200


def test_of_too_many_that_have_asked_the_one_goes_that_did_so_longest_ago(server: ExpositionServer) -> None:
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(connected(server)) for _ in range(CONNECTIONS_MAX)]
        for each in [*kept, kept[0]]:
            each.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert answered(each)[0] == 200
        assert answer_to(server, b"GET /metrics HTTP/1.1\r\n\r\n")[0] == 200
        assert is_closed(kept[1])
        kept[0].sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert answered(kept[0])[0] == 200


class FullProcess(socket.socket):
    """A listening socket of a process in which no descriptor is left until `has_room`."""

    has_room = False

    def accept(self) -> tuple[socket.socket, Any]:
        if not self.has_room:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def full_process(host: str, port: int, backlog: int) -> FullProcess:
    return FullProcess(fileno=listening_socket(host, port, backlog).detach())


def test_who_is_connected_is_served_while_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd at another port of the process takes them all; who waits gets in once there are some again."""
    monkeypatch.setattr(served, "listening_socket", full_process)
    monkeypatch.setattr(FullProcess, "has_room", True)
    found = ExpositionServer("127.0.0.1", 0, PAGES, SystemClock())
    found.start()
    with connected(found) as scraper:
        scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert answered(scraper)[0] == 200
        monkeypatch.setattr(FullProcess, "has_room", False)
        with connected(found) as waits:
            waits.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            for _ in range(3):
                scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                assert answered(scraper)[0] == 200
            waits.setblocking(False)
            with pytest.raises(BlockingIOError):
                waits.recv(1)
            waits.settimeout(WAIT_SECS)
            monkeypatch.setattr(FullProcess, "has_room", True)
            assert answered(waits)[0] == 200
    found.stop()


def test_who_is_too_slow_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "CLIENT_SECS", 0.05)
    found = ExpositionServer("127.0.0.1", 0, PAGES, SystemClock())
    found.start()
    with connected(found) as silent, connected(found) as reads_nothing:
        reads_nothing.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert is_closed(silent)
        rest = b"".join(iter(lambda: reads_nothing.recv(1 << 20), b""))
    assert len(rest) < len(LARGE)
    found.stop()


def test_who_does_not_ask_again_is_dropped(server: ExpositionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "KEPT_SECS", 0.05)
    with connected(server) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert answered(client)[0] == 200
        assert is_closed(client)


def test_a_port_that_is_taken_or_an_address_that_is_not_here(server: ExpositionServer) -> None:
    with pytest.raises(AlreadyRunningError, match=rf"cannot listen on 127.0.0.1:{server.port}: Address already in use"):
        ExpositionServer("127.0.0.1", server.port, PAGES, SystemClock())
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:9627: "):
        ExpositionServer("192.0.2.1", 9627, PAGES, SystemClock())


def test_it_ends_with_clients_that_are_still_there(server: ExpositionServer) -> None:
    client = connected(server)
    assert answer_to(server, b"GET /metrics HTTP/1.1\r\n\r\n")[0] == 200
    server.stop()
    assert client.recv(1) == b""
    client.close()
