from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kazoo.protocol import serialization as kazoo_wire
from kazoo.security import OPEN_ACL_UNSAFE

from storm.dev_zookeeper.jute import JuteReader, JuteWriter
from storm.dev_zookeeper.protocol import (
    ACL_ENTRIES_MAX,
    MULTI_OPERATIONS_MAX,
    OPEN_ACL,
    WATCHED_PATHS_MAX,
    CheckRequest,
    ConnectRequest,
    CreateRequest,
    DeleteRequest,
    ErrorCode,
    EventType,
    MultiRequest,
    Operation,
    ReadRequest,
    Request,
    RequestRefusedError,
    SetDataRequest,
    SetWatchesRequest,
    Stat,
    connect_reply,
    expired_reply,
    parse_connect_request,
    parse_header,
    parse_request,
    reply,
    watch_event,
    write_stat,
)
from storm.errors import MalformedPacketError


def operation_of_multi(path: str) -> bytes:
    return bytes(JuteWriter().write_int(Operation.CHECK).write_bool(False).write_int(-1).write_string(path).packet)


@pytest.mark.parametrize("count", [MULTI_OPERATIONS_MAX, MULTI_OPERATIONS_MAX + 1])
def test_a_multi_holds_a_bounded_number_of_operations(count: int) -> None:
    end = JuteWriter().write_int(-1).write_bool(True).write_int(-1).packet
    packet = (operation_of_multi("/a") + b"\xff" * 4) * count + end
    if count > MULTI_OPERATIONS_MAX:
        with pytest.raises(MalformedPacketError, match="a multi of more than"):
            parse_request(Operation.MULTI, JuteReader(packet))
    else:
        assert parse_request(Operation.MULTI, JuteReader(packet)) == MultiRequest((CheckRequest("/a", -1),) * count)


@pytest.mark.parametrize("operation", [Operation.SET_WATCHES, Operation.SET_WATCHES2])
def test_watches_are_set_in_bounded_numbers(operation: Operation) -> None:
    packet = JuteWriter().write_long(0).write_strings(["/"] * (WATCHED_PATHS_MAX + 1)).packet
    with pytest.raises(MalformedPacketError, match="a vector of"):
        parse_request(operation, JuteReader(bytes(packet)))


def test_an_acl_has_a_bounded_number_of_entries() -> None:
    entry = bytes(JuteWriter().write_int(31).write_string("world").write_string("anyone").packet)
    packet = JuteWriter().write_string("/a").write_int(ACL_ENTRIES_MAX + 1).packet + entry * (ACL_ENTRIES_MAX + 1)
    for operation, body in ((Operation.SET_ACL, packet), (Operation.CREATE, packet[:6] + b"\xff" * 4 + packet[6:])):
        with pytest.raises(MalformedPacketError, match="a vector of 101 items"):
            parse_request(operation, JuteReader(bytes(body)))


def parsed(request: object) -> Request:
    """What we make of a request as kazoo serializes it."""
    return parse_request(request.type, JuteReader(bytes(request.serialize())))  # type: ignore[attr-defined]


def test_a_connect_request_of_kazoo() -> None:
    packet = bytes(kazoo_wire.Connect(0, 77, 10_000, 5, b"p" * 16, False).serialize())

    assert parse_connect_request(packet) == ConnectRequest(77, 10_000, 5, b"p" * 16, sends_read_only=True)
    assert not parse_connect_request(packet[:-1]).sends_read_only


@pytest.mark.parametrize(
    ("request_of_kazoo", "expected"),
    [
        (
            kazoo_wire.Create("/a", b"x", OPEN_ACL_UNSAFE, 3),
            CreateRequest("/a", b"x", OPEN_ACL, 3, wants_stat=False),
        ),
        (
            kazoo_wire.Create2("/a", b"", OPEN_ACL_UNSAFE, 0),
            CreateRequest("/a", b"", OPEN_ACL, 0, wants_stat=True),
        ),
        (kazoo_wire.Delete("/a", 4), DeleteRequest("/a", 4)),
        (kazoo_wire.SetData("/a", b"\0", -1), SetDataRequest("/a", b"\0", -1)),
        (kazoo_wire.CheckVersion("/a", 2), CheckRequest("/a", 2)),
        (kazoo_wire.GetData("/a", print), ReadRequest(Operation.GET_DATA, "/a", watch=True)),
        (kazoo_wire.GetChildren2("/a", None), ReadRequest(Operation.GET_CHILDREN2, "/a", watch=False)),
        (kazoo_wire.GetACL("/a"), ReadRequest(Operation.GET_ACL, "/a", watch=False)),
        (
            kazoo_wire.Transaction([kazoo_wire.CheckVersion("/a", 1), kazoo_wire.Delete("/a", -1)]),
            MultiRequest((CheckRequest("/a", 1), DeleteRequest("/a", -1))),
        ),
    ],
)
def test_requests_of_kazoo(request_of_kazoo: object, expected: Request) -> None:
    assert parsed(request_of_kazoo) == expected


def test_set_watches_with_and_without_persistent_ones() -> None:
    writer = JuteWriter().write_long(9).write_strings(["/d"]).write_strings([]).write_strings(["/c", "/e"])
    expected = SetWatchesRequest(9, ("/d",), (), ("/c", "/e"))
    assert parse_request(Operation.SET_WATCHES, JuteReader(bytes(writer.packet))) == expected

    empty = bytes(writer.packet) + bytes(8)
    assert parse_request(Operation.SET_WATCHES2, JuteReader(empty)) == expected

    persistent = bytes(writer.write_strings(["/p"]).write_strings([]).packet)
    with pytest.raises(RequestRefusedError, match="UNIMPLEMENTED"):
        parse_request(Operation.SET_WATCHES2, JuteReader(persistent))


@pytest.mark.parametrize("operation", [0, 16, 17, 102, 104, 106, 2**31 - 1])
def test_operations_not_served_are_unimplemented(operation: int) -> None:
    with pytest.raises(RequestRefusedError, match="UNIMPLEMENTED"):
        parse_request(operation, JuteReader(b""))


@given(st.sampled_from(list(Operation)), st.binary(max_size=60))
def test_any_record_is_parsed_or_refused(operation: Operation, record: bytes) -> None:
    try:
        request = parse_request(operation, JuteReader(record))
    except (MalformedPacketError, RequestRefusedError):
        return
    assert isinstance(request, tuple)


def test_a_header_cut_short_is_malformed() -> None:
    with pytest.raises(MalformedPacketError):
        parse_header(b"\0\0\0\x01\0\0\0")


def test_replies_are_read_by_kazoo() -> None:
    stat = Stat(1, 2, 3000, 4000, 5, 6, 7, 8, 9, 10, 11)
    writer = JuteWriter().write_buffer(b"data")
    write_stat(writer, stat)
    packet = reply(21, 99, ErrorCode.OK, bytes(writer.packet))

    assert int.from_bytes(packet[:4]) == len(packet) - 4
    header, offset = kazoo_wire.ReplyHeader.deserialize(packet, 4)
    assert header == (21, 99, 0)
    assert kazoo_wire.GetData.deserialize(packet, offset) == (b"data", stat)


def test_an_error_travels_without_a_body() -> None:
    packet = reply(21, 99, ErrorCode.NO_NODE, b"ignored")

    assert kazoo_wire.ReplyHeader.deserialize(packet, 4) == ((21, 99, -101), len(packet))


def test_a_watch_event_is_read_by_kazoo() -> None:
    packet = watch_event(EventType.DELETED, "/a/ü")

    header, offset = kazoo_wire.ReplyHeader.deserialize(packet, 4)
    assert header == (-1, -1, 0)
    assert kazoo_wire.Watch.deserialize(packet, offset)[0] == (2, 3, "/a/ü")


def test_connect_replies_are_read_by_kazoo() -> None:
    request = ConnectRequest(0, 1, 0, b"", sends_read_only=True)

    accepted, offset = kazoo_wire.Connect.deserialize(connect_reply(request, 4000, 7, b"s" * 16), 4)
    assert (accepted.time_out, accepted.session_id, accepted.passwd) == (4000, 7, b"s" * 16)
    expired, _ = kazoo_wire.Connect.deserialize(expired_reply(request), 4)
    assert (expired.time_out, expired.session_id) == (0, 0)
    old_client = request._replace(sends_read_only=False)
    assert len(connect_reply(old_client, 4000, 7, b"s" * 16)) == offset - 1
