"""Frames over ZeroMQ: a PULL socket bound to the worker's port, and a PUSH socket for each worker it sends to.

The settings below are chosen against what libzmq does by default: it would keep 1,000 messages a side for a peer that
dies (all lost), wait for ever at close, accept messages of any size, keep silent connections for 30 s and any number
of others, and not notice a peer that vanished without a word.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import struct
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import zmq

from storm import open_files
from storm.clock import Clock, SystemClock
from storm.errors import PortTakenError, WorkerStartError
from storm.messaging.accepted import AcceptedConnections
from storm.messaging.batch import FRAME_BYTES_MAX
from storm.messaging.crowd import STRANGERS_MAX, Crowd
from storm.messaging.port_probe import PortProbe, peer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.messaging.port_probe import Address

logger = logging.getLogger(__name__)

# What is in the pipes when a peer dies is lost, so the pipes are short: as long as they must be for a receiver that
# gets its turn of the interpreter every 5 ms.
FRAMES_ON_THE_WAY_MAX = 64
LINGER_MS = 1_000
SOCKETS_MAX = 16_384  # of a worker, three for each peer; with libzmq's own limit of 1,023 there is room for 340
HANDSHAKE_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_MS = 2_000  # TCP begins again after 1 s, 3 s, 7 s: so a link that is back is used soon
HEARTBEAT_EVERY_MS = 2_000
RECEIVER_SILENCE_MS_MAX = 6_000  # after a heartbeat: a link that is down without a word is noticed within 8 s
# A receiver whose pipes are full does not read heartbeats either. Were it to give up its senders as soon, one whose
# interpreter is held up for some seconds would lose all connections, and the frames in them.
SENDER_SILENCE_MS_MAX = 60_000
RECEIVER_MONITOR = "inproc://receiver-monitor"
# As plain numbers: pyzmq's own constants cost as much as what they are used for.
NOBLOCK, POLLIN = int(zmq.NOBLOCK), int(zmq.POLLIN)
RCVMORE, EVENTS = int(zmq.RCVMORE), int(zmq.EVENTS)
EVENT = struct.Struct("=HI")  # of a monitor: what happened, and to which descriptor
EVENTS_A_TURN = 1_000
# A stranger has between once and twice that for what it sends, on loopback some 100 MB of memory. A peer needs it where
# the I/O threads are late with its first frame. A whole crowd takes a twentieth of a core to weigh.
WEIGH_EVERY_SECS = 0.05
TELL_EVERY_SECS = 60.0
TRIM_AFTER_SECS = 0.5  # when the I/O threads have let go of what strangers had sent that were shut
PROBE_SECS, PROBE_EVERY_SECS = 1.0, 0.01  # for an answer that takes the time of a packet there and back, and no longer
RECONNECT_MS = 50
RECONNECT_MS_MAX = 250  # a worker that was killed is back within two seconds: it should be found at once


class ZeroMqLimits(NamedTuple):
    """`frames_on_the_way_max` holds for each peer, on each side; `linger_ms` is how long `close` may go on sending.

    `strangers_max`: connections from which no frame of ours came yet. All together have half of the process's files.
    """

    frames_on_the_way_max: int = FRAMES_ON_THE_WAY_MAX
    linger_ms: int = LINGER_MS
    frame_bytes_max: int = FRAME_BYTES_MAX
    io_threads: int = 1
    strangers_max: int = STRANGERS_MAX


DEFAULT_LIMITS = ZeroMqLimits()
SYSTEM_CLOCK = SystemClock()


class ZeroMqSender:
    """A PUSH socket. It takes frames only while connected; the rest waits with its owner.

    ZMQ_IMMEDIATE alone takes them for a moment after the connection is gone, and they are gone with it.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], limits: ZeroMqLimits, host: str, port: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.socket = socket
        self.connects = 0
        self.connected = False
        self.ended = 0
        self._clock = clock
        self._port = port
        self._peer: Address | None = None
        self._probe: PortProbe | None = None
        _set_options(self.socket, RECEIVER_SILENCE_MS_MAX)
        self.socket.setsockopt(zmq.LINGER, limits.linger_ms)
        self.socket.setsockopt(zmq.SNDHWM, limits.frames_on_the_way_max)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
        self.socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        self.monitor: Any = self.socket.get_monitor_socket(
            zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        )
        self.socket.connect(_address(host, port))

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
                event, connection = EVENT.unpack(self.monitor.recv_multipart(NOBLOCK)[0])
                if event == zmq.EVENT_CONNECTED:
                    self._peer = peer_of(connection, self._port)
                elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self.connected = True
                    self.connects += 1
                elif self.connected:
                    self.connected = False
                    self._begin_probe()

    def _begin_probe(self) -> None:
        self._probe_until, self._probe_connects = self._clock.now() + PROBE_SECS, self.connects
        self._probe_anew()

    def _probe_anew(self) -> None:
        self._end_probe()
        if self._peer is not None:
            with contextlib.suppress(OSError):  # then it is not known whether it has ended
                self._probe = PortProbe(self._peer)

    def read_probe(self) -> bool:
        """Note what it has found; whether it is to be asked again."""
        if self._probe is None:
            return False
        is_closed = self._probe.is_closed()
        if is_closed:
            self.ended = self._probe_connects
        if is_closed or self.connected or self._clock.now() >= self._probe_until:
            self._end_probe()
            return False
        if is_closed is not None:  # a process that is being ended closes its connections and its port one by one
            self._probe_anew()
        return True

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def close(self) -> None:
        self._end_probe()
        if not self.socket.closed:
            self.connected = False
            self.socket.disable_monitor()
            self.monitor.close(0)
            self.socket.close()


class ZeroMqReceiver:
    """A PULL socket bound to a port, and its door-keeper: see `crowd`.

    While every connection is known to be a peer's, a frame costs nothing but its receipt.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], limits: ZeroMqLimits, clock: Clock) -> None:
        self.socket = context.socket(zmq.PULL)
        self.dropped = 0
        self.shut = 0
        self._clock = clock
        self._crowd = Crowd(limits.strangers_max, open_files.limit() // 2)
        self._weigh_at = self._tell_at = float("-inf")
        self._trimming: threading.Timer | None = None
        _set_options(self.socket, SENDER_SILENCE_MS_MAX)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RCVHWM, limits.frames_on_the_way_max)
        self.socket.setsockopt(zmq.MAXMSGSIZE, limits.frame_bytes_max)
        self.socket.monitor(RECEIVER_MONITOR, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.monitor: Any = context.socket(zmq.PAIR)
        # Without a limit: libzmq waits for room with all its connections, and for ever where its reader closes.
        self.monitor.setsockopt(zmq.RCVHWM, 0)
        self.monitor.connect(RECEIVER_MONITOR)

    def bind(self, host: str, port: int) -> int:
        try:
            self.socket.bind(_address(host, port or "*"))
        except zmq.ZMQError as error:
            self._close_sockets()
            kind = PortTakenError if error.errno == errno.EADDRINUSE else WorkerStartError
            raise kind(f"cannot listen on {_address(host, port)}: {error}") from error
        self.port = int(self.socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
        self._accepted = AcceptedConnections(self.port)
        return self.port

    @property
    def watches(self) -> bool:
        """Whether somebody is connected who may be no peer."""
        return bool(self._crowd.strangers)

    def receive(self, frames_max: int, is_from_peer: Callable[[bytes], bool]) -> list[bytes]:
        self.read_monitor()
        if self._crowd.strangers:
            return self._receive_watching(frames_max, is_from_peer)
        frames: list[bytes] = []
        recv, option = self.socket.recv, self.socket.getsockopt
        with contextlib.suppress(zmq.Again):
            while len(frames) < frames_max:
                frame = recv(NOBLOCK)
                if option(RCVMORE):
                    self._drop_rest()
                else:
                    frames.append(frame)
        return frames

    def _receive_watching(self, frames_max: int, is_from_peer: Callable[[bytes], bool]) -> list[bytes]:
        """As `receive`, while there are strangers: who sends a frame of ours is none any more."""
        self._weigh()
        strangers = self._crowd.strangers
        frames: list[bytes] = []
        dropped, emptied = self.dropped, False
        try:
            while len(frames) < frames_max:
                message = self.socket.recv(NOBLOCK, copy=False)
                if message.more:
                    self._drop_rest()
                    continue
                frame = message.bytes
                frames.append(frame)
                connection = _connection_of(message)
                if connection in strangers and is_from_peer(frame):
                    self._crowd.is_peer(connection)
        except zmq.Again:
            emptied = True
        self._crowd.received(len(frames) + self.dropped - dropped, emptied=emptied)
        self._shut(self._crowd.surplus(), "was one of too many that no worker has sent anything by")
        return frames

    def _drop_rest(self) -> None:
        """Of a message in parts: it is there as a whole, and nobody sends such."""
        self.dropped += 1
        while self.socket.getsockopt(RCVMORE):
            self.socket.recv(NOBLOCK)

    def read_monitor(self) -> None:
        """Note who came and went since."""
        if not self.monitor.getsockopt(EVENTS) & POLLIN:
            return
        with contextlib.suppress(zmq.Again):
            for _ in range(EVENTS_A_TURN):
                event, connection = EVENT.unpack(self.monitor.recv_multipart(NOBLOCK)[0])
                if event == zmq.EVENT_ACCEPTED:
                    self._crowd.accepted(connection)
                else:
                    self._crowd.gone(connection)

    def _weigh(self) -> None:
        now = self._clock.now()
        if now < self._weigh_at:
            return
        self._weigh_at = now + WEIGH_EVERY_SECS
        sizes_bytes = {one: self._accepted.received_bytes(one) for one in self._crowd.strangers}
        self._shut(self._crowd.weighed(sizes_bytes), "sent much, and nothing that a worker would send")

    def _shut(self, connections: list[int], why: str) -> None:
        if not connections:
            return
        self.shut += sum(map(self._accepted.shut, connections))
        if self._trimming is None or not self._trimming.is_alive():
            self._trimming = threading.Timer(TRIM_AFTER_SECS, _give_memory_back)
            self._trimming.daemon = True
            self._trimming.start()
        now = self._clock.now()
        if now >= self._tell_at:
            self._tell_at = now + TELL_EVERY_SECS
            logger.warning("Port %d: %d connections of strangers shut so far. The last %s.", self.port, self.shut, why)

    def close(self) -> None:
        self._close_sockets()
        self._accepted.close()

    def _close_sockets(self) -> None:
        if self._trimming is not None:
            self._trimming.cancel()
        self.socket.monitor(None, 0)
        self.monitor.close(0)
        self.socket.close(0)


def _give_memory_back() -> None:
    """What strangers took is free by now, and glibc would keep it, in pieces that nothing else needs."""
    import ctypes  # nobody needs it who is left alone

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class ZeroMqTransport:
    """See `transport.Transport`."""

    def __init__(self, limits: ZeroMqLimits = DEFAULT_LIMITS, clock: Clock = SYSTEM_CLOCK) -> None:
        self.is_from_peer: Callable[[bytes], bool] = _anybody
        self._limits = limits
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(limits.io_threads)
        self._context.set(zmq.MAX_SOCKETS, SOCKETS_MAX)
        self._receiver: ZeroMqReceiver | None = None
        self._senders: dict[Any, ZeroMqSender] = {}  # by monitor
        self._probing: list[ZeroMqSender] = []
        self._watched: set[Any] = set()
        self._poller = zmq.Poller()
        self._wake_lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poller.register(self._wake_read, zmq.POLLIN)

    @property
    def dropped(self) -> int:
        return 0 if self._receiver is None else self._receiver.dropped

    @property
    def shut(self) -> int:
        return 0 if self._receiver is None else self._receiver.shut

    def bind(self, host: str, port: int) -> int:
        receiver = ZeroMqReceiver(self._context, self._limits, self._clock)
        bound = receiver.bind(host, port)
        self._receiver = receiver
        self._poller.register(receiver.socket, zmq.POLLIN)
        self._poller.register(receiver.monitor, zmq.POLLIN)
        return bound

    def connect(self, host: str, port: int) -> ZeroMqSender:
        sender = ZeroMqSender(self._context.socket(zmq.PUSH), self._limits, host, port, self._clock)
        self._senders[sender.monitor] = sender
        self._poller.register(sender.monitor, zmq.POLLIN)
        return sender

    def receive(self, frames_max: int) -> list[bytes]:
        return [] if self._receiver is None else self._receiver.receive(frames_max, self.is_from_peer)

    def wait(self, timeout_secs: float, blocked: Iterable[Any] = ()) -> None:
        self._watch({sender.socket for sender in blocked})
        if self._receiver is not None and self._receiver.watches:
            timeout_secs = min(timeout_secs, WEIGH_EVERY_SECS)
        if self._probing:
            timeout_secs = min(timeout_secs, PROBE_EVERY_SECS)
        for ready, _ in self._poller.poll(max(0, math.ceil(timeout_secs * 1000))):
            if ready == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
            elif ready in self._senders:
                self._senders[ready].read_monitor()
                self._probing.append(self._senders[ready])
            elif self._receiver is not None and ready is self._receiver.monitor:
                self._receiver.read_monitor()
        if self._probing:
            self._probing = [sender for sender in self._probing if sender.read_probe()]
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
            self._receiver.close()
        self._context.term()
        with self._wake_lock:  # or a late wake would write into whatever has the descriptor's number next
            os.close(self._wake_read)
            os.close(self._wake_write)


def _connection_of(message: zmq.Frame) -> int:
    """The descriptor that it came by; -1 where it is not known: of who speaks ZMTP of before 2013."""
    try:
        return int(message.get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


def _anybody(frame: bytes) -> bool:
    return True


def _address(host: str, port: int | str) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _set_options(socket: zmq.Socket[bytes], silence_ms_max: int) -> None:
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_TIMEOUT_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_EVERY_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, silence_ms_max)
