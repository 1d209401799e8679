from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from kazoo.client import KazooClient
from leader_election_contract import LeaderElectionContract
from state_storage_contract import States, StateStorageContract, Waker
from zookeeper_servers import apache_missing, start_apache, start_embedded

from storm.cluster.storage import ConnectionState
from storm.cluster.zookeeper import ZooKeeperStorage, connect
from storm.errors import CoordinationError

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


def test_what_another_user_owns_is_refused_with_advice(server: ZooKeeperProcess) -> None:
    root = f"/owned-{next(numbers)}"
    owner = connect([server.hosts], root, 10_000, auth=("digest", "storm:secret"), wait_secs=20)
    owner.put("/a", b"secret")
    stranger = connect([server.hosts], "/", 10_000, wait_secs=20)
    with pytest.raises(CoordinationError, match=r"no permission.*storm\.zookeeper\.auth"):
        stranger.get(f"{root}/a")
    owner.close()
    stranger.close()
