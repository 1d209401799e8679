"""The life of a topology on a whole cluster: every grouping, rebalance, deactivate and activate, kill."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from zookeeper_servers import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = pytest.mark.timeout(240)
NUMBERS = range(600)
EXAMPLE = REPOSITORY / "storm" / "examples" / "groupings.py"


def test_every_grouping_over_four_workers_task_by_task(cluster: ClusterSite, tmp_path: Path) -> None:
    conf = {"topology__workers": 4, "groupings__count": len(NUMBERS), "groupings__report_dir": tmp_path}
    topology_id = cluster.submit(EXAMPLE, "groupings", **conf)
    wanted = {"emitted": 2 * len(NUMBERS), "acked": 2 * len(NUMBERS), "failed": 0}

    def all_acked() -> bool:
        spout = reports(tmp_path).get("numbers")
        return spout is not None and wanted.items() <= spout[0].items()

    cluster.wait(all_acked, f"the spout reports {wanted}")
    cluster.wait(lambda: is_complete(reports(tmp_path)), "every bolt has reported all it got")
    found = reports(tmp_path)
    everyone = [report for of_component in found.values() for report in of_component]
    assert len({report["worker_port"] for report in everyone}) == 4
    assert set(cluster.worker_pids(topology_id).values()) == {report["worker_port"] for report in everyone}
    check_even(found)
    check_by_key(found)
    check_chosen(found)


def reports(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """{component: the reports of its tasks, by task id}."""
    found: dict[str, list[dict[str, Any]]] = {}
    for report in sorted((json.loads(p.read_text()) for p in directory.glob("*.json")), key=lambda r: r["task"]):
        found.setdefault(report["component"], []).append(report)
    return found


def copies_in_all(component: str) -> int:
    """How many tuples all tasks of a component get together."""
    if component == "all":
        return 3 * len(NUMBERS)
    if component == "custom":
        return len(NUMBERS) + len([number for number in NUMBERS if number % 10 == 0])
    return len(NUMBERS)


def is_complete(found: dict[str, list[dict[str, Any]]]) -> bool:
    bolts = {component: tasks for component, tasks in found.items() if component != "numbers"}
    return len(bolts) == 9 and all(
        len(tasks) == 3 and sum(len(task["numbers"]) for task in tasks) == copies_in_all(component)
        for component, tasks in bolts.items()
    )


def numbers_of(found: dict[str, list[dict[str, Any]]], component: str) -> list[list[int]]:
    return [sorted(task["numbers"]) for task in found[component]]


def together(tasks: Iterable[list[int]]) -> list[int]:
    return sorted(chain.from_iterable(tasks))


def check_even(found: dict[str, list[dict[str, Any]]]) -> None:
    shuffled = numbers_of(found, "shuffle")
    assert together(shuffled) == list(NUMBERS)
    assert [len(numbers) for numbers in shuffled] == [len(NUMBERS) // 3] * 3
    assert together(numbers_of(found, "none")) == list(NUMBERS)  # each by chance
    spout = found["numbers"][0]
    local = [task for task in found["local_or_shuffle"] if task["task"] in spout["worker_tasks"]]
    receivers = local or found["local_or_shuffle"]
    assert together(task["numbers"] for task in receivers) == list(NUMBERS)


def check_by_key(found: dict[str, list[dict[str, Any]]]) -> None:
    for component, tasks_a_key in (("fields", 1), ("partial_key", 2)):
        assert together(numbers_of(found, component)) == list(NUMBERS)
        tasks_of_key: dict[int, Counter[int]] = {}
        for task in found[component]:
            for number in task["numbers"]:
                tasks_of_key.setdefault(number % 10 if number % 2 else 0, Counter())[task["task"]] += 1
        assert len(tasks_of_key) == 6
        assert all(len(tasks) <= tasks_a_key for tasks in tasks_of_key.values()), component
    # Half of all numbers have one key: of its two candidates none gets much more than the other.
    assert len(tasks_of_key[0]) == 2


def check_chosen(found: dict[str, list[dict[str, Any]]]) -> None:
    assert numbers_of(found, "all") == [list(NUMBERS)] * 3
    assert numbers_of(found, "global") == [list(NUMBERS), [], []]
    assert numbers_of(found, "direct") == [[n for n in NUMBERS if n % 3 == index] for index in range(3)]
    assert numbers_of(found, "custom") == [
        [n for n in NUMBERS if n % 2 == 0],
        [],
        [n for n in NUMBERS if n % 2 or n % 10 == 0],
    ]


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
    assert [found["status"] for found in cluster.read("list")] == ["KILLED"]
    cluster.wait(lambda: not cluster.remains(topology_id), "nothing is left of it")
    assert cluster.read("list") == []
    assert ledger.failed() == 0
    cluster.submit(topologies / "ledger.py", "doomed", ledger__dir=ledger.directory)
