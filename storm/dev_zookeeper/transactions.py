"""What a transaction changes, and its bytes in the log.

A transaction holds all that one request (or the end of one session) did, under one zxid. Its changes say what
happened, not what was asked: applying them to the same state gives the same state, whoever asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storm.dev_zookeeper.jute import JuteReader, JuteWriter
from storm.dev_zookeeper.protocol import read_acl, write_acl
from storm.errors import MalformedPacketError

if TYPE_CHECKING:
    from storm.dev_zookeeper.protocol import Acl


class CreateNode(NamedTuple):
    """`ephemeral_owner` is a session's id, or 0."""

    path: str
    data: bytes | None
    acl: Acl
    ephemeral_owner: int


class DeleteNode(NamedTuple):
    path: str


class SetData(NamedTuple):
    path: str
    data: bytes | None


class SetAcl(NamedTuple):
    path: str
    acl: Acl


class OpenSession(NamedTuple):
    session_id: int
    password: bytes
    timeout_ms: int


class CloseSession(NamedTuple):
    """Stands after the `DeleteNode`s of the session's ephemeral nodes."""

    session_id: int


NodeChange = CreateNode | DeleteNode | SetData | SetAcl
SessionChange = OpenSession | CloseSession
Change = NodeChange | SessionChange


class Transaction(NamedTuple):
    """`time_ms`: since the epoch, for the times in stats."""

    zxid: int
    time_ms: int
    changes: tuple[Change, ...]


KINDS: tuple[type[Change], ...] = (CreateNode, DeleteNode, SetData, SetAcl, OpenSession, CloseSession)


def encode_transaction(transaction: Transaction) -> bytes:
    writer = JuteWriter().write_long(transaction.zxid).write_long(transaction.time_ms)
    writer.write_int(len(transaction.changes))
    for change in transaction.changes:
        writer.write_int(KINDS.index(type(change)))
        match change:
            case CreateNode():
                writer.write_string(change.path).write_buffer(change.data)
                write_acl(writer, change.acl)
                writer.write_long(change.ephemeral_owner)
            case DeleteNode():
                writer.write_string(change.path)
            case SetData():
                writer.write_string(change.path).write_buffer(change.data)
            case SetAcl():
                writer.write_string(change.path)
                write_acl(writer, change.acl)
            case OpenSession():
                writer.write_long(change.session_id).write_buffer(change.password).write_int(change.timeout_ms)
            case CloseSession():
                writer.write_long(change.session_id)
    return bytes(writer.packet)


def decode_transaction(encoded: bytes) -> Transaction:
    """Bytes after the transaction are passed over: the log has some. Raises `MalformedPacketError`."""
    reader = JuteReader(encoded)
    return Transaction(reader.read_long(), reader.read_long(), reader.read_vector(lambda: _read_change(reader)))


def _read_change(reader: JuteReader) -> Change:
    kind = reader.read_int()
    if not 0 <= kind < len(KINDS):
        raise MalformedPacketError(f"a transaction with a change of kind {kind}; this release knows {len(KINDS)}")
    change = KINDS[kind]
    if change is CreateNode:
        return CreateNode(read_path(reader), reader.read_buffer(), read_acl(reader), reader.read_long())
    if change is DeleteNode:
        return DeleteNode(read_path(reader))
    if change is SetData:
        return SetData(read_path(reader), reader.read_buffer())
    if change is SetAcl:
        return SetAcl(read_path(reader), read_acl(reader))
    if change is OpenSession:
        return OpenSession(reader.read_long(), read_password(reader), reader.read_int())
    return CloseSession(reader.read_long())


def read_path(reader: JuteReader) -> str:
    path = reader.read_string()
    if path is None:
        raise MalformedPacketError("a null path")
    return path


def read_password(reader: JuteReader) -> bytes:
    password = reader.read_buffer()
    if password is None:
        raise MalformedPacketError("a null password")
    return password
