"""All that outlives the process: the tree, the sessions and the last zxid, as transactions make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.dev_zookeeper.data_tree import DataTree, Node, apply_change
from storm.dev_zookeeper.jute import JuteReader, JuteWriter
from storm.dev_zookeeper.protocol import read_acl, write_acl
from storm.dev_zookeeper.sessions import Session, SessionTable
from storm.dev_zookeeper.transactions import CloseSession, OpenSession, read_password, read_path

if TYPE_CHECKING:
    from storm.dev_zookeeper.transactions import Transaction


class Database:
    """Changed by `apply` alone.

    `first_zxid`: where a database without a past starts. Clients refuse to go back in zxids, so this must
    be above what any earlier database on the same address has shown them: see `first_zxid_at`.
    """

    def __init__(self, tick_ms: int, first_zxid: int) -> None:
        self.tree = DataTree()
        self.sessions = SessionTable(tick_ms)
        self.zxid = first_zxid
        self.last_session_id = 0

    def apply(self, transaction: Transaction) -> None:
        for change in transaction.changes:
            if isinstance(change, OpenSession):
                self.sessions.put(Session(*change))
                self.last_session_id = max(self.last_session_id, change.session_id)
            elif isinstance(change, CloseSession):
                self.sessions.remove(change.session_id)
            else:
                apply_change(self.tree, change, transaction.zxid, transaction.time_ms)
        self.zxid = transaction.zxid

    def new_session_id(self, wall_ms: int) -> int:
        """Never given before, even by a database that was lost: it starts from the time."""
        return max(self.last_session_id + 1, wall_ms << 16)


def first_zxid_at(wall_ms: int) -> int:
    """Above every zxid of a server that started a millisecond earlier and made fewer than 2^20 a millisecond."""
    return wall_ms << 20


def encode_snapshot(database: Database) -> bytes:
    writer = JuteWriter().write_long(database.zxid).write_long(database.last_session_id)
    writer.write_int(len(database.sessions))
    for session in database.sessions:
        writer.write_long(session.session_id).write_buffer(session.password).write_int(session.timeout_ms)
    writer.write_int(len(database.tree))
    for path, node in database.tree.items():
        writer.write_string(path).write_buffer(node.data)
        write_acl(writer, node.acl)
        for number in node[2:]:
            writer.write_long(number)
    return bytes(writer.packet)


def decode_snapshot(encoded: bytes, tick_ms: int) -> Database:
    """Raises `MalformedPacketError`."""
    reader = JuteReader(encoded)
    database = Database(tick_ms, reader.read_long())
    database.last_session_id = reader.read_long()
    for session in reader.read_vector(lambda: Session(reader.read_long(), read_password(reader), reader.read_int())):
        database.sessions.put(session)
    for path, node in reader.read_vector(lambda: (read_path(reader), _read_node(reader))):
        database.tree.put(path, node)
    return database


def _read_node(reader: JuteReader) -> Node:
    data, acl = reader.read_buffer(), read_acl(reader)
    return Node(data, acl, *(reader.read_long() for _ in range(len(Node._fields) - 2)))
