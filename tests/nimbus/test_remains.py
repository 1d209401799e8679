"""ZooKeeper has lost what it knew: what becomes of code and workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.blobstore.blob_store import topology_keys
from storm.cluster import paths
from storm.nimbus.cleanup import KEEP_LOST_SECS

if TYPE_CHECKING:
    import pytest

    Cluster = Any  # of conftest


def wipe(cluster: Cluster, *tops: str) -> None:
    """Somebody deletes these nodes, and all below them."""
    storage = cluster.tree.session()
    for top in tops:
        storage.delete(top, recursive=True)


EVERYTHING = (*paths.TOP_NODES, paths.LEADER_INFO, paths.CLUSTER_ID)


def steps(cluster: Cluster, secs: int) -> None:
    """As time passes; a step each half hour at most."""
    while secs > 0:
        cluster.clock.secs += min(secs, 1800)
        secs -= 1800
        cluster.core.step()
        cluster.core.step()


def test_a_wiped_zookeeper_ends_no_topologys_code(two_nodes: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(20)
    wipe(two_nodes, *EVERYTHING)
    steps(two_nodes, 4 * 24 * 3600)
    assert two_nodes.core.leads
    assert two_nodes.blob_store.keys() == sorted(topology_keys(topology_id))
    assert "ZooKeeper knows no topology, and this Nimbus has the code of 1" in caplog.text
    assert caplog.text.count(f"no record of topology {topology_id}") == 1
    other = two_nodes.submit("other")
    two_nodes.core.kill("other", 0)
    steps(two_nodes, 3600)
    assert two_nodes.blob_store.keys() == sorted(topology_keys(topology_id)), f"{other} was ended"
    steps(two_nodes, int(KEEP_LOST_SECS))
    assert two_nodes.blob_store.keys() == []


def test_an_id_that_somebody_wrote_over_is_told_once_and_ends_no_topologys_code(
    two_nodes: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(20)
    storage = two_nodes.tree.session()
    right = storage.get(paths.CLUSTER_ID).data
    storage.put(paths.CLUSTER_ID, b"\xff nothing")
    steps(two_nodes, 4 * 24 * 3600)
    assert caplog.text.count(f"ZooKeeper's /cluster-id was {right.decode()!r} and is ") == 1
    storage.put(paths.CLUSTER_ID, right)
    steps(two_nodes, 3600)
    assert caplog.text.count(f"and is {right.decode()!r}: ") == 1
    assert two_nodes.blob_store.keys() == sorted(topology_keys(topology_id))


def test_it_is_kept_over_a_restart_of_nimbus_too(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(20)
    two_nodes.kill_nimbus(two_nodes.nimbus)
    wipe(two_nodes, *EVERYTHING)
    for host in ("nimbus-1", "nimbus-1"):
        two_nodes.clock.secs += 60
        two_nodes.nimbus = two_nodes.start_nimbus(host)
        two_nodes.core = two_nodes.nimbus.core
        steps(two_nodes, 3600)
    assert two_nodes.blob_store.keys() == sorted(topology_keys(topology_id))


def test_a_follower_keeps_it_as_well(two_nodes: Cluster) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(20)
    follower = two_nodes.start_nimbus("nimbus-2")
    wipe(two_nodes, *EVERYTHING)
    for _ in range(10):
        two_nodes.clock.secs += 600
        two_nodes.settle(two_nodes.nimbus, follower)
    assert two_nodes.blob_store.keys() == sorted(topology_keys(topology_id))


def test_records_that_are_deleted_end_neither_workers_nor_code(
    two_nodes: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    topology_id = two_nodes.submit()
    two_nodes.pass_time(20)
    before = two_nodes.assignment(topology_id)
    wipe(two_nodes, paths.STORMS)
    steps(two_nodes, 24 * 3600)
    assert two_nodes.assignment(topology_id) == before
    assert two_nodes.blob_store.keys() == sorted(topology_keys(topology_id))
    assert f"no record of topology {topology_id}" in caplog.text
    other = two_nodes.submit("other", conf={"topology.workers": 8})
    assert not set(two_nodes.assignment(other).slot_epochs) & set(before.slot_epochs)


def test_what_ended_while_a_nimbus_was_away_goes_soon(two_nodes: Cluster) -> None:
    two_nodes.submit()
    blobs = dict(two_nodes.blob_store._blobs)
    two_nodes.core.kill("wc", 0)
    two_nodes.pass_time(1)
    two_nodes.blob_store._blobs.update(blobs)
    steps(two_nodes, 3600)
    assert two_nodes.blob_store.keys() == []


def test_the_cluster_has_one_id_however_many_lead_it(two_nodes: Cluster) -> None:
    first = two_nodes.state.cluster_id()
    two_nodes.kill_nimbus(two_nodes.nimbus)
    two_nodes.clock.secs += 100
    successor = two_nodes.start_nimbus("nimbus-2")
    successor.core.step()
    assert successor.core.leads
    assert successor.state.cluster_id() == first == "nimbus-1:6627-1700001000"
