"""A socket that listens for HTTP, or why there is none. Nothing of a server is imported for it."""

from __future__ import annotations

import errno
import socket

from storm.config.addresses import joined
from storm.errors import AlreadyRunningError, ConfigError

BACKLOG = 1_024


def listen(host: str, port: int, whose: str) -> socket.socket:
    """A listening socket. `whose`: the first word of the settings that name `host` and `port`, such as "ui".

    Raises AlreadyRunningError where the port is taken, ConfigError where it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        dualstack = host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dualstack)
        # Accepted sockets have it too; asyncio sets it only where a socket names TCP. Without it each answer but the
        # first of a connection waits 40 ms for the client to acknowledge its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AlreadyRunningError(
                f"{joined(host, port)} is in use: does another one run there? {whose}.port names another port"
            ) from None
        raise ConfigError(
            f"{whose}.host, {whose}.port: cannot listen on {joined(host, port)}: {error.strerror or error}"
        ) from None
