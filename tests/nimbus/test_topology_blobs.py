from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.blob_store import code_key, conf_key, jar_key
from storm.cluster.records import StormBase, TopologyStatus
from storm.errors import BlobStoreError
from storm.nimbus.cluster_snapshot import plan_of
from storm.nimbus.topology_blobs import TopologyBlobs
from storm.topology.parallelism import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize("damage", ["missing", "garbage", "no object"])
def test_code_that_cannot_be_read_is_no_plan(cluster: Any, base: StormBase, damage: str) -> None:
    key = conf_key(ID) if damage == "no object" else code_key(ID)
    cluster.blob_store.delete(key)
    if damage != "missing":
        cluster.blob_store.create(key, [b"[]" if damage == "no object" else b"\xff\x00garbage"])
    assert TopologyBlobs(cluster.blob_store).plan(base) is None


def test_a_new_conf_takes_the_place_of_the_old(cluster: Any, blobs: TopologyBlobs, base: StormBase) -> None:
    hashes = blobs.replace_conf(base, {**CONF, "mine": 2})
    assert hashes[conf_key(ID)] == cluster.blob_store.meta(conf_key(ID)).sha256 != base.blob_hashes[conf_key(ID)]
    assert len(cluster.blob_store.keys()) == 3
    assert blobs.replace_conf(base, {**CONF, "mine": 2}) == hashes


def test_a_conf_survives_an_end_in_the_middle_of_its_replacement(cluster: Any, base: StormBase) -> None:
    cluster.blob_store.delete(conf_key(ID))
    cluster.blob_store.create(f"{ID}-stormconf-next.ser", [json.dumps(CONF).encode()])
    again = TopologyBlobs(cluster.blob_store)
    plan = again.plan(base)
    assert plan is not None
    assert plan.conf == CONF
    assert cluster.blob_store.meta(conf_key(ID)).size_bytes > 0
    again.delete(ID)
    assert cluster.blob_store.keys() == []


def test_users_own_blobs_belong_to_no_topology(cluster: Any, blobs: TopologyBlobs) -> None:
    for key in ("mine", "-stormcode.ser", "x-stormy.ser"):
        cluster.blob_store.create(key, [b""])
    assert blobs.owners() == set()
