"""Rebalances under load: nothing is lost, and a worker whose executors stay the same is not disturbed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

    from storm.ids import ExecutorId

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True),
]


class Running(NamedTuple):
    """A worker: its process, and what the assignment gives it."""

    pid: int
    executors: tuple[ExecutorId, ...]


def running(cluster: ClusterSite, topology_id: str) -> dict[int, Running]:
    """{port: its worker}, of the ports that are assigned and have a process."""
    assignment = cluster.state.assignment(topology_id)
    assert assignment is not None
    pids = {port: pid for pid, port in cluster.worker_pids(topology_id).items()}
    return {
        slot.port: Running(pids[slot.port], executors)
        for slot, executors in assignment.slot_executors().items()
        if slot.port in pids
    }


def rebalance(cluster: ClusterSite, topology_id: str, workers: int, *words: str) -> int:
    """Do it without a wait, see it through; how many workers kept their executors, and so their process."""
    before = running(cluster, topology_id)
    name = cluster.page(topology_id).name
    started = time.monotonic()
    cluster.storm("rebalance", name, "-w", "0", "-n", str(workers), *words)
    cluster.wait(lambda: cluster.page(topology_id).status == "ACTIVE", f"{name} is assigned anew")

    def kept_and_changed() -> tuple[dict[int, bool], dict[int, bool]]:
        """{port: whether the process is the same}, for ports with the same executors, and for those with others."""
        now = running(cluster, topology_id)
        both = before.keys() & now.keys()
        kept = {port for port in both if now[port].executors == before[port].executors}
        same = {port: now[port].pid == before[port].pid for port in both}
        return {port: same[port] for port in kept}, {port: same[port] for port in both - kept}

    cluster.wait(lambda: not any(kept_and_changed()[1].values()), "workers with other executors are new processes")
    cluster.wait_spread(topology_id, workers)
    print(f"{workers} workers run after {time.monotonic() - started:.2f} s", end=", ")
    kept, _ = kept_and_changed()
    assert all(kept.values()), f"workers with the same executors were ended: {kept}"
    return len(kept)


def test_up_and_down_under_load_nothing_is_lost_and_who_need_not_move_runs_on(
    cluster: ClusterSite, ledger: Ledger, topologies: Path
) -> None:
    topology_id = ledger.submit(cluster, topologies, "elastic", workers=4, topology__acker__executors=2)
    steps: list[tuple[int, list[str], int]] = [  # workers, options, workers that run on
        (4, ["-e", "sink=1"], 2),
        (4, [], 4),
        (2, ["-e", "sink=2"], 0),
        (3, ["-e", "forward=4"], 0),
        (1, [], 0),
        (4, ["-e", "forward=2", "-e", "sink=4"], 0),
        (2, [], 0),
    ]
    for workers, options, run_on in steps:
        started = time.monotonic()
        assert rebalance(cluster, topology_id, workers, *options) >= run_on
        ledger.wait_progress(cluster)
        print(f"every spout goes on after {time.monotonic() - started:.2f} s")
    ledger.check_complete(cluster)


def test_a_rebalance_while_a_supervisor_is_away_needs_nothing_of_it(
    cluster: ClusterSite, ledger: Ledger, topologies: Path
) -> None:
    topology_id = ledger.submit(cluster, topologies, "reachable", workers=3)
    away = set(cluster.supervisors["b"].settings["supervisor.slots.ports"])
    assert away & running(cluster, topology_id).keys()
    with cluster.following("logs", "reachable") as followed:

        def is_followed() -> bool:
            """Whether every worker that runs now has a log that is shown."""
            seen = {int(record["worker"].rpartition(":")[2]) for record in followed()}
            return seen >= running(cluster, topology_id).keys()

        cluster.wait(is_followed, "who follows its logs sees all workers")
        cluster.supervisors["b"].stop()
        cluster.wait(lambda: cluster.node_id("b") not in cluster.state.supervisor_ids(), "Nimbus misses it")

        rebalance(cluster, topology_id, 5)  # so that no worker can keep just what it has
        assert not away & running(cluster, topology_id).keys()
        ledger.wait_progress(cluster)
        cluster.wait(is_followed, "and those that start meanwhile")

        cluster.start_supervisor("b")
        rebalance(cluster, topology_id, 3)
        assert away & running(cluster, topology_id).keys()
        ledger.wait_progress(cluster)
    ledger.check_complete(cluster)
