from __future__ import annotations

from typing import Any

from storm.thrift.interface import storm_thrift
from storm.ui.rest.topologies import history, owner_page, owner_summaries, topology_summary, topology_workers
from storm.ui.rest.view import View


def test_all_topologies_are_listed_the_oldest_first(site: Any) -> None:
    first = site.run_word_count("first words")
    site.cluster.clock.secs += 90
    second = site.run_word_count("second")
    found = topology_summary(site.service.getTopologySummaries())["topologies"]
    assert [(one["id"], one["name"], one["status"]) for one in found] == [
        (first, "first words", "ACTIVE"),
        (second, "second", "ACTIVE"),
    ]
    assert found[0]["encodedId"] == first.replace(" ", "%20")
    assert (found[0]["uptime"], found[0]["uptimeSeconds"], found[0]["tasksTotal"]) == ("1m 30s", 90, 10)
    assert history(site.service.getTopologyHistory("")) == {"topo-history": [first, second]}
    assert history(storm_thrift().TopologyHistoryInfo()) == {"topo-history": []}


def test_each_worker_of_a_topology_is_listed_once(site: Any, topology_id: str) -> None:
    found = topology_workers(site.service.getTopologyInfo(topology_id), View(0))
    assert found["hostPortList"] == [{"host": "host-a", "port": 6700}, {"host": "host-b", "port": 6700}]
    assert found["logviewerPort"] == 8000


def test_owners_have_what_their_topologies_have(site: Any) -> None:
    site.run_word_count("one", "ann")
    site.run_word_count("two", "ann")
    site.run_word_count("three", "bob")
    found = owner_summaries(site.service.getOwnerResourceSummaries(""))["owners"]
    assert [(one["owner"], one["totalTopologies"], one["totalWorkers"], one["totalTasks"]) for one in found] == [
        ("ann", 2, 4, 20),
        ("bob", 1, 2, 10),
    ]
    assert (found[0]["memoryGuarantee"], found[0]["isolatedNodes"]) == ("N/A", -1)
    [summary] = site.service.getOwnerResourceSummaries("bob")
    page = owner_page(summary, site.service.getTopologySummaries())
    assert [one["name"] for one in page["topologies"]] == ["three"]


def test_an_owners_usage_is_what_workers_take_and_nothing_is_requested(site: Any) -> None:
    site.tell_usage(site.run_word_count("one", "ann"))
    [found] = owner_summaries(site.service.getOwnerResourceSummaries("ann"))["owners"]
    assert (found["totalMemoryUsage"], found["totalCpuUsage"]) == (2 * 1234.5, 2 * 87.6)
    assert {found[key] for key in found if key.startswith(("totalReq", "totalAssigned"))} == {0.0}


def test_who_owns_nothing_has_nothing() -> None:
    page = owner_page(storm_thrift().OwnerResourceSummary(owner="eve"), [])
    assert (page["owner"], page["totalTopologies"], page["topologies"]) == ("eve", 0, [])
