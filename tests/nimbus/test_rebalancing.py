from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from full_disk import FullDisk

from storm.blobstore.blob_store import conf_key
from storm.cluster.records import DebugOptions, RebalanceRequest, StormBase, TopologyStatus
from storm.config.conf_origins import origins
from storm.errors import InvalidTopologyError
from storm.nimbus.blob_replication import BlobReplication
from storm.nimbus.rebalancing import rebalanced_base
from storm.nimbus.topology_blobs import TopologyBlobs

if TYPE_CHECKING:
    Cluster = Any  # of conftest


class Pending:
    """A topology whose rebalance is pending, and what decides when it is done."""

    def __init__(self, cluster: Cluster, count: int, **overrides: Any) -> None:
        self.store = cluster.blob_store
        self.topology_id = cluster.submit(conf={"topology.max.replication.wait.time.sec": 20})
        snapshot = cluster.core.snapshot
        cluster.core.rebalance("wc", RebalanceRequest(num_workers=3, conf_overrides=overrides), 1000)
        self.base: StormBase = cluster.state.storm_base(self.topology_id)
        self.plan = snapshot.plans[self.topology_id]
        self.plan.conf["topology.min.replication.count"] = count  # type: ignore[index]
        self.blobs = TopologyBlobs(self.store)
        self.replication = BlobReplication(cluster.state, self.blobs, cluster.nimbus.election, lambda: None)

    def after(self, left_secs: float) -> StormBase | None:
        return rebalanced_base(self.base, self.plan, self.blobs, self.replication, left_secs)

    def conf_hash(self) -> str:
        sha256: str = self.store.meta(conf_key(self.topology_id)).sha256
        return sha256


def test_without_a_new_conf_only_the_wait_counts(two_nodes: Cluster) -> None:
    pending = Pending(two_nodes, 2)
    assert pending.after(0.1) is None
    done = pending.after(0)
    assert done is not None
    assert (done.status, done.num_workers, done.blob_hashes) == (TopologyStatus.ACTIVE, 3, pending.base.blob_hashes)


def test_a_new_conf_is_offered_during_the_wait_and_takes_its_place_when_enough_have_it(two_nodes: Cluster) -> None:
    pending = Pending(two_nodes, 1, mine=2)
    before = pending.conf_hash()
    assert pending.after(5) is None
    assert f"{pending.topology_id}-stormconf-next.ser" in two_nodes.state.blob_keys()
    assert pending.conf_hash() == before
    done = pending.after(-0.5)
    assert done is not None
    assert done.blob_hashes[conf_key(pending.topology_id)] == pending.conf_hash() != before


def test_the_new_conf_says_what_the_rebalance_set(two_nodes: Cluster) -> None:
    pending = Pending(two_nodes, 1, mine=2)
    done = pending.after(0)
    assert done is not None
    plan = pending.blobs.plan(done)
    assert plan is not None
    found = origins(plan.conf)
    assert found is not None
    assert (found["mine"], found["topology.workers"], plan.conf["mine"]) == ("rebalance", "submission", 2)


def test_for_nimbuses_that_do_not_fetch_it_it_waits_as_long_as_a_submission(
    two_nodes: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    pending = Pending(two_nodes, 2, mine=2)
    before = pending.conf_hash()
    assert pending.after(-19.9) is None
    assert pending.conf_hash() == before
    assert pending.after(-20) is not None
    assert "its new conf is on 1 of 2 Nimbuses" in caplog.text


def test_a_topology_whose_code_is_not_here_stays_as_it_is(two_nodes: Cluster) -> None:
    pending = Pending(two_nodes, 1)
    assert rebalanced_base(pending.base, None, pending.blobs, pending.replication, -1000) is None


def test_a_full_disk_refuses_a_rebalance_with_a_new_conf_and_the_topology_runs_on(new_cluster: type[Cluster]) -> None:
    cluster = new_cluster(FullDisk())
    cluster.start_supervisor("a")
    topology_id = cluster.submit()
    before = cluster.state.storm_base(topology_id)
    cluster.blob_store.full = True
    request = RebalanceRequest(num_workers=3, conf_overrides={"mine": 2})
    with pytest.raises(InvalidTopologyError, match=r"'wc' cannot be stored .* runs on as it was. no space left"):
        cluster.core.rebalance("wc", request, 1000)
    assert cluster.state.storm_base(topology_id) == before
    cluster.core.rebalance("wc", replace(request, conf_overrides={}), 1000)
    assert cluster.state.storm_base(topology_id).status is TopologyStatus.REBALANCING


def test_a_full_disk_puts_the_rebalance_off(new_cluster: type[Cluster], caplog: pytest.LogCaptureFixture) -> None:
    cluster = new_cluster(FullDisk())
    pending = Pending(cluster, 1, mine=2)
    cluster.blob_store.full = True
    assert pending.after(0) is None
    assert "cannot be rebalanced yet: no space left" in caplog.text
    cluster.blob_store.full = False
    assert pending.after(0) is not None


def test_a_rebalance_that_says_topology_debug_is_as_storm_debug(two_nodes: Cluster) -> None:
    pending = Pending(two_nodes, 1, **{"topology.debug": True})
    pending.base = replace(pending.base, component_debug={"count": DebugOptions()})
    done = pending.after(0)
    assert done is not None
    assert done.component_debug == {"count": DebugOptions(), pending.topology_id: DebugOptions(True, 100.0)}
