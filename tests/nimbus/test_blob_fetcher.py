"""A Nimbus whose disk takes no blob; integration/nimbus/test_nimbus_blob_fetcher.py has the rest."""

from __future__ import annotations

import hashlib
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.memory import MemoryBlobStore
from storm.errors import BlobStoreError
from storm.nimbus.blob_fetcher import DISK_PAUSE_SECS, PeerBlobFetcher
from storm.nimbus.file_transfers import Downloads
from storm.thrift.interface import storm_thrift
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storm.blobstore.blob_store import BlobMeta

LARGE, SMALL = "wc-1-1-stormjar.jar", "wc-1-1-stormconf.ser"
DATA = b"blob"
SHA256 = hashlib.sha256(DATA).hexdigest()


class Peer:
    """Another Nimbus; `begun`: the downloads that it was asked for, `full`: it refuses them."""

    def __init__(self, clock: Any) -> None:
        store = MemoryBlobStore()
        for key in (LARGE, SMALL):
            store.create(key, [DATA])
        self.downloads = Downloads(store, 600, clock=clock, rng=random.Random(1))
        self.server = ThriftServer("Nimbus", self, host="127.0.0.1", port=0)
        self.begun: list[str] = []
        self.full = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def beginBlobDownload(self, key: str) -> Any:
        self.begun.append(key)
        if self.full:
            raise BlobStoreError("64 downloads are under way")
        session, meta = self.downloads.begin(key)
        return storm_thrift().BeginDownloadResult(version=1, session=session, data_size=meta.size_bytes)

    def downloadBlobChunk(self, session: str) -> bytes:
        return self.downloads.next_chunk(session)


class SmallDisk(MemoryBlobStore):
    """Takes the large blob only once there is room."""

    has_room = False

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        if key == LARGE and not self.has_room:
            next(iter(chunks))
            raise BlobStoreError("Cannot create blobs: No space left on device.")
        return super().create(key, chunks)


@pytest.fixture
def peers(cluster: Any) -> Iterator[list[Peer]]:
    peers = [Peer(cluster.clock), Peer(cluster.clock)]
    for peer in peers:
        peer.server.start()
    yield peers
    for peer in peers:
        peer.server.stop()


class Here:
    """The Nimbus that fetches."""

    def __init__(self, clock: Any, peers: list[Peer]) -> None:
        self.store = SmallDisk()
        self.woken = threading.Event()
        self.fetcher = PeerBlobFetcher(self.store, self.woken.set, clock=clock)
        self._addresses = tuple(peer.address for peer in peers)

    def fetch(self, *keys: str) -> None:
        """The last of these comes: then the others have been tried."""
        self.woken.clear()
        for key in keys:
            self.fetcher.fetch(key, SHA256, self._addresses)
        assert self.woken.wait(20)


@pytest.fixture
def here(cluster: Any, peers: list[Peer]) -> Iterator[Here]:
    here = Here(cluster.clock, peers)
    yield here
    here.fetcher.close()


def test_what_the_own_disk_does_not_take_is_asked_of_one_peer_and_after_a_pause(
    cluster: Any, here: Here, peers: list[Peer], caplog: pytest.LogCaptureFixture
) -> None:
    here.fetch(LARGE, SMALL)
    assert [peer.begun for peer in peers] == [[LARGE, SMALL], []]
    assert "cannot be fetched yet: Cannot create blobs: No space left on device." in caplog.text
    cluster.clock.secs += DISK_PAUSE_SECS - 1
    here.store.delete(SMALL)
    here.fetch(LARGE, SMALL)
    assert [peer.begun for peer in peers] == [[LARGE, SMALL, SMALL], []]
    cluster.clock.secs += 1
    here.store.has_room = True
    here.fetch(LARGE)
    assert here.store.keys() == [SMALL, LARGE]


def test_a_peer_whose_store_fails_is_passed_over(here: Here, peers: list[Peer]) -> None:
    peers[0].full = here.store.has_room = True
    here.fetch(LARGE)
    assert [peer.begun for peer in peers] == [[LARGE], [LARGE]]
