from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.blob_store import code_key, conf_key, jar_key
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster.records import RebalanceRequest, StormBase, TopologyStatus
from storm.errors import BlobCorruptError, BlobStoreError
from storm.nimbus.cluster_snapshot import plan_of
from storm.nimbus.topology_blobs import CLUSTER_ID_KEY, TopologyBlobs
from storm.thrift.convert import topology_to_bytes
from storm.topology.parallelism import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storm.blobstore.blob_store import BlobMeta

ID = "wc-1-100"
CONF: dict[str, Any] = {"topology.workers": 2, "topology.acker.executors": 2, "mine": 1}


@pytest.fixture
def blobs(cluster: Any) -> TopologyBlobs:
    return TopologyBlobs(cluster.blob_store)


@pytest.fixture
def base(cluster: Any, blobs: TopologyBlobs) -> StormBase:
    plan = plan_of(normalise(cluster.word_count(), CONF), CONF)
    hashes = blobs.create(ID, plan, [b"zip"])
    return StormBase(ID, "wc", TopologyStatus.ACTIVE, 2, {}, 100, blob_hashes=hashes)


def test_what_is_stored_is_read_back(cluster: Any, blobs: TopologyBlobs, base: StormBase) -> None:
    assert set(base.blob_hashes) == {code_key(ID), conf_key(ID), jar_key(ID)}
    read = TopologyBlobs(cluster.blob_store).plan(base)
    assert read is not None
    assert read.conf == CONF
    assert read.component_tasks == plan_of(normalise(cluster.word_count(), CONF), CONF).component_tasks
    assert blobs.owners() == {ID}


def test_a_disk_that_fails_leaves_nothing(cluster: Any, blobs: TopologyBlobs) -> None:
    def package() -> Iterator[bytes]:
        yield b"zi"
        raise BlobStoreError("no space left")

    with pytest.raises(BlobStoreError):
        blobs.create(ID, plan_of(normalise(cluster.word_count(), CONF), CONF), package())
    assert cluster.blob_store.keys() == []


class ReadOnlyStore(MemoryBlobStore):
    """Of a file system that was mounted anew so: what is asked for comes first, then whether it is there."""

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        raise BlobStoreError("Cannot create blobs: Read-only file system.")

    def delete(self, key: str) -> None:
        raise BlobStoreError("Cannot delete blobs: Read-only file system.")


def test_who_submits_to_a_read_only_disk_hears_that_nothing_can_be_created(cluster: Any) -> None:
    blobs = TopologyBlobs(ReadOnlyStore())
    with pytest.raises(BlobStoreError, match="Cannot create"):
        blobs.create(ID, plan_of(normalise(cluster.word_count(), CONF), CONF), [b"zip"])


@pytest.mark.parametrize("damage", ["missing", "garbage", "no object"])
def test_code_that_cannot_be_read_is_no_plan(cluster: Any, base: StormBase, damage: str) -> None:
    key = conf_key(ID) if damage == "no object" else code_key(ID)
    cluster.blob_store.delete(key)
    if damage != "missing":
        cluster.blob_store.create(key, [b"[]" if damage == "no object" else b"\xff\x00garbage"])
    assert TopologyBlobs(cluster.blob_store).plan(base) is None


def test_a_new_conf_takes_the_place_of_the_old(cluster: Any, blobs: TopologyBlobs, base: StormBase) -> None:
    staged = blobs.stage_conf(base, {**CONF, "mine": 2})
    assert blobs.held()[conf_key(ID)] == base.blob_hashes[conf_key(ID)]
    hashes = blobs.replace_conf(base)
    assert [hashes[conf_key(ID)]] == list(staged.values())
    assert hashes[conf_key(ID)] == cluster.blob_store.meta(conf_key(ID)).sha256 != base.blob_hashes[conf_key(ID)]
    assert blobs.stage_conf(base, {**CONF, "mine": 2}) == staged
    assert blobs.replace_conf(base) == hashes
    blobs.settle(replace(base, blob_hashes=hashes))
    assert set(cluster.blob_store.keys()) == {code_key(ID), conf_key(ID), jar_key(ID)}


class DamagedStore(MemoryBlobStore):
    """Of one blob the end is missing, which whoever looks at it finds, and of another one a bit is turned."""

    cut = ""
    flipped = ""

    def meta(self, key: str) -> BlobMeta:
        if key == self.cut:
            raise BlobCorruptError(f"{key} is damaged")
        return super().meta(key)

    def read(self, key: str) -> Iterator[bytes]:
        if key == self.flipped:
            raise BlobCorruptError(f"{key} is damaged")
        return super().read(key)

    def delete(self, key: str) -> None:
        super().delete(key)
        if key == self.flipped:
            self.flipped = ""


def stored(cluster: Any, store: MemoryBlobStore) -> StormBase:
    """A topology whose blobs are in the store."""
    blobs = TopologyBlobs(store).create(ID, plan_of(normalise(cluster.word_count(), CONF), CONF), [b"zip"])
    return StormBase(ID, "words", TopologyStatus.ACTIVE, 1, {}, 0, blob_hashes=blobs)


def test_a_conf_beside_the_present_one_goes_also_where_it_cannot_be_read(cluster: Any) -> None:
    store = DamagedStore()
    base = stored(cluster, store)
    (store.cut,) = TopologyBlobs(store).stage_conf(base, {**CONF, "mine": 2})
    TopologyBlobs(store).settle(base)
    assert set(store.keys()) == {code_key(ID), conf_key(ID), jar_key(ID)}


def test_a_conf_that_is_damaged_is_read_where_it_is_beside_its_key_and_put_back(cluster: Any) -> None:
    store = DamagedStore()
    base = stored(cluster, store)
    blobs = TopologyBlobs(store)
    conf = json.loads(b"".join(store.read(conf_key(ID))))
    assert list(blobs.stage_conf(base, conf).values()) == [base.blob_hashes[conf_key(ID)]], "it changes nothing"
    store.flipped = conf_key(ID)
    assert blobs.plan(base) is None, "it is found now"
    assert blobs.plan(base) is not None
    blobs.settle(base)
    assert set(store.keys()) == {code_key(ID), conf_key(ID), jar_key(ID)}
    assert TopologyBlobs(store).plan(base) is not None


def test_while_a_rebalance_is_under_way_the_conf_comes_to_its_key_from_the_next_one_only(cluster: Any) -> None:
    store = DamagedStore()
    blobs = TopologyBlobs(store)
    base = replace(stored(cluster, store), rebalance=RebalanceRequest())
    staged = blobs.stage_conf(base, {**CONF, "mine": 2})
    done = replace(base, blob_hashes={**base.blob_hashes, conf_key(ID): next(iter(staged.values()))})
    blobs.settle(done)  # of a Nimbus that was not there when the rebalance before was done
    assert blobs.held()[conf_key(ID)] == done.blob_hashes[conf_key(ID)]
    again = blobs.stage_conf(done, {**CONF, "mine": 3})
    swapped = blobs.replace_conf(done)
    blobs.settle(done)  # the leader's own, before the record names it
    assert blobs.held()[conf_key(ID)] == swapped[conf_key(ID)] == next(iter(again.values()))


class Ended(Exception):
    """The process ended here."""


class EndingStore(MemoryBlobStore):
    """Ends the process at its n-th change."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 10**9

    def _change(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Ended

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        self._change()
        return super().create(key, chunks)

    def delete(self, key: str) -> None:
        self._change()
        super().delete(key)


@pytest.mark.parametrize("is_named", [False, True])
def test_a_conf_survives_an_end_at_any_line_of_its_replacement(cluster: Any, is_named: bool) -> None:
    """Before the record names the new conf the old one can be read, and the new one afterwards."""
    changes = 0
    while True:
        store = EndingStore()
        plan = plan_of(normalise(cluster.word_count(), CONF), CONF)
        hashes = TopologyBlobs(store).create(ID, plan, [b"zip"])
        base = StormBase(ID, "wc", TopologyStatus.ACTIVE, 2, {}, 100, blob_hashes=hashes)
        if is_named:
            blobs = TopologyBlobs(store)
            blobs.stage_conf(base, {**CONF, "mine": 2})
            base = replace(base, blob_hashes=blobs.replace_conf(base))
        store.left = changes
        try:
            if is_named:
                TopologyBlobs(store).settle(base)
            else:
                TopologyBlobs(store).stage_conf(base, {**CONF, "mine": 2})
                TopologyBlobs(store).replace_conf(base)
        except Ended:
            pass
        has_ended, store.left = store.left < 0, 10**9
        read = TopologyBlobs(store).plan(base)
        assert read is not None
        assert read.conf["mine"] == (2 if is_named else 1)
        again = TopologyBlobs(store)
        again.stage_conf(base, {**CONF, "mine": 3})
        done = replace(base, blob_hashes=again.replace_conf(base))
        assert TopologyBlobs(store).plan(base) == plan_of(normalise(cluster.word_count(), read.conf), read.conf)
        again.settle(done)
        assert len(store.keys()) == 3
        read = TopologyBlobs(store).plan(done)
        assert read is not None
        assert read.conf["mine"] == 3
        if not has_ended:
            assert changes >= 2
            return
        changes += 1


def test_a_nimbus_that_only_fetched_the_new_conf_puts_it_in_its_place(cluster: Any, base: StormBase) -> None:
    data = json.dumps({**CONF, "mine": 2}).encode()
    meta = cluster.blob_store.create(f"{ID}-stormconf-next.ser", [data])
    follower = TopologyBlobs(cluster.blob_store)
    follower.settle(replace(base, blob_hashes={**base.blob_hashes, conf_key(ID): meta.sha256}))
    assert cluster.blob_store.meta(conf_key(ID)).sha256 == meta.sha256
    assert len(cluster.blob_store.keys()) == 3


def test_a_conf_beside_it_goes_when_the_record_names_the_one_that_is_there(cluster: Any, base: StormBase) -> None:
    cluster.blob_store.create(f"{ID}-stormconf-next.ser", [b"{}"])
    TopologyBlobs(cluster.blob_store).settle(base)
    assert len(cluster.blob_store.keys()) == 3


def test_code_other_than_the_record_names_is_not_trusted(cluster: Any, base: StormBase) -> None:
    other = normalise(cluster.word_count(counts=5), CONF)
    cluster.blob_store.delete(code_key(ID))
    cluster.blob_store.create(code_key(ID), [topology_to_bytes(other)])
    assert TopologyBlobs(cluster.blob_store).plan(base) is None


def test_what_is_held_is_what_is_on_disk_and_sound(cluster: Any, blobs: TopologyBlobs, base: StormBase) -> None:
    cluster.blob_store.create("users.own", [b"x"])
    assert blobs.held() == base.blob_hashes
    blobs.corrupt.add(jar_key(ID))
    assert jar_key(ID) not in blobs.held()
    cluster.blob_store.delete(code_key(ID))
    assert set(blobs.held()) == {conf_key(ID)}
    blobs.discard(jar_key(ID))
    cluster.blob_store.create(jar_key(ID), [b"zip"])
    assert set(blobs.held()) == {conf_key(ID), jar_key(ID)}


def test_a_topology_knows_the_cluster_that_it_was_submitted_to(cluster: Any, blobs: TopologyBlobs) -> None:
    conf = {**CONF, CLUSTER_ID_KEY: "here"}
    blobs.create(ID, plan_of(normalise(cluster.word_count(), conf), conf), [b"zip"])
    assert blobs.cluster_id(ID) == "here"
    blobs.discard(jar_key(ID))
    assert blobs.cluster_id(ID) is None
    assert blobs.cluster_id("other-1-1") is None


def test_it_is_known_too_where_a_rebalance_was_cut_short_and_the_conf_is_beside_its_key(
    cluster: Any, blobs: TopologyBlobs, base: StormBase
) -> None:
    """Else a ZooKeeper that lost its data makes remains of it."""
    blobs.stage_conf(base, {**CONF, CLUSTER_ID_KEY: "here"})
    cluster.blob_store.delete(conf_key(ID))
    assert blobs.cluster_id(ID) == "here"
    cluster.blob_store.delete(code_key(ID))
    assert blobs.cluster_id(ID) is None


def test_users_own_blobs_belong_to_no_topology(cluster: Any, blobs: TopologyBlobs) -> None:
    for key in ("mine", "-stormcode.ser", "x-stormy.ser"):
        cluster.blob_store.create(key, [b""])
    assert blobs.owners() == set()
