"""Blobs from one Nimbus to another over real sockets, by a thread of its own."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.memory import MemoryBlobStore
from storm.clock import SystemClock
from storm.errors import BlobCorruptError
from storm.nimbus.blob_fetcher import PeerBlobFetcher
from storm.nimbus.file_transfers import Downloads
from storm.thrift.interface import storm_thrift
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "wc-1-1-stormjar.jar"
DATA = bytes(range(256)) * 8000  # four replies' worth
SHA256 = hashlib.sha256(DATA).hexdigest()


class Peer:
    """Another Nimbus, as far as downloads go; `damaged`: it finds at the end that its bytes are not right."""

    def __init__(self) -> None:
        self.store = MemoryBlobStore()
        self.downloads = Downloads(self.store, 60, clock=SystemClock(), rng=random.Random(1))
        self.server = ThriftServer("Nimbus", self, host="127.0.0.1", port=0)
        self.begun = 0
        self.damaged = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def beginBlobDownload(self, key: str) -> Any:
        self.begun += 1
        session, meta = self.downloads.begin(key)
        return storm_thrift().BeginDownloadResult(version=1, session=session, data_size=meta.size_bytes)

    def downloadBlobChunk(self, session: str) -> bytes:
        chunk = self.downloads.next_chunk(session)
        if self.damaged and not chunk:
            raise BlobCorruptError("its bytes are not those that were stored")
        return chunk


class Here:
    """The Nimbus that fetches."""

    def __init__(self) -> None:
        self.store = MemoryBlobStore()
        self.woken = threading.Event()
        self.fetcher = PeerBlobFetcher(self.store, self.woken.set)

    def fetch(self, *addresses: str, sha256: str = SHA256) -> None:
        self.fetcher.fetch(KEY, sha256, addresses)


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    with contextlib.ExitStack() as stack:
        peers = [Peer(), Peer()]
        for peer in peers:
            peer.server.start()
            stack.callback(peer.server.stop)
            peer.store.create(KEY, [DATA])
        yield peers


@pytest.fixture
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.fetcher.close()


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_blob_comes_whole_and_nimbus_is_woken(here: Here, peers: list[Peer]) -> None:
    here.fetch(peers[0].address)
    assert here.woken.wait(20)
    assert b"".join(here.store.read(KEY)) == DATA


def test_a_peer_that_is_gone_lacks_it_or_has_other_bytes_is_passed_over(here: Here, peers: list[Peer]) -> None:
    first, second = peers
    first.store.delete(KEY)
    first.store.create(KEY, [DATA[:-1] + b"?"])
    lacking = Peer()
    lacking.server.start()
    try:
        here.fetch(nobody(), lacking.address, first.address, second.address)
        assert here.woken.wait(20)
    finally:
        lacking.server.stop()
    assert first.begun == 1
    assert b"".join(here.store.read(KEY)) == DATA


def test_what_fails_leaves_nothing_is_told_once_and_can_be_asked_for_again(
    here: Here, peers: list[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    peers[0].damaged = True
    for asked in (1, 2):
        here.fetch(peers[0].address)
        here.fetcher.fetch(f"other-{asked}", SHA256, (peers[1].address,))  # it follows: then the first has been tried
        _until(lambda asked=asked: peers[1].begun == asked)  # type: ignore[misc]
    assert here.store.keys() == []
    assert caplog.text.count(f"The blob {KEY} cannot be fetched yet") == 1
    assert not here.woken.is_set()
    peers[0].damaged = False
    _until(lambda: here.fetch(peers[0].address) or here.woken.is_set())
    assert here.store.keys() == [KEY]


def test_what_is_under_way_is_not_fetched_twice(here: Here, peers: list[Peer]) -> None:
    for _ in range(50):
        here.fetch(peers[0].address)
    assert here.woken.wait(20)
    assert peers[0].begun == 1


def _until(condition: Any) -> None:
    deadline = SystemClock().now() + 20
    while not condition():
        assert SystemClock().now() < deadline
        threading.Event().wait(0.01)
