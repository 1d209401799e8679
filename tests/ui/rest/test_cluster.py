from __future__ import annotations

from typing import Any

from storm.thrift.interface import storm_thrift
from storm.ui.rest.cluster import cluster_summary, nimbus_summary
from storm.ui.rest.view import View


def test_a_cluster_is_the_sum_of_its_parts(site: Any, topology_id: str) -> None:
    found = cluster_summary(site.service.getClusterInfo(), View(0, version="0.1.0"))
    assert (found["supervisors"], found["topologies"]) == (2, 1)
    assert (found["slotsTotal"], found["slotsUsed"], found["slotsFree"]) == (8, 2, 6)
    assert (found["executorsTotal"], found["tasksTotal"]) == (8, 10)
    assert found["stormVersionInfo"]["version"] == found["stormVersion"] == "0.1.0"


def test_an_empty_cluster_divides_by_nothing() -> None:
    nothing = storm_thrift().ClusterSummary(supervisors=[], topologies=[], nimbuses=[])
    found = cluster_summary(nothing, View(0))
    assert (found["slotsTotal"], found["memAssignedPercentUtil"], found["totalMem"]) == (0, "0.000", 0.0)


def test_what_supervisors_tell_of_memory_is_summed_up() -> None:
    t = storm_thrift()
    told = {"supervisor.memory.capacity.mb": 4096.0, "supervisor.cpu.capacity": 400.0}
    one = t.SupervisorSummary(
        host="h", uptime_secs=1, num_workers=1, num_used_workers=2, supervisor_id="a", total_resources=told,
        used_mem=1024.0, used_cpu=100.0,
    )  # fmt: skip
    found = cluster_summary(t.ClusterSummary(supervisors=[one, one], topologies=[], nimbuses=[]), View(0))
    assert (found["totalMem"], found["availMem"], found["memAssignedPercentUtil"]) == (8192.0, 6144.0, "25.000")
    assert (found["totalCpu"], found["availCpu"], found["cpuAssignedPercentUtil"]) == (800.0, 600.0, "25.000")
    assert found["slotsFree"] == 0


def test_seeds_that_are_not_there_are_offline(site: Any) -> None:
    view = View(0, seeds=("nimbus-1", "nimbus-9:7777", "nimbus-9:7777", "localhost", "::1"), nimbus_port=6627)
    found = nimbus_summary(site.service.getClusterInfo(), view)["nimbuses"]
    assert [(one["host"], one["port"], one["status"]) for one in found] == [
        ("nimbus-1", 6627, "Leader"),
        ("nimbus-9", "7777", "Offline"),
    ]
    assert found[1]["nimbusUpTimeSeconds"] == "Not applicable"


def test_a_nimbus_leads_to_its_log_where_a_log_viewer_of_its_host_has_it(site: Any) -> None:
    view, summary = View(0), site.service.getClusterInfo()
    assert [one["nimbusLogLink"] for one in nimbus_summary(summary, view)["nimbuses"]] == [""]
    summary.supervisors[0].host = "nimbus-1"
    summary.supervisors[0].daemon_logs = ["nimbus.log"]
    [one] = nimbus_summary(summary, view)["nimbuses"]
    assert one["nimbusLogLink"] == "http://nimbus-1:8000/api/v1/daemonlog?file=nimbus.log"


def test_a_follower_does_not_lead(site: Any) -> None:
    site.cluster.start_nimbus("nimbus-2").core.step()
    found = nimbus_summary(site.service.getClusterInfo(), View(0))["nimbuses"]
    assert [one["status"] for one in found] == ["Leader", "Not a Leader"]
