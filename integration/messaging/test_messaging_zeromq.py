from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from transport_contract import HOST, TransportContract, until

from storm.messaging.batch import FRAME_BYTES_MAX
from storm.messaging.zeromq import ZeroMqTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.messaging.transport import Transport

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def command(name: bytes, body: bytes) -> bytes:
    payload = bytes([len(name)]) + name + body
    return b"\x04" + bytes([len(payload)]) + payload


def push_stranger(port: int) -> socket.socket:
    """A raw connection that has shaken hands as a ZeroMQ PUSH socket would.

    Up to the other side's READY: libzmq takes what comes before it has sent that for a part of the handshake.
    """
    stranger = socket.create_connection((HOST, port))
    stranger.settimeout(20)
    stranger.sendall(GREETING + command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", 4) + b"PUSH"))
    told = b""
    while len(told) < len(GREETING) + 2 or len(told) < len(GREETING) + 2 + told[len(GREETING) + 1]:
        part = stranger.recv(1)
        assert part, "the connection was closed in the handshake"
        told += part
    return stranger


class TestZeroMq(TransportContract):
    @pytest.fixture
    def make(self) -> Iterator[Callable[[], Transport]]:
        with contextlib.ExitStack() as stack:

            def transport() -> Transport:
                made = ZeroMqTransport()
                stack.callback(made.close)
                return made

            yield transport

    def test_a_message_of_many_parts_is_dropped_and_counted(self, make: Callable[[], Transport]) -> None:
        far = make()
        with push_stranger(far.bind(HOST, 0)) as stranger:
            stranger.sendall(b"\x01\x01a" + b"\x00\x01b" + b"\x00\x05whole")
            got: list[bytes] = []
            until(far, lambda: got.extend(far.receive(10)) or got)
        assert got == [b"whole"]
        assert far.dropped == 1

    @pytest.mark.parametrize("size_bytes", [FRAME_BYTES_MAX + 1, 1 << 40, (1 << 64) - 1])
    def test_who_announces_too_much_is_cut_off(self, make: Callable[[], Transport], size_bytes: int) -> None:
        far = make()
        with push_stranger(far.bind(HOST, 0)) as stranger:
            stranger.sendall(b"\x02" + struct.pack(">Q", size_bytes) + bytes(100))
            with contextlib.suppress(ConnectionError):
                while stranger.recv(1000):
                    pass  # the rest of the handshake, then the end
        assert far.receive(10) == []
