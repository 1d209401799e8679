"""What a bad connection does: a proxy between client and server loses answers, stalls, or talks nonsense."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from state_storage_contract import States, Waker
from zookeeper_servers import free_port

from storm.clock import SystemClock
from storm.cluster.storage import ConnectionState
from storm.cluster.zookeeper import ZooKeeperStorage, connect
from storm.cluster.zookeeper_session import ZooKeeperSession
from storm.errors import BadVersionError, CoordinationError, NodeExistsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zookeeper_servers import ZooKeeperProcess

    MakeStorage = Callable[..., ZooKeeperStorage]

LOST_ANSWERS = 30


class Proxy:
    """Passes bytes to the server at `target`.

    `answers_to_lose`: so many answers (not the one that opens a session) are swallowed, each with its connection.
    `stalled`: nothing passes in either direction, and nothing is closed. `nonsense`: sent in place of an answer.
    """

    def __init__(self, target: int) -> None:
        self.answers_to_lose = 0
        self.lost = 0
        self.stalled = threading.Event()
        self.nonsense: bytes | None = None
        self._target = target
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listener]
        self._spawn(self._accept)

    def close(self) -> None:
        self._ended.set()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Drop every connection; new ones are taken until `close`."""
        for each in self._sockets if self._ended.is_set() else self._sockets[1:]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            if self._ended.is_set():
                each.close()

    def _spawn(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            self._spawn(self._pass, client, server, False)
            self._spawn(self._pass, server, client, True)

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        opened = False
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.stalled.is_set() and not self._ended.wait(0.01):
                    pass
                if answers and self.nonsense is not None:
                    data = self.nonsense
                elif answers and opened and self.answers_to_lose:
                    self.answers_to_lose -= 1
                    self.lost += 1
                    break
                opened = True
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(zookeeper: ZooKeeperProcess) -> Iterator[Proxy]:
    made = Proxy(zookeeper.port)
    yield made
    made.close()


@pytest.fixture
def make_storage(proxy: Proxy) -> Iterator[MakeStorage]:
    """Makes storages whose session goes through the proxy."""
    made: list[ZooKeeperSession] = []

    def make(call_timeout_secs: float = 20.0) -> ZooKeeperStorage:
        servers = [f"127.0.0.1:{proxy.port}"]
        session = ZooKeeperSession(servers, 10_000, SystemClock(), call_timeout_secs=call_timeout_secs)
        made.append(session)
        session.open(20, lambda: False)
        return ZooKeeperStorage(session, "/storm")

    yield make
    for session in made:
        session.close()


def test_a_write_whose_answer_was_lost_is_made_once(proxy: Proxy, make_storage: MakeStorage) -> None:
    storage = make_storage()
    storage.create("/leader", b"")
    for i in range(LOST_ANSWERS // 5):
        data = b"%d" % i
        proxy.answers_to_lose = 1
        assert storage.create("/q/e", data, sequential=True) == f"/q/e{i:010d}"
        proxy.answers_to_lose = 1
        assert storage.create("/c/n-", data, ephemeral=True, sequential=True) == f"/c/n-{i:010d}"
        proxy.answers_to_lose = 1
        assert storage.create(f"/plain/{i}", data) == f"/plain/{i}"
        proxy.answers_to_lose = 1
        assert storage.set(f"/plain/{i}", data + b"!", 0) == 1
        proxy.answers_to_lose = 1
        storage.delete(f"/plain/{i}")
    assert proxy.lost == LOST_ANSWERS
    assert len(storage.children("/q")) == LOST_ANSWERS // 5
    assert len(storage.children("/c")) == LOST_ANSWERS // 5
    assert storage.children("/plain") == []


def test_a_repeated_write_does_not_take_anothers_work_for_its_own(proxy: Proxy, make_storage: MakeStorage) -> None:
    storage, other = make_storage(), make_storage()
    other.create("/a", b"same")
    storage.get("/a")
    proxy.answers_to_lose = 1
    with pytest.raises(NodeExistsError):
        storage.create("/a", b"same")
    other.set("/a", b"another", 0)
    proxy.answers_to_lose = 1
    with pytest.raises(BadVersionError):
        storage.set("/a", b"mine", 0)
    assert proxy.lost == 2


def test_reads_and_ephemeral_nodes_outlive_lost_answers(proxy: Proxy, make_storage: MakeStorage) -> None:
    storage, woken = make_storage(), Waker()
    for i in range(3):
        proxy.answers_to_lose = 1
        storage.put_ephemeral("/top/e", b"%d" % i)
        proxy.answers_to_lose = 1
        found = storage.get("/top/e", woken)
        assert found is not None
        assert found.data == b"%d" % i
    storage.put("/top/e", b"end")
    woken.wait()
    assert storage.children("/top") == ["e"]


def test_every_watch_is_called_after_the_connection_was_lost(proxy: Proxy, make_storage: MakeStorage) -> None:
    storage, states = make_storage(), States()
    wakers = [Waker() for _ in range(3)]
    storage.add_listener(states)
    storage.get("/a", wakers[0])
    storage.children("/b", wakers[1])
    storage.get("/c", wakers[2])
    proxy.cut()
    states.wait(ConnectionState.SUSPENDED, ConnectionState.CONNECTED)
    for waker in wakers:
        waker.wait()


def test_a_call_ends_at_its_deadline_and_works_again_later(proxy: Proxy, make_storage: MakeStorage) -> None:
    storage = make_storage(call_timeout_secs=0.5)
    storage.put("/a", b"1")
    proxy.stalled.set()
    with pytest.raises(
        CoordinationError, match=rf"127\.0\.0\.1:{proxy.port} did not answer.*storm\.zookeeper\.servers"
    ):
        storage.get("/a")
    proxy.stalled.clear()
    patient = make_storage()
    assert patient.get("/a") is not None


# kazoo's thread dies of it, as it does in a daemon; that the session lives on is what is tested.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(4), b"\xff" * 40, b"\0\0\0\x10" + b"\xff" * 16]
)
def test_a_server_that_talks_nonsense_is_left_and_tried_again(
    proxy: Proxy, make_storage: MakeStorage, nonsense: bytes
) -> None:
    storage, impatient = make_storage(), make_storage(call_timeout_secs=0.5)
    storage.put("/a", b"1")
    proxy.nonsense = nonsense
    with pytest.raises(CoordinationError):
        impatient.put("/a", b"2")
    proxy.nonsense = None
    proxy.cut()
    assert storage.get("/a") is not None


def test_closing_with_a_silent_server_ends_what_waits(proxy: Proxy, make_storage: MakeStorage) -> None:
    storage = make_storage()
    proxy.stalled.set()
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
    proxy.stalled.clear()
    assert "was closed" in raised[0]


def test_servers_that_do_not_answer_are_named() -> None:
    servers = [f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"]
    with pytest.raises(CoordinationError, match=rf"{servers[0]}, {servers[1]} did not answer"):
        connect(servers, "/storm", 10_000, wait_secs=0.3)


def test_a_host_without_an_address_is_named() -> None:
    with pytest.raises(CoordinationError, match="no-such-host"):
        connect(["no-such-host.invalid:2181"], "/storm", 10_000, wait_secs=0.3)


def test_waiting_for_the_first_connection_stops_when_told() -> None:
    with pytest.raises(CoordinationError, match="did not answer"):
        connect([f"127.0.0.1:{free_port()}"], "/storm", 10_000, stopped=lambda: True)
