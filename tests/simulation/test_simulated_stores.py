"""What a simulated Nimbus's disk keeps, and how others get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from simulated_cluster import SimulatedCluster
from simulated_stores import NimbusDisk

from storm.blobstore.blob_store import code_key, topology_keys
from storm.errors import BlobCorruptError, BlobNotFoundError

if TYPE_CHECKING:
    from simulated_nimbus import NimbusPlace

KEY = code_key("a-1-1")
NOW = 5.0
SETTLED_SECS = 15.0  # a disk that is lost is noticed, and another Nimbus leads, after a session and some


@pytest.fixture
def disk() -> NimbusDisk:
    disk = NimbusDisk()
    for key in topology_keys("a-1-1"):
        disk.create(key, [b"code"])
    return disk


def cluster_of_several() -> tuple[SimulatedCluster, NimbusPlace]:
    """It runs a topology; the place is the leader's."""
    cluster = next(each for each in map(SimulatedCluster, range(20)) if len(each.nimbuses) > 1)
    cluster.start()
    leader = cluster.leader()
    assert leader is not None
    return cluster, leader.place


def test_what_turned_is_found_by_who_reads_it_and_not_by_who_looks(disk: NimbusDisk) -> None:
    disk.flip(KEY, NOW)

    assert disk.meta(KEY).size_bytes == 4
    with pytest.raises(BlobCorruptError):
        disk.read(KEY)


def test_what_was_cut_is_found_by_who_looks(disk: NimbusDisk) -> None:
    disk.cut(KEY, NOW)

    with pytest.raises(BlobCorruptError):
        disk.meta(KEY)


def test_what_is_created_anew_is_whole_again(disk: NimbusDisk) -> None:
    disk.cut(KEY, NOW)
    disk.delete(KEY)
    disk.create(KEY, [b"code"])

    assert b"".join(disk.read(KEY)) == b"code"
    assert set(disk.held) == {"a-1-1"}


def test_a_disk_answers_for_what_nimbus_deletes_and_not_for_what_faults_do(disk: NimbusDisk) -> None:
    disk.delete(KEY)
    assert set(disk.held) == {"a-1-1"}

    disk.create(KEY, [b"code"])
    disk.lose(KEY, NOW)
    with pytest.raises(BlobNotFoundError):
        disk.read(KEY)
    assert not disk.held
    assert disk.lost_at == NOW


def test_every_nimbus_fetches_what_the_leader_was_given() -> None:
    cluster, _ = cluster_of_several()

    (topology_id,) = cluster.user.promises
    for place in cluster.nimbuses:
        assert sorted(topology_keys(topology_id)) == place.disk.keys()


def test_a_leader_that_lost_its_disk_gets_it_all_back_from_the_others() -> None:
    cluster, place = cluster_of_several()
    before = place.disk.keys()

    place.lose_disk()
    assert place.disk.keys() == []
    place.start()
    cluster.events.run_for(SETTLED_SECS)

    assert place.disk.keys() == before


def test_a_supervisor_gets_code_from_who_holds_it_where_the_leader_does_not() -> None:
    cluster, place = cluster_of_several()
    worker = cluster.workers()[0]
    host, assignment = worker.host, worker.handle.assignment
    cluster.far_from_nimbus.add(place.host)  # so that it fetches nothing back
    for key in topology_keys(assignment.topology_id):
        place.disk.lose(key, NOW)
    host.code.clear()
    host.blobs.request(assignment)
    cluster.events.run_for(SETTLED_SECS)

    assert cluster.leader() is place.process
    assert place.disk.keys() == []
    assert set(host.code) == {assignment.topology_id}
