"""The server without its sockets: packets of connections in, commands out. Pure.

One packet is answered completely before the next is looked at, so there is one order of all writes. The
shell carries the commands out in the order given, and lets no `Send` leave before the `Log`s ahead of it
are on the disk.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from storm.dev_zookeeper.access_control import Identity, digest_identity, is_permitted
from storm.dev_zookeeper.data_tree import parent_path
from storm.dev_zookeeper.jute import JuteWriter
from storm.dev_zookeeper.operations import Caller, plan_write, read
from storm.dev_zookeeper.protocol import (
    PASSWORD_SIZE_BYTES,
    WATCHED_PATHS_MAX,
    AuthRequest,
    CloseRequest,
    ErrorCode,
    EventType,
    Operation,
    Permission,
    PingRequest,
    ReadRequest,
    RequestRefusedError,
    SetWatchesRequest,
    SyncRequest,
    connect_reply,
    expired_reply,
    parse_connect_request,
    parse_header,
    parse_request,
    reply,
    watch_event,
)
from storm.dev_zookeeper.transactions import CloseSession, CreateNode, DeleteNode, OpenSession, Transaction
from storm.dev_zookeeper.watches import WatchTable
from storm.errors import MalformedPacketError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.dev_zookeeper.data_tree import Growth
    from storm.dev_zookeeper.database import Database
    from storm.dev_zookeeper.protocol import Acl, Request, RequestHeader, WriteRequest
    from storm.dev_zookeeper.transactions import Change

IDENTITIES_MAX = 100  # auth requests that one connection may make


class Log(NamedTuple):
    """Append to the log of transactions."""

    transaction: Transaction


class Send(NamedTuple):
    connection_id: int
    packet: bytes


class Disconnect(NamedTuple):
    """Close after what was sent before. `reason` None: the client asked for it."""

    connection_id: int
    reason: str | None


Command = Log | Send | Disconnect


class Moment(NamedTuple):
    """`now`: seconds, monotonic, for timeouts. `wall_ms`: since the epoch, for stats."""

    now: float
    wall_ms: int


class Limits(NamedTuple):
    """A write that would go over `nodes_max` or `data_size_max_bytes` is refused (QUOTA_EXCEEDED); a
    connection that wants more than `watches_max` watches, or a session where there are `sessions_max`, is closed."""

    nodes_max: int = 1_000_000
    data_size_max_bytes: int = 512 * 1024 * 1024
    watches_max: int = WATCHED_PATHS_MAX
    sessions_max: int = 10_000


@dataclass
class Connection:
    """`session_id` None until the connect request is answered."""

    connection_id: int
    identities: tuple[Identity, ...]
    session_id: int | None = None


class RequestProcessor:
    """`new_password(size_bytes)` gives random bytes."""

    def __init__(self, database: Database, new_password: Callable[[int], bytes], limits: Limits | None = None) -> None:
        self.database = database
        self.watches = WatchTable()
        self._new_password = new_password
        self._limits = limits or Limits()
        self._connections: dict[int, Connection] = {}
        self._connection_of_session: dict[int, int] = {}

    def connected(self, connection_id: int, address: str) -> None:
        self._connections[connection_id] = Connection(connection_id, (Identity("ip", address),))

    def disconnected(self, connection_id: int) -> None:
        """The connection is gone; its session lives on until it expires."""
        connection = self._connections.pop(connection_id, None)
        self.watches.remove_connection(connection_id)
        if connection is not None and self._serves(connection):
            assert connection.session_id is not None
            del self._connection_of_session[connection.session_id]

    def session_of(self, connection_id: int) -> int | None:
        connection = self._connections.get(connection_id)
        return None if connection is None else connection.session_id

    def _serves(self, connection: Connection) -> bool:
        """Whether the connection's session is alive, and on no other connection."""
        session_id = connection.session_id
        return session_id is not None and self._connection_of_session.get(session_id) == connection.connection_id

    def receive(self, connection_id: int, packet: bytes, moment: Moment) -> list[Command]:
        """The commands that answer `packet` (without its length)."""
        connection = self._connections.get(connection_id)
        if connection is None:
            return []
        try:
            if connection.session_id is None:
                return self._connect(connection, packet, moment)
            if not self._serves(connection):
                return [Disconnect(connection_id, "packets after the end of its session")]
            self.database.sessions.touch(connection.session_id, moment.now)
            header, reader = parse_header(packet)
        except MalformedPacketError as error:
            return [Disconnect(connection_id, f"malformed packet: {error}")]
        try:
            request = parse_request(header.operation, reader)
            return self._answer(connection, header, request, moment)
        except MalformedPacketError:
            return [self._reply(connection, header, ErrorCode.MARSHALLING)]
        except RequestRefusedError as refusal:
            return [self._reply(connection, header, refusal.code)]

    def expire(self, moment: Moment) -> list[Command]:
        """End the sessions whose time has come; call it at every tick."""
        return [
            command
            for session_id in self.database.sessions.expired(moment.now)
            for command in self.end_session(session_id, moment)
        ]

    def end_session(self, session_id: int, moment: Moment) -> list[Command]:
        """End a session as if it had expired."""
        commands = self._close_session(session_id, moment)
        connection_id = self._connection_of_session.pop(session_id, None)
        if connection_id is not None:
            commands.append(Disconnect(connection_id, f"session 0x{session_id:x} expired"))
        return commands

    def _connect(self, connection: Connection, packet: bytes, moment: Moment) -> list[Command]:
        request = parse_connect_request(packet)
        sessions = self.database.sessions
        if request.last_zxid_seen > self.database.zxid:
            reason = (
                f"the client has seen zxid 0x{request.last_zxid_seen:x}, "
                f"this server is at 0x{self.database.zxid:x}: its data was lost or is another server's"
            )
            return [Disconnect(connection.connection_id, reason)]
        timeout_ms = sessions.negotiated_timeout_ms(request.timeout_ms)
        commands: list[Command] = []
        if request.session_id == 0:
            if len(sessions) >= self._limits.sessions_max:
                return [Disconnect(connection.connection_id, f"{self._limits.sessions_max} sessions are open already")]
            session_id = self.database.new_session_id(moment.wall_ms)
            password = self._new_password(PASSWORD_SIZE_BYTES)
            commands += self._commit((OpenSession(session_id, password, timeout_ms),), moment)
        else:
            session_id, password = request.session_id, request.password
            session = sessions.get(session_id)
            if session is None or not hmac.compare_digest(session.password, password):
                refusal = Send(connection.connection_id, expired_reply(request))
                return [refusal, Disconnect(connection.connection_id, "no such session, or wrong password")]
            sessions.put(session._replace(timeout_ms=timeout_ms))
            old = self._connection_of_session.get(session_id)
            if old is not None:
                commands.append(Disconnect(old, "its session was resumed on another connection"))
        connection.session_id = session_id
        self._connection_of_session[session_id] = connection.connection_id
        sessions.touch(session_id, moment.now)
        packet = connect_reply(request, timeout_ms, session_id, password)
        return [*commands, Send(connection.connection_id, packet)]

    def _answer(self, connection: Connection, header: RequestHeader, request: Request, moment: Moment) -> list[Command]:
        match request:
            case ReadRequest():
                return self._read(connection, header, request)
            case PingRequest():
                return [self._reply(connection, header, ErrorCode.OK)]
            case SyncRequest():
                # One server: what it has is the newest.
                body = bytes(JuteWriter().write_string(request.path).packet)
                return [self._reply(connection, header, ErrorCode.OK, body)]
            case AuthRequest():
                return self._authenticate(connection, header, request)
            case SetWatchesRequest():
                return self._set_watches(connection, header, request)
            case CloseRequest():
                return self._close(connection, header, moment)
            case _:
                return self._write(connection, header, request, moment)

    def _read(self, connection: Connection, header: RequestHeader, request: ReadRequest) -> list[Command]:
        code, body = ErrorCode.OK, b""
        try:
            body = read(request, self.database.tree, _caller(connection))
        except RequestRefusedError as refusal:
            # A client may wait for a node that is not there yet.
            if request.operation is not Operation.EXISTS or refusal.code is not ErrorCode.NO_NODE:
                raise
            code = refusal.code
        if request.watch:
            on_children = request.operation in (Operation.GET_CHILDREN, Operation.GET_CHILDREN2)
            self.watches.add("child" if on_children else "data", request.path, connection.connection_id)
        return [self._reply(connection, header, code, body), *self._too_many_watches(connection)]

    def _write(
        self, connection: Connection, header: RequestHeader, request: WriteRequest, moment: Moment
    ) -> list[Command]:
        database = self.database
        planned = plan_write(request, database.tree, _caller(connection), database.zxid + 1, moment.wall_ms)
        self._check_quota(planned.growth)
        commands = self._commit(planned.changes, moment) if planned.changes else []
        return [*commands, self._reply(connection, header, ErrorCode.OK, planned.body)]

    def _check_quota(self, growth: Growth) -> None:
        """What makes a full store smaller is let through, or it could never be emptied."""
        tree, limits = self.database.tree, self._limits
        too_many = growth.nodes > 0 and len(tree) + growth.nodes > limits.nodes_max
        size_bytes = tree.data_size_bytes + growth.data_size_bytes
        if too_many or (growth.data_size_bytes > 0 and size_bytes > limits.data_size_max_bytes):
            raise RequestRefusedError(ErrorCode.QUOTA_EXCEEDED)

    def _authenticate(self, connection: Connection, header: RequestHeader, request: AuthRequest) -> list[Command]:
        if request.scheme != "digest" or len(connection.identities) >= IDENTITIES_MAX:
            refusal = self._reply(connection, header, ErrorCode.AUTH_FAILED)
            return [
                refusal,
                Disconnect(connection.connection_id, f"authentication by {request.scheme!r:.100} refused"),
            ]
        identity = digest_identity(request.credentials)
        if identity not in connection.identities:
            connection.identities += (identity,)
        return [self._reply(connection, header, ErrorCode.OK)]

    def _set_watches(self, connection: Connection, header: RequestHeader, request: SetWatchesRequest) -> list[Command]:
        """Set the watches again; what changed since the client last heard of us is told at once instead."""
        events: list[tuple[EventType, str]] = []
        seen, tree, connection_id = request.last_zxid_seen, self.database.tree, connection.connection_id
        for path in request.data_paths:
            node = tree.get(path)
            if node is None:
                events.append((EventType.DELETED, path))
            elif node.mzxid > seen:
                events.append((EventType.DATA_CHANGED, path))
            else:
                self.watches.add("data", path, connection_id)
        for path in request.exists_paths:
            if tree.get(path) is not None:
                events.append((EventType.CREATED, path))
            else:
                self.watches.add("data", path, connection_id)
        for path in request.child_paths:
            node = tree.get(path)
            if node is None:
                events.append((EventType.DELETED, path))
            elif node.pzxid > seen:
                events.append((EventType.CHILDREN_CHANGED, path))
            else:
                self.watches.add("child", path, connection_id)
        return [
            *(Send(connection_id, watch_event(event_type, path)) for event_type, path in events),
            self._reply(connection, header, ErrorCode.OK),
            *self._too_many_watches(connection),
        ]

    def _too_many_watches(self, connection: Connection) -> Iterable[Command]:
        if self.watches.count_of(connection.connection_id) > self._limits.watches_max:
            yield Disconnect(connection.connection_id, f"more than {self._limits.watches_max} watches")

    def _close(self, connection: Connection, header: RequestHeader, moment: Moment) -> list[Command]:
        session_id = connection.session_id
        assert session_id is not None
        commands = self._close_session(session_id, moment)
        self._connection_of_session.pop(session_id, None)
        commands.append(self._reply(connection, header, ErrorCode.OK))
        commands.append(Disconnect(connection.connection_id, None))
        return commands

    def _close_session(self, session_id: int, moment: Moment) -> list[Command]:
        """Its ephemeral nodes and the session end in one transaction."""
        if self.database.sessions.get(session_id) is None:
            return []
        deletions = [DeleteNode(path) for path in self.database.tree.ephemeral_paths(session_id)]
        return self._commit((*deletions, CloseSession(session_id)), moment)

    def _commit(self, changes: tuple[Change, ...], moment: Moment) -> list[Command]:
        """Apply `changes` as one transaction: log it, then tell the watchers, before anybody is answered."""
        transaction = Transaction(self.database.zxid + 1, moment.wall_ms, changes)
        acls = self._acls_around(changes)
        self.database.apply(transaction)
        commands: list[Command] = [Log(transaction)]
        for change in changes:
            for connection_id, event_type, path in self.watches.fire(change):
                identities = self._connections[connection_id].identities
                # Who may not read a node is not told what happens to it either (CVE-2024-23944).
                if is_permitted(acls[path], Permission.READ, identities):
                    commands.append(Send(connection_id, watch_event(event_type, path)))
        return commands

    def _acls_around(self, changes: tuple[Change, ...]) -> dict[str, Acl]:
        """The ACLs of the nodes that the changes touch and of their parents, also of those that come or go."""
        acls: dict[str, Acl] = {}
        for change in changes:
            if isinstance(change, OpenSession | CloseSession):
                continue
            for path in (change.path, parent_path(change.path)):
                node = self.database.tree.get(path)
                if node is not None:
                    acls.setdefault(path, node.acl)
            if isinstance(change, CreateNode):
                acls[change.path] = change.acl
        return acls

    def _reply(self, connection: Connection, header: RequestHeader, code: ErrorCode, body: bytes = b"") -> Send:
        return Send(connection.connection_id, reply(header.xid, self.database.zxid, code, body))


def _caller(connection: Connection) -> Caller:
    assert connection.session_id is not None
    return Caller(connection.session_id, connection.identities)
