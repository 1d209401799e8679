"""The hosts of a running cluster: what `storm doctor` finds, and taking one out of service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]


def test_the_doctor_finds_a_healthy_cluster_and_then_what_was_broken(cluster: ClusterSite) -> None:
    found = cluster.read("doctor")
    assert [one for one in found["findings"] if one["level"] == "problem"] == []
    assert found["healthy"] is True
    texts = [one["text"] for one in found["findings"]]
    assert any("standalone-dev" in text for text in texts)
    assert any("3 supervisors, 0 of 12 slots used" in text for text in texts)
    assert any("those of 4 daemons agree" in text for text in texts)

    cluster.nimbus.stop()
    ill = json.loads(cluster.storm("doctor", "--quiet", "--json", code=1).stdout)
    [problem] = [one for one in ill["findings"] if one["level"] == "problem"]
    assert problem["area"] == "nimbus"
    assert "nothing listens there" in problem["text"]
    assert "storm nimbus" in problem["remedy"]
    assert "problem" in cluster.storm("doctor", code=1).stdout


def test_a_drained_host_is_left_under_load_and_nothing_is_lost_or_failed(
    cluster: ClusterSite, ledger: Ledger, topologies: Path
) -> None:
    topology_id = ledger.submit(cluster, topologies, "leaving", workers=4)
    drained = cluster.node_id("a")
    assert drained in {worker.supervisor_id for worker in cluster.page(topology_id).workers}
    said = cluster.storm("drain", drained, "-w", "4").stdout
    assert "is empty" in said
    assert "leaving: Leaves 127.0.0.1 (drained)" in said
    assert drained not in {worker.supervisor_id for worker in cluster.page(topology_id).workers}
    assert not set(cluster.worker_pids(topology_id).values()) & set(
        cluster.supervisors["a"].settings["supervisor.slots.ports"]
    )
    assert ledger.failed() == 0, "what was under way was done before any worker ended"
    cluster.wait_spread(topology_id, 4)
    ledger.wait_progress(cluster)

    cluster.supervisors["a"].stop()
    cluster.start_supervisor("a")
    states = {row["id"]: row["state"] for row in cluster.read("hosts")}
    assert (states[drained], len(states)) == ("drained", 3)
    assert "127.0.0.1 is drained: empty; `storm undrain 127.0.0.1`" in cluster.storm("list").stdout
    cluster.storm("rebalance", "leaving", "-w", "0", "-n", "6")
    cluster.wait_spread(topology_id, 6)
    assert drained not in {worker.supervisor_id for worker in cluster.page(topology_id).workers}

    cluster.storm("undrain", "--here", "-c", f"storm.local.dir={cluster.supervisors['a'].local_dir}")
    cluster.storm("rebalance", "leaving", "-w", "0", "-n", "6")
    cluster.wait(
        lambda: drained in {worker.supervisor_id for worker in cluster.page(topology_id).workers}, "it works again"
    )
    cluster.wait_spread(topology_id, 6)
    ledger.check_complete(cluster)
