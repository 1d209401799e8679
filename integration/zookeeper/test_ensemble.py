"""An ensemble of three Apache servers that loses one, or whose leader is paused: sessions go on, nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from state_storage_contract import Waker
from zookeeper_servers import Ensemble, apache_missing, four_letter_word, start_ensemble

from storm.cluster.zookeeper import connect
from storm.errors import CoordinationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zookeeper_servers import ZooKeeperProcess

    from storm.cluster.zookeeper import ZooKeeperStorage

pytestmark = [pytest.mark.apache_zookeeper, pytest.mark.timeout(240)]
SESSION_MS = 10_000
TRIES = 3  # of a call that ended at its deadline
WRITES = 20


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    if (reason := apache_missing()) is not None:
        pytest.skip(f"Apache ZooKeeper: {reason}")
    started = start_ensemble(tmp_path_factory.mktemp("ensemble"))
    yield started
    started.stop()


class Client:
    """A session that is served by the server that is about to fail, with an ephemeral node and a watch."""

    def __init__(self, ensemble: Ensemble, root: str, victim: ZooKeeperProcess) -> None:
        self.storage = session_at(ensemble, root, victim)
        self.number = self.storage._session.number
        self.storage.put_ephemeral("/here", b"1")
        self.woken = Waker()
        self.storage.get("/here", self.woken)
        self.written: list[str] = []

    def write(self) -> None:
        """Twenty sequential nodes; each call is made up to three times, as daemons do."""
        for i in range(WRITES):
            data = b"%d" % (len(self.written) + i)
            for tries in range(1, TRIES + 1):
                try:
                    self.storage.create("/q/e", data, sequential=True)
                    break
                except CoordinationError:
                    assert tries < TRIES
        self.written = self.storage.children("/q")

    def check(self, ensemble: Ensemble) -> None:
        """All is there, in the same session, seen from every server."""
        self.woken.wait()
        assert self.storage._session.number == self.number
        for server in ensemble.servers:
            other = connect([server.hosts], self.storage._root, SESSION_MS, wait_secs=20)
            try:
                other.create("/look", b"", sequential=True)  # so that this server has caught up
                assert other.children("/q") == self.written
                assert other.get("/here") is not None
            finally:
                other.close()


def session_at(ensemble: Ensemble, root: str, server: ZooKeeperProcess) -> ZooKeeperStorage:
    """kazoo chooses among the servers at random: sessions until one is served by this one."""
    for _ in range(50):
        storage = connect(ensemble.hosts, root, SESSION_MS, wait_secs=20)
        if b"sid=0x%x," % storage._session.number in four_letter_word(server.port, b"cons"):
            return storage
        storage.close()
    raise AssertionError(f"no session came to {server.hosts}")


@pytest.mark.parametrize("mode", ["leader", "follower"])
def test_a_server_that_is_killed_is_not_missed(ensemble: Ensemble, mode: str) -> None:
    victim = next(server for server in ensemble.servers if server.mode == mode)
    client = Client(ensemble, f"/{mode}-killed", victim)
    client.write()
    victim.kill()
    client.write()
    victim.restart()
    client.write()
    assert len(client.written) == 3 * WRITES
    client.check(ensemble)
    client.storage.close()


def test_a_leader_that_is_paused_is_replaced_and_comes_back(ensemble: Ensemble) -> None:
    victim = ensemble.leader()
    client = Client(ensemble, "/leader-paused", victim)
    client.write()
    victim.pause()
    try:
        client.write()
        assert ensemble.leader() is not victim
    finally:
        victim.resume()
    client.write()
    victim.wait_serving()
    # A call that ended at its deadline may have been carried out, and was made again.
    assert len(client.written) >= 3 * WRITES
    client.check(ensemble)
    client.storage.close()
