from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from storm.ui.rest.supervisors import resources, supervisor_page, supervisor_summary, worker
from storm.ui.rest.view import View

VIEW = View(0)


def test_each_supervisor_counts_its_slots(site: Any, topology_id: str) -> None:
    found = supervisor_summary(site.service.getClusterInfo().supervisors, VIEW)["supervisors"]
    assert [(one["id"], one["host"], one["slotsUsed"], one["slotsFree"]) for one in found] == [
        ("a", "host-a", 1, 3),
        ("b", "host-b", 1, 3),
    ]
    assert found[0]["logLink"] == ""


def test_each_leads_to_its_own_log_and_those_of_its_workers(site: Any, topology_id: str) -> None:
    told = replace(
        site.cluster.core.snapshot.supervisors["b"], logviewer_port=8001, daemon_logs=("nimbus.log", "supervisor.log")
    )
    site.cluster.supervisors["b"].put_supervisor(told)
    site.cluster.core.step()
    found = supervisor_page(site.service.getSupervisorPageInfo("b", "", False), VIEW)
    assert found["supervisors"][0]["logLink"] == "http://host-b:8001/api/v1/daemonlog?file=supervisor.log"
    assert found["workers"][0]["workerLogLink"].startswith("http://host-b:8001/api/v1/log?file=")


def test_a_host_has_a_page_with_its_workers(site: Any, topology_id: str) -> None:
    found = supervisor_page(site.service.getSupervisorPageInfo("", "host-b", False), VIEW)
    assert [one["id"] for one in found["supervisors"]] == ["b"]
    [one] = found["workers"]
    assert (one["topologyId"], one["topologyName"], one["owner"]) == (topology_id, "wordcount", "storm")
    assert (one["host"], one["uptime"], one["uptimeSeconds"]) == ("host-b", "1m 0s", 60)
    assert sum(one["componentNumTasks"].values()) == 4
    assert "__acker" not in one["componentNumTasks"]


def test_a_worker_that_has_told_nothing_is_up_for_no_time(site: Any) -> None:
    topology_id = site.cluster.submit()
    page = site.service.getTopologyPageInfo(topology_id, ":all-time", False)
    found = worker(page.workers[0], VIEW)
    assert (found["uptime"], found["uptimeSeconds"]) == ("0s", 0)


def test_what_workers_use_is_told_with_what_is_left(site: Any, topology_id: str) -> None:
    site.tell_usage(topology_id)
    [one, other] = supervisor_summary(site.service.getClusterInfo().supervisors, VIEW)["supervisors"]
    assert (one["totalMem"], one["usedMem"], one["availMem"]) == (2000.0, 1234.5, 765.5)
    assert (one["totalCpu"], one["usedCpu"], one["availCpu"]) == (400.0, 87.6, pytest.approx(312.4))
    assert (other["totalMem"], other["usedMem"], other["availMem"]) == (0.0, 1234.5, 0.0)


def test_without_resources_all_are_zero(site: Any) -> None:
    [one, _] = site.service.getClusterInfo().supervisors
    assert resources(one) == (0.0, 0.0, 0.0, 0.0)
