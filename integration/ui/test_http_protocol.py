"""Slow and broken clients, over real sockets: each has its limits, and nobody else is slowed."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from cluster_site import wait_until

from storm.http import protocol
from storm.http.listener import listen
from storm.http.protocol import HttpProtocol
from storm.http.server import HEAD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(120)

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE_BYTES = 64 << 20


async def application(scope: Any, receive: Any, send: Any) -> None:
    """`/` is small, `/large` larger than any buffer on the way."""
    large = scope["path"] == "/large"
    size = LARGE_BYTES if large else 2
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(size).encode())]})
    piece = b"x" * min(size, 1 << 20)
    for left in range(size // len(piece) - 1, -1, -1):
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server of the application."""
    listener = listen("127.0.0.1", 0, "ui")
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        application, http=HttpProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    wait_until(lambda: server.started, "the server runs", 30)
    yield port
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def connect(port: int) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connected() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        return opened[-1]

    yield connected
    for one in opened:
        one.close()


def is_closed(sock: socket.socket) -> bool:
    """Waits for it, and reads what comes before."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return True


def answer(sock: socket.socket, request: bytes = REQUEST) -> bytes:
    sock.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        part = sock.recv(1 << 16)
        if not part:
            break
        received += part
    return received


@pytest.mark.parametrize("sent", [b"", b"GET / HT", REQUEST[:-2], REQUEST + b"GET"])
def test_who_does_not_finish_a_request_is_left(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECS", 0.2)
    slow = connect()
    slow.sendall(sent)
    assert is_closed(slow)


def test_who_is_answered_and_goes_on_with_a_body_that_never_ends_is_left(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = connect()
    answer(slow)
    monkeypatch.setattr(protocol, "HEAD_SECS", 0.2)
    answer(slow, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
    slow.sendall(b"x")
    assert is_closed(slow)


def test_a_body_that_ends_after_its_answer_is_in_nobodys_way(connect: Callable[[], socket.socket]) -> None:
    client = connect()
    for _ in range(2):
        assert b"200 OK" in answer(client, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nx")
        client.sendall(b"xx")


CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"400\r\n" + b"x" * 1024 + b"\r\n"


def send_for_ever(sock: socket.socket) -> None:
    while True:
        sock.sendall(CHUNK)


def test_the_rest_of_a_body_without_an_end_is_thrown_away_and_its_answer_is_not(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECS", 1_000)
    monkeypatch.setattr(protocol, "LINGER_SECS", 1_000)
    sender = connect()
    received = answer(sender, CHUNKED)
    sender.sendall(CHUNK * (protocol.REST_BYTES_MAX // len(CHUNK) + 1))
    sender.sendall(b"what is no chunk would be refused by whoever read it")
    while part := sender.recv(1 << 16):  # to its end in order: a connection that is closed meanwhile is reset
        received += part
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b"\r\n\r\nxx")


def test_who_goes_on_with_a_body_without_an_end_is_left_soon(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECS", 1_000)
    monkeypatch.setattr(protocol, "LINGER_SECS", 0.2)
    sender = connect()
    assert b"200 OK" in answer(sender, CHUNKED)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_for_ever(sender)


def test_a_byte_now_and_then_gives_no_more_time(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECS", 0.5)
    slow = connect()
    head = iter(b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000)

    def sent_another() -> bool:
        try:
            slow.sendall(bytes([next(head)]))
        except OSError:
            return True
        return False

    wait_until(sent_another, "the server has left", 60)


def test_a_client_that_keeps_its_connection_is_served_again(connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    for _ in range(2):
        received = answer(sock)
        while not received.endswith(b"\r\n\r\nxx"):
            received += sock.recv(1)
        assert received.startswith(b"HTTP/1.1 200")


def test_those_who_wait_make_room_for_others(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS_MAX", 5)
    waiting = [connect() for _ in range(20)]
    for sock in waiting[:15]:
        assert is_closed(sock)
    assert answer(connect()).startswith(b"HTTP/1.1 200")
    assert answer(waiting[-1]).startswith(b"HTTP/1.1 200")


def test_those_who_keep_their_connections_make_room_for_others(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS_MAX", 5)
    for _ in range(20):
        assert answer(connect()).startswith(b"HTTP/1.1 200")


def test_those_who_do_not_read_make_room_for_others(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS_MAX", 5)
    monkeypatch.setattr(protocol, "WRITE_SECS", 1_000)
    paused = threading.Semaphore(0)
    pause = HttpProtocol.pause_writing
    monkeypatch.setattr(HttpProtocol, "pause_writing", lambda self: (pause(self), paused.release()))
    deaf = []
    for _ in range(20):
        deaf.append(connect())
        assert answer(deaf[-1], REQUEST.replace(b"/ ", b"/large ")).startswith(b"HTTP/1.1 200")
        assert paused.acquire(timeout=60)
    for sock in deaf[:15]:
        assert is_closed(sock)
    assert answer(connect()).startswith(b"HTTP/1.1 200")


def test_who_does_not_read_an_answer_is_left(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "WRITE_SECS", 0.2)
    ended = threading.Event()
    monkeypatch.setattr(HttpProtocol, "connection_lost", _then(HttpProtocol.connection_lost, ended))
    deaf = connect()
    deaf.sendall(REQUEST.replace(b"/ ", b"/large "))
    assert ended.wait(60)


def test_a_large_answer_reaches_who_reads_it(connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    received = len(answer(sock, REQUEST.replace(b"/ ", b"/large ")).partition(b"\r\n\r\n")[2])
    while received < LARGE_BYTES:
        received += len(sock.recv(1 << 20))
    assert received == LARGE_BYTES


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"GET /" + b"x" * (2 * HEAD_BYTES_MAX),
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * HEAD_BYTES_MAX,
    ],
    ids=["TLS", "no host", "two hosts", "two lengths", "long line", "many headers"],
)
def test_what_is_no_request_is_told_so(connect: Callable[[], socket.socket], request_: bytes) -> None:
    sock = connect()
    try:
        head, _, body = answer(sock, request_).partition(b"\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return  # the server went away while it still came
    if not head:
        return
    assert head.startswith(b"HTTP/1.1 400")
    assert b"application/json" in head
    assert set(json.loads(body or sock.recv(1 << 16))) == {"error", "errorMessage"}


def _then(method: Callable[..., None], event: threading.Event) -> Callable[..., None]:
    def called(self: Any, exc: Exception | None) -> None:
        method(self, exc)
        event.set()

    return called
