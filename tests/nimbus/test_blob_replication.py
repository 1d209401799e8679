"""What several Nimbuses, each with a disk of its own, hold of topologies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from full_disk import FullDisk

from storm.blobstore.blob_store import code_key, conf_key, jar_key, topology_keys
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster import paths
from storm.cluster.memory import Fault
from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.errors import CoordinationError
from storm.nimbus.blob_replication import BlobReplication, NoPeers
from storm.nimbus.topology_blobs import TopologyBlobs, beside

if TYPE_CHECKING:
    Cluster = Any  # of conftest
    Nimbus = Any


@pytest.fixture
def follower(two_nodes: Cluster) -> Nimbus:
    """A second Nimbus with a disk of its own; `two_nodes.nimbus` leads."""
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    follower.core.step()
    return follower


def holders(cluster: Cluster, key: str) -> list[str]:
    return [replica.nimbus_address for replica in cluster.state.blob_replicas(key)]


def swapped(cluster: Cluster, follower: Nimbus) -> tuple[Any, dict[str, str]]:
    """The record of a topology whose leader has let the confs of a rebalance (`mine` 1 and 2) change places and written
    nothing of it yet, and what the record would name then.
    """
    topology_id = cluster.submit(conf={"mine": 1})
    cluster.settle(cluster.nimbus, follower)
    cluster.core.rebalance("wc", RebalanceRequest(conf_overrides={"mine": 2}), 1000)
    blobs, base = TopologyBlobs(cluster.blob_store), cluster.state.storm_base(topology_id)
    blobs.stage_conf(base, {**cluster.core.snapshot.plans[topology_id].conf, "mine": 2})
    return base, blobs.replace_conf(base)


def damage(store: MemoryBlobStore, key: str) -> None:
    """Other bytes under the same key."""
    store.delete(key)
    store.create(key, [b"damaged"])


def test_every_nimbus_fetches_a_topology_and_says_so(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    assert follower.blob_store.keys() == sorted(topology_keys(topology_id))
    base = two_nodes.state.storm_base(topology_id)
    for key, sha256 in base.blob_hashes.items():
        assert follower.blob_store.meta(key).sha256 == sha256
        assert holders(two_nodes, key) == ["nimbus-1:6627", "nimbus-2:6627"]
    assert two_nodes.core.replication.count(base.blob_hashes) == 2
    assert len(follower.peers.fetched) == 3
    two_nodes.settle(two_nodes.nimbus, follower)
    assert len(follower.peers.fetched) == 3


def test_a_nimbus_is_woken_when_there_is_something_to_fetch(two_nodes: Cluster, follower: Nimbus) -> None:
    two_nodes.settle(two_nodes.nimbus, follower)
    woken = follower.woken
    two_nodes.submit(conf={"topology.min.replication.count": 2})
    assert follower.woken > woken
    waiting = two_nodes.nimbus.woken
    two_nodes.settle(follower)
    assert two_nodes.nimbus.woken > waiting


def test_a_blob_that_is_not_what_the_record_names_is_not_taken(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.step()
    damage(two_nodes.blob_store, jar_key(topology_id))
    two_nodes.settle(follower)
    assert follower.blob_store.keys() == sorted([code_key(topology_id), conf_key(topology_id)])
    assert "do not have the hash" in follower.peers.failures[0]


def test_a_nimbus_that_died_counts_no_more(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    hashes = two_nodes.state.storm_base(topology_id).blob_hashes
    two_nodes.kill_nimbus(follower)
    assert two_nodes.core.replication.count(hashes) == 1


def test_a_nimbus_that_lost_its_session_says_again_what_it_holds(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    hashes = two_nodes.state.storm_base(topology_id).blob_hashes
    two_nodes.tree.expire(follower.storage)
    two_nodes.settle(follower)
    assert two_nodes.core.replication.count(hashes) == 2


def test_what_the_next_session_said_before_the_end_of_the_last_was_heard_is_taken_back_too(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    """Else a Nimbus that lacks a blob asks there for a content that is there no more, and nowhere else."""
    topology_id = two_nodes.submit()
    key, replication = conf_key(topology_id), follower.core.replication
    old, new = "a" * 64, "b" * 64

    def said() -> list[str]:
        return [each.sha256 for each in two_nodes.state.blob_replicas(key) if each.nimbus_address == "nimbus-2:6627"]

    replication.announce({key: old})
    replication.forget_announcements()
    replication.announce({key: new})
    assert said() == [new]
    replication.forget_announcements()
    replication.announce({key: new})
    assert said() == [new]
    replication.forget_announcements()
    replication.step({}, leads=False)  # it is not here at all
    assert said() == []


def test_what_may_have_been_said_before_the_answer_was_lost_is_taken_back(two_nodes: Cluster, follower: Nimbus) -> None:
    key, replication = conf_key(two_nodes.submit()), follower.core.replication
    two_nodes.tree.faults = lambda storage, method, path: (
        Fault.ANSWER_LOST if storage is follower.storage and method == "put_ephemeral" else None
    )
    with pytest.raises(CoordinationError):
        replication.announce({key: "a" * 64})
    two_nodes.tree.faults = None
    assert "nimbus-2:6627" in holders(two_nodes, key)
    replication.announce({key: "b" * 64})
    assert [each.sha256 for each in two_nodes.state.blob_replicas(key) if "nimbus-2" in each.nimbus_address] == [
        "b" * 64
    ]


def test_a_conf_beside_its_key_is_announced_again_where_the_leader_took_it_back_and_wants_the_same_once_more(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    """By a Nimbus that stood still in between."""
    topology_id = two_nodes.submit(conf={"mine": 1})
    two_nodes.settle(two_nodes.nimbus, follower)
    request = RebalanceRequest(conf_overrides={"mine": 2})
    two_nodes.core.rebalance("wc", request, 1000)
    two_nodes.settle(two_nodes.nimbus, follower)
    (staged,) = (key for key in two_nodes.state.blob_keys() if key in beside(topology_id))
    assert "nimbus-2:6627" in holders(two_nodes, staged)
    two_nodes.core.cluster_state.remove_blob(staged)
    two_nodes.settle(two_nodes.nimbus, follower)
    assert holders(two_nodes, staged) == ["nimbus-1:6627", "nimbus-2:6627"]


def test_what_a_full_disk_keeps_beside_its_key_after_the_rebalance_does_not_come_and_go_without_end(
    two_nodes: Cluster,
) -> None:
    """The leader takes it back, and the follower would announce it anew."""
    full = two_nodes.start_nimbus("nimbus-2", FullDisk())
    topology_id = two_nodes.submit(conf={"mine": 1})
    two_nodes.settle(two_nodes.nimbus, full)
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides={"mine": 2}), 1)
    two_nodes.settle(two_nodes.nimbus, full)
    full.blob_store.full = True
    two_nodes.clock.secs += 2
    two_nodes.settle(two_nodes.nimbus, full)
    assert two_nodes.state.storm_base(topology_id).rebalance is None
    assert not [key for key in two_nodes.state.blob_keys() if key in beside(topology_id)]
    woken = full.woken, two_nodes.nimbus.woken
    two_nodes.settle(two_nodes.nimbus, full)
    assert (full.woken, two_nodes.nimbus.woken) == woken


def test_a_nimbus_that_comes_back_with_an_empty_disk_takes_back_what_it_said(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    topology_id = two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    hashes = two_nodes.state.storm_base(topology_id).blob_hashes
    again = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())  # the session of its earlier life is not over yet
    again.core.replication.fetcher = NoPeers()
    again.core.step()
    assert two_nodes.core.replication.count(hashes) == 1
    again.core.replication.fetcher = again.peers
    two_nodes.settle(again)
    assert two_nodes.core.replication.count(hashes) == 2


def test_a_new_leader_without_the_code_gets_it_from_a_peer_and_goes_on_leading(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    topology_id = two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    before = two_nodes.assignment(topology_id)
    successor = two_nodes.start_nimbus("nimbus-3", MemoryBlobStore())
    successor.core.replication.fetcher = NoPeers()
    successor.core.step()
    follower.election.leave()
    follower.core.step()  # behind nimbus-3 now
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.core, two_nodes.state = successor.core, successor.state
    for _ in range(5):
        successor.core.step()
        assert successor.core.leads
        assert two_nodes.assignment(topology_id) == before
        assert topology_id not in successor.core.snapshot.plans
    successor.core.replication.fetcher = successor.peers
    two_nodes.settle(successor, follower)
    assert topology_id in successor.core.snapshot.plans
    assert successor.peers.fetched[0][1] == "nimbus-2:6627"
    successor.core.kill("wc", 0)


def test_a_topology_whose_code_nobody_has_stays_as_it_is(
    two_nodes: Cluster, follower: Nimbus, caplog: pytest.LogCaptureFixture
) -> None:
    topology_id = two_nodes.submit()
    before = two_nodes.assignment(topology_id)
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.core, two_nodes.state = follower.core, follower.state
    for _ in range(60):
        two_nodes.clock.secs += 10
        follower.core.step()
        assert follower.core.leads
    assert two_nodes.assignment(topology_id) == before
    assert two_nodes.state.storm_base(topology_id).status is TopologyStatus.ACTIVE
    assert caplog.text.count(f"Topology {topology_id} stays as it is") == 1


def test_a_damaged_blob_is_replaced_by_that_of_a_peer(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    key = jar_key(topology_id)
    damage(follower.blob_store, key)
    follower.core.distrust(key)
    follower.core.step()
    assert b"".join(follower.blob_store.read(key)) == b"zip"
    assert holders(two_nodes, key) == ["nimbus-1:6627"]
    follower.core.step()
    assert holders(two_nodes, key) == ["nimbus-1:6627", "nimbus-2:6627"]


def test_a_damaged_blob_that_nobody_else_has_is_kept_and_not_offered(two_nodes: Cluster, follower: Nimbus) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.step()
    two_nodes.core.distrust(jar_key(topology_id))
    two_nodes.settle(two_nodes.nimbus, follower)
    assert two_nodes.blob_store.keys(jar_key(topology_id))
    assert holders(two_nodes, jar_key(topology_id)) == []


def test_a_new_conf_is_with_enough_nimbuses_before_the_topology_runs_with_it(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    topology_id = two_nodes.submit(conf={"mine": 1})
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides={"topology.min.replication.count": 2}), 0)
    two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides={"mine": 2}), 0)
    before = two_nodes.assignment(topology_id)
    for _ in range(3):
        two_nodes.core.step()
    assert two_nodes.assignment(topology_id) == before
    two_nodes.settle(follower, two_nodes.nimbus)
    base = two_nodes.state.storm_base(topology_id)
    assert base.status is TopologyStatus.ACTIVE
    assert two_nodes.assignment(topology_id).blob_hashes == base.blob_hashes
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.settle(follower)
    assert follower.core.snapshot.plans[topology_id].conf["mine"] == 2
    assert follower.blob_store.keys() == sorted(topology_keys(topology_id))


def test_a_conf_that_is_in_its_place_before_the_record_names_it_is_not_taken_for_a_wrong_one(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    """The leader ended, or ZooKeeper did not answer, between the two."""
    base, hashes = swapped(two_nodes, follower)
    again = two_nodes.start_nimbus("nimbus-3")
    two_nodes.settle(two_nodes.nimbus, follower, again)
    key = conf_key(base.topology_id)
    assert two_nodes.blob_store.meta(key).sha256 == hashes[key]
    assert again.peers.fetched == two_nodes.nimbus.peers.fetched == []


def test_a_new_leader_fetches_a_conf_that_a_rebalance_which_was_cut_short_left_beside_its_key(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    topology_id = two_nodes.submit()
    two_nodes.core.step()
    two_nodes.core.rebalance("wc", RebalanceRequest(conf_overrides={"mine": 2}), 0)
    writes: list[str] = []

    def refuse_the_second(storage: object, method: str, path: str) -> Fault | None:
        if (method, path) == ("set", paths.storm(topology_id)):
            writes.append(path)
        return Fault.REFUSED if len(writes) > 1 else None

    two_nodes.tree.faults = refuse_the_second
    with pytest.raises(CoordinationError):
        two_nodes.core.step()
    two_nodes.tree.faults = None
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    two_nodes.settle(follower, two_nodes.nimbus)
    assert follower.core.leads
    assert follower.state.storm_base(topology_id).status is TopologyStatus.ACTIVE
    assert follower.core.snapshot.plans[topology_id].conf["mine"] == 2
    for nimbus in (two_nodes.nimbus, follower):
        assert nimbus.blob_store.keys() == sorted(topology_keys(topology_id))


def test_a_conf_that_only_lies_beside_its_key_does_not_make_room_for_a_new_leaders_old_one(
    two_nodes: Cluster, follower: Nimbus
) -> None:
    """The leader ended as it let two confs change places, and its successor was away for the rebalance before."""
    base, _ = swapped(two_nodes, follower)
    follower.blob_store.delete(conf_key(base.topology_id))
    follower.blob_store.create(f"{base.topology_id}-stormconf-previous.ser", [b"{}"])
    two_nodes.tree.expire(two_nodes.nimbus.storage)
    follower.core.step()
    assert follower.core.leads
    again = two_nodes.start_nimbus("nimbus-3", two_nodes.blob_store)
    two_nodes.settle(again, follower)
    for nimbus in (again, follower):
        plan = TopologyBlobs(nimbus.blob_store).plan(base)
        assert plan is not None
        assert plan.conf["mine"] == 1


def test_a_killed_topology_goes_from_every_nimbus(two_nodes: Cluster, follower: Nimbus) -> None:
    two_nodes.submit()
    two_nodes.settle(two_nodes.nimbus, follower)
    two_nodes.core.kill("wc", 0)
    two_nodes.settle(two_nodes.nimbus, follower)
    assert two_nodes.blob_store.keys() == []
    assert two_nodes.state.blob_keys() == []
    for _ in range(32):
        two_nodes.clock.secs += 10
        two_nodes.settle(two_nodes.nimbus, follower, rounds=1)
    assert follower.blob_store.keys() == []
    assert two_nodes.state.blob_keys() == []


def test_users_own_blobs_are_left_alone(two_nodes: Cluster, follower: Nimbus) -> None:
    follower.blob_store.create("users.own", [b"x"])
    two_nodes.clock.secs += 10_000
    two_nodes.settle(follower)
    assert follower.blob_store.keys() == ["users.own"]
    assert two_nodes.state.blob_keys() == []


def test_who_shares_a_store_fetches_nothing(two_nodes: Cluster) -> None:
    other = two_nodes.start_nimbus("nimbus-2")
    topology_id = two_nodes.submit(conf={"topology.min.replication.count": 2})
    two_nodes.settle(other, two_nodes.nimbus)
    assert other.peers.fetched == other.peers.failures == []
    assert two_nodes.state.storm_base(topology_id) is not None


def test_what_is_announced_is_counted_by_its_content(two_nodes: Cluster, follower: Nimbus) -> None:
    replication = BlobReplication(follower.state, TopologyBlobs(follower.blob_store), follower.election, lambda: None)
    replication.announce({"a-1-1-stormjar.jar": "aa"})
    assert replication.count({"a-1-1-stormjar.jar": "aa"}) == 1
    assert replication.count({"a-1-1-stormjar.jar": "bb"}) == 0
    replication.announce({"a-1-1-stormjar.jar": "bb"})
    assert replication.count({"a-1-1-stormjar.jar": "aa"}) == 0
    assert replication.count({}) == 0
