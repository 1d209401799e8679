"""One client of a Thrift server: bytes to frames, frames to bytes, and until when what must have happened.

Pure: the server tells it what arrived and what time it is. A client has one call at a time under way; what
it sends meanwhile waits, unread beyond what has arrived already.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from math import inf

from storm.errors import ThriftProtocolError

MEGABYTE = 1 << 20
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a server gives to its clients, and the answer to who wants more."""

    frame_max_bytes: int = (
        4 * MEGABYTE
    )  # a longer one closes the connection; a worker tells 512 KB of figures at a time
    connections_max: int = 256  # beyond it `Connection.claim` says who goes; if nobody may, the new one
    connections_per_address_max: int = 64  # beyond it the new connection is closed; loopback is exempt
    buffered_max_bytes: int = 256 * MEGABYTE  # of all clients together; beyond it the largest is closed
    threads: int = 16  # calls that run at a time; further ones wait, at most one for each connection
    small_frame_bytes: int = 4096  # longer frames are decoded one after the other, so that they cannot fill all threads
    values_max: int = 250_000  # of one message; 1,500 bolts' figures have as many, so they are told a part at a time
    first_byte_secs: float = 5.0  # until a new client has sent anything
    frame_secs: float = 30.0  # until a frame that began is complete; until a reply is taken
    idle_secs: float = 600.0  # between two calls


NIMBUS_LIMITS = ServerLimits(frame_max_bytes=16 * MEGABYTE)


class Phase(Enum):
    READING = "reading"
    HANDLING = "handling"
    WRITING = "writing"


class Connection:
    """What a server knows of one client."""

    def __init__(self, limits: ServerLimits, now: float) -> None:
        self.phase = Phase.READING
        self._limits = limits
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")
        self._handled_bytes = 0
        self._calls = 0
        self._since = now  # when the present wait began

    @property
    def buffered_bytes(self) -> int:
        """What this client makes the server keep in memory."""
        return len(self._incoming) + len(self._outgoing) + self._handled_bytes

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, so that closing it costs its client a reconnection at most."""
        return self.phase is Phase.READING and not self._incoming

    def claim(self, now: float) -> tuple[int, float] | None:
        """How good its claim to stay is where there is no room: the lowest one goes. None: it is not to be closed.

        Those who never called go first, then the idle ones, then those who let the server wait in the middle of a
        frame or a reply, longer than a new client may be silent; the longest of each first.
        """
        if self.idle:
            return (1 if self._calls else 0), self._since
        if self.phase is Phase.HANDLING or now - self._since < self._limits.first_byte_secs:
            return None
        return 2, self._since

    def deadline(self) -> float:
        """When this client must be closed unless something happens; `inf` while its call is being handled."""
        if self.phase is Phase.HANDLING:
            return inf
        if not self.idle:
            return self._since + self._limits.frame_secs
        return self._since + (self._limits.idle_secs if self._calls else self._limits.first_byte_secs)

    def complaint(self) -> str:
        """Why it is closed once the deadline has passed."""
        if self.phase is Phase.WRITING:
            return "its client does not take the reply"
        if not self.idle:
            return "a frame that began was not completed"
        return "it was idle" if self._calls else "its client sent nothing"

    def received(self, data: bytes, now: float) -> None:
        """`data` arrived."""
        if self.idle:
            self._since = now
        self._incoming += data

    def take_frame(self) -> bytes | None:
        """The next complete frame, whose reply is owed from now on; None if there is none.

        Raises ThriftProtocolError if what arrived announces a frame beyond the limit.
        """
        if self.phase is not Phase.READING or len(self._incoming) < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._incoming)
        if size > self._limits.frame_max_bytes:
            raise ThriftProtocolError(
                f"a frame of {size} bytes (at most {self._limits.frame_max_bytes}); it begins with "
                f"{bytes(self._incoming[:16])!r}"
            )
        end = _LENGTH.size + size
        if len(self._incoming) < end:
            return None
        frame = bytes(memoryview(self._incoming)[_LENGTH.size : end])
        del self._incoming[:end]
        self.phase = Phase.HANDLING
        self._handled_bytes = size
        self._calls += 1
        return frame

    def answer(self, message: bytes | None, now: float) -> None:
        """The handled frame's reply; None if it wants none."""
        assert self.phase is Phase.HANDLING, self.phase
        self._handled_bytes = 0
        self._since = now
        if message is None:
            self.phase = Phase.READING
        else:
            self.phase = Phase.WRITING
            self._outgoing = memoryview(_LENGTH.pack(len(message)) + message)

    def outgoing(self) -> memoryview:
        """What is still to be sent."""
        return self._outgoing

    def sent(self, size: int, now: float) -> None:
        """`size` bytes of `outgoing` are gone."""
        self._outgoing = self._outgoing[size:]
        if not self._outgoing:
            self._since = now
            self.phase = Phase.READING
