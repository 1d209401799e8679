"""A live server on loopback: hostile clients beside one good client that must keep getting its answers."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import struct
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TFramedTransportFactory

from storm.clock import SystemClock
from storm.errors import AlreadyRunningError, ConfigError, TopologyNotAliveError
from storm.thrift import caller
from storm.thrift.binary_protocol import encode_message
from storm.thrift.client import ThriftClient
from storm.thrift.connection import ServerLimits
from storm.thrift.interface import IDL_PATH, service, storm_thrift
from storm.thrift.prescan import CALL, MessageHeader
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_SECS = 20.0
LIMITS = ServerLimits(threads=4)
HUGE = 2**31 - 1


class Nimbus:
    """Answers a few methods; `getNimbusConf` waits until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = threading.Semaphore(0)

    def isTopologyNameAllowed(self, name: str) -> bool:
        return name == "free"

    def killTopology(self, name: str) -> None:
        raise TopologyNotAliveError(f"no topology {name!r}")

    def getNimbusConf(self) -> str:
        self.entered.release()
        self.go_on.wait(DEADLINE_SECS)
        return "{}"

    def beginFileUpload(self) -> str:
        return caller.address()

    def getTopologyConf(self, topology_id: str) -> str:
        return "x" * (8 << 20)

    def getUserTopology(self, topology_id: str) -> Any:
        return storm_thrift().StormTopology(spouts={}, bolts={}, state_spouts={})


class LeapingClock(SystemClock):
    """The machine's clock, which a test can put forward."""

    leapt_secs = 0.0

    def now(self) -> float:
        return super().now() + self.leapt_secs


@contextlib.contextmanager
def serving(limits: ServerLimits = LIMITS, clock: SystemClock | None = None) -> Iterator[tuple[ThriftServer, Nimbus]]:
    handler = Nimbus()
    server = ThriftServer("Nimbus", handler, host="127.0.0.1", port=0, limits=limits, clock=clock or SystemClock())
    server.start()
    try:
        yield server, handler
    finally:
        handler.go_on.set()
        server.stop()


@pytest.fixture
def server() -> Iterator[ThriftServer]:
    with serving() as (running, _):
        yield running


def client_of(server: ThriftServer) -> ThriftClient:
    return ThriftClient("Nimbus", "127.0.0.1", server.port, DEADLINE_SECS)


def connect(server: ThriftServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECS)


def closed_by_server(sock: socket.socket) -> bool:
    """Wait until the server closes `sock`; False if it does not within the deadline."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def call_frame(method: str = "isTopologyNameAllowed", **arguments: Any) -> bytes:
    body = getattr(service("Nimbus"), f"{method}_args")(**arguments)
    message = encode_message(MessageHeader(method, CALL, 1, 0), body)
    return struct.pack(">I", len(message)) + message


def hostile_frame(body: bytes) -> bytes:
    message = struct.pack(">HBBi", 0x8001, 0, CALL, 1) + b"x" + struct.pack(">i", 1) + body
    return struct.pack(">I", len(message)) + message


def read_reply(sock: socket.socket) -> bytes:
    file = sock.makefile("rb")
    (size,) = struct.unpack(">I", file.read(4))
    return file.read(size)


FREEZE = hostile_frame(b"\x0f\x00\x63\x01" + struct.pack(">i", HUGE) + b"\x00")


def test_answers_and_declared_exceptions(server: ThriftServer) -> None:
    with client_of(server) as client:
        assert client.isTopologyNameAllowed("free") is True
        assert client.isTopologyNameAllowed("taken") is False
        with pytest.raises(TopologyNotAliveError, match="no topology 'words'"):
            client.killTopology("words")


def test_a_stock_client_as_streamparse_makes_it(server: ThriftServer) -> None:
    interface = thriftpy2.load(str(IDL_PATH), module_name="stock_thrift")
    stock = make_client(
        interface.Nimbus,
        "127.0.0.1",
        server.port,
        proto_factory=TBinaryProtocolFactory(),
        trans_factory=TFramedTransportFactory(),
        timeout=7000,
    )
    with contextlib.closing(stock):
        assert stock.isTopologyNameAllowed(name="free") is True
        with pytest.raises(interface.NotAliveException):
            stock.killTopology(name="words")
        with pytest.raises(TApplicationException, match="not served yet"):
            stock.getClusterInfo()
        assert stock.getUserTopology(id="x").bolts == {}


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">I", HUGE),
        struct.pack(">I", 2**32 - 1) + b"x",
        struct.pack(">I", 5) + b"\xff" * 5,
        struct.pack(">I", 0),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["http", "frame of 2 GB", "frame of 4 GB", "garbage", "empty frame", "TLS hello"],
)
def test_who_does_not_speak_thrift_is_closed(server: ThriftServer, data: bytes) -> None:
    with connect(server) as sock, client_of(server) as good:
        sock.sendall(data)
        assert closed_by_server(sock)
        assert good.isTopologyNameAllowed("free")


@pytest.mark.parametrize(
    "body",
    [
        b"\x0f\x00\x63\x01" + struct.pack(">i", HUGE) + b"\x00",
        b"\x0b\x00\x01" + struct.pack(">i", HUGE) + b"\x00",
        b"\x0b\x00\x01" + struct.pack(">i", -1) + b"\x00",
        b"\x0f\x00\x01\x08" + struct.pack(">i", HUGE) + b"\x00",
        b"\x0f\x00\x01" + b"\x0f\x00\x00\x00\x01" * 200_000,
    ],
    ids=["freeze", "string of 2 GB", "string of -1", "list of 2**31", "200,000 nested lists"],
)
def test_hostile_bodies_get_an_answer_and_harm_nobody(server: ThriftServer, body: bytes) -> None:
    with connect(server) as sock, client_of(server) as good:
        sock.sendall(hostile_frame(body))
        assert b"\x80\x01\x00\x03" in read_reply(sock)
        sock.sendall(call_frame(name="free"))
        assert read_reply(sock).startswith(b"\x80\x01\x00\x02")
        assert good.isTopologyNameAllowed("free")


def test_a_thousand_freezing_messages_at_once(server: ThriftServer) -> None:
    with connect(server) as sock, client_of(server) as good:
        sender = threading.Thread(target=sock.sendall, args=(FREEZE * 1000,))
        sender.start()
        for _ in range(20):
            assert good.isTopologyNameAllowed("free")
        for _ in range(1000):
            assert b"unknown type" in read_exactly_one_reply(sock)
        sender.join(DEADLINE_SECS)


def read_exactly_one_reply(sock: socket.socket) -> bytes:
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += sock.recv(size - len(data))
        return data

    return exactly(struct.unpack(">I", exactly(4))[0])


def test_silent_and_slow_clients_are_closed() -> None:
    clock = LeapingClock()
    with (
        serving(clock=clock) as (server, _),
        connect(server) as silent,
        connect(server) as slow,
        client_of(server) as good,
    ):
        slow.sendall(call_frame(name="free")[:10])
        assert good.isTopologyNameAllowed("free")
        clock.leapt_secs = LIMITS.frame_secs
        assert closed_by_server(silent)
        assert closed_by_server(slow)
        assert server.counts["its client sent nothing"] == 1
        assert server.counts["a frame that began was not completed"] == 1


def test_who_does_not_take_the_reply_is_closed() -> None:
    clock = LeapingClock()
    with serving(clock=clock) as (server, _), connect(server) as greedy, client_of(server) as good:
        greedy.sendall(call_frame("getTopologyConf", id="x") * 3)
        greedy.recv(1)
        clock.leapt_secs = LIMITS.frame_secs
        assert good.isTopologyNameAllowed("free")
        until = clock.now() + DEADLINE_SECS
        while not server.counts["its client does not take the reply"]:
            assert clock.now() < until
            assert good.isTopologyNameAllowed("free")


def test_idle_connections_make_room(server: ThriftServer) -> None:
    with contextlib.ExitStack() as stack, client_of(server) as good:
        for _ in range(300):
            sock = stack.enter_context(connect(server))
            sock.sendall(call_frame(name="free"))
            read_reply(sock)
        assert good.isTopologyNameAllowed("free")
        assert server.counts["room was needed"] >= 300 - LIMITS.connections_max


def test_who_never_called_makes_room_for_new_clients_and_who_calls_stays(server: ThriftServer) -> None:
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(connect(server)) for _ in range(20)]
        for sock in callers:
            sock.sendall(call_frame(name="free"))
            read_reply(sock)
        for _ in range(400):
            stack.enter_context(connect(server))
        with client_of(server) as good:
            assert good.isTopologyNameAllowed("free")
        for sock in callers:
            sock.sendall(call_frame(name="free"))
            assert read_reply(sock)


def test_frames_that_are_never_completed_make_room_after_a_while() -> None:
    clock = LeapingClock()
    with serving(ServerLimits(threads=2, connections_max=5), clock) as (server, _), contextlib.ExitStack() as stack:
        for _ in range(5):
            sock = stack.enter_context(connect(server))
            sock.sendall(call_frame(name="free") + call_frame(name="free")[:10])
            read_reply(sock)
        assert closed_by_server(stack.enter_context(connect(server)))
        clock.leapt_secs = LIMITS.first_byte_secs
        with client_of(server) as good:
            assert good.isTopologyNameAllowed("free")


def test_connections_leave_the_daemon_half_of_its_file_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        server = ThriftServer("Nimbus", Nimbus(), host="127.0.0.1", port=0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server.start()
    with contextlib.ExitStack() as stack, client_of(server) as good:
        for _ in range(150):
            stack.enter_context(connect(server))
        assert good.isTopologyNameAllowed("free")
        assert server.counts["room was needed"] == 150 + 1 - 100
    server.stop()


def test_long_messages_wait_for_each_other_and_no_short_call_waits_for_them() -> None:
    """Of 240,000 structs each: so many milliseconds to decode, and more of them than there are threads."""
    structs = hostile_frame(b"\x0f\x00\x63\x0c" + struct.pack(">i", 240_000) + bytes(240_000) + b"\0")
    with serving(ServerLimits(threads=2)) as (server, _), contextlib.ExitStack() as stack, client_of(server) as good:
        assert good.isTopologyNameAllowed("free")
        crowd = [stack.enter_context(connect(server)) for _ in range(8)]
        for sock in crowd:
            sock.sendall(structs)
        for _ in range(3):
            assert good.isTopologyNameAllowed("free")
        crowd[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            crowd[-1].recv(1)
        crowd[-1].settimeout(DEADLINE_SECS)
        for sock in crowd:
            assert b"has no method 'x'" in read_reply(sock)


def test_calls_that_block_leave_the_loop_free() -> None:
    with serving(ServerLimits(threads=2)) as (server, handler), contextlib.ExitStack() as stack:
        blocked = stack.enter_context(connect(server))
        blocked.sendall(call_frame("getNimbusConf"))
        assert handler.entered.acquire(timeout=DEADLINE_SECS)
        with client_of(server) as good:
            assert good.isTopologyNameAllowed("free")
        handler.go_on.set()
        assert b"{}" in read_reply(blocked)


def test_too_much_memory_for_all_closes_who_sends_more() -> None:
    limits = ServerLimits(buffered_max_bytes=100_000)
    with serving(limits) as (server, _), connect(server) as big, client_of(server) as good:
        with contextlib.suppress(ConnectionError):
            big.sendall(struct.pack(">I", 900_000) + bytes(800_000))
        assert closed_by_server(big)
        assert server.counts["too many bytes wait"] == 1
        assert good.isTopologyNameAllowed("free")


def test_who_keeps_the_most_bytes_is_closed_and_not_who_comes_last() -> None:
    limits = ServerLimits(buffered_max_bytes=100_000)
    with serving(limits) as (server, _), connect(server) as hog, connect(server) as small, client_of(server) as good:
        assert good.isTopologyNameAllowed("free")
        small.sendall(struct.pack(">I", 900_000) + bytes(9_000))
        hog.sendall(struct.pack(">I", 900_000) + bytes(90_950))
        until = SystemClock().now() + DEADLINE_SECS
        while not server.counts["too many bytes wait"]:
            assert SystemClock().now() < until
            assert good.isTopologyNameAllowed("free")
        assert closed_by_server(hog)
        assert good.isTopologyNameAllowed("free")
        assert server.counts == {"too many bytes wait": 1}


def test_mutated_frames_beside_a_good_client(server: ThriftServer) -> None:
    rng = random.Random(1)
    original = call_frame("killTopology", name="words")
    with client_of(server) as good:
        for _ in range(400):
            frame = bytearray(original)
            for _ in range(rng.randint(1, 8)):
                frame[rng.randrange(len(frame))] = rng.randrange(256)
            with connect(server) as sock:
                sock.sendall(frame)
            assert good.isTopologyNameAllowed("free")
    assert server.running


def test_a_method_can_ask_who_calls(server: ThriftServer) -> None:
    with client_of(server) as client:
        assert client.call("beginFileUpload") == "127.0.0.1"


def test_a_second_daemon_on_the_port_is_refused(server: ThriftServer) -> None:
    second = ThriftServer("Nimbus", Nimbus(), host="127.0.0.1", port=server.port)
    with pytest.raises(AlreadyRunningError, match=rf"port {server.port} of 127\.0\.0\.1 is taken"):
        second.start()
    second.stop()


def test_a_port_is_free_again_after_stop() -> None:
    with serving() as (server, _), client_of(server) as client:
        client.isTopologyNameAllowed("free")
        port = server.port
    again = ThriftServer("Nimbus", Nimbus(), host="127.0.0.1", port=port)
    again.start()
    again.stop()
    assert not again.running


def test_a_host_that_is_not_ours_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 203\.0\.113\.7"):
        ThriftServer("Nimbus", Nimbus(), host="203.0.113.7", port=0).start()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has not both families")
def test_every_address_is_of_both_families_and_a_client_of_ipv4_is_called_as_elsewhere() -> None:
    server = ThriftServer("Nimbus", Nimbus(), host="::", port=0, limits=replace(LIMITS, connections_per_address_max=1))
    server.start()
    clients = [ThriftClient("Nimbus", host, server.port, DEADLINE_SECS) for host in ("127.0.0.1", "127.0.0.1", "::1")]
    try:
        assert [client.call("isTopologyNameAllowed", "free") for client in clients] == [True] * 3
        assert server.counts == {}, "loopback is exempt from the limit of one address, in both families"
    finally:
        for client in clients:
            client.close()
        server.stop()
