from __future__ import annotations

from typing import TypeVar

import pytest
from kazoo.protocol import serialization as kazoo_wire
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl

from storm.dev_zookeeper.database import Database
from storm.dev_zookeeper.jute import JuteWriter
from storm.dev_zookeeper.request_processor import (
    Command,
    Disconnect,
    Limits,
    Log,
    Moment,
    RequestProcessor,
    Send,
)
from storm.dev_zookeeper.transactions import CloseSession, DeleteNode

START = Moment(now=100.0, wall_ms=1_800_000_000_000)
T = TypeVar("T", Log, Send, Disconnect)


class Clients:
    """Drives a processor as connections would, with requests as kazoo serializes them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.processor = RequestProcessor(Database(2000, 1000), lambda size: b"s" * size, limits)

    def connect(
        self, connection_id: int, session_id: int = 0, password: bytes = b"\0" * 16, seen: int = 0
    ) -> list[Command]:
        self.processor.connected(connection_id, "127.0.0.1")
        packet = bytes(kazoo_wire.Connect(0, seen, 10_000, session_id, password, False).serialize())
        return self.processor.receive(connection_id, packet, START)

    def send(self, connection_id: int, request: object, xid: int = 1, moment: Moment = START) -> list[Command]:
        head = JuteWriter().write_int(xid).write_int(request.type)  # type: ignore[attr-defined]
        packet = bytes(head.packet) + bytes(request.serialize())  # type: ignore[attr-defined]
        return self.processor.receive(connection_id, packet, moment)

    def session(self, connection_id: int) -> int:
        session_id = self.processor.session_of(connection_id)
        assert session_id is not None
        return session_id


def of(kind: type[T], commands: list[Command]) -> list[T]:
    return [command for command in commands if isinstance(command, kind)]


def error_of(command: Command) -> int:
    assert isinstance(command, Send)
    error: int = kazoo_wire.ReplyHeader.deserialize(command.packet, 4)[0].err
    return error


def xid_of(command: Command) -> int:
    assert isinstance(command, Send)
    return int.from_bytes(command.packet[4:8], signed=True)


def create(path: str, flags: int = 0) -> kazoo_wire.Create:
    return kazoo_wire.Create(path, b"", OPEN_ACL_UNSAFE, flags)


@pytest.fixture
def clients() -> Clients:
    made = Clients()
    made.connect(1)
    made.connect(2)
    return made


def test_a_new_session_is_logged_before_it_is_given(clients: Clients) -> None:
    commands = clients.connect(3)

    assert [type(command) for command in commands] == [Log, Send]
    reply, _ = kazoo_wire.Connect.deserialize(of(Send, commands)[0].packet, 4)
    assert (reply.time_out, reply.session_id, reply.passwd) == (10_000, clients.session(3), b"s" * 16)


def test_a_write_is_logged_then_told_to_watchers_then_answered(clients: Clients) -> None:
    clients.send(2, kazoo_wire.Exists("/a", print))
    clients.send(1, kazoo_wire.GetChildren("/", print))

    commands = clients.send(1, create("/a"), xid=9)

    assert [type(command) for command in commands] == [Log, Send, Send, Send]
    sends = of(Send, commands)
    assert [(send.connection_id, xid_of(send)) for send in sends] == [(2, -1), (1, -1), (1, 9)]


def test_who_may_not_read_a_node_is_not_told_of_it(clients: Clients) -> None:
    clients.send(1, kazoo_wire.Auth(0, "digest", "alice:secret"), xid=-4)
    clients.send(2, kazoo_wire.Exists("/own", print))
    clients.send(1, kazoo_wire.Exists("/own", print))
    own = kazoo_wire.Create("/own", b"", [make_digest_acl("alice", "secret", all=True)], 0)

    sends = of(Send, clients.send(1, own))

    assert [(send.connection_id, xid_of(send)) for send in sends] == [(1, -1), (1, 1)]


def test_a_refused_write_changes_nothing(clients: Clients) -> None:
    zxid = clients.processor.database.zxid
    (reply,) = clients.send(1, create("/x/y"))

    assert error_of(reply) == -101
    assert clients.processor.database.zxid == zxid


def test_a_session_that_is_not_heard_of_ends_with_its_ephemerals(clients: Clients) -> None:
    clients.send(1, create("/e1", flags=1))
    clients.send(1, create("/e2", flags=1))
    session_id = clients.session(1)
    late = Moment(START.now + 9.0, START.wall_ms)
    clients.send(2, kazoo_wire.Ping, moment=late)

    commands = clients.processor.expire(Moment(START.now + 13.0, START.wall_ms))

    (logged,) = of(Log, commands)
    assert logged.transaction.changes == (DeleteNode("/e1"), DeleteNode("/e2"), CloseSession(session_id))
    assert [disconnect.connection_id for disconnect in of(Disconnect, commands)] == [1]
    (after,) = clients.send(1, create("/e3", flags=1))
    assert isinstance(after, Disconnect)


def test_a_closed_session_is_gone_and_its_connection_too(clients: Clients) -> None:
    session_id = clients.session(1)
    commands = clients.send(1, kazoo_wire.CloseInstance)

    assert [type(command) for command in commands] == [Log, Send, Disconnect]
    refused = clients.connect(4, session_id, b"s" * 16)
    reply, _ = kazoo_wire.Connect.deserialize(of(Send, refused)[0].packet, 4)
    assert reply.time_out == 0
    assert len(of(Disconnect, refused)) == 1


def test_a_session_is_resumed_with_its_password_and_leaves_the_old_connection(clients: Clients) -> None:
    session_id = clients.session(1)

    assert of(Disconnect, clients.connect(3, session_id, b"wrong")) != []
    commands = clients.connect(4, session_id, b"s" * 16)

    assert [disconnect.connection_id for disconnect in of(Disconnect, commands)] == [1]
    assert isinstance(clients.send(1, create("/a"))[0], Disconnect)
    clients.processor.disconnected(1)
    assert error_of(clients.send(4, create("/a"))[-1]) == 0


def test_a_client_that_has_seen_more_is_turned_away(clients: Clients) -> None:
    (only,) = clients.connect(3, seen=clients.processor.database.zxid + 1)

    assert isinstance(only, Disconnect)
    assert "has seen zxid" in (only.reason or "")


def test_watches_are_set_again_and_what_was_missed_is_told(clients: Clients) -> None:
    clients.send(1, create("/old"))
    seen = clients.processor.database.zxid
    clients.send(1, create("/new"))
    packet = JuteWriter().write_int(-8).write_int(101).write_long(seen)
    packet.write_strings(["/old", "/gone"]).write_strings(["/new", "/later"]).write_strings(["/", "/old"])

    commands = clients.processor.receive(2, bytes(packet.packet), START)

    events = [kazoo_wire.Watch.deserialize(send.packet, 20)[0] for send in of(Send, commands)[:-1]]
    assert [(event.type, event.path) for event in events] == [(2, "/gone"), (1, "/new"), (4, "/")]
    assert (xid_of(commands[-1]), error_of(commands[-1])) == (-8, 0)
    assert clients.processor.watches.count_of(2) == 3


def test_authentication(clients: Clients) -> None:
    accepted = clients.send(1, kazoo_wire.Auth(0, "digest", "alice:secret"), xid=-4)
    assert error_of(accepted[0]) == 0

    refused, disconnect = clients.send(2, kazoo_wire.Auth(0, "kerberos", "x"), xid=-4)
    assert error_of(refused) == -115
    assert isinstance(disconnect, Disconnect)


@pytest.mark.parametrize(
    ("packet", "code"),
    [(b"\0\0\0\x01\0\0\0\x01\xff\xff\xff\xfe", -5), (b"\0\0\0\x01\0\0\x03\xe7", -6), (b"\0\0\0\x01\0\0\0\x04", -5)],
)
def test_a_malformed_record_is_an_error_of_its_request(clients: Clients, packet: bytes, code: int) -> None:
    (reply,) = clients.processor.receive(1, packet, START)

    assert error_of(reply) == code


def test_a_malformed_header_ends_the_connection(clients: Clients) -> None:
    assert isinstance(clients.processor.receive(1, b"\0\0", START)[0], Disconnect)
    clients.processor.connected(5, "127.0.0.1")
    assert isinstance(clients.processor.receive(5, b"GET / HTTP/1.1\r\n", START)[0], Disconnect)


def test_limits() -> None:
    clients = Clients(Limits(nodes_max=6, data_size_max_bytes=10**6, watches_max=2))
    clients.connect(1)
    assert error_of(clients.send(1, create("/a"))[-1]) == 0
    assert error_of(clients.send(1, create("/b"))[-1]) == 0
    assert error_of(clients.send(1, create("/c"))[-1]) == -125
    assert error_of(clients.send(1, kazoo_wire.Delete("/b", -1))[-1]) == 0

    for path in ("/x", "/y"):
        assert of(Disconnect, clients.send(1, kazoo_wire.Exists(path, print))) == []
    assert len(of(Disconnect, clients.send(1, kazoo_wire.Exists("/z", print)))) == 1


def test_a_full_store_can_be_emptied() -> None:
    clients = Clients(Limits(nodes_max=6, data_size_max_bytes=10))
    clients.connect(1)
    clients.send(1, kazoo_wire.Create("/a", b"12345", OPEN_ACL_UNSAFE, 0))
    clients.send(1, kazoo_wire.Create("/b", b"12345", OPEN_ACL_UNSAFE, 0))
    look, larger = kazoo_wire.CheckVersion("/a", -1), kazoo_wire.SetData("/b", b"123456", -1)
    for refused in (larger, kazoo_wire.Transaction([look, larger]), kazoo_wire.Transaction([create("/c")])):
        assert error_of(clients.send(1, refused)[-1]) == -125
    assert clients.processor.database.tree.data_size_bytes == 10

    moved = [create("/c"), kazoo_wire.Delete("/b", -1)]
    for taken in (kazoo_wire.SetData("/b", b"54321", -1), kazoo_wire.Transaction([look, *moved])):
        assert error_of(clients.send(1, taken)[-1]) == 0
    assert error_of(clients.send(1, kazoo_wire.Transaction([look, kazoo_wire.Delete("/c", -1)]))[-1]) == 0
    tree = clients.processor.database.tree
    assert (tree.get("/b"), tree.get("/c"), tree.data_size_bytes) == (None, None, 5)


def test_a_multi_goes_over_no_limit() -> None:
    clients = Clients(Limits(nodes_max=6))
    clients.connect(1)
    assert error_of(clients.send(1, kazoo_wire.Transaction([create(f"/{i}") for i in range(3)]))[-1]) == -125
    assert error_of(clients.send(1, kazoo_wire.Transaction([create(f"/{i}") for i in range(2)]))[-1]) == 0


def test_sessions_are_limited_and_resumed_where_there_is_no_room_for_new_ones() -> None:
    clients = Clients(Limits(sessions_max=2))
    clients.connect(1)
    clients.connect(2)
    [refused] = clients.connect(3)
    assert isinstance(refused, Disconnect)
    assert refused.reason == "2 sessions are open already"
    assert of(Send, clients.connect(4, clients.session(1), b"s" * 16)) != []


def test_what_a_client_says_is_not_repeated_at_length(clients: Clients) -> None:
    commands = clients.send(1, kazoo_wire.Auth(0, "x" * 100_000, "u:p"), xid=-4)
    [refusal] = of(Disconnect, commands)
    assert refusal.reason is not None
    assert len(refusal.reason) < 200


def test_packets_of_a_connection_that_is_gone_are_nothing(clients: Clients) -> None:
    clients.processor.disconnected(1)

    assert clients.send(1, create("/a")) == []
    assert clients.processor.session_of(1) is None
