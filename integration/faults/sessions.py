"""Ends ZooKeeper sessions from outside: whoever knows a session's id and password may take it over, and close it."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

from kazoo.protocol import serialization as wire
from tcp_proxy import TcpProxy
from zookeeper_raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable

# What a server answers to a new connection: length, protocol version, timeout, session id, length of password, it.
CONNECTED = struct.Struct(">iiiqi16s")


class FirstAnswer:
    """A proxy's `change` that changes nothing: it keeps how the server's answers on the newest connection began."""

    def __init__(self) -> None:
        self.content = b""

    def __call__(self, chunk: bytes, before: int) -> tuple[bytes, bool]:
        if before == 0:
            self.content = b""
        if len(self.content) == before < CONNECTED.size:
            self.content += chunk[: CONNECTED.size - before]
        return chunk, False


def close_session(answer: FirstAnswer, server: tuple[str, int]) -> None:
    """Close the newest session of which the server's answer was seen. Raises RuntimeError if there is none."""
    if len(answer.content) < CONNECTED.size:
        raise RuntimeError("no session was seen there")
    *_, session_id, size, password = CONNECTED.unpack(answer.content)
    if size != len(password) or session_id == 0:
        raise RuntimeError("the server's answer has no session in it")
    with TcpProxy(server) as way:  # the client below knows only ports of this host
        client = RawClient(way.port)
        client.session_id, client.password = session_id, password
        client.connect()
        if client.timeout_ms == 0:
            raise RuntimeError("the session had ended already")
        with contextlib.suppress(ConnectionError):  # the server may close before it answers
            client.call(wire.CloseInstance)
        client.close()


def ending_after(size: int) -> Callable[[bytes, int], tuple[bytes, bool]]:
    """A proxy's `change` that ends each connection after so many bytes."""
    return lambda chunk, before: (chunk[: max(0, size - before)], before + len(chunk) > size)
