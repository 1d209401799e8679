"""A TCP socket that listens; what it means where there is none, each server says in its own words."""

from __future__ import annotations

import socket


def listening_socket(host: str, port: int, backlog: int) -> socket.socket:
    """Without SO_REUSEPORT, so that a second daemon cannot share the port unnoticed; `::` is every address of IPv4 too.

    Raises OSError, whose `strerror` says why and does not name the address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        dualstack = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listener = socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=dualstack)
    except OSError as error:
        raise OSError(error.errno, (error.strerror or str(error)).partition(" (while ")[0]) from None
    # Accepted sockets have it too; asyncio sets it only where a socket names TCP. Without it each answer but the
    # first of a connection waits 40 ms for the client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
