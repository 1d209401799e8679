"""Stories of the blobs that people make: one or several Nimbuses, in one thread."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.blob_store import is_version_key, version_key
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster import paths
from storm.cluster.memory import Fault
from storm.cluster.records import RebalanceRequest, UserBlob
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import (
    BlobAlreadyExistsError,
    BlobNotFoundError,
    BlobStoreError,
    CoordinationError,
    InvalidTopologyError,
    InvalidTransitionError,
    NotLeaderError,
)
from storm.nimbus.cleanup import KEEP_LOST_SECS
from storm.nimbus.core import SubmitRequest
from storm.nimbus.user_blobs import CLEAN_UP_SECS, READ_ALL_SECS, REPLICATION_WAIT_SECS, BlobChange, UserBlobs

if TYPE_CHECKING:
    from storm.nimbus.user_blobs import PendingBlob

    Cluster = Any  # of conftest
    Nimbus = Any

KEEP_SECS = 300
LOOK_SECS = int(2 * CLEAN_UP_SECS)


def change(nimbus: Nimbus, key: str, data: bytes, *, is_new: bool = True, replication: int | None = 1) -> BlobChange:
    """A content that was uploaded to this Nimbus."""
    sha256 = hashlib.sha256(data).hexdigest()
    if version_key(key, sha256) not in nimbus.blob_store.keys(key):
        nimbus.blob_store.create(version_key(key, sha256), [data])
    return BlobChange(key, sha256, len(data), is_new, replication)


def put(nimbus: Nimbus, key: str, data: bytes, **more: Any) -> PendingBlob:
    pending: PendingBlob = nimbus.core.user_blobs.begin(change(nimbus, key, data, **more))
    return pending


def contents(nimbus: Nimbus) -> list[bytes]:
    """All contents of people's blobs that are on its disk."""
    return sorted(b"".join(nimbus.blob_store.read(key)) for key in nimbus.core._blobs.held_versions())


@pytest.fixture
def follower(two_nodes: Cluster) -> Nimbus:
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    follower.core.step()
    return follower


def test_a_blob_is_created_updated_and_deleted(cluster: Cluster) -> None:
    nimbus, blobs = cluster.nimbus, cluster.core.user_blobs
    assert put(nimbus, "words.txt", b"one").done.done()
    first = blobs.known["words.txt"]
    assert (first.version, first.size_bytes, first.updated_wall_secs) == (1, 3, cluster.clock.wall_secs())
    cluster.clock.secs += 5
    put(nimbus, "words.txt", b"three", is_new=False)
    second = blobs.known["words.txt"]
    assert (second.version, second.size_bytes) == (2, 5)
    assert second.updated_wall_secs == first.updated_wall_secs + 5
    assert cluster.state.user_blob("words.txt") == second
    put(nimbus, "words.txt", b"three", is_new=False)
    assert blobs.known["words.txt"] == second  # the same content is no new version
    cluster.core.delete_blob("words.txt")
    assert (dict(blobs.known), cluster.state.user_blob_keys()) == ({}, [])


def test_what_cannot_be_is_refused_by_key(cluster: Cluster) -> None:
    nimbus, blobs = cluster.nimbus, cluster.core.user_blobs
    put(nimbus, "words.txt", b"one")
    with pytest.raises(BlobAlreadyExistsError, match=r"'words\.txt' already.*storm blobstore update"):
        blobs.refuse_impossible("words.txt", is_new=True)
    for refused in (
        lambda: blobs.refuse_impossible("word.txt", is_new=False),
        lambda: cluster.core.delete_blob("word.txt"),
        lambda: blobs.count("word.txt"),
        lambda: blobs.set_replication("word.txt", 1),
    ):
        with pytest.raises(BlobNotFoundError, match=r"No blob 'word\.txt'\. Did you mean 'words\.txt'\?"):
            refused()
    for key in ("a/b", "", "x" * 200, "wc-1-1-stormjar.jar", version_key("a", "0f" * 32)):
        with pytest.raises(BlobStoreError, match="blob"):
            blobs.refuse_impossible(key, is_new=True)
    with pytest.raises(BlobStoreError, match="upload it again"):
        blobs.begin(BlobChange("other.txt", "0f" * 32, 3, True, 1))
    assert list(blobs.known) == ["words.txt"]


def test_a_content_is_kept_for_a_while_after_it_was_replaced_or_deleted(cluster: Cluster) -> None:
    nimbus = cluster.nimbus
    put(nimbus, "words.txt", b"one")
    put(nimbus, "stays.txt", b"stays")
    put(nimbus, "words.txt", b"two", is_new=False)
    cluster.pass_time(KEEP_SECS)
    assert contents(nimbus) == [b"one", b"stays", b"two"]
    cluster.pass_time(LOOK_SECS)
    assert contents(nimbus) == [b"stays", b"two"]
    for key in ("words.txt", "stays.txt"):
        cluster.core.delete_blob(key)
    cluster.pass_time(KEEP_SECS + LOOK_SECS)
    assert contents(nimbus) == []


def test_an_upload_that_nobody_finished_goes(cluster: Cluster) -> None:
    put(cluster.nimbus, "stays.txt", b"stays")
    change(cluster.nimbus, "words.txt", b"one")
    cluster.pass_time(KEEP_SECS + LOOK_SECS)
    assert contents(cluster.nimbus) == [b"stays"]


def test_contents_of_a_zookeeper_that_was_lost_are_kept_for_long(cluster: Cluster) -> None:
    put(cluster.nimbus, "words.txt", b"one")
    cluster.core.step()
    storage = cluster.tree.session()
    storage.delete(paths.USER_BLOBS, recursive=True)
    storage.delete(paths.CLUSTER_ID)
    cluster.pass_time(KEEP_SECS + LOOK_SECS)
    assert (dict(cluster.core.user_blobs.known), contents(cluster.nimbus)) == ({}, [b"one"])
    cluster.clock.secs += KEEP_LOST_SECS
    cluster.core.step()
    assert contents(cluster.nimbus) == []


def test_bringing_one_blob_back_after_zookeeper_lost_all_costs_no_other(two_nodes: Cluster, follower: Nimbus) -> None:
    for data in (b"one", b"two", b"three"):
        put(two_nodes.nimbus, data.decode(), data)
    two_nodes.settle(follower, two_nodes.nimbus)
    storage = two_nodes.tree.session()
    for path in (paths.USER_BLOBS, paths.BLOBSTORE):
        storage.delete(path, recursive=True)
    storage.delete(paths.CLUSTER_ID)
    two_nodes.clock.secs += 1
    two_nodes.settle(two_nodes.nimbus, follower)
    put(two_nodes.nimbus, "two", b"two")
    change(two_nodes.nimbus, "four", b"four")  # an upload that nobody finishes
    for _ in range(KEEP_SECS + LOOK_SECS):
        two_nodes.clock.secs += 1
        two_nodes.settle(two_nodes.nimbus, follower, rounds=1)
    assert contents(two_nodes.nimbus) == contents(follower) == [b"one", b"three", b"two"]
    two_nodes.clock.secs += KEEP_LOST_SECS
    two_nodes.settle(two_nodes.nimbus, follower)
    assert contents(two_nodes.nimbus) == contents(follower) == [b"two"]


def test_a_content_that_was_brought_back_and_replaced_is_kept_for_as_long_as_any(cluster: Cluster) -> None:
    put(cluster.nimbus, "words.txt", b"one")
    storage = cluster.tree.session()
    storage.delete(paths.USER_BLOBS, recursive=True)
    storage.delete(paths.CLUSTER_ID)
    cluster.pass_time(KEEP_SECS + LOOK_SECS)
    put(cluster.nimbus, "words.txt", b"one")
    put(cluster.nimbus, "words.txt", b"two", is_new=False)
    cluster.pass_time(KEEP_SECS)
    assert contents(cluster.nimbus) == [b"one", b"two"]
    cluster.pass_time(LOOK_SECS)
    assert contents(cluster.nimbus) == [b"two"]


def test_a_record_that_could_never_be_read_loses_nothing(cluster: Cluster) -> None:
    put(cluster.nimbus, "words.txt", b"one")
    cluster.tree.session().put(paths.user_blob("words.txt"), b"nonsense")
    cluster.kill_nimbus(cluster.nimbus)
    later = cluster.start_nimbus("nimbus-2")
    later.core.step()
    cluster.clock.secs += KEEP_LOST_SECS
    later.core.step()
    assert (dict(later.core.user_blobs.known), contents(later)) == ({}, [b"one"])


def test_a_record_that_cannot_be_read_loses_nothing(cluster: Cluster) -> None:
    put(cluster.nimbus, "words.txt", b"one")
    known = dict(cluster.core.user_blobs.known)
    cluster.tree.session().put(paths.user_blob("words.txt"), b"nonsense")
    cluster.pass_time(KEEP_SECS + LOOK_SECS)
    assert (dict(cluster.core.user_blobs.known), contents(cluster.nimbus)) == (known, [b"one"])


def reads(cluster: Cluster, *, secs: int) -> list[str]:
    """Which records the cluster's Nimbuses read in a time without requests."""
    found: list[str] = []

    def note(storage: Any, method: str, path: str) -> None:
        if method == "get" and path.startswith(f"{paths.USER_BLOBS}/"):
            found.append(path)

    cluster.tree.faults = note
    cluster.pass_time(secs)
    cluster.tree.faults = None
    return found


def test_records_are_read_when_they_change_and_else_rarely(cluster: Cluster) -> None:
    for key in ("a", "b"):
        put(cluster.nimbus, key, b"one")
    cluster.core.step()
    assert reads(cluster, secs=10) == []
    there = cluster.state.user_blob("a")
    assert there is not None
    cluster.state.put_user_blob(replace(there, replication=7))  # as another leader would
    assert reads(cluster, secs=10) == [paths.user_blob("a")]
    assert cluster.core.user_blobs.known["a"].replication == 7
    cluster.state.remove_user_blob("b")
    cluster.core.step()
    assert cluster.core.user_blobs.known.keys() == {"a"}
    assert reads(cluster, secs=int(READ_ALL_SECS)) == [paths.user_blob("a")]


def test_a_record_whose_reading_failed_is_read_again(cluster: Cluster) -> None:
    put(cluster.nimbus, "a", b"one")
    cluster.core.step()
    there = cluster.state.user_blob("a")
    assert there is not None
    cluster.state.put_user_blob(replace(there, replication=7))
    cluster.tree.faults = lambda storage, method, path: Fault.ANSWER_LOST if path == paths.user_blob("a") else None
    with pytest.raises(CoordinationError):
        cluster.core.step()
    cluster.tree.faults = None
    cluster.core.step()
    assert cluster.core.user_blobs.known["a"].replication == 7


class DeafStorage:
    """One whose watches tell nothing yet."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def get(self, path: str, watch: Any = None) -> Any:
        return self._storage.get(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def test_what_no_watch_has_told_yet(cluster: Cluster) -> None:
    nimbus = cluster.nimbus
    state: Any = StormClusterState(DeafStorage(nimbus.storage), nimbus.election.fence)
    blobs = UserBlobs(state, nimbus.core._blobs, nimbus.core.replication, cluster.clock, KEEP_SECS)
    for data in (b"one", b"two"):
        blobs.look("c", 1)
        blobs.begin(change(nimbus, "a", data, is_new=data == b"one"))
    blobs.look("c", 1)
    assert blobs.known["a"].version == 2, "its own writes it knows"
    for term, secs, replication in ((2, 0, 5), (2, READ_ALL_SECS, 6)):
        cluster.state.put_user_blob(replace(blobs.known["a"], replication=replication))
        cluster.clock.secs += secs
        blobs.look("c", term)
        assert blobs.known["a"].replication == replication, "when it leads anew, and some time"


# Topologies


def submit(cluster: Cluster, *keys: str, name: str = "wc") -> str:
    conf = {"topology.blobstore.map": {key: {} for key in keys}}
    topology_id: str = cluster.core.submit(SubmitRequest(name, json.dumps(conf), cluster.word_count(), [b"zip"]))
    return topology_id


def test_a_topology_whose_blob_does_not_exist_is_refused(two_nodes: Cluster) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    with pytest.raises(
        InvalidTopologyError, match=r"topology\.blobstore\.map names the blob 'stop\.txt', which does not"
    ):
        submit(two_nodes, "words.txt", "stop.txt")
    assert (two_nodes.state.topology_ids(), two_nodes.core._blobs.owners()) == ([], set())
    submit(two_nodes, "words.txt")
    override = RebalanceRequest(conf_overrides={"topology.blobstore.map": {"stop.txt": {}}})
    with pytest.raises(InvalidTopologyError, match=r"'stop\.txt'"):
        two_nodes.core.rebalance("wc", override, 0)


def test_a_blob_that_a_topology_wants_is_not_deleted(two_nodes: Cluster) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    put(two_nodes.nimbus, "other.txt", b"other")
    for name in ("wc", "more"):
        submit(two_nodes, "words.txt", name=name)
    with pytest.raises(InvalidTransitionError, match=r"'words\.txt' cannot be deleted .*: more, wc\. Kill them first"):
        two_nodes.core.delete_blob("words.txt")
    two_nodes.core.delete_blob("other.txt")
    for name in ("wc", "more"):
        two_nodes.core.kill(name, 0)
    two_nodes.core.step()
    two_nodes.core.delete_blob("words.txt")


def test_a_blob_that_a_topology_wants_which_waits_for_nimbuses_is_not_deleted(two_nodes: Cluster) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    conf = {"topology.blobstore.map": {"words.txt": {}}, "topology.min.replication.count": 2}
    request = SubmitRequest("wc", json.dumps(conf), two_nodes.word_count(), [b"zip"])
    assert not two_nodes.core.begin_submission(request).done.done()
    with pytest.raises(InvalidTransitionError, match="wc"):
        two_nodes.core.delete_blob("words.txt")


def test_a_blob_that_a_topology_will_want_after_its_rebalance_is_not_deleted(two_nodes: Cluster) -> None:
    for key in ("before.txt", "after.txt"):
        put(two_nodes.nimbus, key, b"one")
    submit(two_nodes, "before.txt")
    two_nodes.core.step()
    override = RebalanceRequest(conf_overrides={"topology.blobstore.map": {"after.txt": {}}})
    two_nodes.core.rebalance("wc", override, 30)
    for key in ("before.txt", "after.txt"):
        with pytest.raises(InvalidTransitionError, match="wc"):
            two_nodes.core.delete_blob(key)
    two_nodes.pass_time(31)
    two_nodes.core.delete_blob("before.txt")
    with pytest.raises(InvalidTransitionError, match="wc"):
        two_nodes.core.delete_blob("after.txt")


# Several Nimbuses


class OnlyTopologies:
    """Fetches nothing of people's blobs."""

    def __init__(self, peers: Any) -> None:
        self._peers = peers

    def fetch(self, key: str, sha256: str, nimbuses: tuple[str, ...]) -> None:
        if not is_version_key(key):
            self._peers.fetch(key, sha256, nimbuses)


def test_a_submission_is_answered_when_enough_nimbuses_hold_its_blobs_too(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    put(two_nodes.nimbus, "other.txt", b"nobody waits for it")
    follower.core.replication.fetcher = OnlyTopologies(follower.peers)
    pending = two_nodes.begin(two_nodes.nimbus, count=2, **{"topology.blobstore.map": {"words.txt": {}}})
    topology_id = pending.base.topology_id
    two_nodes.settle(follower, two_nodes.nimbus)
    assert follower.core._blobs.owners() == {topology_id}
    assert (pending.done.done(), two_nodes.core.replication.counts[topology_id]) == (False, 1)
    follower.peers.fetch(*words(two_nodes), (two_nodes.nimbus.info.address,))
    two_nodes.settle(follower, two_nodes.nimbus)
    assert pending.done.result(0) is None
    assert two_nodes.core.replication.counts[topology_id] == 2
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.settle(follower)
    assert topology_id in follower.core.snapshot.plans
    assert contents(follower) == [b"one"]


def words(cluster: Cluster) -> tuple[str, str]:
    """Key and hash of the content of words.txt."""
    sha256 = cluster.core.user_blobs.known["words.txt"].sha256
    return version_key("words.txt", sha256), sha256


def test_a_submission_whose_time_is_over_tells_how_many_nimbuses_hold_it(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    follower.core.replication.fetcher = OnlyTopologies(follower.peers)
    pending = two_nodes.begin(two_nodes.nimbus, count=2, **{"topology.blobstore.map": {"words.txt": {}}})
    for _ in range(61):
        two_nodes.clock.secs += 1
        two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    assert pending.done.result(0) is None
    assert two_nodes.core.replication.counts == {pending.base.topology_id: 1}


def test_a_blob_is_answered_when_enough_nimbuses_hold_it(two_nodes: Cluster, follower: Nimbus) -> None:
    pending = put(two_nodes.nimbus, "words.txt", b"one", replication=3)  # of those that live
    two_nodes.core.step()
    assert not pending.done.done()
    assert (dict(two_nodes.core.user_blobs.known), two_nodes.state.user_blob_keys()) == ({}, [])
    two_nodes.settle(follower, two_nodes.nimbus)
    assert pending.done.result(0) is None
    assert contents(follower) == [b"one"]
    assert two_nodes.core.user_blobs.count("words.txt") == 2


def test_the_next_leader_has_the_blobs(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    two_nodes.settle(follower, two_nodes.nimbus)
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.settle(follower)
    assert follower.core.user_blobs.known["words.txt"].version == 1
    put(follower, "words.txt", b"two", is_new=False)
    assert follower.core.user_blobs.known["words.txt"].version == 2


def test_a_nimbus_that_comes_later_fetches_what_there_is_now(two_nodes: Cluster) -> None:
    for data in (b"one", b"two"):
        put(two_nodes.nimbus, "words.txt", data, is_new=data == b"one")
    two_nodes.core.step()
    late = two_nodes.start_nimbus("nimbus-3", MemoryBlobStore())
    two_nodes.settle(late, two_nodes.nimbus)
    assert contents(late) == [b"two"]
    assert two_nodes.core.user_blobs.count("words.txt") == 2


def test_replaced_contents_go_from_every_nimbus(two_nodes: Cluster, follower: Nimbus) -> None:
    for data in (b"one", b"two"):
        put(two_nodes.nimbus, "words.txt", data, is_new=data == b"one")
        two_nodes.settle(follower, two_nodes.nimbus)
    assert contents(follower) == [b"one", b"two"]
    for _ in range(KEEP_SECS + LOOK_SECS):
        two_nodes.clock.secs += 1
        two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    assert contents(follower) == contents(two_nodes.nimbus) == [b"two"]
    assert two_nodes.state.blob_keys() == [version_key("words.txt", hashlib.sha256(b"two").hexdigest())]


@pytest.mark.parametrize("followed", [True, False], ids=["step by step", "the follower sees nothing between"])
def test_a_content_that_comes_back_is_on_every_nimbus_again(
    two_nodes: Cluster, follower: Nimbus, followed: bool
) -> None:
    leader = two_nodes.nimbus
    put(leader, "words.txt", b"one", replication=2)
    two_nodes.settle(follower, leader)
    for data in (b"two", b"one"):
        leader.core.user_blobs.set_replication("words.txt", 1)
        put(leader, "words.txt", data, is_new=False, replication=None)
        two_nodes.settle(leader, *([follower] if followed else []))
    two_nodes.settle(follower, leader)
    assert leader.core.user_blobs.count("words.txt") == 2
    put(leader, "words.txt", b"two", is_new=False, replication=2)
    two_nodes.settle(follower, leader)
    assert leader.core.user_blobs.count("words.txt") == 2


def test_who_holds_a_content_is_asked_only_when_that_changed(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one", replication=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    asked: list[str] = []
    two_nodes.tree.faults = lambda storage, method, path: asked.append(path) if "/blobstore/" in path else None
    follower.core.step()
    assert asked == []


def test_a_nimbus_that_does_not_fetch_is_not_waited_for_for_ever(two_nodes: Cluster, follower: Nimbus) -> None:
    two_nodes.reachable.clear()
    pending = put(two_nodes.nimbus, "words.txt", b"one", replication=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    assert not pending.done.done()
    assert two_nodes.core.step() <= REPLICATION_WAIT_SECS
    two_nodes.clock.secs += REPLICATION_WAIT_SECS
    two_nodes.core.step()
    assert pending.done.result(0) is None


def test_a_leader_that_is_replaced_leaves_no_blob_that_was_not_answered(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    two_nodes.settle(follower, two_nodes.nimbus)
    pending = put(two_nodes.nimbus, "words.txt", b"two", is_new=False, replication=2)
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    with pytest.raises(NotLeaderError):
        pending.done.result(0)
    for _ in range(KEEP_SECS + LOOK_SECS):
        two_nodes.clock.secs += 1
        two_nodes.settle(follower, two_nodes.nimbus, rounds=1)
    assert follower.core.user_blobs.known["words.txt"].version == 1
    assert contents(follower) == contents(two_nodes.nimbus) == [b"one"]


def test_a_leader_that_stops_tells_who_waits(two_nodes: Cluster, follower: Nimbus) -> None:
    pending = put(two_nodes.nimbus, "words.txt", b"one", replication=2)
    two_nodes.core.abandon()
    with pytest.raises(NotLeaderError, match="stopping"):
        pending.done.result(0)


def test_of_two_who_create_one_key_one_wins(two_nodes: Cluster, follower: Nimbus) -> None:
    one = put(two_nodes.nimbus, "words.txt", b"one", replication=2)
    two = put(two_nodes.nimbus, "words.txt", b"two", replication=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    assert one.done.result(0) is None
    with pytest.raises(BlobAlreadyExistsError):
        two.done.result(0)
    assert two_nodes.core.user_blobs.known["words.txt"].size_bytes == 3


def test_a_leader_without_a_term_changes_nothing(two_nodes: Cluster) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    two_nodes.tree.session().delete(two_nodes.nimbus.election.fence())
    for refused in (
        lambda: put(two_nodes.nimbus, "words.txt", b"two", is_new=False),
        lambda: two_nodes.core.user_blobs.delete("words.txt", []),
        lambda: two_nodes.core.user_blobs.set_replication("words.txt", 2),
    ):
        with pytest.raises(NotLeaderError):
            refused()
    there = two_nodes.state.user_blob("words.txt")
    assert there == two_nodes.core.user_blobs.known["words.txt"]
    assert there.version == 1


def test_a_damaged_content_is_fetched_from_another(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one", replication=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    [key] = two_nodes.core._blobs.held_versions()
    two_nodes.core.distrust(key)
    assert two_nodes.core.user_blobs.count("words.txt") == 2
    two_nodes.settle(two_nodes.nimbus, follower)
    assert two_nodes.nimbus.peers.fetched == [(key, "nimbus-2:6627")]


def test_how_many_must_hold_the_next_content_can_be_set(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one")
    two_nodes.core.user_blobs.set_replication("words.txt", 2)
    there = two_nodes.state.user_blob("words.txt")
    assert isinstance(there, UserBlob)
    assert (there.version, there.replication) == (1, 2)


def test_a_number_that_is_set_while_an_update_is_under_way_stays(two_nodes: Cluster, follower: Nimbus) -> None:
    put(two_nodes.nimbus, "words.txt", b"one", replication=2)
    two_nodes.settle(follower, two_nodes.nimbus)
    pending = put(two_nodes.nimbus, "words.txt", b"two", is_new=False, replication=None)
    assert not pending.done.done()
    two_nodes.core.user_blobs.set_replication("words.txt", 3)
    two_nodes.settle(follower, two_nodes.nimbus)
    assert pending.done.result(0) is None
    there = two_nodes.core.user_blobs.known["words.txt"]
    assert (there.version, there.size_bytes, there.replication) == (2, 3, 3)
