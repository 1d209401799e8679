from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from direct_requests import DirectRequests

from storm.blobstore.blob_store import version_key
from storm.blobstore.local_fs import LocalFsBlobStore
from storm.errors import (
    BlobAlreadyExistsError,
    BlobCorruptError,
    BlobNotFoundError,
    BlobStoreError,
    CoordinationError,
    InvalidTransitionError,
    NotLeaderError,
    PackageError,
    UploadNotFoundError,
)
from storm.nimbus import blob_service
from storm.nimbus.file_transfers import Downloads, Uploads
from storm.nimbus.service import NimbusService
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def service(two_nodes: Any, tmp_path: Path) -> NimbusService:
    rng = random.Random(1)
    return NimbusService(
        two_nodes.core,
        DirectRequests(),
        uploads=Uploads(tmp_path, 1 << 20, 600, clock=two_nodes.clock, rng=rng),
        downloads=Downloads(two_nodes.blob_store, 600, clock=two_nodes.clock, rng=rng),
        blob_store=two_nodes.blob_store,
    )


def put(service: NimbusService, key: str, data: bytes, *, is_new: bool = True) -> None:
    session = service.beginCreateBlob(key, None) if is_new else service.beginUpdateBlob(key)
    service.uploadBlobChunk(session, data)
    service.finishBlobUpload(session)


@pytest.fixture
def on_disk(new_cluster: Any, tmp_path: Path) -> tuple[NimbusService, Any]:
    """A Nimbus with its files on a disk, and its cluster."""
    store = LocalFsBlobStore(tmp_path / "blobs")
    cluster, rng = new_cluster(store), random.Random(1)
    downloads = Downloads(store, 600, clock=cluster.clock, rng=rng)
    downloads.on_corrupt = cluster.core.distrust
    uploads = Uploads(tmp_path / "inbox", 1 << 20, 600, clock=cluster.clock, rng=rng)
    service = NimbusService(cluster.core, DirectRequests(), uploads=uploads, downloads=downloads, blob_store=store)
    return service, cluster


def read(service: NimbusService, key: str) -> bytes:
    session = service.beginBlobDownload(key).session
    return b"".join(iter(lambda: service.downloadBlobChunk(session), b""))


def test_a_blob_goes_from_upload_to_download(service: NimbusService) -> None:
    put(service, "words.txt", b"one")
    first = service.getBlobMeta("words.txt")
    assert (first.version, first.size_bytes, first.settable.replication_factor) == (1, 3, 3)
    put(service, "words.txt", b"three", is_new=False)
    assert (service.beginBlobDownload("words.txt").version, read(service, "words.txt")) == (2, b"three")
    assert read(service, first.stored_as) == b"one"  # whoever began with it goes on with it
    assert service.isRemoteBlobExists("words.txt")
    service.deleteBlob("words.txt")
    for refused in (service.getBlobMeta, service.beginBlobDownload, service.deleteBlob, service.beginUpdateBlob):
        with pytest.raises(BlobNotFoundError, match=r"words\.txt"):
            refused("words.txt")
    assert not service.isRemoteBlobExists("words.txt")


def test_until_it_is_finished_nothing_is_seen_of_an_upload(service: NimbusService) -> None:
    put(service, "words.txt", b"one")
    session = service.beginUpdateBlob("words.txt")
    service.uploadBlobChunk(session, b"tw")
    assert (read(service, "words.txt"), service.getBlobMeta("words.txt").version) == (b"one", 1)
    service.cancelBlobUpload(session)
    with pytest.raises(UploadNotFoundError):
        service.finishBlobUpload(session)
    other = service.beginCreateBlob("other.txt", None)
    service.uploadBlobChunk(other, b"tw")
    assert service.listBlobs("").keys == ["words.txt"]


def test_what_cannot_be_is_refused_before_the_upload(service: NimbusService) -> None:
    put(service, "words.txt", b"one")
    with pytest.raises(BlobAlreadyExistsError):
        service.beginCreateBlob("words.txt", None)
    with pytest.raises(BlobStoreError, match="use letters, digits"):
        service.beginCreateBlob("a/b", None)
    with pytest.raises(BlobNotFoundError, match="use letters, digits"):
        service.getBlobMeta("a/b")


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_damaged_content_is_mended_by_its_right_bytes(
    on_disk: tuple[NimbusService, Any], tmp_path: Path, is_noticed: bool
) -> None:
    service, cluster = on_disk
    put(service, "words.txt", b"one")
    [data] = (tmp_path / "blobs").glob("*/words.txt.*/data")
    data.write_bytes(b"two")
    if is_noticed:
        with pytest.raises(BlobCorruptError):
            read(service, "words.txt")
        assert service.getBlobReplication("words.txt") == 1
        cluster.core.step()
    put(service, "words.txt", b"one", is_new=False)
    assert (read(service, "words.txt"), service.getBlobMeta("words.txt").version) == (b"one", 1)
    cluster.core.step()
    assert service.getBlobReplication("words.txt") == 1


def test_an_upload_that_is_refused_in_the_end_leaves_no_file(
    on_disk: tuple[NimbusService, Any], tmp_path: Path
) -> None:
    service, cluster = on_disk
    first, second = (service.beginCreateBlob("words.txt", None) for _ in range(2))
    service.finishBlobUpload(first)
    with pytest.raises(BlobAlreadyExistsError):
        service.finishBlobUpload(second)
    assert list((tmp_path / "inbox").iterdir()) == []
    third = service.beginUpdateBlob("words.txt")
    cluster.tree.suspend(cluster.nimbus.storage)
    with pytest.raises((NotLeaderError, CoordinationError)):
        service.finishBlobUpload(third)
    cluster.tree.resume(cluster.nimbus.storage)
    cluster.core.step()
    service.finishBlobUpload(third)
    assert list((tmp_path / "inbox").iterdir()) == []


def test_the_blobs_of_topologies_are_nimbuss_own(two_nodes: Any, service: NimbusService) -> None:
    topology_id = two_nodes.submit()
    with pytest.raises(InvalidTransitionError, match=f"belongs to the topology {topology_id}"):
        service.deleteBlob(f"{topology_id}-stormjar.jar")
    assert service.listBlobs("").keys == []


def test_blobs_are_listed_by_pages(service: NimbusService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_service, "KEYS_A_PAGE", 2)
    keys = ["a", "b", "c"]
    for key in keys:
        put(service, key, b"x")
    found, session = [], ""
    while (page := service.listBlobs(session)).keys:
        found.append(page.keys)
        session = page.session
    assert found == [["a", "b"], ["c"]]


def test_what_is_said_to_be_too_large_is_refused_before_it_is_sent(
    on_disk: tuple[NimbusService, Any], tmp_path: Path
) -> None:
    service, _ = on_disk
    service.finishBlobUpload(service.beginCreateBlob("words.txt", None, 1 << 20))
    for refused in (
        lambda: service.beginCreateBlob("other.txt", None, (1 << 20) + 1),
        lambda: service.beginUpdateBlob("words.txt", (1 << 20) + 1),
    ):
        with pytest.raises(PackageError, match=r"larger than 1,048,576 bytes.*nimbus\.upload\.max\.bytes"):
            refused()
    with pytest.raises(BlobAlreadyExistsError):
        service.beginCreateBlob("words.txt", None, (1 << 20) + 1)
    assert list((tmp_path / "inbox").iterdir()) == []


def test_replication_is_shown_and_set(service: NimbusService) -> None:
    meta = storm_thrift().SettableBlobMeta(acl=[], replication_factor=2)
    session = service.beginCreateBlob("words.txt", meta)
    service.finishBlobUpload(session)
    assert service.getBlobMeta("words.txt").settable.replication_factor == 2
    assert service.getBlobReplication("words.txt") == 1
    assert service.updateBlobReplication("words.txt", 5) == 1
    assert service.getBlobMeta("words.txt").settable.replication_factor == 5
    session = service.beginUpdateBlob("words.txt")
    service.updateBlobReplication("words.txt", 4)
    service.finishBlobUpload(session)
    assert service.getBlobMeta("words.txt").settable.replication_factor == 4
    with pytest.raises(BlobStoreError, match="1 to 100"):
        service.updateBlobReplication("words.txt", 0)


def test_a_nimbus_that_does_not_lead_takes_no_blob(two_nodes: Any, service: NimbusService) -> None:
    put(service, "words.txt", b"one")
    two_nodes.start_nimbus("nimbus-2").core.step()
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.core.step()
    for refused in (
        lambda: service.beginCreateBlob("other.txt", None),
        lambda: service.beginUpdateBlob("words.txt"),
        lambda: service.deleteBlob("words.txt"),
        lambda: service.getBlobReplication("words.txt"),
        lambda: service.updateBlobReplication("words.txt", 2),
    ):
        with pytest.raises(NotLeaderError):
            refused()
    assert read(service, version_key("words.txt", service.getBlobMeta("words.txt").sha256)) == b"one"
