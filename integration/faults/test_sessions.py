"""A session that a proxy saw is ended from outside, whichever server it is with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from kazoo.client import KazooClient, KazooState
from sessions import CONNECTIONS_KEPT, FirstAnswer, NoSessionError, close_session, ending_after, owner_of
from tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from zookeeper_servers import ZooKeeperProcess

WAIT_SECS = 30.0


def test_a_session_ends_for_its_owner(zookeeper: ZooKeeperProcess) -> None:
    answer, server = FirstAnswer(), ("127.0.0.1", zookeeper.port)
    with TcpProxy(server) as proxy:
        proxy.to_client.change = answer
        client = KazooClient(f"127.0.0.1:{proxy.port}", timeout=30.0)
        lost = threading.Event()
        client.add_listener(lambda state: lost.set() if state == KazooState.LOST else None)
        client.start(WAIT_SECS)
        try:
            client.create("/mine", ephemeral=True)
            close_session(answer, server)
            assert lost.wait(WAIT_SECS)
            assert client.retry(client.exists, "/mine") is None
        finally:
            client.stop()
            client.close()


def test_where_no_session_was_seen_that_is_said() -> None:
    with pytest.raises(NoSessionError, match="no session was seen"):
        close_session(FirstAnswer(), ("127.0.0.1", 1))


def test_the_newest_session_that_lives_is_ended(zookeeper: ZooKeeperProcess) -> None:
    answer, server = FirstAnswer(), ("127.0.0.1", zookeeper.port)
    with TcpProxy(server) as proxy:
        proxy.to_client.change = answer
        older, newer = (KazooClient(f"127.0.0.1:{proxy.port}", timeout=30.0) for _ in range(2))
        lost = threading.Event()
        older.add_listener(lambda state: lost.set() if state == KazooState.LOST else None)
        try:
            older.start(WAIT_SECS)
            newer.start(WAIT_SECS)
            newer.stop()
            close_session(answer, server)
            assert lost.wait(WAIT_SECS)
        finally:
            for client in (older, newer):
                client.stop()
                client.close()


@pytest.mark.parametrize("chosen", ["only", "others_than"])
def test_the_session_that_made_a_node_is_ended_or_spared(zookeeper: ZooKeeperProcess, chosen: str) -> None:
    answer, server = FirstAnswer(), ("127.0.0.1", zookeeper.port)
    with TcpProxy(server) as proxy:
        proxy.to_client.change = answer
        older, newer = (KazooClient(f"127.0.0.1:{proxy.port}", timeout=30.0) for _ in range(2))
        try:
            for client, name in ((older, "/older"), (newer, "/newer")):
                client.start(WAIT_SECS)
                client.create(name, ephemeral=True)
            if chosen == "only":
                close_session(answer, server, only=owner_of(server, "/older"))
            else:
                close_session(answer, server, others_than=[owner_of(server, "/newer")])
            assert owner_of(server, "/older") == 0
            assert owner_of(server, "/newer") == newer.client_id[0]
        finally:
            for client in (older, newer):
                client.stop()
                client.close()


def test_what_each_connection_began_with_is_kept_the_newest_last() -> None:
    answer = FirstAnswer()
    assert answer(b"a" * 30, 0) == (b"a" * 30, False)
    answer(b"b" * 100, 0)
    answer(b"a" * 30, 30)
    assert answer.contents == [b"a" * 30, b"b" * 40]
    for _ in range(CONNECTIONS_KEPT + 1):
        answer(b"c", 0)
    assert answer.contents == [b"c"] * CONNECTIONS_KEPT


def test_a_connection_ends_after_so_many_bytes() -> None:
    change = ending_after(10)
    assert change(b"12345", 0) == (b"12345", False)
    assert change(b"67890x", 5) == (b"67890", True)
