"""The server in a thread of this process, and its limits."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import click
import pytest
from embedded_zookeeper import EmbeddedServer
from kazoo.client import KazooClient
from kazoo.protocol import serialization as wire
from kazoo.security import OPEN_ACL_UNSAFE
from zookeeper_raw_client import RawClient

from storm.cli.dev import dev
from storm.dev_zookeeper.connection import ClientConnection
from storm.dev_zookeeper.database import Database
from storm.dev_zookeeper.options import DevZooKeeperOptions
from storm.dev_zookeeper.server import (
    NOTES_PER_TICK,
    MemoryJournal,
    Server,
    make_server,
    system_moment,
    tls_context,
)
from storm.errors import AlreadyRunningError, ConfigError, DataDirectoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    made = EmbeddedServer(DevZooKeeperOptions(port=0, data_dir=tmp_path / "data", connections_per_address_max=5))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients count as those of another machine: there is no address here that is sure to be none of loopback."""
    monkeypatch.setattr(ClientConnection, "loopback", False)


def connected(server: EmbeddedServer) -> contextlib.closing[RawClient]:
    return contextlib.closing(RawClient(server.port).connect())


@pytest.mark.parametrize("end", [EmbeddedServer.stop, EmbeddedServer.kill])
def test_it_starts_again_on_the_same_port_with_the_same_data(server: EmbeddedServer, end: object) -> None:
    client = KazooClient(server.hosts)
    client.start()
    client.create("/a", b"x")
    port = server.port

    end(server)  # type: ignore[operator]
    server.start()

    assert server.port == port
    assert client.retry(client.get, "/a")[0] == b"x"
    client.stop()
    client.close()


def test_a_volatile_server_starts_empty_and_above_the_zxids_it_has_shown() -> None:
    server = EmbeddedServer(DevZooKeeperOptions(port=0))
    server.start()
    with connected(server) as client:
        client.call(wire.Create("/a", b"", OPEN_ACL_UNSAFE, 0))
        seen = client.last_zxid
    server.stop()
    server.stop()
    server.start()

    with contextlib.closing(RawClient(server.port)) as client:
        client.connect(seen=seen)
        assert client.call(wire.Exists("/a", None)).error == -101
    server.stop()


def test_what_cannot_start_says_why(server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(AlreadyRunningError, match="is in use"):
        EmbeddedServer(DevZooKeeperOptions(port=server.port)).start()
    (tmp_path / "apache" / "version-2").mkdir(parents=True)
    with pytest.raises(DataDirectoryError, match="Apache"):
        EmbeddedServer(DevZooKeeperOptions(port=0, data_dir=tmp_path / "apache")).start()


def test_faults_can_be_made_on_purpose(server: EmbeddedServer) -> None:
    with connected(server) as client, connected(server) as observer:
        client.call(wire.Create("/e", b"", OPEN_ACL_UNSAFE, 1))
        server.end_session(client.session_id)
        assert client.closed_by_server()
        assert observer.call(wire.Exists("/e", None)).error == -101

        session_id = observer.session_id
        server.drop_connections()
        assert observer.closed_by_server()
        observer.reconnect()
        assert observer.connect().session_id == session_id


@pytest.mark.usefixtures("remote")
def test_connections_from_one_address_are_limited(server: EmbeddedServer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connected(server))
        assert stack.enter_context(contextlib.closing(RawClient(server.port))).closed_by_server()


@pytest.mark.usefixtures("remote")
def test_who_has_no_session_makes_room_for_who_comes(server: EmbeddedServer) -> None:
    with contextlib.ExitStack() as stack:
        good = [stack.enter_context(connected(server)) for _ in range(3)]
        silent = [stack.enter_context(contextlib.closing(RawClient(server.port))) for _ in range(20)]
        good.append(stack.enter_context(connected(server)))
        assert [client.call(wire.Exists("/", None)).error for client in good] == [0] * 4
        assert all(client.closed_by_server() for client in silent[:-2])


def test_connections_from_loopback_are_limited_together_only(server: EmbeddedServer) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(8)]
        assert [client.call(wire.Exists("/", None)).error for client in clients] == [0] * 8


def test_there_is_room_for_all_workers_of_storm_dev() -> None:
    most = {option.name: option.type.max for option in dev.params if isinstance(option.type, click.IntRange)}
    workers, daemons = most["supervisors"] * most["slots"], most["supervisors"] + 2
    assert DevZooKeeperOptions().connections_max > workers + daemons


def test_all_connections_together_are_limited(tmp_path: Path) -> None:
    server = EmbeddedServer(DevZooKeeperOptions(port=0, connections_max=4))
    server.start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(4)]
        assert stack.enter_context(contextlib.closing(RawClient(server.port))).closed_by_server()
        clients[0].close()
        RawClient(server.port).connect().close()
    server.stop()


@pytest.mark.usefixtures("remote")
def test_a_crowd_that_is_closed_does_not_fill_the_log(server: EmbeddedServer, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.ExitStack() as stack, caplog.at_level("INFO"):
        for _ in range(100):
            stack.enter_context(contextlib.closing(RawClient(server.port)))
        with connected(server) as good:
            assert good.call(wire.Exists("/", None)).error == 0
    assert 0 < len(caplog.records) <= NOTES_PER_TICK


def test_a_tls_port_needs_a_certificate() -> None:
    with pytest.raises(ConfigError, match="needs a certificate"):
        tls_context(DevZooKeeperOptions(tls_port=0))


class FullDisk(MemoryJournal):
    """Refuses to sync, in a moment in which another client's request arrives."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.syncs = 0

    def sync(self) -> None:
        self.syncs += 1
        assert self.server is not None
        self.server.want_commit()
        raise OSError("no space left")


def test_after_the_disk_refused_nothing_more_is_written_and_so_nothing_acknowledged() -> None:
    journal = FullDisk()

    async def serve() -> None:
        options = DevZooKeeperOptions(port=0)
        server = journal.server = Server(options, Database(options.tick_ms, 1), journal, system_moment)
        await server.serve(server.want_commit)

    with pytest.raises(OSError, match="no space left"):
        asyncio.run(serve())
    assert journal.syncs == 1


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_a_request_in_the_turn_of_the_end_finds_no_closed_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: Callable[[Server], None]
) -> None:
    async def serve() -> None:
        server = make_server(DevZooKeeperOptions(port=0, data_dir=tmp_path / "data"))

        def end_and_take() -> None:
            end(server)
            server.want_commit()

        await server.serve(end_and_take)
        await asyncio.sleep(0)

    asyncio.run(serve())
    assert "Exception in callback" not in caplog.text
