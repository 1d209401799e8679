"""A socket that listens for HTTP, or why there is none. Nothing of a server is imported for it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from storm.config.addresses import joined
from storm.errors import AlreadyRunningError, ConfigError
from storm.listening import listening_socket

if TYPE_CHECKING:
    import socket

BACKLOG = 1_024


def listen(host: str, port: int, whose: str) -> socket.socket:
    """A listening socket. `whose`: the first word of the settings that name `host` and `port`, such as "ui".

    Raises AlreadyRunningError where the port is taken, ConfigError where it cannot be had.
    """
    try:
        return listening_socket(host, port, BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AlreadyRunningError(
                f"{joined(host, port)} is in use: does another one run there? {whose}.port names another port"
            ) from None
        raise ConfigError(
            f"{whose}.host, {whose}.port: cannot listen on {joined(host, port)}: {error.strerror}"
        ) from None
