from __future__ import annotations

import contextlib
import resource
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from transport_contract import HOST, TransportContract, until

from storm.messaging.batch import FRAME_BYTES_MAX
from storm.messaging.crowd import STRANGER_BYTES_MAX
from storm.messaging.zeromq import ZeroMqLimits, ZeroMqTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.messaging.transport import Sender, Transport

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


STRANGERS_MAX = 5
PART = b"\x01\x00"  # an empty one, with more to come
PEERS_FRAME = b"a peer's"


class Door:
    """A transport with room for few strangers, where PEERS_FRAME shows that somebody is a peer."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack = stack
        self.far = ZeroMqTransport(ZeroMqLimits(strangers_max=STRANGERS_MAX))
        stack.callback(self.far.close)
        self.port = self.far.bind(HOST, 0)
        self.far.is_from_peer = PEERS_FRAME.__eq__
        self.got: list[bytes] = []

    def take(self) -> bool:
        self.got += self.far.receive(100)
        return bool(self.got)

    def peer(self) -> tuple[ZeroMqTransport, Sender]:
        """One that has been heard."""
        near = ZeroMqTransport()
        self.stack.callback(near.close)
        sender = near.connect(HOST, self.port)
        self.both(near, lambda: sender.connected)
        assert sender.try_send(PEERS_FRAME)
        self.both(near, self.take)
        assert self.got.pop() == PEERS_FRAME
        return near, sender

    def crowd(self, count: int, *, shaken: bool = False) -> list[socket.socket]:
        make = push_stranger if shaken else stranger
        return [self.stack.enter_context(make(self.port)) for _ in range(count)]

    def both(self, near: ZeroMqTransport, condition: Callable[[], object]) -> None:
        def met() -> object:
            self.take()
            near.wait(0.01)
            return condition()

        until(self.far, met)


def stranger(port: int) -> socket.socket:
    """A connection that says nothing."""
    return socket.create_connection((HOST, port), timeout=20)


def is_shut(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(1000):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.fixture
def door() -> Iterator[Door]:
    with contextlib.ExitStack() as stack:
        yield Door(stack)


@pytest.mark.parametrize("shaken", [False, True], ids=["silent", "after a handshake"])
def test_a_crowd_displaces_itself_and_no_peer(door: Door, shaken: bool) -> None:
    near, sender = door.peer()
    crowd = door.crowd(4 * STRANGERS_MAX, shaken=shaken)
    door.both(near, lambda: all(map(is_shut, crowd[: 3 * STRANGERS_MAX])))
    other, newcomer = door.peer()
    for _ in range(3):
        late = door.crowd(STRANGERS_MAX, shaken=True)
        assert sender.try_send(b"old")
        assert newcomer.try_send(b"new")
        door.both(near, lambda: {b"old", b"new"} <= set(door.got))
        door.got.clear()
    door.both(near, lambda late=late: not any(map(is_shut, late)))
    other.wait(0)
    assert (sender.connects, newcomer.connects) == (1, 1)


def test_a_message_without_an_end_is_cut_off_and_is_no_concern_of_peers(door: Door) -> None:
    near, sender = door.peer()
    with push_stranger(door.port) as endless:
        endless.sendall(PART * STRANGER_BYTES_MAX)
        door.both(near, lambda: is_shut(endless))
    assert door.far.shut == 1
    assert sender.try_send(b"frame")
    door.both(near, lambda: door.got == [b"frame"])
    assert sender.connects == 1


def test_a_peer_may_send_much_at_once(door: Door) -> None:
    """Before anybody takes its first frame."""
    near = ZeroMqTransport()
    door.stack.callback(near.close)
    sender = near.connect(HOST, door.port)
    until(near, lambda: sender.connected)
    frames = [PEERS_FRAME, *[bytes(STRANGER_BYTES_MAX)] * 50]
    assert all(map(sender.try_send, frames))
    door.both(near, lambda: len(door.got) == len(frames))
    for _ in range(3):
        door.far.wait(0.2)
        door.take()
    assert door.got == frames
    assert (door.far.shut, sender.connects) == (0, 1)


def test_a_stranger_may_say_a_little(door: Door) -> None:
    with push_stranger(door.port) as modest, push_stranger(door.port) as endless:
        modest.sendall(b"\x00\x05frame")
        until(door.far, lambda: door.take() and door.got == [b"frame"])
        endless.sendall(PART * STRANGER_BYTES_MAX)
        until(door.far, lambda: is_shut(endless) or door.take() is None)
        assert not is_shut(modest)


def test_who_speaks_zmtp_2_is_heard_and_a_stranger(door: Door) -> None:
    """libzmq does not say which connection a message of his came by."""
    with stranger(door.port) as old:
        signature, version_2, push = b"\xff" + bytes(8) + b"\x7f", b"\x01", b"\x08"
        old.sendall(signature + version_2 + push + b"\x00\x00" + bytes([0, len(PEERS_FRAME)]) + PEERS_FRAME)
        until(door.far, door.take)
        assert door.got == [PEERS_FRAME]
        crowd = door.crowd(STRANGERS_MAX, shaken=True)
        until(door.far, lambda: door.take() and is_shut(old))
        assert not any(map(is_shut, crowd))


def test_descriptors_are_used_again_for_others(door: Door) -> None:
    near, sender = door.peer()
    for _ in range(20):
        for one in door.crowd(2):
            one.close()
        with push_stranger(door.port) as talker:
            talker.sendall(b"\x00\x05again")
            door.both(near, lambda: door.got == [b"again"])
            door.got.clear()
    assert sender.try_send(b"frame")
    door.both(near, lambda: door.got == [b"frame"])
    assert (door.far.shut, sender.connects) == (0, 1)


def test_a_crowd_is_told_of_once_a_minute(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    crowd = door.crowd(30 * STRANGERS_MAX)
    until(door.far, lambda: door.take() or sum(map(is_shut, crowd)) >= 29 * STRANGERS_MAX)
    [record] = caplog.records
    assert str(door.port) in record.getMessage()


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


def test_there_is_room_for_hundreds_of_peers() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    transport = ZeroMqTransport()
    try:
        for port in range(1, 501):
            transport.connect("127.255.0.1", port)
    finally:
        transport.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
