"""A Thrift server: framed transport, binary protocol, one service on one port.

One thread owns all sockets and only moves bytes; a pool of threads runs the calls. So a client that is
slow, silent or hostile costs the others nothing: it has its buffer, its deadline (`connection.py`) and at
most one of the threads. What takes time to decode, a frame of more than 4 KiB, is decoded by one thread of
its own before it goes to the pool: a crowd of such frames delays each other and no short call.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import selectors
import socket
import threading
from collections import Counter, deque
from functools import partial
from operator import itemgetter
from queue import SimpleQueue
from typing import TYPE_CHECKING

from storm import open_files
from storm.clock import Clock, SystemClock
from storm.config.addresses import joined
from storm.errors import AlreadyRunningError, ConfigError, ThriftProtocolError
from storm.listening import listening_socket
from storm.log_repeats import is_logged
from storm.thrift import caller
from storm.thrift.connection import Connection, Phase, ServerLimits
from storm.thrift.prescan import ScanLimits
from storm.thrift.processor import Call, Processor

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_BACKLOG = 512
_RECEIVE_BYTES = 1 << 16
_LOOK_SECS = 1.0  # how often deadlines are looked at; they are late by at most this
_DEFAULT_LIMITS = ServerLimits()
_SYSTEM_CLOCK = SystemClock()
_STOP_SECS = 5.0  # what `stop` gives to the calls that still run
_ACCEPT_PAUSE_SECS = 0.05  # when the process has no file descriptor left for one more client


class _Client:
    """A socket and what is known of it; owned by the loop's thread."""

    def __init__(self, sock: socket.socket, address: str, connection: Connection) -> None:
        self.sock = sock
        self.address = address
        self.connection = connection
        self.interest = 0
        self.closed = False


class ThriftServer:
    """Serves `handler`'s methods as the service `service_name` of storm.thrift.

    The methods run in a pool of threads, several at a time. `counts` tells why connections were closed.
    """

    def __init__(
        self,
        service_name: str,
        handler: object,
        *,
        host: str,
        port: int,
        limits: ServerLimits = _DEFAULT_LIMITS,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        """`port` 0 lets the system choose one; `start` sets `port` to it."""
        self.port = port
        self.counts: Counter[str] = Counter()
        self._name = service_name
        self._processor = Processor(service_name, handler, ScanLimits(values_max=limits.values_max))
        self._host = host
        self._limits = limits
        self._clock = clock
        self._clients: set[_Client] = set()
        self._per_address: Counter[str] = Counter()
        self._connections_max = min(limits.connections_max, open_files.limit() // 2)  # a daemon needs some itself
        self._calls: SimpleQueue[tuple[_Client, bytes | Call] | None] = SimpleQueue()
        self._long_frames: SimpleQueue[tuple[_Client, bytes] | None] = SimpleQueue()
        self._replies: deque[tuple[_Client, bytes | None, str]] = deque()
        self._stopping = threading.Event()
        self._accept_again_at: float | None = None  # while no file descriptor is left for one more client
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Listen and serve. Raises AlreadyRunningError if the port is taken, ConfigError for a wrong host."""
        self._listener = _listen(self._name, self._host, self.port)
        self.port = self._listener.getsockname()[1]
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._threads = [
            threading.Thread(target=self._loop, name=f"thrift-{self._name}", daemon=True),
            threading.Thread(target=self._decode_long_frames, name=f"thrift-{self._name}-decode", daemon=True),
        ]
        for number in range(self._limits.threads):
            name = f"thrift-{self._name}-call-{number}"
            self._threads.append(threading.Thread(target=self._run_calls, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Close the port and all connections. Calls that still run are given 5 s, then left behind."""
        if self._stopping.is_set() or not self._threads:
            return
        self._stopping.set()
        self._wake()
        self._long_frames.put(None)
        for _ in self._threads:
            self._calls.put(None)
        until = self._clock.now() + _STOP_SECS
        for thread in set(self._threads) - {threading.current_thread()}:
            thread.join(max(0.0, until - self._clock.now()))

    @property
    def running(self) -> bool:
        """Whether the loop lives; a daemon that finds it dead before `stop` should end and be restarted."""
        return bool(self._threads) and self._threads[0].is_alive()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it wakes anyhow; closed: the loop has ended
            self._wake_in.send(b"!")

    def _run_calls(self) -> None:
        while (work := self._calls.get()) is not None:
            client, given = work
            call = given if isinstance(given, Call) else self._attempt(client, partial(self._processor.decode, given))
            if call is not None:
                with caller.calling_from(client.address):
                    self._attempt(client, partial(self._processor.run, call))

    def _decode_long_frames(self) -> None:
        while (work := self._long_frames.get()) is not None:
            client, frame = work
            call = self._attempt(client, partial(self._processor.decode, frame))
            if call is not None:
                self._calls.put((client, call))

    def _attempt(self, client: _Client, step: Callable[[], Call | bytes | None]) -> Call | None:
        """The call that a step of the processor finds; None if the client has been given its reply instead."""
        complaint = ""
        found = None
        try:
            found = step()
        except ThriftProtocolError as error:
            complaint = str(error)
        except Exception as error:
            log.exception("%s: a call failed outside its handler", self._name)
            complaint = f"the server failed: {error}"
        if isinstance(found, Call):
            return found
        self._replies.append((client, found, complaint))
        self._wake()
        return None

    def _loop(self) -> None:
        look_at = self._clock.now() + _LOOK_SECS
        while not self._stopping.is_set():
            pause_secs = _LOOK_SECS if self._accept_again_at is None else _ACCEPT_PAUSE_SECS
            for key, events in self._selector.select(pause_secs):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._wake_out:
                    self._take_replies()
                else:
                    self._serve(key.data, events)
            now = self._clock.now()
            if self._accept_again_at is not None and now >= self._accept_again_at:
                self._accept_again_at = None
                self._selector.register(self._listener, selectors.EVENT_READ)
            if now >= look_at:
                self._close_overdue()
                look_at = now + _LOOK_SECS
        for client in list(self._clients):
            self._close(client, "the server stops")
        for sock in (self._listener, self._wake_in, self._wake_out):
            sock.close()
        self._selector.close()

    def _accept(self) -> None:
        try:
            sock, (address, *_) = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._count("no file descriptor is left", "a new client")
                self._make_room()
                self._selector.unregister(self._listener)  # or the loop would spin, and nobody be served
                self._accept_again_at = self._clock.now() + _ACCEPT_PAUSE_SECS
            return
        address = address.removeprefix("::ffff:")  # of IPv4, at a socket of both families
        if self._has_too_many(address):
            self._count("its address has too many connections", address)
            sock.close()
        elif len(self._clients) >= self._connections_max and not self._make_room():
            self._count("there are too many connections", address)
            sock.close()
        else:
            sock.setblocking(False)
            client = _Client(sock, address, Connection(self._limits, self._clock.now()))
            self._clients.add(client)
            self._per_address[address] += 1
            self._watch(client)

    def _has_too_many(self, address: str) -> bool:
        if self._per_address[address] < self._limits.connections_per_address_max:
            return False
        return not ipaddress.ip_address(address.split("%")[0]).is_loopback

    def _make_room(self) -> bool:
        """Close the connection with the lowest claim to stay; whether there was one."""
        now = self._clock.now()
        claims = ((client.connection.claim(now), client) for client in self._clients)
        lowest = min((pair for pair in claims if pair[0] is not None), key=itemgetter(0), default=None)
        if lowest is None:
            return False
        self._close(lowest[1], "room was needed")
        return True

    def _serve(self, client: _Client, events: int) -> None:
        """Move what can be moved without waiting; then wait for what this client's phase needs."""
        if client.closed:
            return
        try:
            if events & selectors.EVENT_READ and not self._receive(client):
                return
            if client.connection.phase is Phase.WRITING:
                client.connection.sent(client.sock.send(client.connection.outgoing()), self._clock.now())
            frame = client.connection.take_frame()
            if frame is not None:
                is_long = len(frame) > self._limits.small_frame_bytes
                (self._long_frames if is_long else self._calls).put((client, frame))
            self._watch(client)
        except BlockingIOError:
            self._watch(client)
        except ThriftProtocolError as error:
            self._close(client, "it does not speak Thrift as served here", str(error))
        except OSError as error:
            self._close(client, "its connection broke", str(error))
        except MemoryError:
            self._close(client, "there is no memory for what it sends")

    def _receive(self, client: _Client) -> bool:
        """Read what has arrived; whether the client is still there."""
        data = client.sock.recv(_RECEIVE_BYTES)
        if not data:
            self._close(client, "its client left")
            return False
        client.connection.received(data, self._clock.now())
        buffered = sum(other.connection.buffered_bytes for other in self._clients)
        if buffered > self._limits.buffered_max_bytes:
            largest = max(self._clients, key=_bytes_to_gain)
            self._close(largest, "too many bytes wait", f"{buffered} bytes, of which {_bytes_to_gain(largest)} are its")
        return not client.closed

    def _take_replies(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(_RECEIVE_BYTES)
        while self._replies:
            client, reply, complaint = self._replies.popleft()
            if client.closed:
                continue
            if complaint:
                self._close(client, "it does not speak Thrift as served here", complaint)
                continue
            client.connection.answer(reply, self._clock.now())
            self._serve(client, 0)

    def _watch(self, client: _Client) -> None:
        """Ask the selector for what this client's phase waits for."""
        if client.closed:
            return
        wanted = {
            Phase.READING: selectors.EVENT_READ,
            Phase.HANDLING: 0,
            Phase.WRITING: selectors.EVENT_WRITE,
        }[client.connection.phase]
        if wanted == client.interest:
            return
        if client.interest == 0:
            self._selector.register(client.sock, wanted, client)
        elif wanted == 0:
            self._selector.unregister(client.sock)
        else:
            self._selector.modify(client.sock, wanted, client)
        client.interest = wanted

    def _close_overdue(self) -> None:
        now = self._clock.now()
        for client in [client for client in self._clients if client.connection.deadline() <= now]:
            self._close(client, client.connection.complaint())

    def _close(self, client: _Client, reason: str, detail: str = "") -> None:
        if client.closed:
            return
        client.closed = True
        self._count(reason, client.address, detail)  # before its client can see that it is closed
        if client.interest:
            self._selector.unregister(client.sock)
        client.sock.close()
        self._clients.discard(client)
        self._per_address[client.address] -= 1
        if not self._per_address[client.address]:
            del self._per_address[client.address]

    def _count(self, reason: str, address: str, detail: str = "") -> None:
        """Count a closed connection, and log now and then what is not ordinary."""
        self.counts[reason] += 1
        times = self.counts[reason]
        if reason not in _ORDINARY and is_logged(times):
            log.warning("%s closed %s: %s %s (%d times so far)", self._name, address, reason, detail, times)


_ORDINARY = frozenset({"its client left", "it was idle", "the server stops"})


def _bytes_to_gain(client: _Client) -> int:
    """What is free once the client is closed; what is being handled stays until that is done."""
    return 0 if client.connection.phase is Phase.HANDLING else client.connection.buffered_bytes


def _listen(name: str, host: str, port: int) -> socket.socket:
    try:
        listener = listening_socket(host, port, _BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AlreadyRunningError(
                f"port {port} of {host} is taken: another {name} or another program listens there"
            ) from error
        raise ConfigError(f"{name} cannot listen on {joined(host, port)}: {error.strerror}") from error
    listener.setblocking(False)
    return listener
