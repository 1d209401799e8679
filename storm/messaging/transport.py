"""How frames travel between workers: the seam under `storm.worker`.

Two implementations pass the same contract tests: `zeromq.ZeroMqTransport` and `in_process.InProcessTransport`. One
thread makes, uses and closes a transport; only `wake` may be called from others. Frames of one sender arrive in
order and whole, or not at all: what was on its way when a worker or connection dies is lost, and acks see to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Sender(Protocol):
    """A connection to one worker's port, made anew by itself, without end, whenever it breaks."""

    def try_send(self, frame: bytes) -> bool:
        """Take a frame, or answer False: not connected, or as much is on its way as may be."""

    @property
    def connects(self) -> int:
        """How often it was connected so far."""

    @property
    def connected(self) -> bool:
        """Whether something answers at the port, as far as is known."""

    @property
    def ended(self) -> int:
        """What `connects` was when last nothing listened at the port any more right after a connection had broken.

        So whoever answered until then has ended. 0: that is known of nobody.
        """

    def close(self) -> None:
        """Frames that it took may still leave for a bounded time."""


class Transport(Protocol):
    """One worker's bound port and its connections.

    `is_from_peer` may be set to say whether a frame is from somebody who may stay connected, also in a crowd.
    """

    is_from_peer: Callable[[bytes], bool]

    def bind(self, host: str, port: int) -> int:
        """Take frames at this port (0: any); return it. Raises PortTakenError when another process has it, and
        WorkerStartError where it cannot be had for another reason."""

    def connect(self, host: str, port: int) -> Sender:
        """Begin to connect; returns at once."""

    def receive(self, frames_max: int) -> list[bytes]:
        """The frames that are there now, at most so many."""

    def wait(self, timeout_secs: float, blocked: Iterable[Sender] = ()) -> None:
        """Return when a frame is there, a connection's state or `ended` changed, one of `blocked` may take a frame,
        somebody called `wake`, or the time is over."""

    def wake(self) -> None:
        """End the present or next `wait`. From any thread."""

    @property
    def dropped(self) -> int:
        """Messages dropped because no frame looks like that: many parts."""

    @property
    def shut(self) -> int:
        """Connections to the port that were shut: of strangers, for want of room or for what they sent."""

    def close(self) -> None:
        """Close all; returns within a bounded time."""
