"""Frames between workers: they take a while, and may be lost, late, damaged, come twice or overtake each other.

Each carries who sent it, so that what a worker takes in can be judged by something else than its own code: see
`WatchedLanes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.errors import PortTakenError
from storm.messaging.in_process import InProcessNetwork, InProcessSender, InProcessTransport

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator

    from event_loop import EventLoop
    from simulated_worker import WorkerProcess
    from weather import Weather

    from storm.ids import StreamId, TaskId
    from storm.tuples import Origin

FRAME_SECS = 0.02
LATE_SECS = 4.0
ON_THE_WAY_MAX = 32


class Frame(bytes):
    """A frame under way. `is_damaged`: it is not as it was sent."""

    sender: WorkerProcess
    is_damaged: bool


class SimulatedNetwork(InProcessNetwork):
    """`cut_links`: hosts (from, to) between which nothing passes, and nobody learns of it. `broken_links`: the same,
    both ways, and both ends know. `slow_links`: how much longer frames take at most. `taken_ports`: (host, port) that
    somebody else listens on.
    """

    def __init__(self, events: EventLoop, weather: Weather) -> None:
        super().__init__()
        self.events = events
        self.weather = weather
        self.cut_links: set[tuple[str, str]] = set()
        self.broken_links: set[frozenset[str]] = set()
        self.slow_links: dict[tuple[str, str], float] = {}
        self.taken_ports: set[tuple[str, int]] = set()
        self.arrived: dict[tuple[str, int], Callable[[], None]] = {}  # address -> wakes whoever listens there

    def mend(self) -> None:
        """All links are well from now on."""
        for trouble in (self.cut_links, self.broken_links, self.slow_links, self.taken_ports):
            trouble.clear()

    def transport_at(self, worker: WorkerProcess, wake: Callable[[], None]) -> SimulatedTransport:
        """A worker's end of it; `wake` is called when it should look."""
        return SimulatedTransport(self, worker, wake)

    def carry(self, address: tuple[str, int], frame: Frame, inbox: deque[bytes], secs: float) -> None:
        """Have a frame arrive, if the port is still that of the process that it was sent to."""
        link = frame.sender.host.name, address[0]

        def arrive() -> None:
            is_cut = link in self.cut_links or frozenset(link) in self.broken_links
            if self.inboxes.get(address) is inbox and not is_cut:
                inbox.append(frame)
                self.arrived[address]()

        self.events.after(secs, f"frame for {address[0]}:{address[1]}", arrive)


class SimulatedSender(InProcessSender):
    """In order, unless frames may overtake each other. There is one thread: nothing is locked."""

    def __init__(self, network: SimulatedNetwork, worker: WorkerProcess, host: str, port: int) -> None:
        super().__init__(network, host, port)
        self._simulated = network
        self._worker = worker
        self._link = worker.host.name, host
        self._last_at = 0.0

    @property
    def connects(self) -> int:
        self._inbox()
        return self._connects

    @property
    def connected(self) -> bool:
        return self._inbox() is not None

    @property
    def ended(self) -> int:
        self._inbox()
        return self._ended

    def try_send(self, frame: bytes) -> bool:
        network, weather = self._simulated, self._simulated.weather
        inbox = self._inbox()
        if inbox is None or len(inbox) >= ON_THE_WAY_MAX:
            return False
        if weather.strikes("frame lost"):
            network.events.note(f"a frame for {self._address[0]}:{self._address[1]} is lost")
            return True
        for _ in range(2 if weather.strikes("frame duplicated") else 1):
            self._carry(self._under_way(frame), inbox)
        return True

    def _carry(self, frame: Frame, inbox: deque[bytes]) -> None:
        network, weather = self._simulated, self._simulated.weather
        now = network.events.clock.now()
        late_secs = network.events.soon(LATE_SECS) if weather.strikes("frame late") else 0.0
        if self._link in network.slow_links:
            late_secs += network.events.soon(network.slow_links[self._link])
        at = now + network.events.soon(FRAME_SECS) + late_secs
        if not weather.strikes("frame overtaken"):
            at = max(at, self._last_at + 1e-6)
            self._last_at = at
        network.carry(self._address, frame, inbox, at - now)

    def _under_way(self, frame: bytes) -> Frame:
        network = self._simulated
        is_damaged = network.weather.strikes("frame damaged")
        if is_damaged:
            network.events.note(f"a frame for {self._address[0]}:{self._address[1]} is damaged")
            frame = _damaged(frame, network)
        under_way = Frame(frame)
        under_way.sender, under_way.is_damaged = self._worker, is_damaged
        return under_way

    def _inbox(self) -> deque[bytes] | None:
        inbox = super()._inbox()
        broken = self._simulated.broken_links
        if broken and inbox is not None and frozenset(self._link) in broken:
            self._seen = inbox = None
        return inbox


class SimulatedTransport(InProcessTransport):
    """Never waits: its owner is woken. `taken` is the frame that its owner looks at."""

    def __init__(self, network: SimulatedNetwork, worker: WorkerProcess, wake: Callable[[], None]) -> None:
        super().__init__(network)
        self._simulated = network
        self._worker = worker
        self._wake_owner = wake
        self.taken: Frame | None = None

    def bind(self, host: str, port: int) -> int:
        if (host, port) in self._simulated.taken_ports:
            raise PortTakenError(f"cannot listen on {host}:{port}: somebody else does")
        port = super().bind(host, port)
        self._simulated.arrived[host, port] = self._wake_owner
        return port

    def connect(self, host: str, port: int) -> InProcessSender:
        sender = SimulatedSender(self._simulated, self._worker, host, port)
        self._senders.append(sender)
        return sender

    def receive(self, frames_max: int) -> Iterator[bytes]:  # type: ignore[override]
        for frame in super().receive(frames_max) if self._inbox else ():
            assert isinstance(frame, Frame)
            self.taken = frame
            yield frame

    def wake(self) -> None:
        self._wake_owner()


class WatchedLanes:
    """Stands between the receiving half of a worker and its lanes: `came` is told of each frame that gets through."""

    def __init__(self, lanes: Any, came: Callable[[], None]) -> None:
        self._lanes = lanes
        self._came = came

    def deliver(self, target: TaskId, tuples: Any) -> bool:
        self._came()
        return self._lanes.deliver(target, tuples)

    def deliver_tracking(self, kind: Any, target: TaskId, source: TaskId, pairs: Any) -> object:
        self._came()
        return self._lanes.deliver_tracking(kind, target, source, pairs)

    def origin(self, task: TaskId, stream: StreamId) -> Origin:
        return self._lanes.origin(task, stream)


def _damaged(frame: bytes, network: SimulatedNetwork) -> bytes:
    """Cut short, or with one bit turned."""
    rng = network.events.rng
    if rng.random() < 0.3:
        return frame[: rng.randrange(len(frame))]
    damaged = bytearray(frame)
    damaged[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
    return bytes(damaged)
