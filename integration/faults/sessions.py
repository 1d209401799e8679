"""Ends ZooKeeper sessions from outside: whoever knows a session's id and password may take it over, and close it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kazoo.client import KazooClient
from kazoo.protocol import serialization as wire
from tcp_proxy import TcpProxy
from zookeeper_raw_client import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# What a server answers to a new connection: length, protocol version, timeout, session id, length of password, it.
ANSWER = struct.Struct(">iiiqi16s")
CONNECT_SECS = 30.0
CLOSES_MAX = 20  # attempts; its client needs a moment to connect again
CONNECTIONS_KEPT = 1_000  # a supervisor connects once, its workers often


class NoSessionError(RuntimeError):
    """No session was seen there that lives: whoever is there has not connected yet, or is between two."""


class FirstAnswer:
    """A proxy's `change` that changes nothing: it keeps how the server's answers on each connection began.

    `contents`: of the last CONNECTIONS_KEPT, the newest last.
    """

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    def __call__(self, chunk: bytes, before: int) -> tuple[bytes, bool]:
        if before == 0:
            self.contents = [*self.contents[1 - CONNECTIONS_KEPT :], b""]
        if self.contents and len(self.contents[-1]) == before < ANSWER.size:
            self.contents[-1] += chunk[: ANSWER.size - before]
        return chunk, False


def session_of(content: bytes) -> int:
    """Of which session a server's answer tells; 0: of none."""
    return 0 if len(content) < ANSWER.size else int(ANSWER.unpack(content)[3])


def close_session(
    answers: FirstAnswer, server: tuple[str, int], only: int | None = None, others_than: Collection[int] = ()
) -> None:
    """Close the newest session of which the server's answer was seen and that has not ended.

    `only`: no other than this one; `others_than`: none of these. Raises NoSessionError if there is none,
    and RuntimeError if one cannot be closed.
    """
    for content in reversed(answers.contents):
        session = session_of(content)
        if session and only in {None, session} and session not in others_than and _close(content, server):
            return
    raise NoSessionError("no session was seen there that lives")


def owner_of(server: tuple[str, int], path: str) -> int:
    """The session that made this ephemeral node; 0: there is none."""
    client = KazooClient(f"{server[0]}:{server[1]}", timeout=10.0)
    client.start(CONNECT_SECS)
    try:
        found = client.exists(path)
    finally:
        client.stop()
        client.close()
    return int(found.ephemeralOwner) if found else 0


def _close(content: bytes, server: tuple[str, int]) -> bool:
    """Close the session that this answer tells of; False: there is none any more.

    Its client, which was cut off by that, may take it back before it is closed: then once more.
    """
    *_, session_id, size, password = ANSWER.unpack(content)
    if size != len(password) or session_id == 0:
        return False
    with TcpProxy(server) as way:  # the client below knows only ports of this host
        for attempt in range(CLOSES_MAX):
            client = RawClient(way.port)
            client.session_id, client.password = session_id, password
            try:
                client.connect()
                if client.timeout_ms <= 0:
                    return attempt > 0
                if client.call(wire.CloseInstance).error == 0:
                    return True
            except ConnectionError:  # the server may also close before it answers
                continue
            finally:
                client.close()
    raise RuntimeError(f"session {session_id:#x} cannot be closed: its client takes it back each time")


def ending_after(size: int) -> Callable[[bytes, int], tuple[bytes, bool]]:
    """A proxy's `change` that ends each connection after so many bytes."""
    return lambda chunk, before: (chunk[: max(0, size - before)], before + len(chunk) > size)
