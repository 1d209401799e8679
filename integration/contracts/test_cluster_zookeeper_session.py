"""What a bad connection does: a proxy between client and server loses answers, stalls, or talks nonsense."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from kazoo.protocol.states import KeeperState
from state_storage_contract import WAIT_SECS, States, Waker
from tcp_proxy import TcpProxy
from zookeeper_servers import free_port

from storm.clock import SystemClock
from storm.cluster import zookeeper_session
from storm.cluster.storage import ConnectionState
from storm.cluster.zookeeper import ZooKeeperStorage, connect
from storm.cluster.zookeeper_session import ZooKeeperSession
from storm.errors import BadVersionError, CoordinationError, NodeExistsError, NoPermissionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zookeeper_servers import ZooKeeperProcess

    MakeStorage = Callable[..., ZooKeeperStorage]

LOST_ANSWERS = 100
SESSION_MS = 10_000
PING_BYTES = 12


class LostAnswers:
    """Swallows the next `left` answers, each with its connection; not the ones that open a session."""

    def __init__(self) -> None:
        self.left = 0
        self.lost = 0

    def __call__(self, chunk: bytes, before: int) -> tuple[bytes, bool]:
        if before == 0 or self.left == 0:
            return chunk, False
        self.left -= 1
        self.lost += 1
        return b"", True


@pytest.fixture
def proxy(zookeeper: ZooKeeperProcess) -> Iterator[TcpProxy]:
    with TcpProxy(("127.0.0.1", zookeeper.port)) as made:
        yield made


@pytest.fixture
def answers(proxy: TcpProxy) -> LostAnswers:
    """Set its `left`, and so many answers to the next requests are lost."""
    proxy.to_client.change = made = LostAnswers()
    return made


@pytest.fixture
def make_storage(proxy: TcpProxy) -> Iterator[MakeStorage]:
    """Makes storages whose session goes through the proxy."""
    made: list[ZooKeeperSession] = []

    def make(
        call_timeout_secs: float = 20.0, session_ms: int = SESSION_MS, stopped: Callable[[], bool] = lambda: False
    ) -> ZooKeeperStorage:
        servers = [f"127.0.0.1:{proxy.port}"]
        session = ZooKeeperSession(servers, session_ms, SystemClock(), call_timeout_secs=call_timeout_secs)
        made.append(session)
        storage = ZooKeeperStorage(session, "/storm")
        storage.open(20, stopped)
        return storage

    yield make
    for session in made:
        session.close()


def test_a_write_whose_answer_was_lost_is_made_once(answers: LostAnswers, make_storage: MakeStorage) -> None:
    storage = make_storage()
    storage.create("/leader", b"")
    for i in range(LOST_ANSWERS // 5):
        data = b"%d" % i
        answers.left = 1
        assert storage.create("/q/e", data, sequential=True) == f"/q/e{i:010d}"
        answers.left = 1
        assert storage.create("/c/n-", data, ephemeral=True, sequential=True) == f"/c/n-{i:010d}"
        answers.left = 1
        assert storage.create(f"/plain/{i}", data) == f"/plain/{i}"
        answers.left = 1
        assert storage.set(f"/plain/{i}", data + b"!", 0) == 1
        answers.left = 1
        storage.delete(f"/plain/{i}")
    assert answers.lost == LOST_ANSWERS
    assert len(storage.children("/q")) == LOST_ANSWERS // 5
    assert len(storage.children("/c")) == LOST_ANSWERS // 5
    assert storage.children("/plain") == []


@pytest.mark.timeout(60)
def test_who_is_told_to_end_waits_for_no_connection(proxy: TcpProxy, make_storage: MakeStorage) -> None:
    stopping = threading.Event()
    storage = make_storage(call_timeout_secs=600, stopped=stopping.is_set)
    lost = threading.Event()
    storage.add_listener(lambda state: lost.set() if state is not ConnectionState.CONNECTED else None)
    proxy.cut()
    assert lost.wait(WAIT_SECS)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(storage.children, "/a")
        stopping.set()
        with pytest.raises(CoordinationError, match="told to end: no read of /storm/a"):
            waiting.result()
    with pytest.raises(CoordinationError, match="told to end: no delete of /storm/a"):
        storage.delete("/a")


def test_a_repeated_write_does_not_take_anothers_work_for_its_own(
    answers: LostAnswers, make_storage: MakeStorage
) -> None:
    storage, other = make_storage(), make_storage()
    other.create("/a", b"same")
    storage.get("/a")
    answers.left = 1
    with pytest.raises(NodeExistsError):
        storage.create("/a", b"same")
    other.set("/a", b"another", 0)
    answers.left = 1
    with pytest.raises(BadVersionError):
        storage.set("/a", b"mine", 0)
    assert answers.lost == 2


def test_reads_and_ephemeral_nodes_outlive_lost_answers(answers: LostAnswers, make_storage: MakeStorage) -> None:
    storage, woken = make_storage(), Waker()
    for i in range(3):
        answers.left = 1
        storage.put_ephemeral("/top/e", b"%d" % i)
        answers.left = 1
        found = storage.get("/top/e", woken)
        assert found is not None
        assert found.data == b"%d" % i
    storage.put("/top/e", b"end")
    woken.wait()
    assert storage.children("/top") == ["e"]


def test_every_watch_is_called_after_the_connection_was_lost(proxy: TcpProxy, make_storage: MakeStorage) -> None:
    storage, states = make_storage(), States()
    wakers = [Waker() for _ in range(3)]
    storage.add_listener(states)
    storage.get("/a", wakers[0])
    storage.children("/b", wakers[1])
    storage.get("/c", wakers[2])
    proxy.reset()
    states.wait(ConnectionState.SUSPENDED, ConnectionState.CONNECTED)
    for waker in wakers:
        waker.wait()


def test_a_server_that_takes_two_seconds_for_each_answer_is_waited_for(
    proxy: TcpProxy, make_storage: MakeStorage
) -> None:
    storage, states = make_storage(), States()
    storage.put("/a", b"1")
    storage.add_listener(states)
    proxy.to_client.delay_secs = 2.0
    assert storage.get("/a") is not None
    storage.put_ephemeral("/top/e", b"1")
    quiet = proxy.to_server.passed_bytes
    until(lambda: proxy.to_server.passed_bytes >= quiet + 2 * PING_BYTES)
    assert storage.children("/top") == ["e"]
    assert states.seen == []
    proxy.to_client.delay_secs = 0.0


def test_a_link_that_is_down_for_longer_than_a_session_loses_it_before_anybody_can_say_so(
    proxy: TcpProxy, make_storage: MakeStorage
) -> None:
    storage, states, woken = make_storage(session_ms=4_000), States(), Waker()
    storage.put_ephemeral("/top/e", b"1")
    storage.get("/top/e", woken)
    storage.add_listener(states)
    proxy.stall()
    states.wait(ConnectionState.SUSPENDED, ConnectionState.LOST)
    proxy.heal()
    states.wait(ConnectionState.LOST, ConnectionState.CONNECTED)
    assert states.seen == [ConnectionState.SUSPENDED, ConnectionState.LOST, ConnectionState.CONNECTED]
    woken.wait()
    storage.put_ephemeral("/top/e", b"2")
    assert storage.children("/top") == ["e"]


def test_a_server_that_is_away_for_longer_than_a_session_is_found_again_and_has_all_that_it_had(
    zookeeper: ZooKeeperProcess, make_storage: MakeStorage
) -> None:
    storage, states, woken = make_storage(session_ms=4_000), States(), Waker()
    storage.put("/kept", b"1")
    storage.put_ephemeral("/top/e", b"1")
    storage.children("/top", woken)
    storage.add_listener(states)
    zookeeper.kill()
    states.wait(ConnectionState.SUSPENDED, ConnectionState.LOST)
    zookeeper.restart()
    states.wait(ConnectionState.LOST, ConnectionState.CONNECTED)
    woken.wait()
    storage.put_ephemeral("/top/e", b"2")
    assert storage.children("/top") == ["e"]
    assert storage.get("/kept") is not None


def test_a_connection_that_is_back_in_time_keeps_the_session(proxy: TcpProxy, make_storage: MakeStorage) -> None:
    storage, states = make_storage(session_ms=4_000), States()
    number = storage._session.number
    storage.put_ephemeral("/top/e", b"1")
    storage.add_listener(states)
    for _ in range(3):
        proxy.cut()
        states.wait(ConnectionState.SUSPENDED)
        proxy.heal()
        states.wait(ConnectionState.SUSPENDED, ConnectionState.CONNECTED)
    quiet = proxy.to_server.passed_bytes
    until(lambda: proxy.to_server.passed_bytes >= quiet + 5 * PING_BYTES)  # longer than a session
    assert ConnectionState.LOST not in states.seen
    assert storage._session.number == number
    assert storage.children("/top") == ["e"]


def test_a_call_ends_at_its_deadline_and_works_again_later(proxy: TcpProxy, make_storage: MakeStorage) -> None:
    storage = make_storage(call_timeout_secs=0.5)
    storage.put("/a", b"1")
    proxy.stall()
    with pytest.raises(
        CoordinationError, match=rf"127\.0\.0\.1:{proxy.port} did not answer.*storm\.zookeeper\.servers"
    ):
        storage.get("/a")
    proxy.heal()
    patient = make_storage()
    assert patient.get("/a") is not None


# kazoo's thread dies of it, as it does in a daemon; that the session lives on is what is tested.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(4), b"\xff" * 40, b"\0\0\0\x10" + b"\xff" * 16]
)
def test_a_server_that_talks_nonsense_is_left_and_tried_again(
    proxy: TcpProxy, make_storage: MakeStorage, nonsense: bytes
) -> None:
    storage, impatient = make_storage(), make_storage(call_timeout_secs=0.5)
    storage.put("/a", b"1")
    proxy.to_client.change = lambda chunk, before: (nonsense, False)
    with pytest.raises(CoordinationError):
        impatient.put("/a", b"2")
    proxy.to_client.change = None
    proxy.reset()
    assert storage.get("/a") is not None


def test_closing_with_a_silent_server_ends_what_waits(proxy: TcpProxy, make_storage: MakeStorage) -> None:
    storage = make_storage()
    proxy.stall()
    raised: list[str] = []
    asking = threading.Event()

    def ask() -> None:
        asking.set()
        try:
            storage.get("/a")
        except CoordinationError as e:
            raised.append(str(e))

    asker = threading.Thread(target=ask)
    asker.start()
    asking.wait()
    storage.close()
    asker.join()
    proxy.heal()
    assert "was closed" in raised[0]


def test_servers_that_do_not_answer_are_named() -> None:
    servers = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]
    with pytest.raises(CoordinationError, match=rf"{servers[0]}, {servers[1]} did not answer"):
        connect(servers, "/storm", 10_000, wait_secs=0.3)


def test_a_host_that_is_silent_does_not_hold_up_the_others(
    zookeeper: ZooKeeperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zookeeper_session, "CONNECT_TIMEOUT_SECS", 0.1)
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # more than it lets in: who comes now gets no answer
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(silent.getsockname())
        for _ in range(3):  # whom kazoo asks first is random
            connect(
                [f"127.0.0.1:{silent.getsockname()[1]}"] * 3 + [zookeeper.hosts], "/", 600_000, wait_secs=20
            ).close()


def test_a_host_without_an_address_is_named() -> None:
    with pytest.raises(CoordinationError, match="no-such-host"):
        connect(["no-such-host.invalid:2181"], "/storm", 10_000, wait_secs=0.3)


def test_waiting_for_the_first_connection_stops_when_told() -> None:
    with pytest.raises(CoordinationError, match="did not answer"):
        connect([f"127.0.0.1:{free_port()}"], "/storm", 10_000, stopped=lambda: True)


def test_who_was_refused_is_told_so_whenever_he_calls(zookeeper: ZooKeeperProcess) -> None:
    """Also after kazoo's thread has ended, whose state is then as after any other end."""
    refused = ("nonsense", "x:y")
    session = ZooKeeperSession([zookeeper.hosts], SESSION_MS, SystemClock(), auth=refused, call_timeout_secs=WAIT_SECS)
    try:
        with contextlib.suppress(NoPermissionError):
            session.open(WAIT_SECS, lambda: False)  # it may be connected for a moment
        until(lambda: session.client.client_state == KeeperState.CLOSED)
        for _ in range(2):
            with pytest.raises(NoPermissionError, match="does not accept the nonsense user 'x'"):
                session.call("read", "/", lambda call: None)
    finally:
        session.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECS
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)
