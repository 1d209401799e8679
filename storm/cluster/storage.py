"""What the cluster's state is kept in: nodes with bytes, as ZooKeeper has them.

Two implementations pass the same contract tests: `zookeeper.ZooKeeperStorage` and `memory.MemoryStorage`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol

# ZooKeeper takes 1,048,575 bytes in one packet (jute.maxbuffer), of which path, ACL and header need some.
NODE_BYTES_MAX = 1_000_000


class Versioned(NamedTuple):
    """A node's bytes and its version, which grows with every write."""

    data: bytes
    version: int


class ConnectionState(Enum):
    """CONNECTED: reads and writes work. SUSPENDED: nothing is known. LOST: ephemeral nodes are gone."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"
    LOST = "lost"


# Called once, from any thread, when the node changes, and also after a lost connection came back (what
# happened in between is unknown). It must only wake a loop up, which then reads again.
Watch = Callable[[], None]
Listener = Callable[[ConnectionState], None]  # called from any thread; it must only note the state


class StateStorage(Protocol):
    """Nodes and bytes. Every method may raise `CoordinationError` when the storage cannot be reached.

    A write that raises it may have been carried out all the same: the answer can be what was lost.
    Paths are absolute, `/storms/wc-1-0`; the implementation puts its root before them. A malformed path is a
    ValueError.
    """

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        """Create a node, and its parents; return its path, which ends in ten digits if sequential.

        Raises NodeExistsError.
        """

    def put(self, path: str, data: bytes) -> None:
        """Create the node or replace its bytes."""

    def set(self, path: str, data: bytes, version: int) -> int:
        """Replace the bytes if the version is still this one; return the new version.

        Raises BadVersionError, NoNodeError.
        """

    def get(self, path: str, watch: Watch | None = None) -> Versioned | None:
        """The node's bytes, or None where there is no node (then the watch fires when it is created)."""

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        """Its children's names, sorted; empty where there is no node (the watch fires when it is created)."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete the node; nothing happens where there is none.

        Raises CoordinationError if it has children and `recursive` is false.
        """

    def put_ephemeral(self, path: str, data: bytes) -> None:
        """Create or replace an ephemeral node of this session, also where another session left one."""

    def fenced(self, fence: str) -> StateStorage:
        """The same nodes and session; every write raises BadVersionError once there is no node `fence`."""

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` each change of the connection's state."""

    def close(self) -> None:
        """End the session; its ephemeral nodes go."""
