"""What happens to a cluster of containers, and what people do to it from outside, while a source counts.

Whatever it is, every number must arrive.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import pytest
from compose_site import SUPERVISORS, ComposeSite

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(1_800)  # the first waits for images to be made

RATE = 100.0


def test_a_topology_submitted_from_the_host_runs_on_every_supervisor(cluster: ComposeSite) -> None:
    load = cluster.load(1_000, RATE)
    assert len(cluster.wait_hosts(load.topology_id, SUPERVISORS)) == 3
    assert load.name in cluster.cluster("storm", "list")
    assert cluster.cluster("storm", "logs", load.name)
    load.finish()


def test_up_changes_nothing_of_a_cluster_that_is_up(cluster: ComposeSite) -> None:
    before = cluster.nodes()
    said = cluster.up()
    assert "image" not in said
    assert cluster.nodes() == before


def test_the_ui_shows_the_cluster_on_a_port_of_the_host(cluster: ComposeSite) -> None:
    summary = httpx.get(f"http://127.0.0.1:{cluster.ui_port}/api/v1/cluster/summary", timeout=30).json()
    assert summary["supervisors"] == SUPERVISORS


def test_the_leading_nimbus_is_killed(cluster: ComposeSite) -> None:
    load = cluster.load(2_500, RATE)
    killed = cluster.leader()
    cluster.cluster("kill", killed)
    cluster.wait(lambda: cluster.leader() not in {"", killed}, "the other Nimbus leads")
    load.wait_progress(200)
    cluster.storm("rebalance", load.name, "-w", "1", "-n", "2")
    cluster.wait_hosts(load.topology_id, 2)
    cluster.cluster("start", killed)
    cluster.wait_well()
    load.finish()


def test_the_leading_zookeeper_is_paused(cluster: ComposeSite) -> None:
    load = cluster.load(2_500, RATE)
    paused = cluster.zookeeper_leader()
    cluster.cluster("pause", paused)
    cluster.wait(cluster.zookeeper_leader, "the others elect one")
    load.wait_progress(500)
    cluster.storm("deactivate", load.name)
    cluster.storm("activate", load.name)
    load.wait_progress(200)
    cluster.cluster("resume", paused)
    cluster.wait_well()
    load.finish()


def test_a_supervisor_is_cut_off_and_comes_back(cluster: ComposeSite) -> None:
    load = cluster.load(3_000, RATE)
    hosts = cluster.wait_hosts(load.topology_id, 3)
    lost = cluster.node_of(min(hosts))
    cluster.cluster("cut", lost.name)
    cluster.wait(lambda: hosts - cluster.hosts(load.topology_id) == {min(hosts)}, "its work is done by others")
    load.wait_progress(200)
    assert cluster.worker_processes(lost) > 0, "a worker lives that cannot be reached"
    cluster.cluster("heal")
    cluster.wait_well()
    cluster.wait(lambda: cluster.worker_processes(lost) == 0, "the worker that was replaced has ended")
    load.finish()


def test_every_container_is_restarted_in_turn(cluster: ComposeSite) -> None:
    load = cluster.load(10_000, RATE)
    for node in cluster.nodes():
        cluster.cluster("restart", node.name)
        cluster.wait_well()
        # Not each on its own host: what was silent for too long was moved, and nothing moves back by itself.
        cluster.wait(lambda: len(cluster.workers(load.topology_id)) == load.workers, "all workers run")
        load.wait_progress(100)
    load.finish()


def test_supervisors_that_were_added_are_used_after_a_rebalance(cluster: ComposeSite) -> None:
    load = cluster.load(3_000, RATE)
    before = cluster.wait_hosts(load.topology_id, 3)
    cluster.up("--scale", "supervisor=5")
    cluster.wait_well()
    assert cluster.hosts(load.topology_id) == before, "nothing moves by itself"
    cluster.storm("rebalance", load.name, "-w", "1", "-n", "5")
    cluster.wait_hosts(load.topology_id, 5)
    load.wait_progress(200)
    caches = {name for node in cluster.nodes() for name in node.caches}
    cluster.up("--scale", f"supervisor={SUPERVISORS}")
    assert cluster.volumes() & caches == {name for node in cluster.nodes() for name in node.caches}
    cluster.wait_well()
    cluster.wait_hosts(load.topology_id, 3)
    load.finish()


def test_one_container_is_a_whole_cluster(cluster: ComposeSite, tmp_path: Path) -> None:
    single = ComposeSite(tmp_path, f"storm-single-{os.getpid()}")
    try:
        single.start(single=True)
        load = single.load(500, RATE)
        load.finish()
        ui = f"http://127.0.0.1:{single.ui_port}/api/v1/cluster/summary"
        assert httpx.get(ui, timeout=30).json()["supervisors"] == 1
    finally:
        single.close()
