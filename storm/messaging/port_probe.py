"""Whether a process that was connected to has ended: then nothing listens at its port any more.

Its host's kernel says so at once. A cut link, or a host that is gone, says nothing, and a port that was taken anew is
open: in those cases nobody has ended as far as is known.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

Address = tuple[Any, ...]  # as sockets have it: host and port first
IPV6_PARTS = 4  # flow and scope, too
UNDER_WAY = {errno.EINPROGRESS, errno.EALREADY}


def peer_of(descriptor: int, port: int) -> Address | None:
    """Who is at the other end of a connection; None if it is gone, or is another one by now: not with this port."""
    try:
        # As in `accepted`: a duplicate of a file that is closed takes the process's locks of that file with it.
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        with socket.fromfd(descriptor, socket.AF_INET6, socket.SOCK_STREAM) as connection:  # room for both families
            address: Address | str = connection.getpeername()
    except OSError:
        return None
    return address if isinstance(address, tuple) and address[1] == port else None


class PortProbe:
    """One attempt to connect. It never waits; `close` it."""

    def __init__(self, address: Address) -> None:
        """Raises OSError, as where no descriptor is left."""
        family = socket.AF_INET6 if len(address) == IPV6_PARTS else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._address = address

    def is_closed(self) -> bool | None:
        """Whether nothing listens there; None while that is not known yet, which may be for minutes."""
        said = self._socket.connect_ex(self._address)
        return None if said in UNDER_WAY else said == errno.ECONNREFUSED

    def close(self) -> None:
        self._socket.close()
