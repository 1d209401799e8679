"""Frames between workers: they take a while, and may be lost, be late or overtake each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.messaging.in_process import InProcessNetwork, InProcessSender, InProcessTransport

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from event_loop import EventLoop
    from weather import Weather

FRAME_SECS = 0.02
LATE_SECS = 4.0
ON_THE_WAY_MAX = 32


class SimulatedNetwork(InProcessNetwork):
    """`cut_links` are pairs of hosts between which nothing passes."""

    def __init__(self, events: EventLoop, weather: Weather) -> None:
        super().__init__()
        self.events = events
        self.weather = weather
        self.cut_links: set[frozenset[str]] = set()
        self.arrived: dict[tuple[str, int], Callable[[], None]] = {}  # address -> wakes whoever listens there

    def transport_at(self, host: str, wake: Callable[[], None]) -> SimulatedTransport:
        """A worker's end of it; `wake` is called when it should look."""
        return SimulatedTransport(self, host, wake)

    def carry(self, near: str, address: tuple[str, int], frame: bytes, inbox: deque[bytes], secs: float) -> None:
        """Have a frame arrive, if the port is still that of the process that it was sent to."""

        def arrive() -> None:
            if self.inboxes.get(address) is inbox and frozenset((near, address[0])) not in self.cut_links:
                inbox.append(frame)
                self.arrived[address]()

        self.events.after(secs, f"frame for {address[0]}:{address[1]}", arrive)


class SimulatedSender(InProcessSender):
    """In order, unless frames may overtake each other."""

    def __init__(self, network: SimulatedNetwork, near: str, host: str, port: int) -> None:
        super().__init__(network, host, port)
        self._simulated = network
        self._near = near
        self._last_at = 0.0

    def try_send(self, frame: bytes) -> bool:
        network, weather = self._simulated, self._simulated.weather
        inbox = self._inbox()
        if inbox is None or len(inbox) >= ON_THE_WAY_MAX:
            return False
        if weather.strikes("frame lost"):
            network.events.note(f"a frame for {self._address[0]}:{self._address[1]} is lost")
            return True
        now = network.events.clock.now()
        late_secs = network.events.soon(LATE_SECS) if weather.strikes("frame late") else 0.0
        at = now + network.events.soon(FRAME_SECS) + late_secs
        if not weather.strikes("frame overtaken"):
            at = max(at, self._last_at + 1e-6)
            self._last_at = at
        network.carry(self._near, self._address, frame, inbox, at - now)
        return True


class SimulatedTransport(InProcessTransport):
    """Never waits: its owner is woken."""

    def __init__(self, network: SimulatedNetwork, host: str, wake: Callable[[], None]) -> None:
        super().__init__(network)
        self._simulated = network
        self._host = host
        self._wake_owner = wake

    def bind(self, host: str, port: int) -> int:
        port = super().bind(host, port)
        self._simulated.arrived[host, port] = self._wake_owner
        return port

    def connect(self, host: str, port: int) -> InProcessSender:
        sender = SimulatedSender(self._simulated, self._host, host, port)
        self._senders.append(sender)
        return sender

    def wake(self) -> None:
        self._wake_owner()
