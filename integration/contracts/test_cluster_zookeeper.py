from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl
from leader_election_contract import LeaderElectionContract
from state_storage_contract import States, StateStorageContract, Waker
from zookeeper_servers import apache_missing, start_apache, start_embedded

from storm.cluster.storage import ConnectionState
from storm.cluster.zookeeper import ZooKeeperStorage, connect, connect_by_settings
from storm.config.settings import Settings
from storm.errors import NoPermissionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zookeeper_servers import ZooKeeperProcess

    from storm.cluster.storage import StateStorage

    Connect = Callable[[], ZooKeeperStorage]

numbers = itertools.count()


@pytest.fixture(scope="module", params=["embedded", pytest.param("apache", marks=pytest.mark.apache_zookeeper)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperProcess]:
    """One server for the module: each test has a root of its own."""
    directory: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "apache" and (reason := apache_missing()) is not None:
        pytest.skip(f"Apache ZooKeeper: {reason}")
    started = (start_apache if request.param == "apache" else start_embedded)(directory)
    yield started
    started.stop()


@pytest.fixture
def connect_here(server: ZooKeeperProcess, request: pytest.FixtureRequest) -> Iterator[Connect]:
    root = f"/test-{next(numbers)}/storm"
    made: list[ZooKeeperStorage] = []

    def make() -> ZooKeeperStorage:
        made.append(connect([server.hosts], root, 10_000, wait_secs=20))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


class OnZooKeeper:
    @pytest.fixture
    def connect(self, connect_here: Connect) -> Connect:
        return connect_here

    @pytest.fixture
    def expire(self, server: ZooKeeperProcess) -> Callable[[StateStorage], None]:
        def end(storage: StateStorage) -> None:
            assert isinstance(storage, ZooKeeperStorage)
            # Whoever knows a session's number and password can take it over, and close it.
            twin = KazooClient(server.hosts, client_id=storage._client.client_id)
            twin.start()
            twin.stop()
            twin.close()

        return end


class TestZooKeeperStorage(OnZooKeeper, StateStorageContract):
    pass


class TestLeaderElection(OnZooKeeper, LeaderElectionContract):
    pass


def test_a_restart_of_the_server_is_sat_out(server: ZooKeeperProcess, connect_here: Connect) -> None:
    storage, states, woken = connect_here(), States(), Waker()
    storage.add_listener(states)
    storage.put_ephemeral("/top/a", b"1")
    storage.get("/top/a", woken)
    server.stop()
    states.wait(ConnectionState.SUSPENDED)
    server.restart()
    # A server that is about to serve may hold a connection for as long as a session: more than a call waits.
    states.wait(ConnectionState.CONNECTED)
    assert storage.children("/top") == ["a"]
    woken.wait()


def test_a_root_of_all_is_possible(server: ZooKeeperProcess) -> None:
    storage = connect([server.hosts], "/", 10_000, wait_secs=20)
    path = storage.create("/some/e", b"", sequential=True)
    assert path.startswith("/some/e0")
    assert storage.children("/some") == [path.removeprefix("/some/")]
    storage.delete("/some", recursive=True)
    storage.close()


@pytest.fixture
def locked(server: ZooKeeperProcess) -> Iterator[str]:
    """A root that storm:secret owns, and everybody may read; /a/b is in it, and nobody else may see /hidden."""
    root = f"/owned-{next(numbers)}"
    client = KazooClient(server.hosts, auth_data=[("digest", "storm:secret")])
    client.start(20)
    owner, readers = make_acl("auth", "", all=True), make_acl("world", "anyone", read=True)
    for path in (root, f"{root}/a", f"{root}/a/b"):
        client.create(path, b"", acl=[owner, readers])
    client.create(f"{root}/hidden", b"", acl=[owner])
    yield root
    client.stop()
    client.close()


ASKED = {
    "read {}/hidden": lambda storage: storage.get("/hidden"),
    "read {}/hidden ": lambda storage: storage.children("/hidden"),
    "create {}/new": lambda storage: storage.create("/new", b""),
    "create {}/new ": lambda storage: storage.put("/new", b""),
    "create {}/a/n-": lambda storage: storage.create("/a/n-", b"", ephemeral=True, sequential=True),
    "create {}/new  ": lambda storage: storage.put_ephemeral("/new", b""),
    "write {}/a": lambda storage: storage.set("/a", b"", 0),
    "write {}/a/b": lambda storage: storage.put_ephemeral("/a/b", b""),
    "delete {}/a/b": lambda storage: storage.delete("/a/b"),
    "write {}/a ": lambda storage: storage.fenced("/a/b").put("/a", b""),
    "read {}/hidden  ": lambda storage: storage.fenced("/hidden").put("/a", b""),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("auth", [None, ("digest", "guest:word")], ids=["nobody", "guest"])
def test_what_another_user_owns_is_refused_with_the_node_who_asked_and_what_to_do(
    server: ZooKeeperProcess, locked: str, auth: tuple[str, str] | None, what: str
) -> None:
    storage = connect([server.hosts], locked, 10_000, auth=auth, wait_secs=20)
    try:
        with pytest.raises(NoPermissionError) as refused:
            ASKED[what](storage)
        who = "a client without credentials" if auth is None else "the digest user 'guest'"
        assert str(refused.value) == (
            f"ZooKeeper at {server.hosts} gives {who} no permission to {what.strip().format(locked)}:"
            " check storm.zookeeper.auth.scheme and storm.zookeeper.auth.payload,"
            " and the ACLs of this node and of the one above it."
        )
        assert storage.children("/a") == ["b"]
    finally:
        storage.close()


def test_a_root_that_is_there_need_not_be_created(server: ZooKeeperProcess, locked: str) -> None:
    """ZooKeeper asks for permission to create before it looks whether it is there."""
    storage = connect([server.hosts], f"{locked}/a/b", 10_000, wait_secs=20)
    assert storage.get("/none") is None
    storage.close()
    with pytest.raises(NoPermissionError, match=f"no permission to create {locked}/a/c:"):
        connect([server.hosts], f"{locked}/a/c", 10_000, wait_secs=20)


def test_who_is_not_accepted_is_told_so(server: ZooKeeperProcess) -> None:
    user = {"storm.zookeeper.auth.scheme": "nonsense", "storm.zookeeper.auth.payload": "x:y"}
    settings = Settings.of({"storm.zookeeper.servers": [server.hosts], **user})
    with pytest.raises(NoPermissionError) as refused:
        connect_by_settings(settings, wait_secs=20)
    assert str(refused.value) == (
        f"ZooKeeper at {server.hosts} does not accept the nonsense user 'x':"
        " check storm.zookeeper.auth.scheme and storm.zookeeper.auth.payload."
    )
