"""The ZooKeeper client protocol: codes, requests as values, replies as bytes. Nothing here holds state.

After a 4-byte length, the first packet of a connection is a connect request; every later one is a header
(xid, operation) and the operation's record. Numbers are those of Apache ZooKeeper 3.8.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from storm.dev_zookeeper.jute import INT, JuteReader, JuteWriter
from storm.errors import MalformedPacketError

PACKET_SIZE_MAX_BYTES = 1_048_575  # jute.maxbuffer
# A packet of the largest size would otherwise hold so many that answering it takes half a second, in which nobody else
# is served; Apache ZooKeeper has no such limits.
MULTI_OPERATIONS_MAX = 2_000
WATCHED_PATHS_MAX = 20_000
ACL_ENTRIES_MAX = 100
PASSWORD_SIZE_BYTES = 16
WATCH_EVENT_XID = -1
PING_XID = -2
CONNECTED_STATE = 3
ANY_VERSION = -1

EPHEMERAL_FLAG = 1
SEQUENCE_FLAG = 2

STAT = struct.Struct(">qqqqiiiqiiq")
REPLY_HEADER = struct.Struct(">iiqi")  # packet length, xid, zxid, error code
REPLY_HEADER_SIZE_BYTES = 16  # without the length


class Operation(IntEnum):
    CREATE = 1
    DELETE = 2
    EXISTS = 3
    GET_DATA = 4
    SET_DATA = 5
    GET_ACL = 6
    SET_ACL = 7
    GET_CHILDREN = 8
    SYNC = 9
    PING = 11
    GET_CHILDREN2 = 12
    CHECK = 13
    MULTI = 14
    CREATE2 = 15
    AUTH = 100
    SET_WATCHES = 101
    SET_WATCHES2 = 105
    CLOSE = -11


class ErrorCode(IntEnum):
    OK = 0
    RUNTIME_INCONSISTENCY = -2
    MARSHALLING = -5
    UNIMPLEMENTED = -6
    BAD_ARGUMENTS = -8
    NO_NODE = -101
    NO_AUTH = -102
    BAD_VERSION = -103
    NO_CHILDREN_FOR_EPHEMERALS = -108
    NODE_EXISTS = -110
    NOT_EMPTY = -111
    SESSION_EXPIRED = -112
    INVALID_ACL = -114
    AUTH_FAILED = -115
    QUOTA_EXCEEDED = -125


class EventType(IntEnum):
    CREATED = 1
    DELETED = 2
    DATA_CHANGED = 3
    CHILDREN_CHANGED = 4


class Permission(IntFlag):
    READ = 1
    WRITE = 2
    CREATE = 4
    DELETE = 8
    ADMIN = 16


class RequestRefusedError(Exception):
    """The answer to a request is an error code; it never leaves this package."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class AclEntry(NamedTuple):
    permissions: int
    scheme: str
    id: str


Acl = tuple[AclEntry, ...]

OPEN_ACL: Acl = (AclEntry(31, "world", "anyone"),)


class Stat(NamedTuple):
    """What clients are told of a node, in the order of the wire. Times in milliseconds since the epoch."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


class ConnectRequest(NamedTuple):
    """`session_id` 0 asks for a new session. `sends_read_only`: clients before 3.4 leave it out."""

    last_zxid_seen: int
    timeout_ms: int
    session_id: int
    password: bytes
    sends_read_only: bool


class CreateRequest(NamedTuple):
    """`data` None is a null, which is kept as such."""

    path: str
    data: bytes | None
    acl: Acl
    flags: int
    wants_stat: bool  # create2


class DeleteRequest(NamedTuple):
    path: str
    version: int


class SetDataRequest(NamedTuple):
    path: str
    data: bytes | None
    version: int


class CheckRequest(NamedTuple):
    path: str
    version: int


class SetAclRequest(NamedTuple):
    path: str
    acl: Acl
    version: int


class MultiRequest(NamedTuple):
    operations: tuple[CreateRequest | DeleteRequest | SetDataRequest | CheckRequest, ...]


class ReadRequest(NamedTuple):
    """exists, getData, getACL, getChildren, getChildren2: `operation` says which. getACL sets no watch."""

    operation: Operation
    path: str
    watch: bool


class SyncRequest(NamedTuple):
    path: str


class PingRequest(NamedTuple):
    pass


class AuthRequest(NamedTuple):
    scheme: str
    credentials: bytes


class SetWatchesRequest(NamedTuple):
    """A client that reconnects says what it watches and the last zxid it saw."""

    last_zxid_seen: int
    data_paths: tuple[str, ...]
    exists_paths: tuple[str, ...]
    child_paths: tuple[str, ...]


class CloseRequest(NamedTuple):
    pass


WriteRequest = CreateRequest | DeleteRequest | SetDataRequest | CheckRequest | SetAclRequest | MultiRequest
Request = WriteRequest | ReadRequest | SyncRequest | PingRequest | AuthRequest | SetWatchesRequest | CloseRequest


class RequestHeader(NamedTuple):
    xid: int
    operation: int


def parse_connect_request(packet: bytes) -> ConnectRequest:
    """Raises `MalformedPacketError`."""
    reader = JuteReader(packet)
    reader.read_int()  # protocol version: every client sends 0
    last_zxid_seen = reader.read_long()
    timeout_ms = reader.read_int()
    session_id = reader.read_long()
    password = reader.read_buffer() or b""
    return ConnectRequest(last_zxid_seen, timeout_ms, session_id, password, reader.remaining_bytes > 0)


def parse_header(packet: bytes) -> tuple[RequestHeader, JuteReader]:
    """The header, and a reader that stands at the operation's record. Raises `MalformedPacketError`."""
    reader = JuteReader(packet)
    return RequestHeader(reader.read_int(), reader.read_int()), reader


def parse_request(operation: int, reader: JuteReader) -> Request:
    """Raises `MalformedPacketError`, and `RequestRefusedError` for an operation not served here."""
    match operation:
        case Operation.EXISTS | Operation.GET_DATA | Operation.GET_CHILDREN | Operation.GET_CHILDREN2:
            return ReadRequest(Operation(operation), _path(reader), reader.read_bool())
        case Operation.GET_ACL:
            return ReadRequest(Operation.GET_ACL, _path(reader), watch=False)
        case Operation.SET_ACL:
            return SetAclRequest(_path(reader), read_acl(reader, ACL_ENTRIES_MAX), reader.read_int())
        case Operation.MULTI:
            return _parse_multi(reader)
        case Operation.SYNC:
            return SyncRequest(_path(reader))
        case Operation.PING:
            return PingRequest()
        case Operation.AUTH:
            reader.read_int()  # a type that nobody uses
            return AuthRequest(reader.read_string() or "", reader.read_buffer() or b"")
        case Operation.SET_WATCHES | Operation.SET_WATCHES2:
            return _parse_set_watches(operation, reader)
        case Operation.CLOSE:
            return CloseRequest()
        case _:
            return _parse_part(operation, reader)


def _parse_part(operation: int, reader: JuteReader) -> CreateRequest | DeleteRequest | SetDataRequest | CheckRequest:
    """The operations that may also stand in a multi."""
    match operation:
        case Operation.CREATE | Operation.CREATE2:
            named = _path(reader), reader.read_buffer(), read_acl(reader, ACL_ENTRIES_MAX)
            return CreateRequest(*named, reader.read_int(), operation == Operation.CREATE2)
        case Operation.DELETE:
            return DeleteRequest(_path(reader), reader.read_int())
        case Operation.SET_DATA:
            return SetDataRequest(_path(reader), reader.read_buffer(), reader.read_int())
        case Operation.CHECK:
            return CheckRequest(_path(reader), reader.read_int())
        case _:
            raise RequestRefusedError(ErrorCode.UNIMPLEMENTED)


def _parse_multi(reader: JuteReader) -> MultiRequest:
    operations: list[CreateRequest | DeleteRequest | SetDataRequest | CheckRequest] = []
    while True:
        operation, done, _ = reader.read_int(), reader.read_bool(), reader.read_int()
        if done:
            return MultiRequest(tuple(operations))
        if len(operations) == MULTI_OPERATIONS_MAX:
            raise MalformedPacketError(f"a multi of more than {MULTI_OPERATIONS_MAX} operations")
        operations.append(_parse_part(operation, reader))


def _parse_set_watches(operation: int, reader: JuteReader) -> SetWatchesRequest:
    request = SetWatchesRequest(
        reader.read_long(),
        reader.read_vector(lambda: _path(reader), WATCHED_PATHS_MAX),
        reader.read_vector(lambda: _path(reader), WATCHED_PATHS_MAX),
        reader.read_vector(lambda: _path(reader), WATCHED_PATHS_MAX),
    )
    if operation == Operation.SET_WATCHES2:
        persistent = [reader.read_vector(reader.read_string, WATCHED_PATHS_MAX) for _ in range(2)]
        if any(persistent):
            raise RequestRefusedError(ErrorCode.UNIMPLEMENTED)
    return request


def _path(reader: JuteReader) -> str:
    return reader.read_string() or ""


def read_acl(reader: JuteReader, entries_max: int | None = None) -> Acl:
    return reader.read_vector(
        lambda: AclEntry(reader.read_int(), reader.read_string() or "", reader.read_string() or ""), entries_max
    )


def write_acl(writer: JuteWriter, acl: Acl) -> None:
    writer.write_int(len(acl))
    for entry in acl:
        writer.write_int(entry.permissions).write_string(entry.scheme).write_string(entry.id)


def write_stat(writer: JuteWriter, stat: Stat) -> None:
    writer.packet += STAT.pack(*stat)


def connect_reply(request: ConnectRequest, timeout_ms: int, session_id: int, password: bytes) -> bytes:
    """The answer to a connect request. `timeout_ms` 0 says that the session has expired."""
    writer = JuteWriter().write_int(0).write_int(timeout_ms).write_long(session_id).write_buffer(password)
    if request.sends_read_only:
        writer.write_bool(False)
    return framed(writer.packet)


def expired_reply(request: ConnectRequest) -> bytes:
    return connect_reply(request, 0, 0, bytes(PASSWORD_SIZE_BYTES))


def reply(xid: int, zxid: int, code: ErrorCode, body: bytes | bytearray = b"") -> bytes:
    """A reply packet; the body travels only with OK."""
    if code is not ErrorCode.OK:
        body = b""
    return REPLY_HEADER.pack(REPLY_HEADER_SIZE_BYTES + len(body), xid, zxid, code) + body


def watch_event(event_type: EventType, path: str) -> bytes:
    writer = JuteWriter().write_int(WATCH_EVENT_XID).write_long(-1).write_int(0)
    writer.write_int(event_type).write_int(CONNECTED_STATE).write_string(path)
    return framed(writer.packet)


def framed(packet: bytearray) -> bytes:
    return INT.pack(len(packet)) + packet
