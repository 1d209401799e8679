"""Frames between workers of one process: for local mode and simulation."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from storm.errors import PortTakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.messaging.transport import Sender

FRAMES_ON_THE_WAY_MAX = 32
FIRST_FREE_PORT = 40_000


class InProcessNetwork:
    """What stands for hosts and cables: `transport()` makes a worker's end of it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.inboxes: dict[tuple[str, int], deque[bytes]] = {}

    def transport(self) -> InProcessTransport:
        return InProcessTransport(self)

    def free_port(self, host: str) -> int:
        """A port that nobody has bound, above the usual ones. The caller holds `changed`."""
        return 1 + max((port for name, port in self.inboxes if name == host), default=FIRST_FREE_PORT)


class InProcessSender:
    """See `transport.Sender`. It is connected while somebody has the port bound."""

    def __init__(self, network: InProcessNetwork, host: str, port: int) -> None:
        self._network = network
        self._address = (host, port)
        self._seen: deque[bytes] | None = None
        self._closed = False
        self._connects = 0
        self._ended = 0

    def try_send(self, frame: bytes) -> bool:
        with self._network.changed:
            inbox = self._inbox()
            if inbox is None or len(inbox) >= FRAMES_ON_THE_WAY_MAX:
                return False
            inbox.append(frame)
            self._network.changed.notify_all()
            return True

    @property
    def connects(self) -> int:
        with self._network.changed:
            self._inbox()
            return self._connects

    @property
    def connected(self) -> bool:
        with self._network.changed:
            return self._inbox() is not None

    @property
    def ended(self) -> int:
        with self._network.changed:
            self._inbox()
            return self._ended

    def writable(self) -> bool:
        """Whether `try_send` would take a frame. The caller holds `changed`."""
        inbox = self._inbox()
        return inbox is not None and len(inbox) < FRAMES_ON_THE_WAY_MAX

    def _inbox(self) -> deque[bytes] | None:
        inbox = None if self._closed else self._network.inboxes.get(self._address)
        if inbox is not self._seen:
            if self._seen is not None and not self._closed:
                self._ended = self._connects
            self._connects += inbox is not None
        self._seen = inbox
        return inbox

    def close(self) -> None:
        self._closed = True


class InProcessTransport:
    """See `transport.Transport`."""

    def __init__(self, network: InProcessNetwork) -> None:
        self._network = network
        self._address: tuple[str, int] | None = None
        self._inbox: deque[bytes] = deque()
        self._senders: list[InProcessSender] = []
        self._woken = False
        self.is_from_peer: Callable[[bytes], bool] = bool  # nobody asks
        self.dropped = 0
        self.shut = 0

    def bind(self, host: str, port: int) -> int:
        with self._network.changed:
            port = port or self._network.free_port(host)
            if (host, port) in self._network.inboxes:
                raise PortTakenError(f"cannot listen on {host}:{port}: address in use")
            self._address = (host, port)
            self._network.inboxes[self._address] = self._inbox
            self._network.changed.notify_all()
        return port

    def connect(self, host: str, port: int) -> InProcessSender:
        sender = InProcessSender(self._network, host, port)
        self._senders.append(sender)
        return sender

    def receive(self, frames_max: int) -> list[bytes]:
        with self._network.changed:
            frames = [self._inbox.popleft() for _ in range(min(frames_max, len(self._inbox)))]
            if frames:
                self._network.changed.notify_all()
        return frames

    def wait(self, timeout_secs: float, blocked: Iterable[Sender] = ()) -> None:
        waiting = [sender for sender in blocked if isinstance(sender, InProcessSender)]
        with self._network.changed:
            before = [(sender.connects, sender.ended) for sender in self._senders]
            self._network.changed.wait_for(
                lambda: (
                    self._woken
                    or self._inbox
                    or any(sender.writable() for sender in waiting)
                    or before != [(sender.connects, sender.ended) for sender in self._senders]
                ),
                max(0.0, timeout_secs),
            )
            self._woken = False

    def wake(self) -> None:
        with self._network.changed:
            self._woken = True
            self._network.changed.notify_all()

    def close(self) -> None:
        with self._network.changed:
            if self._address is not None:
                self._network.inboxes.pop(self._address, None)
            for sender in self._senders:
                sender.close()
            self._network.changed.notify_all()
