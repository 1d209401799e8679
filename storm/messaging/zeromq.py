"""Frames over ZeroMQ: a PULL socket bound to the worker's port, and a PUSH socket for each worker it sends to.

The settings below are chosen against what libzmq does by default: it would keep 1,000 messages a side for a peer that
dies (all lost), wait for ever at close, accept messages of any size, keep silent connections for 30 s, and not
notice a peer that vanished without a word.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq

from storm.errors import WorkerStartError
from storm.messaging.batch import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

# What is in the pipes when a peer dies is lost, so the pipes are short: as long as they must be for a receiver that
# gets its turn of the interpreter every 5 ms.
FRAMES_ON_THE_WAY_MAX = 64
LINGER_MS = 1_000
HANDSHAKE_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_MS = 2_000  # TCP begins again after 1 s, 3 s, 7 s: so a link that is back is used soon
HEARTBEAT_EVERY_MS = 2_000
RECEIVER_SILENCE_MS_MAX = 6_000  # after a heartbeat: a link that is down without a word is noticed within 8 s
# A receiver whose pipes are full does not read heartbeats either. Were it to give up its senders as soon, one whose
# interpreter is held up for some seconds would lose all connections, and the frames in them.
SENDER_SILENCE_MS_MAX = 60_000
RECONNECT_MS = 50
RECONNECT_MS_MAX = 250  # a worker that was killed is back within two seconds: it should be found at once


class ZeroMqLimits(NamedTuple):
    """`frames_on_the_way_max` holds for each peer, on each side; `linger_ms` is how long `close` may go on sending."""

    frames_on_the_way_max: int = FRAMES_ON_THE_WAY_MAX
    linger_ms: int = LINGER_MS
    frame_bytes_max: int = FRAME_BYTES_MAX
    io_threads: int = 1


DEFAULT_LIMITS = ZeroMqLimits()


class ZeroMqSender:
    """A PUSH socket. It takes frames only while connected; the rest waits with its owner.

    ZMQ_IMMEDIATE alone takes them for a moment after the connection is gone, and they are gone with it.
    """

    def __init__(self, socket: zmq.Socket[bytes], limits: ZeroMqLimits, address: str) -> None:
        self.socket = socket
        self.connects = 0
        self.connected = False
        _set_options(self.socket, RECEIVER_SILENCE_MS_MAX)
        self.socket.setsockopt(zmq.LINGER, limits.linger_ms)
        self.socket.setsockopt(zmq.SNDHWM, limits.frames_on_the_way_max)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
        self.socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        self.monitor: Any = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self.socket.connect(address)

    def try_send(self, frame: bytes) -> bool:
        if not self.connected:
            return False
        try:
            self.socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def read_monitor(self) -> None:
        """Note what happened to the connection since."""
        with contextlib.suppress(zmq.Again):
            while True:
                event = int.from_bytes(self.monitor.recv_multipart(zmq.NOBLOCK)[0][:2], "little")
                self.connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
                self.connects += self.connected

    def close(self) -> None:
        if not self.socket.closed:
            self.connected = False
            self.socket.disable_monitor()
            self.monitor.close(0)
            self.socket.close()


class ZeroMqTransport:
    """See `transport.Transport`."""

    def __init__(self, limits: ZeroMqLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(limits.io_threads)
        self._receiver: zmq.Socket[bytes] | None = None
        self._senders: dict[Any, ZeroMqSender] = {}  # by monitor
        self._watched: set[Any] = set()
        self._poller = zmq.Poller()
        self._wake_lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poller.register(self._wake_read, zmq.POLLIN)
        self.dropped = 0

    def bind(self, host: str, port: int) -> int:
        receiver = self._context.socket(zmq.PULL)
        _set_options(receiver, SENDER_SILENCE_MS_MAX)
        receiver.setsockopt(zmq.LINGER, 0)
        receiver.setsockopt(zmq.RCVHWM, self._limits.frames_on_the_way_max)
        receiver.setsockopt(zmq.MAXMSGSIZE, self._limits.frame_bytes_max)
        try:
            receiver.bind(_address(host, port or "*"))
        except zmq.ZMQError as error:
            receiver.close(0)
            raise WorkerStartError(f"cannot listen on {host}:{port}: {error}") from error
        self._receiver = receiver
        self._poller.register(receiver, zmq.POLLIN)
        return int(receiver.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def connect(self, host: str, port: int) -> ZeroMqSender:
        sender = ZeroMqSender(self._context.socket(zmq.PUSH), self._limits, _address(host, port))
        self._senders[sender.monitor] = sender
        self._poller.register(sender.monitor, zmq.POLLIN)
        return sender

    def receive(self, frames_max: int) -> list[bytes]:
        frames: list[bytes] = []
        if self._receiver is None:
            return frames
        with contextlib.suppress(zmq.Again):
            while len(frames) < frames_max:
                parts = self._receiver.recv_multipart(zmq.NOBLOCK)
                if len(parts) == 1:
                    frames.append(parts[0])
                else:
                    self.dropped += 1
        return frames

    def wait(self, timeout_secs: float, blocked: Iterable[Any] = ()) -> None:
        self._watch({sender.socket for sender in blocked})
        for ready, _ in self._poller.poll(max(0, math.ceil(timeout_secs * 1000))):
            if ready == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            elif ready in self._senders:
                self._senders[ready].read_monitor()
        for monitor in [monitor for monitor in self._senders if monitor.closed]:
            self._poller.unregister(monitor)
            del self._senders[monitor]

    def _watch(self, sockets: set[Any]) -> None:
        for socket in self._watched - sockets:
            self._poller.unregister(socket)
        for socket in sockets - self._watched:
            self._poller.register(socket, zmq.POLLOUT)
        self._watched = sockets

    def wake(self) -> None:
        # A full pipe has a wake in it already.
        with self._wake_lock, contextlib.suppress(BlockingIOError):
            if not self._context.closed:
                os.write(self._wake_write, b"w")

    def close(self) -> None:
        if self._context.closed:
            return
        for sender in self._senders.values():
            sender.close()
        if self._receiver is not None:
            self._receiver.close(0)
        self._context.term()
        with self._wake_lock:  # or a late wake would write into whatever has the descriptor's number next
            os.close(self._wake_read)
            os.close(self._wake_write)


def _address(host: str, port: int | str) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _set_options(socket: zmq.Socket[bytes], silence_ms_max: int) -> None:
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_EVERY_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, silence_ms_max)
