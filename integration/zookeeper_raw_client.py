"""A ZooKeeper client without any cleverness: it sends the bytes that a test wants and shows what comes back."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from kazoo.protocol import serialization as wire

HEADER = struct.Struct(">iqi")
TIMEOUT_SECS = 10.0


class Reply(NamedTuple):
    xid: int
    zxid: int
    error: int
    body: bytes


class Event(NamedTuple):
    """`kind`: 1 created, 2 deleted, 3 data changed, 4 children changed."""

    kind: int
    path: str


class RawClient:
    """`events`: what came, in order, before the last reply that was read."""

    def __init__(self, port: int) -> None:
        self.events: list[Event] = []
        self.session_id = 0
        self.password = bytes(16)
        self.timeout_ms = 0
        self.last_zxid = 0
        self._port = port
        self._xid = 0
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECS)

    def connect(self, *, timeout_ms: int = 30_000, seen: int = 0) -> RawClient:
        """Open a session, or resume the one this client has; `timeout_ms` 0 afterwards: it was expired."""
        request = wire.Connect(0, seen, timeout_ms, self.session_id, self.password, False)
        self.send_packet(bytes(request.serialize()))
        reply, _ = wire.Connect.deserialize(self.read_packet(), 0)
        self.timeout_ms, self.session_id, self.password = reply.time_out, reply.session_id, reply.passwd
        return self

    def reconnect(self) -> None:
        """Leave the connection without closing the session, and take up a new one."""
        self.close()
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_SECS)

    def call(self, request: object) -> Reply:
        """Send a request of kazoo's and read its reply."""
        self.send(request)
        return self.read_reply()

    def send(self, request: object, xid: int | None = None) -> int:
        if xid is None:
            self._xid += 1
            xid = self._xid
        body = bytes(request.serialize())  # type: ignore[attr-defined]
        self.send_packet(struct.pack(">ii", xid, request.type) + body)  # type: ignore[attr-defined]
        return xid

    def send_packet(self, packet: bytes) -> None:
        self._socket.sendall(struct.pack(">i", len(packet)) + packet)

    def send_bytes(self, content: bytes) -> None:
        self._socket.sendall(content)

    def read_reply(self) -> Reply:
        while True:
            packet = self.read_packet()
            xid, zxid, error = HEADER.unpack_from(packet)
            if xid != -1:
                self.last_zxid = max(zxid, self.last_zxid)
                return Reply(xid, zxid, error, packet[HEADER.size :])
            watch, _ = wire.Watch.deserialize(packet, HEADER.size)
            self.events.append(Event(watch.type, watch.path))

    def read_packet(self) -> bytes:
        """Raises `ConnectionError` if the server closes."""
        (length,) = struct.unpack(">i", self._read(4))
        return self._read(length)

    def closed_by_server(self) -> bool:
        """Whether the server closes the connection, sooner or later; what it still sends is dropped."""
        try:
            while self._socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def take_events(self) -> list[Event]:
        """The events up to now: a ping is answered after them."""
        self.send(wire.PingInstance, xid=-2)
        self.read_reply()
        taken, self.events = self.events, []
        return taken

    def close(self) -> None:
        self._socket.close()

    def _read(self, length: int) -> bytes:
        content = b""
        while len(content) < length:
            part = self._socket.recv(length - len(content))
            if not part:
                raise ConnectionError("the server closed the connection")
            content += part
        return content
