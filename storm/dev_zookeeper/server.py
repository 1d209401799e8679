"""The server: sockets, the tick, the disk. One event loop in one thread owns all of it.

A turn of the loop takes the packets that have arrived, from all clients; then, once, the log is brought to
the disk; then the replies and events of the turn leave. So a crowd of clients shares each wait for the
disk, and nobody ever sees what the disk may not have.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from typing import TYPE_CHECKING, Protocol

from storm import clock, open_files
from storm.dev_zookeeper import four_letter_words
from storm.dev_zookeeper.connection import ClientConnection
from storm.dev_zookeeper.database import Database, first_zxid_at
from storm.dev_zookeeper.request_processor import Disconnect, Log, Moment, RequestProcessor, Send
from storm.dev_zookeeper.transaction_log import SnapshotRule, open_transaction_log
from storm.errors import AlreadyRunningError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.dev_zookeeper.options import DevZooKeeperOptions
    from storm.dev_zookeeper.request_processor import Command
    from storm.dev_zookeeper.transactions import Transaction

log = logging.getLogger(__name__)

# Ticks in which a new connection must say which session it wants.
CONNECT_TICKS = 10
# Closed connections that are logged in one tick; of more only the number is, or strangers could fill the disk.
NOTES_PER_TICK = 20


class Journal(Protocol):
    """Where transactions are kept."""

    def append(self, transaction: Transaction) -> None: ...

    def sync(self) -> None:
        """What was appended is on the disk when this returns. Raises `OSError`."""

    def snapshot_if_due(self, database: Database) -> None: ...

    def close(self) -> None:
        """Give up the data directory; what was not synced is lost."""


class MemoryJournal:
    """Keeps nothing."""

    def append(self, transaction: Transaction) -> None:
        pass

    def sync(self) -> None:
        pass

    def snapshot_if_due(self, database: Database) -> None:
        pass

    def close(self) -> None:
        pass


class Server:
    """Serves `database` until told to stop. Made, run and ended in one event loop.

    `now()` gives the moment; `new_password(size_bytes)` random bytes.
    """

    def __init__(
        self, options: DevZooKeeperOptions, database: Database, journal: Journal, now: Callable[[], Moment]
    ) -> None:
        self.port = options.port
        self.tls_port = options.tls_port
        self.requests_per_turn_max = options.requests_per_turn_max
        self.turn_secs = options.turn_secs
        self.unsent_size_max_bytes = options.unsent_size_max_bytes
        self._connections_max = min(options.connections_max, open_files.limit() // 2)  # the data directory needs some
        self._notes = 0  # in this tick
        self._options = options
        self._journal = journal
        self._now = now
        self._processor = RequestProcessor(database, os.urandom)
        self._connections: dict[int, ClientConnection] = {}
        self._connection_count = 0
        self._to_flush: dict[int, ClientConnection] = {}
        self._commit_pending = False
        self._listeners: list[asyncio.Server] = []
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    async def serve(self, ready: Callable[[], None]) -> None:
        """Returns after `stop`. Raises `AlreadyRunningError` if the port is taken, and `OSError` if the
        disk fails: then nothing that was not synced has been answered."""
        try:
            self._processor.database.sessions.touch_all(self._now().now)
            self.port = await self._listen(self._options.port, None)
            if self._options.tls_port is not None:
                self.tls_port = await self._listen(self._options.tls_port, tls_context(self._options))
            ticking = asyncio.get_running_loop().create_task(self._tick())
            ready()
            await self._stop.wait()
            ticking.cancel()
            if self._failure is not None:
                raise self._failure
        finally:
            for listener in self._listeners:
                listener.close()
            for connection in list(self._connections.values()):
                connection.abort()
            self._journal.close()
            await asyncio.sleep(0)  # lets the transports see that they are closed

    def stop(self) -> None:
        """Orderly: what was taken from the clients is on the disk and answered."""
        self._commit()
        self._stop.set()

    def kill(self) -> None:
        """As if the process were killed: what was not answered may be lost."""
        self._commit_pending = False
        self._to_flush.clear()
        self._stop.set()

    def end_session(self, session_id: int) -> None:
        """Let a session expire now: for tests of what clients do then."""
        self.execute(self._processor.end_session(session_id, self._now()))

    def drop_connections(self) -> None:
        """Break every connection; the sessions live on: for tests of what clients do then."""
        for connection in list(self._connections.values()):
            connection.abort()

    def admit(self, connection: ClientConnection) -> str | None:
        self._connections[connection.connection_id] = connection
        self._processor.connected(connection.connection_id, connection.host)
        most = self._options.connections_per_address_max
        # Loopback is exempt, as at the Thrift server: there every worker of `storm dev` has one.
        crowd = [] if connection.loopback else [c for c in self._connections.values() if c.host == connection.host]
        if len(crowd) > most:
            return self._make_room(crowd, f"more than {most} connections from {connection.host}")
        if len(self._connections) > self._connections_max:
            return self._make_room(self._connections.values(), f"more than {self._connections_max} connections")
        return None

    def _make_room(self, crowd: Iterable[ClientConnection], reason: str) -> str | None:
        """Close the oldest of a crowd, but for the newest, that has no session; `reason` if all have one."""
        *_, newest = crowd
        for connection in crowd:
            if connection is not newest and self._processor.session_of(connection.connection_id) is None:
                self.note(logging.WARNING, connection, f"{reason}, and this one has no session")
                self.lost(connection)
                connection.abort()
                return None
        return reason

    def receive(self, connection: ClientConnection, packet: bytes) -> None:
        self.execute(self._processor.receive(connection.connection_id, packet, self._now()))

    def answer_word(self, connection: ClientConnection, word: bytes) -> None:
        if connection.loopback:
            connection.send(four_letter_words.answer(word, self._figures()))
            connection.close(None)
        else:
            connection.close("four-letter words are answered on loopback only")

    def want_flush(self, connection: ClientConnection) -> None:
        self._to_flush[connection.connection_id] = connection
        if not self._commit_pending:
            self._commit_pending = True
            asyncio.get_running_loop().call_soon(self._commit)

    def lost(self, connection: ClientConnection) -> None:
        self._processor.disconnected(connection.connection_id)
        self._connections.pop(connection.connection_id, None)
        self._to_flush.pop(connection.connection_id, None)

    def note(self, level: int, connection: ClientConnection, reason: str) -> None:
        self._notes += 1
        if self._notes <= NOTES_PER_TICK:
            log.log(level, "connection from %s:%d closed: %s", connection.host, connection.port, reason)

    def execute(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Log(transaction):
                    self._journal.append(transaction)
                case Send(connection_id, packet):
                    if (connection := self._connections.get(connection_id)) is not None:
                        connection.send(packet)
                case Disconnect(connection_id, reason):
                    if (connection := self._connections.get(connection_id)) is not None:
                        connection.close(reason)

    def _commit(self) -> None:
        """The end of a turn: the disk first, then the clients. After a stop or failure nothing is done any more."""
        if self._stop.is_set():
            return
        self._commit_pending = False
        try:
            self._journal.sync()
            self._journal.snapshot_if_due(self._processor.database)
        except OSError as error:
            log.error(
                "%s cannot be written (%s), so the server stops: make room there and start it again. What it "
                "acknowledged is there; the last writes of its clients it did not acknowledge.",
                self._options.data_dir, error,
            )  # fmt: skip
            self._failure = error
            self.kill()
            return
        to_flush, self._to_flush = self._to_flush, {}
        for connection in to_flush.values():
            connection.flush()

    async def _listen(self, port: int, tls: ssl.SSLContext | None) -> int:
        loop = asyncio.get_running_loop()
        try:
            host = self._options.host
            # asyncio gives `::` to IPv6 alone; two sockets could not share a port that the system chooses.
            hosts = ["0.0.0.0", "::"] if host == "::" and port else host
            listener = await loop.create_server(self._new_connection, hosts, port, ssl=tls)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AlreadyRunningError(
                    f"{self._options.host}:{port} is in use: another ZooKeeper or program listens there; "
                    "stop it or choose another --port"
                ) from error
            raise
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        return bound

    def _new_connection(self) -> ClientConnection:
        self._connection_count += 1
        return ClientConnection(self, self._connection_count)

    async def _tick(self) -> None:
        silent: dict[int, int] = {}  # connection without a session -> ticks
        while True:
            await asyncio.sleep(self._processor.database.sessions.secs_to_tick(self._now().now))
            self.execute(self._processor.expire(self._now()))
            self.want_commit()
            if self._notes > NOTES_PER_TICK:
                log.warning("%d more connections were closed since the last tick", self._notes - NOTES_PER_TICK)
            self._notes = 0
            for connection_id, connection in list(self._connections.items()):
                if self._processor.session_of(connection_id) is not None:
                    continue
                silent[connection_id] = silent.get(connection_id, 0) + 1
                if silent[connection_id] > CONNECT_TICKS:
                    connection.abort()
            silent = {known: ticks for known, ticks in silent.items() if known in self._connections}

    def want_commit(self) -> None:
        """The log may hold transactions that no reply waits for, as when a session expires."""
        if not self._commit_pending:
            self._commit_pending = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _figures(self) -> four_letter_words.ServerFigures:
        database, watches = self._processor.database, self._processor.watches
        connections = list(self._connections.values())
        return four_letter_words.ServerFigures(
            options=self._options,
            port=self.port,
            zxid=database.zxid,
            node_count=len(database.tree),
            data_size_bytes=database.tree.data_size_bytes,
            watch_count=len(watches),
            watched_path_count=watches.path_count(),
            watching_connection_count=watches.connection_count(),
            received=sum(connection.received for connection in connections),
            sent=sum(connection.sent for connection in connections),
            connections=tuple(
                four_letter_words.ConnectionFigures(
                    f"{connection.host}:{connection.port}",
                    self._processor.session_of(connection.connection_id),
                    connection.received,
                    connection.sent,
                )
                for connection in connections
            ),
            session_timeouts_ms={session.session_id: session.timeout_ms for session in database.sessions},
            ephemeral_paths=database.tree.ephemerals(),
        )


def tls_context(options: DevZooKeeperOptions) -> ssl.SSLContext:
    """Raises `ConfigError` if there is no certificate, `OSError` or `ssl.SSLError` if it cannot be read."""
    if options.tls_certificate_file is None:
        raise ConfigError("tls_port is set and tls_certificate_file is not: a TLS port needs a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_certificate_file, options.tls_key_file)
    if options.tls_ca_file is not None:
        context.load_verify_locations(options.tls_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def system_moment() -> Moment:
    return Moment(clock.SystemClock().now(), clock.wall_millis())


def make_server(options: DevZooKeeperOptions) -> Server:
    """A server with its data: restored from `options.data_dir`, or empty in memory.

    Raises `AlreadyRunningError` if another server has the directory, `DataDirectoryError` if it cannot be
    used.
    """
    first_zxid = first_zxid_at(clock.wall_millis())
    if options.data_dir is None:
        return Server(options, Database(options.tick_ms, first_zxid), MemoryJournal(), system_moment)
    rule = SnapshotRule(options.snapshot_every_transactions)
    journal, database = open_transaction_log(options.data_dir, options.tick_ms, first_zxid, rule)
    return Server(options, database, journal, system_moment)
