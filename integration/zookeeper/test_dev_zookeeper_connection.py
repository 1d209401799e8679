"""Hostile clients: each may lose its own connection, and disturbs nobody."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from embedded_zookeeper import EmbeddedServer
from kazoo.protocol import serialization as wire
from kazoo.security import OPEN_ACL_UNSAFE
from zookeeper_raw_client import RawClient

from storm.dev_zookeeper.options import DevZooKeeperOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

CREATE = wire.Create("/a/b", b"data", OPEN_ACL_UNSAFE, 0)
PACKETS = [
    bytes(wire.Connect(0, 0, 4000, 0, bytes(16), False).serialize()),
    struct.pack(">ii", 1, CREATE.type) + bytes(CREATE.serialize()),
    struct.pack(">ii", 2, 14) + bytes(wire.Transaction([CREATE, wire.Delete("/a/b", -1)]).serialize()),
    struct.pack(">ii", 3, 4) + bytes(wire.GetData("/zookeeper", print).serialize()),
    struct.pack(">iiqiii", -8, 101, 5, 1, 1, 1),
]


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    made = EmbeddedServer(DevZooKeeperOptions(port=0, tick_ms=200, unsent_size_max_bytes=4 * 1024 * 1024))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def witness(server: EmbeddedServer) -> Iterator[RawClient]:
    """A good client, whose requests must be answered throughout."""
    with contextlib.closing(RawClient(server.port).connect(timeout_ms=60_000)) as client:
        yield client
        assert client.call(wire.Exists("/", None)).error == 0


def mutated(packet: bytes, rng: random.Random) -> bytes:
    content = bytearray(packet)
    for _ in range(rng.randrange(1, 4)):
        position = rng.randrange(len(content))
        match rng.randrange(4):
            case 0:
                content[position] = rng.randrange(256)
            case 1:
                content[position : position + 4] = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0"])
            case 2:
                del content[position:]
                content += b"\0"
            case 3:
                content[position:position] = rng.randbytes(rng.randrange(9))
    return bytes(content)


@pytest.mark.parametrize("seed", range(10))
def test_mutated_packets(server: EmbeddedServer, witness: RawClient, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as hostile:
            sent = [PACKETS[0], *(mutated(rng.choice(PACKETS), rng) for _ in range(5))]
            if rng.random() < 0.3:
                sent[0] = mutated(sent[0], rng)
            with contextlib.suppress(ConnectionError):
                for packet in sent:
                    hostile.sendall(struct.pack(">i", len(packet)) + packet)
        assert witness.call(wire.Exists("/", None)).error == 0


@pytest.mark.parametrize("content", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0", b"\xff" * 64, b"kill"])
def test_other_protocols_are_closed(server: EmbeddedServer, witness: RawClient, content: bytes) -> None:
    with contextlib.closing(RawClient(server.port)) as hostile:
        hostile.send_bytes(content)
        assert hostile.closed_by_server()


def test_a_connection_that_says_nothing_is_closed(server: EmbeddedServer, witness: RawClient) -> None:
    with contextlib.closing(RawClient(server.port)) as silent, contextlib.closing(RawClient(server.port)) as half:
        half.send_bytes(b"\0\0\0")
        assert silent.closed_by_server()
        assert half.closed_by_server()


def test_packets_may_come_byte_by_byte(server: EmbeddedServer) -> None:
    with contextlib.closing(RawClient(server.port).connect()) as client:
        packet = struct.pack(">ii", 7, 3) + bytes(wire.Exists("/", None).serialize())
        for byte in struct.pack(">i", len(packet)) + packet:
            client.send_bytes(bytes([byte]))
        assert client.read_reply().xid == 7


def test_more_requests_than_a_turn_takes_are_all_answered(server: EmbeddedServer) -> None:
    with contextlib.closing(RawClient(server.port).connect()) as client:
        packet = struct.pack(">iii", 8, 7, 11)
        client.send_bytes(packet * 5000)
        assert [client.read_reply().xid for _ in range(5000)] == [7] * 5000


def test_the_others_have_their_turn_when_one_has_had_its_time() -> None:
    """With no time at all each turn takes one request: the witness is answered long before the last of them."""
    server = EmbeddedServer(DevZooKeeperOptions(port=0, turn_secs=0.0, requests_per_turn_max=10_000))
    server.start()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as busy,
        contextlib.closing(RawClient(server.port).connect()) as witness,
    ):
        ping = struct.pack(">iii", 8, 7, 11)
        busy.sendall(struct.pack(">i", len(PACKETS[0])) + PACKETS[0] + ping * 5000)
        received = len(busy.recv(1))
        assert witness.call(wire.Exists("/", None)).error == 0
        while select.select([busy], [], [], 0)[0]:
            received += len(busy.recv(1 << 20))
        assert received < 5000 * 20
        while received < 5000 * 20:
            received += len(busy.recv(1 << 20))
    server.stop()


def test_who_does_not_read_is_not_read_either(server: EmbeddedServer, witness: RawClient) -> None:
    """Replies of far more than the limit are asked for; the server stops reading and goes on when the client does."""
    size = 500_000
    witness.call(wire.Create("/big", b"x" * size, OPEN_ACL_UNSAFE, 0))
    with contextlib.closing(RawClient(server.port).connect(timeout_ms=60_000)) as slow:
        for _ in range(40):
            slow.send(wire.GetData("/big", None))
        assert witness.call(wire.Exists("/big", None)).error == 0
        for _ in range(40):
            assert len(slow.read_reply().body) > size


def test_a_client_that_lets_its_events_pile_up_is_dropped(server: EmbeddedServer, witness: RawClient) -> None:
    """Events cannot be held back by not reading; above the limit the connection goes."""
    paths = [f"/{index}-{'long' * 60_000}" for index in range(80)]
    with contextlib.closing(RawClient(server.port).connect(timeout_ms=60_000)) as slow:
        for path in paths:
            slow.call(wire.Exists(path, print))
        for path in paths:
            assert witness.call(wire.Create(path, b"", OPEN_ACL_UNSAFE, 0)).error == 0
        assert slow.closed_by_server()


def test_one_reply_may_be_larger_than_the_limit(server: EmbeddedServer, witness: RawClient) -> None:
    """A socket does not take so much at once from a client that reads."""
    paths = [f"/{index}-{'long' * 60_000}" for index in range(80)]
    for path in paths:
        assert witness.call(wire.Create(path, b"", OPEN_ACL_UNSAFE, 0)).error == 0
    with contextlib.closing(RawClient(server.port).connect(timeout_ms=60_000)) as reader:
        for _ in range(3):
            reader.send(wire.GetChildren("/", None))
        assert witness.call(wire.Exists("/", None)).error == 0
        for _ in range(3):
            assert len(reader.read_reply().body) > sum(map(len, paths))
