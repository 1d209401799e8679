"""What the cluster's state is kept in: nodes with bytes, as ZooKeeper has them.

Two implementations pass the same contract tests: `zookeeper.ZooKeeperStorage` and `memory.MemoryStorage`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol


class Versioned(NamedTuple):
    """A node's bytes and its version, which grows with every write."""

    data: bytes
    version: int


class ConnectionState(Enum):
    """CONNECTED: reads and writes work. SUSPENDED: nothing is known. LOST: ephemeral nodes are gone."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"
    LOST = "lost"


Watch = Callable[[], None]  # called once, from any thread, when the node changes; it must only wake a loop up
Listener = Callable[[ConnectionState], None]  # called from any thread; it must only note the state


class StateStorage(Protocol):
    """Nodes and bytes. Every method may raise `CoordinationError` when the storage cannot be reached.

    Paths are absolute, `/storms/wc-1-0`; the implementation puts its root before them.
    """

    def create(self, path: str, data: bytes, *, ephemeral: bool = False, sequential: bool = False) -> str:
        """Create a node, and its parents; return its path (with its number, if sequential). Raises NodeExistsError."""

    def put(self, path: str, data: bytes) -> None:
        """Create the node or replace its bytes."""

    def set(self, path: str, data: bytes, version: int) -> int:
        """Replace the bytes if the version is still this one; return the new. Raises BadVersionError, NoNodeError."""

    def get(self, path: str, watch: Watch | None = None) -> Versioned | None:
        """The node's bytes, or None where there is no node; a watch on a missing node fires when it is created."""

    def children(self, path: str, watch: Watch | None = None) -> list[str]:
        """Names of its children, sorted; empty where there is no node (then the watch fires when it is created)."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete the node; nothing happens where there is none. With children and not recursive: CoordinationError."""

    def put_ephemeral(self, path: str, data: bytes) -> None:
        """Create or replace an ephemeral node of this session; one left by an older session of ours is replaced."""

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` each change of the connection's state."""

    def close(self) -> None:
        """End the session; its ephemeral nodes go."""
