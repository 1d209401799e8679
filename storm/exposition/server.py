"""The port on which a daemon shows how it does: a few pages, by GET, one thread for all who ask.

There is nothing to be changed through it. A client has a bounded time for its request and for taking the answer, and
there are a bounded number of them: of more, the one that has been there longest goes.

Who comes to 127.0.0.1 or ::1, where daemons listen by default, must call this host by a name of its own, or by an
address: else a page of some site on the internet, whose name was made to lead there, reads what is here through a
browser of this host. To other addresses Prometheus may come by whatever name its network, or its hosts file, has for
this one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import selectors
import socket
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from storm.config.addresses import joined
from storm.errors import AlreadyRunningError, ConfigError
from storm.http.problems import Problem
from storm.http.request_guard import check_host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    from storm.clock import Clock

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 32
HEAD_BYTES_MAX = 8 << 10
CLIENT_SECS = 5.0  # from its connection to the last byte of its answer
READ_BYTES = 4 << 10
ACCEPT_AGAIN_SECS = 0.05
BACKLOG = 64


class Answer(NamedTuple):
    """A page as it is now."""

    status: int
    content_type: str
    body: bytes


def json_answer(status: int, value: object) -> Answer:
    return Answer(status, "application/json", json.dumps(value).encode() + b"\n")


class _Client:
    """A connection: what it has sent so far, then what it is still to be sent."""

    __slots__ = ("head", "is_local", "rest", "until")

    def __init__(self, until: float, *, is_local: bool) -> None:
        self.until = until
        self.is_local = is_local  # over loopback
        self.head = bytearray()
        self.rest = memoryview(b"")


class ExpositionServer:
    """`pages` is {path: makes its answer}. What a page raises is answered with 500, and logged."""

    def __init__(
        self,
        host: str,
        port: int,
        pages: Mapping[str, Callable[[], Answer]],
        clock: Clock,
        names: Set[str] = frozenset(),
    ) -> None:
        """Listens at once, `port` 0: anywhere; it may be called by `names`, in small letters. Raises
        AlreadyRunningError, ConfigError where it cannot.
        """
        self._pages = pages
        self._names = names
        self._clock = clock
        self._listener = _listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._wakes, self._woken = socket.socketpair()
        self._clients: dict[socket.socket, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._failures = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="exposition", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections."""
        self._stopping = True
        with contextlib.suppress(OSError):  # it has ended
            self._wakes.send(b"x")
        self._thread.join(CLIENT_SECS)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except Exception:
            log.exception("the port for /health and /metrics has failed: this daemon goes on without it")
        finally:
            for client in list(self._clients):
                self._drop(client)
            for each in (self._listener, self._wakes, self._woken, self._selector):
                each.close()

    def _turn(self) -> None:
        due = min((client.until for client in self._clients.values()), default=None)
        for key, _ in self._selector.select(None if due is None else max(0.0, due - self._clock.now())):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._clients:
                self._serve(key.fileobj)
        now = self._clock.now()
        for late in [each for each, client in self._clients.items() if now >= client.until]:
            self._drop(late)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it went again, or there is no descriptor left: then it is asked again soon, not at once
            self._clock.sleep(ACCEPT_AGAIN_SECS)
            return
        connection.setblocking(False)
        if len(self._clients) >= CONNECTIONS_MAX:
            self._drop(next(iter(self._clients)))
        self._clients[connection] = _Client(self._clock.now() + CLIENT_SECS, is_local=_is_local(connection))
        self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, connection: socket.socket) -> None:
        client = self._clients[connection]
        try:
            if client.rest:
                client.rest = client.rest[connection.send(client.rest) :]
                if not client.rest:
                    self._drop(connection)
                return
            data = connection.recv(READ_BYTES)
            client.head += data
            if b"\r\n\r\n" in client.head or len(client.head) > HEAD_BYTES_MAX:
                client.rest = memoryview(self._answer(bytes(client.head), is_local=client.is_local))
                self._selector.modify(connection, selectors.EVENT_WRITE)
            elif not data:
                self._drop(connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)

    def _answer(self, head: bytes, *, is_local: bool) -> bytes:
        parts = head.partition(b"\r\n")[0].split(b" ")
        method, target = (parts[0], parts[1].decode("ascii", "replace")) if len(parts) == 3 else (b"", "")
        try:
            for host in _hosts(head) if is_local else ():
                check_host(host, self._names)
            answer = self._page(method, target.partition("?")[0], len(head))
        except Problem as problem:
            answer = _refusal(problem.status, problem.sentence)
        text = (
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
            f"content-type: {answer.content_type}\r\ncontent-length: {len(answer.body)}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        return text.encode() + (b"" if method == b"HEAD" else answer.body)

    def _page(self, method: bytes, path: str, size: int) -> Answer:
        if not method or size > HEAD_BYTES_MAX:
            return _refusal(400, f"A request is a line and at most {HEAD_BYTES_MAX} bytes of headers.")
        if method not in (b"GET", b"HEAD"):
            return _refusal(405, "This port only shows; ask by GET.")
        page = self._pages.get(path)
        if page is None:
            return _refusal(404, f"There is nothing at this path; there is {', '.join(sorted(self._pages))}.")
        try:
            return page()
        except Exception:
            self._failures += 1
            if self._failures & (self._failures - 1) == 0:
                log.exception("%s could not be made (%d failures so far)", path, self._failures)
            return _refusal(500, "The daemon failed at this; its log says at what. Please report it.")

    def _drop(self, connection: socket.socket) -> None:
        del self._clients[connection]
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        connection.close()


def _is_local(connection: socket.socket) -> bool:
    with contextlib.suppress(OSError):  # it went again
        return str(connection.getsockname()[0]).removeprefix("::ffff:") in ("127.0.0.1", "::1")
    return True


def _hosts(head: bytes) -> list[str]:
    """What the request calls this host: none only where no browser sent it."""
    lines = [line.partition(b":") for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    return [value.strip().decode("latin-1") for name, _, value in lines if name.strip().lower() == b"host"]


def _refusal(status: int, sentence: str) -> Answer:
    return json_answer(status, {"error": f"{status} {HTTPStatus(status).phrase}", "errorMessage": sentence})


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        dualstack = host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dualstack)
    except OSError as error:
        kind = AlreadyRunningError if error.errno == errno.EADDRINUSE else ConfigError
        reason = (error.strerror or str(error)).partition(" (while ")[0]  # it names the address again
        raise kind(f"cannot listen on {joined(host, port)}: {reason}") from None
    listener.setblocking(False)
    return listener
