"""What clients rely on, checked on this project's server and on Apache's."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NoNodeError, RolledBackError
from kazoo.protocol import serialization as wire
from kazoo.security import OPEN_ACL_UNSAFE, make_digest_acl
from zookeeper_raw_client import Event, RawClient
from zookeeper_servers import apache_missing, start_apache, start_embedded

if TYPE_CHECKING:
    from zookeeper_servers import ZooKeeperProcess

NewClient = Callable[[], RawClient]

TICK_MS = 200
WAIT_SECS = 20.0


@pytest.fixture(scope="module", params=["embedded", pytest.param("apache", marks=pytest.mark.apache_zookeeper)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperProcess]:
    """One server for the module, with short ticks: sessions expire within a second."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "apache" and (reason := apache_missing()) is not None:
        pytest.skip(f"Apache ZooKeeper: {reason}")
    start = start_apache if request.param == "apache" else start_embedded
    process = start(directory, tick_ms=TICK_MS)
    yield process
    process.stop()


@pytest.fixture
def new_client(server: ZooKeeperProcess) -> Iterator[NewClient]:
    with contextlib.ExitStack() as clients:
        yield lambda: clients.enter_context(contextlib.closing(RawClient(server.port)))


@pytest.fixture
def root(new_client: NewClient, request: pytest.FixtureRequest) -> str:
    """A node of the test's own."""
    client = new_client().connect()
    path = f"/{abs(hash(request.node.name))}"
    assert client.call(create(path)).error == 0
    client.call(wire.CloseInstance)
    return path


def create(path: str, flags: int = 0, data: bytes = b"") -> wire.Create:
    return wire.Create(path, data, OPEN_ACL_UNSAFE, flags)


def watch(_: object) -> None:
    """Any callable asks for a watch."""


def test_replies_come_in_the_order_of_the_requests(new_client: NewClient, root: str) -> None:
    client = new_client().connect()
    sent = [client.send(create(f"{root}/{index}")) for index in range(300)]
    replies = [client.read_reply() for _ in sent]

    assert [reply.xid for reply in replies] == sent
    zxids = [reply.zxid for reply in replies]
    assert zxids == sorted(set(zxids))


def test_a_writer_sees_its_own_event_before_its_reply(new_client: NewClient, root: str) -> None:
    client = new_client().connect()
    client.call(wire.GetChildren(root, watch))
    client.call(wire.Exists(f"{root}/a", watch))

    client.call(create(f"{root}/a"))

    assert client.events == [Event(1, f"{root}/a"), Event(4, root)]


def test_an_event_comes_before_any_reply_that_shows_the_change(new_client: NewClient, root: str) -> None:
    watcher, writer = new_client().connect(), new_client().connect()
    watcher.call(wire.GetData(root, watch))
    writer.call(wire.SetData(root, b"new", -1))

    deadline = time.monotonic() + WAIT_SECS
    while b"new" not in watcher.call(wire.GetData(root, None)).body:
        assert time.monotonic() < deadline
    assert watcher.events == [Event(3, root)]


def test_a_deletion_is_told_once_per_client(new_client: NewClient, root: str) -> None:
    client = new_client().connect()
    client.call(create(f"{root}/a"))
    client.call(wire.GetData(f"{root}/a", watch))
    client.call(wire.GetChildren(f"{root}/a", watch))
    client.call(wire.GetChildren(root, watch))

    client.call(wire.Delete(f"{root}/a", -1))

    assert client.events == [Event(2, f"{root}/a"), Event(4, root)]


def test_a_watch_fires_once(new_client: NewClient, root: str) -> None:
    client = new_client().connect()
    client.call(wire.GetData(root, watch))
    for _ in range(3):
        client.call(wire.SetData(root, b"", -1))

    assert client.take_events() == [Event(3, root)]


def test_a_session_outlives_its_connection(new_client: NewClient, root: str) -> None:
    client = new_client().connect()
    client.call(create(f"{root}/e", flags=1))
    session_id = client.session_id
    client.reconnect()
    client.connect(seen=client.last_zxid)

    assert client.session_id == session_id
    assert client.call(wire.Exists(f"{root}/e", None)).error == 0


def test_a_wrong_password_is_answered_as_an_expired_session(new_client: NewClient) -> None:
    client = new_client().connect()
    client.reconnect()
    client.password = b"wrong-password!!"
    client.connect()

    assert client.timeout_ms <= 0


def test_an_unknown_session_is_expired(new_client: NewClient) -> None:
    client = new_client()
    client.session_id = 0x7777
    client.connect()

    assert client.timeout_ms <= 0


def test_a_silent_session_expires_and_its_ephemerals_are_gone_at_once(new_client: NewClient, root: str) -> None:
    silent, observer = new_client().connect(timeout_ms=0), new_client().connect()
    assert silent.timeout_ms == 2 * TICK_MS
    for index in range(3):
        silent.call(create(f"{root}/e{index}", flags=1))
    observer.call(wire.Exists(f"{root}/e1", watch))

    assert silent.closed_by_server()
    deadline = time.monotonic() + WAIT_SECS
    while not observer.take_events():
        assert time.monotonic() < deadline
    assert [observer.call(wire.Exists(f"{root}/e{index}", None)).error for index in range(3)] == [-101] * 3
    silent.reconnect()
    silent.connect()
    assert silent.timeout_ms <= 0


def test_a_timeout_is_at_most_20_ticks(new_client: NewClient) -> None:
    assert new_client().connect(timeout_ms=10_000_000).timeout_ms == 20 * TICK_MS


def test_a_closed_session_takes_its_ephemerals_along(new_client: NewClient, root: str) -> None:
    client, other = new_client().connect(), new_client().connect()
    client.call(create(f"{root}/e", flags=1))

    assert client.call(wire.CloseInstance).error == 0
    assert client.closed_by_server()
    assert other.call(wire.Exists(f"{root}/e", None)).error == -101


def test_a_client_that_has_seen_the_future_is_turned_away(new_client: NewClient) -> None:
    with pytest.raises(ConnectionError):
        new_client().connect(seen=2**63 - 1)


@pytest.mark.parametrize("length", [-1, 1_048_576, 2**31 - 1])
def test_a_packet_with_an_impossible_length_ends_the_connection(new_client: NewClient, length: int) -> None:
    client = new_client().connect()
    client.send_bytes(length.to_bytes(4, signed=True))

    assert client.closed_by_server()


def test_sequence_numbers_do_not_come_back(new_client: NewClient, root: str) -> None:
    client = new_client().connect()
    names = []
    for _ in range(3):
        reply = client.call(create(f"{root}/s-", flags=2))
        path = wire.read_string(reply.body, 0)[0]
        names.append(path.rpartition("-")[2])
        client.call(wire.Delete(path, -1))

    assert names == ["0000000000", "0000000001", "0000000002"]


@pytest.fixture
def kazoo(server: ZooKeeperProcess, root: str) -> Iterator[KazooClient]:
    client = KazooClient(server.hosts + root, timeout=2.0)
    client.start()
    yield client
    client.stop()
    client.close()


def test_a_transaction_is_all_or_nothing(kazoo: KazooClient) -> None:
    kazoo.create("/there")
    failing = kazoo.transaction()
    failing.create("/new")
    failing.check("/there", 5)
    failing.delete("/there")
    results = failing.commit()

    assert [type(result).__name__ for result in results] == [
        RolledBackError.__name__, "BadVersionError", "RuntimeInconsistency",
    ]  # fmt: skip
    assert kazoo.get_children("/") == ["there"]

    good = kazoo.transaction()
    good.create("/new", b"1")
    good.set_data("/new", b"2", version=0)
    good.delete("/there")
    good.commit()
    assert (kazoo.get_children("/"), kazoo.get("/new")[0]) == (["new"], b"2")


def test_acls(server: ZooKeeperProcess, root: str, kazoo: KazooClient) -> None:
    kazoo.create("/secret", b"x", acl=[make_digest_acl("alice", "pw", all=True)])
    with pytest.raises(NoAuthError):
        kazoo.get("/secret")

    alice = KazooClient(server.hosts + root, auth_data=[("digest", "alice:pw")])
    alice.start()
    assert alice.get("/secret")[0] == b"x"
    acls, stat = alice.get_acls("/secret")
    alice.set_acls("/secret", acls, version=stat.aversion)
    alice.stop()
    alice.close()


def test_recipes_of_kazoo(kazoo: KazooClient) -> None:
    changes: list[list[str]] = []
    seen = threading.Event()

    @kazoo.ChildrenWatch("/")
    def on_children(children: list[str]) -> None:
        changes.append(sorted(children))
        if "lock" in children:
            seen.set()

    with kazoo.Lock("/lock", "me"):
        assert kazoo.Lock("/lock").contenders() == ["me"]
    counter = kazoo.Counter("/counter")
    counter += 3
    assert counter.value == 3
    assert seen.wait(WAIT_SECS)
    assert changes[0] == []


def test_errors_are_those_of_apache(kazoo: KazooClient) -> None:
    with pytest.raises(NoNodeError):
        kazoo.get("/missing")
    assert kazoo.exists("/missing") is None
    assert kazoo.server_version()[:2] == (3, 8)
