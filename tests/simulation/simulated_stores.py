"""What the disk of each Nimbus holds of topologies, and how one fetches it from another, in virtual time."""

from __future__ import annotations

from collections import defaultdict
from queue import Empty
from typing import TYPE_CHECKING

from event_loop import Loop

from storm.blobstore.blob_store import code_key, jar_key
from storm.blobstore.memory import MemoryBlobStore
from storm.errors import BlobCorruptError, BlobStoreError
from storm.nimbus.blob_fetcher import PeerBlobFetcher
from storm.nimbus.topology_blobs import conf_places, owner_of
from storm.thrift.nimbus_client import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from simulated_nimbus import NimbusConnection, NimbusProcess

    from storm.blobstore.blob_store import BlobMeta
    from storm.ids import TopologyId
    from storm.nimbus.blob_fetcher import _Wanted
    from storm.thrift.nimbus_client import Address

FETCH_SECS = 0.3  # until a blob is fetched that was asked for, at most


class NimbusDisk(MemoryBlobStore):
    """The blobs of one Nimbus, which outlive its process. `is_full`: it takes nothing; `is_read_only`: nothing goes
    either. `held`: {topology whose whole code came here: the hashes of the confs that came}, of which nothing was lost
    since but by Nimbus's own doing. `lost_at`: when anything was lost last, in virtual seconds; or `empty_since`.
    """

    def __init__(self, empty_since: float = float("-inf")) -> None:
        super().__init__()
        self.is_full = False
        self.is_read_only = False
        self.held: defaultdict[TopologyId, set[str]] = defaultdict(set)
        self.lost_at = empty_since
        self._flipped: set[str] = set()
        self._cut: set[str] = set()

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        meta = super().create(key, chunks)
        topology_id = owner_of(key)
        if topology_id and self.is_whole(code_key(topology_id)) and self.is_whole(jar_key(topology_id)):
            confs = filter(self.is_whole, conf_places(topology_id))
            self.held[topology_id].update(self._blobs[each][0].sha256 for each in confs)
        return meta

    def read(self, key: str) -> Iterator[bytes]:
        self.meta(key)
        if key in self._flipped:
            raise BlobCorruptError(f"The bytes of the blob {key!r} are not those that were stored.")
        return super().read(key)

    def meta(self, key: str) -> BlobMeta:
        meta = super().meta(key)
        if key in self._cut:
            raise BlobCorruptError(f"The blob {key!r} has fewer bytes than it was stored with.")
        return meta

    def delete(self, key: str) -> None:
        super().delete(key)
        self._flipped.discard(key)
        self._cut.discard(key)

    def flip(self, key: str, now: float) -> None:
        """A bit of it turns: who reads it all finds out."""
        self._flipped.add(key)
        self._lost(key, now)

    def cut(self, key: str, now: float) -> None:
        """Its end is missing: whoever looks at it finds out."""
        self._cut.add(key)
        self._lost(key, now)

    def lose(self, key: str, now: float) -> None:
        """Somebody deletes it."""
        self.delete(key)
        self._lost(key, now)

    def is_whole(self, key: str) -> bool:
        """Whether it is here, as it was stored."""
        return key in self._blobs and key not in self._flipped and key not in self._cut

    def has(self, hashes: Mapping[str, str]) -> bool:
        """Whether all of these are here, as they were stored: {key: sha256}."""
        return all(self.is_whole(key) and self._blobs[key][0].sha256 == sha256 for key, sha256 in hashes.items())

    def _lost(self, key: str, now: float) -> None:
        self.held.pop(owner_of(key), None)
        self.lost_at = now


class NimbusBlobs:
    """The disk as a Nimbus uses it, which may die before or after each change."""

    def __init__(self, process: NimbusProcess, disk: NimbusDisk) -> None:
        self._process = process
        self._disk = disk
        self.read = disk.read
        self.meta = disk.meta
        self.keys = disk.keys

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        self._process.act(f"stores {key}")
        if self._disk.is_full or self._disk.is_read_only:
            raise BlobStoreError(f"Cannot store {key}: the disk takes nothing.")
        meta = self._disk.create(key, chunks)
        self._process.act(f"has stored {key}")
        return meta

    def delete(self, key: str) -> None:
        self._process.act(f"deletes {key}")
        if self._disk.is_read_only:
            raise BlobStoreError(f"Cannot delete {key}: the file system is read-only.")
        self._disk.delete(key)


class NimbusFetcher(PeerBlobFetcher):
    """The real one, whose thread is a loop here."""

    def __init__(self, process: NimbusProcess, store: Any, connect: Callable[[Address], NimbusConnection]) -> None:
        super().__init__(store, process.wake, clock=process.place.clock)
        self._process = process
        self._connect = connect
        self._turns = Loop(process, "fetches a blob", self._turn)

    def _begin(self) -> None:
        self._turns.wake(self._process.events.soon(FETCH_SECS))

    def _turn(self) -> float | None:
        try:
            wanted = self._queue.get_nowait()
        except Empty:
            return None
        assert wanted is not None, "nobody closes it: its process dies"
        self._carry_out(wanted)
        return self._process.events.soon(FETCH_SECS)

    def _bring(self, wanted: _Wanted) -> bool:
        try:
            return super()._bring(wanted)
        except Exception as error:
            self._process.events.on_crash(self._process, error)
            raise

    def _connection(self, nimbus: str) -> Any:
        return self._connect(parse_address(nimbus, 0))
