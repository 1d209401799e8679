"""The port on which a daemon shows how it does: a few pages, by GET, one thread for all who ask.

There is nothing to be changed through it. A client has a bounded time for its request and for taking the answer,
and another one to ask again on its connection. There are a bounded number of them: of more, first those go that have
not asked yet, so that a crowd takes no scraper's place.

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
from storm.listening import listening_socket
from storm.log_repeats import is_logged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set

    from storm.clock import Clock

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 32
HEAD_BYTES_MAX = 8 << 10
CLIENT_SECS = 5.0  # from its connection, or its next request's first byte, to the last byte of its answer
KEPT_SECS = 90.0  # until it asks again: scrapers mostly come each minute, or more often
READ_BYTES = 4 << 10
ACCEPT_AGAIN_SECS = 0.05
NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
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

    __slots__ = ("head", "is_kept", "is_local", "rest", "since", "until")

    def __init__(self, now: float, *, is_local: bool) -> None:
        self.is_local = is_local  # over loopback
        self.is_kept = False  # once its answer is sent, or since
        self.head = bytearray()
        self.rest = memoryview(b"")
        self.expect(now, CLIENT_SECS)

    def expect(self, now: float, secs: float) -> None:
        self.since = now
        self.until = now + secs

    def worth(self) -> tuple[int, float]:
        """Who has least makes room for others: who has not asked, then who may ask again; of these the oldest."""
        if self.rest:
            return 2, self.since
        return int(self.is_kept and not self.head), self.since


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
        self._accepts_at: float | None = None  # when it listens again, while no descriptor is left
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
        due = [client.until for client in self._clients.values()]
        due += [] if self._accepts_at is None else [self._accepts_at]
        ready = self._selector.select(max(0.0, min(due) - self._clock.now()) if due else None)
        for key, _ in ready:
            if isinstance(key.fileobj, socket.socket) and key.fileobj in self._clients:
                self._serve(key.fileobj)
        if any(key.fileobj is self._listener for key, _ in ready):
            self._accept()  # after those whose request has come: they do not make room any more
        now = self._clock.now()
        if self._accepts_at is not None and now >= self._accepts_at:
            self._accepts_at = None
            self._selector.register(self._listener, selectors.EVENT_READ)
        for late in [each for each, client in self._clients.items() if now >= client.until]:
            self._drop(late)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:  # those that are connected are served meanwhile
                self._selector.unregister(self._listener)
                self._accepts_at = self._clock.now() + ACCEPT_AGAIN_SECS
            return
        connection.setblocking(False)
        if len(self._clients) >= CONNECTIONS_MAX:
            self._drop(min(self._clients, key=lambda each: self._clients[each].worth()))
        self._clients[connection] = _Client(self._clock.now(), is_local=_is_local(connection))
        self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, connection: socket.socket) -> None:
        client = self._clients[connection]
        try:
            if client.rest:
                client.rest = client.rest[connection.send(client.rest) :]
                if not client.rest:
                    self._answered(connection, client)
                return
            data = connection.recv(READ_BYTES)
            if client.is_kept and not client.head:
                client.expect(self._clock.now(), CLIENT_SECS)
            client.head += data
            if b"\r\n\r\n" in client.head or len(client.head) > HEAD_BYTES_MAX:
                head = bytes(client.head)
                client.is_kept = _asks_again(head)
                client.rest = memoryview(self._answer(head, is_local=client.is_local, is_kept=client.is_kept))
                client.head.clear()
                self._selector.modify(connection, selectors.EVENT_WRITE)
            elif not data:
                self._drop(connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)

    def _answered(self, connection: socket.socket, client: _Client) -> None:
        if not client.is_kept:
            self._drop(connection)
            return
        client.expect(self._clock.now(), KEPT_SECS)
        self._selector.modify(connection, selectors.EVENT_READ)

    def _answer(self, head: bytes, *, is_local: bool, is_kept: bool) -> bytes:
        parts = head.partition(b"\r\n")[0].split(b" ")
        method, target = (parts[0], parts[1].decode("ascii", "replace")) if len(parts) == 3 else (b"", "")
        try:
            for host in _values(head, b"host") if is_local else ():
                check_host(host, self._names)
            answer = self._page(method, target.partition("?")[0], len(head))
        except Problem as problem:
            answer = _refusal(problem.status, problem.sentence)
        text = (
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
            f"content-type: {answer.content_type}\r\ncontent-length: {len(answer.body)}\r\n"
            "cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
            f"connection: {'keep-alive' if is_kept else 'close'}\r\n\r\n"
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
            if is_logged(self._failures):
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


def _asks_again(head: bytes) -> bool:
    """Whether another request may follow: what comes with this one, a body or the next, is not read."""
    first = head.partition(b"\r\n")[0]
    return (
        first.endswith(b" HTTP/1.1")
        and first.startswith((b"GET ", b"HEAD "))
        and head.find(b"\r\n\r\n") == len(head) - 4
        and not any(_values(head, name) for name in (b"content-length", b"transfer-encoding"))
        and not any("close" in value.lower() for value in _values(head, b"connection"))
    )


def _values(head: bytes, wanted: bytes) -> list[str]:
    """Those of a header, as often as it was sent: of `host` none only where no browser did."""
    lines = [line.partition(b":") for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    return [value.strip().decode("latin-1") for name, _, value in lines if name.strip().lower() == wanted]


def _refusal(status: int, sentence: str) -> Answer:
    return json_answer(status, {"error": f"{status} {HTTPStatus(status).phrase}", "errorMessage": sentence})


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = listening_socket(host, port, BACKLOG)
    except OSError as error:
        kind = AlreadyRunningError if error.errno == errno.EADDRINUSE else ConfigError
        raise kind(f"cannot listen on {joined(host, port)}: {error.strerror}") from None
    listener.setblocking(False)
    return listener
