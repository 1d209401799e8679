"""One client's socket: bytes to packets, and the limits that keep one client from harming the others."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import Protocol

from storm.dev_zookeeper.four_letter_words import is_word
from storm.dev_zookeeper.jute import INT
from storm.dev_zookeeper.protocol import PACKET_SIZE_MAX_BYTES

# Above this much unsent output a connection is not read; below a quarter of it, it is again.
UNSENT_PAUSE_BYTES = 1024 * 1024
# How long a closed connection may take to accept its last bytes.
CLOSE_SECS = 5.0


class ConnectionOwner(Protocol):
    """The server, as its connections see it."""

    requests_per_turn_max: int
    turn_secs: float
    unsent_size_max_bytes: int

    def admit(self, connection: ClientConnection) -> str | None:
        """None lets the connection in; a text says why not."""

    def receive(self, connection: ClientConnection, packet: bytes) -> None: ...

    def answer_word(self, connection: ClientConnection, word: bytes) -> None: ...

    def want_flush(self, connection: ClientConnection) -> None:
        """`connection` has output; `flush` it when everything before it is on the disk."""

    def lost(self, connection: ClientConnection) -> None: ...

    def note(self, level: int, connection: ClientConnection, reason: str) -> None:
        """Log why a connection is closed, unless too many were already."""


class ClientConnection(asyncio.Protocol):
    """Output is held back until the owner calls `flush`."""

    def __init__(self, owner: ConnectionOwner, connection_id: int) -> None:
        self.connection_id = connection_id
        self.host = ""
        self.port = 0
        self.received = 0
        self.sent = 0
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._input = bytearray()
        self._output: list[bytes] = []
        self._output_size_bytes = 0
        self._largest_unsent_bytes = 0
        self._closing = False
        self._output_full = False
        self._turn_pending = False

    @property
    def loopback(self) -> bool:
        return ipaddress.ip_address(self.host).is_loopback

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.host, self.port = transport.get_extra_info("peername")[:2]
        transport.set_write_buffer_limits(UNSENT_PAUSE_BYTES)
        refusal = self._owner.admit(self)
        if refusal is not None:
            self._owner.note(logging.WARNING, self, refusal)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        self._input += data
        if not self._turn_pending:
            self._take_packets()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._output_full = True
        self._set_reading(False)

    def resume_writing(self) -> None:
        self._output_full = False
        self._take_packets()

    def send(self, packet: bytes) -> None:
        self.sent += 1
        self._output.append(packet)
        self._output_size_bytes += len(packet)
        self._owner.want_flush(self)

    def close(self, reason: str | None) -> None:
        """Close after the output so far; `reason` None is the ordinary end."""
        if reason is not None and not self._closing:
            self._owner.note(logging.INFO, self, reason)
        self._closing = True
        self._owner.want_flush(self)

    def flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() == 0:
            self._largest_unsent_bytes = 0
        self._largest_unsent_bytes = max([self._largest_unsent_bytes, *map(len, self._output)])
        transport.write(b"".join(self._output))
        self._output.clear()
        self._output_size_bytes = 0
        if self._closing:
            transport.close()
            asyncio.get_running_loop().call_later(CLOSE_SECS, transport.abort)
        elif transport.get_write_buffer_size() - self._largest_unsent_bytes > self._owner.unsent_size_max_bytes:
            # One reply may be larger than the limit, and no client can take all of it in the turn that asks for it.
            self._owner.note(logging.WARNING, self, "it does not read its replies")
            transport.abort()

    def abort(self) -> None:
        """Close now, whatever is unsent."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def _take_packets(self) -> None:
        """Hand over what has arrived, at most so much that the other connections get their turn."""
        self._turn_pending = False
        position = 0
        most = left = self._owner.requests_per_turn_max
        loop = asyncio.get_running_loop()
        until = loop.time() + self._owner.turn_secs
        while not self._closing and not self._output_full and len(self._input) - position >= INT.size:
            if left == 0 or self._output_size_bytes > UNSENT_PAUSE_BYTES or (left < most and loop.time() > until):
                self._turn_pending = True
                break
            if self.received == 0 and is_word(bytes(self._input[:4])):
                self._owner.answer_word(self, bytes(self._input[:4]))
                break
            length: int = INT.unpack_from(self._input, position)[0]
            if not 0 <= length <= PACKET_SIZE_MAX_BYTES:
                self.close(f"a packet of {length} bytes; the most is {PACKET_SIZE_MAX_BYTES}")
                break
            start = position + INT.size
            if len(self._input) - start < length:
                break
            position = start + length
            left -= 1
            self.received += 1
            self._owner.receive(self, bytes(self._input[start:position]))
        del self._input[:position]
        if self._turn_pending:
            loop.call_soon(self._take_packets)
        self._set_reading(not self._turn_pending and not self._output_full and not self._closing)

    def _set_reading(self, wanted: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or transport.is_reading() == wanted:
            return
        if wanted:
            transport.resume_reading()
        else:
            transport.pause_reading()
