"""Connections that libzmq has accepted, looked at and shut from outside, which it has no call for.

Only their descriptors are known, and libzmq may close one at any moment, whereupon the number may belong to any other
file of the process. So nothing is done to the number itself: it is duplicated, which pins what it belongs to; only if
that is a connection to the port it is shut, and libzmq sees what it sees when the other side closes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct

# Else the system keeps a closed connection of somebody who reads nothing for a minute, and leaves him waiting to send.
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
_BYTES_RECEIVED = struct.Struct("=128xQ")  # tcpi_bytes_received of Linux's struct tcp_info


class AcceptedConnections:
    """Of one port; for one thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        # The duplicate's number is kept all the time: where a crowd leaves no descriptor, it is needed most.
        self._pin = socket.socket()
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._unpin()

    def shut(self, descriptor: int) -> bool:
        """End a connection to the port, in both directions; False if the number is no such connection's."""
        try:
            if not self._pinned(descriptor):
                return False
            self._pin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            self._pin.shutdown(socket.SHUT_RDWR)
        except OSError:
            return False
        finally:
            self._unpin()
        return True

    def received_bytes(self, descriptor: int) -> int | None:
        """What has come by a connection to the port so far, 0 where the system does not tell; None if it is none."""
        try:
            if not self._pinned(descriptor):
                return None
            if not hasattr(socket, "TCP_INFO"):
                return 0
            info = self._pin.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
        except OSError:
            return None
        finally:
            self._unpin()
        return int(_BYTES_RECEIVED.unpack(info)[0]) if len(info) == _BYTES_RECEIVED.size else 0

    def close(self) -> None:
        self._pin.close()
        os.close(self._nothing)

    def _pinned(self, descriptor: int) -> bool:
        # A duplicate of a file that is closed takes the process's locks of that file with it: not even that may happen.
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return False
        os.dup2(descriptor, self._pin.fileno(), inheritable=False)
        self._pin.getpeername()  # raises for one that listens
        own = self._pin.getsockname()
        return isinstance(own, tuple) and own[1] == self._port

    def _unpin(self) -> None:
        with contextlib.suppress(OSError):  # somebody lowered the process's limit below the number: then nothing works
            os.dup2(self._nothing, self._pin.fileno(), inheritable=False)
