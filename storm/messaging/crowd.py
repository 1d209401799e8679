"""Who may stay connected to a worker's port.

Pure. A connection is a stranger's until a frame of the topology came by it: then it is a peer's, and nobody takes its
place. Of strangers there is a limit. When it is exceeded the oldest go, not the newest: a peer that has just come
needs some milliseconds until it is heard, and comes back if a crowd is faster than that. So a crowd displaces itself.

A stranger that sends much is shut too. ZeroMQ hands over a message when it is whole and sets no limit to the number
of its parts, so one that never ends is seen by nobody, and may take 32 times its bytes in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a peer sends before it is heard: about 100 bytes of handshake, and a hello of 48. All strangers together
# then hold STRANGERS_MAX * 4 KiB * 32 = 64 MB of messages that never end.
STRANGER_BYTES_MAX = 4_096
STRANGERS_MAX = 500


class Crowd:
    """Connections by file descriptor, whose numbers are used again once they are gone."""

    def __init__(self, strangers_max: int, connections_max: int) -> None:
        """`connections_max` is for peers and strangers together: what peers take, strangers have not."""
        self.strangers: dict[int, None] = {}  # the oldest first
        self._peers: set[int] = set()
        self._strangers_max = strangers_max
        self._connections_max = connections_max
        self._heavy: set[int] = set()
        self._unheard = 0  # messages until each connection has had its turn since the last weighing

    def __len__(self) -> int:
        return len(self.strangers) + len(self._peers)

    def accepted(self, connection: int) -> None:
        """What had the number before is gone, whether or not that was told."""
        self.gone(connection)
        self.strangers[connection] = None

    def gone(self, connection: int) -> None:
        self.strangers.pop(connection, None)
        self._peers.discard(connection)
        self._heavy.discard(connection)

    def is_peer(self, connection: int) -> None:
        """A frame of the topology came by it."""
        if connection in self.strangers:
            self.gone(connection)
            self._peers.add(connection)

    def surplus(self) -> list[int]:
        """The connections to shut for want of room; they are no longer counted."""
        room = max(0, min(self._strangers_max, self._connections_max - len(self._peers)))
        return self._dismissed([*self.strangers][: max(0, len(self.strangers) - room)])

    def received(self, messages: int, *, emptied: bool) -> None:
        """So many messages were taken from all connections, in turn; `emptied`: there are no more."""
        self._unheard = 0 if emptied else max(0, self._unheard - messages)

    def weighed(self, sizes_bytes: Mapping[int, int | None]) -> list[int]:
        """The connections to shut for what strangers have sent so far (None: it is gone); they are no longer counted.

        That is those that were too heavy at the last weighing already, if all that had come by then was taken in the
        meantime: a peer's first frame comes before all others. If it was not, nobody is judged yet.
        """
        for connection in [one for one, size in sizes_bytes.items() if size is None]:
            self.gone(connection)
        if self._unheard:
            return []
        shut = self._dismissed([*self._heavy])
        self._heavy = {one for one in self.strangers if (sizes_bytes.get(one) or 0) > STRANGER_BYTES_MAX}
        self._unheard = len(self)
        return shut

    def _dismissed(self, connections: list[int]) -> list[int]:
        for connection in connections:
            self.gone(connection)
        return connections
