"""The life of a topology on a whole cluster: every grouping, rebalance, deactivate and activate, kill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from zookeeper_servers import REPOSITORY

from storm.testing.grouping_reports import problems

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = pytest.mark.timeout(240)
NUMBERS = 600
EXAMPLE = REPOSITORY / "storm" / "examples" / "groupings.py"


def test_every_grouping_over_four_workers_task_by_task(cluster: ClusterSite, tmp_path: Path) -> None:
    conf = {"topology__workers": 4, "groupings__count": NUMBERS, "groupings__report_dir": tmp_path}
    topology_id = cluster.submit(EXAMPLE, "groupings", **conf)
    wanted = {"emitted": 2 * NUMBERS, "acked": 2 * NUMBERS, "failed": 0}
    cluster.wait(
        lambda: any(wanted.items() <= report.items() for report in reports(tmp_path)), f"the spout reports {wanted}"
    )
    tasks = 1 + 9 * 3
    cluster.wait(
        lambda: len(reports(tmp_path)) == tasks and not problems(tmp_path, NUMBERS),
        "every task has reported what its grouping gives it, be it nothing",
    )

    found = reports(tmp_path)
    ports = {report["worker_port"] for report in found}
    assert len(ports) == 4
    assert set(cluster.worker_pids(topology_id).values()) == ports
    spout = next(report for report in found if report["component"] == "numbers")
    receivers = [report for report in found if report["component"] == "local_or_shuffle" and report["numbers"]]
    beside_spout = {report["task"] for report in receivers} & set(spout["worker_tasks"])
    assert beside_spout == {report["task"] for report in receivers} or not beside_spout


def reports(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in directory.glob("*.json")]


def test_rebalance_up_and_down_loses_no_tuple(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "ledger", workers=2)
    cluster.wait_spread(topology_id, 2)

    cluster.storm("rebalance", "ledger", "-w", "1", "-n", "4", "-e", "forward=4", "-e", "sink=3")
    cluster.wait_spread(topology_id, 4)
    executors = cluster.read("status", "ledger")["bolts"]
    assert (executors["forward"]["num_executors"], executors["forward"]["num_tasks"]) == (4, 4)
    assert (executors["sink"]["num_executors"], executors["sink"]["num_tasks"]) == (3, 4)
    ledger.wait_progress(cluster)

    cluster.storm("rebalance", "ledger", "-w", "1", "-n", "1", "-e", "forward=1")
    cluster.wait_spread(topology_id, 1)
    ledger.wait_progress(cluster)
    ledger.check_complete(cluster)


def test_deactivate_stops_the_spouts_and_activate_starts_them(
    cluster: ClusterSite, ledger: Ledger, topologies: Path
) -> None:
    topology_id = ledger.submit(cluster, topologies, "pausing", workers=2)
    pids = cluster.worker_pids(topology_id)

    cluster.storm("deactivate", "pausing")
    assert cluster.read("status", "pausing")["status"] == "INACTIVE"
    cluster.wait(lambda: [calls[-1:] for calls in ledger.calls()] == [["deactivate"]] * 2, "both spouts are told")
    sent = [spout["sent"] for spout in ledger.spouts().values()]
    cluster.wait(lambda: [len(acked) for acked in ledger.acked().values()] == sent, "what was under way is acked")
    assert cluster.worker_pids(topology_id) == pids

    cluster.storm("activate", "pausing")
    ledger.wait_progress(cluster)
    assert cluster.worker_pids(topology_id) == pids
    assert cluster.read("status", "pausing")["status"] == "ACTIVE"
    ledger.check_complete(cluster)
    assert ledger.failed() == 0
    # A spout that is asked for tuples in between notes "next_tuple".
    assert ledger.calls() == [["activate", "deactivate", "activate"]] * 2


def test_kill_leaves_nothing(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "doomed", workers=3)
    cluster.storm("set-log-level", "doomed", "-l", "ROOT=WARN")
    assert cluster.remains(topology_id)

    cluster.storm("kill", "doomed", "-w", "2")
    assert {found["status"] for found in cluster.read("list")} <= {"KILLED"}  # on a busy machine it is gone by then
    cluster.wait(lambda: not cluster.remains(topology_id), "nothing is left of it")
    assert cluster.read("list") == []
    assert ledger.failed() == 0
    cluster.submit(topologies / "ledger.py", "doomed", ledger__dir=ledger.directory)
