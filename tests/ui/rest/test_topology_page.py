from __future__ import annotations

from typing import Any

from storm.cluster.records import DebugOptions
from storm.ui.rest.topology_page import topology_page
from storm.ui.rest.view import View


def shown(site: Any, topology_id: str, window: str = ":all-time", system: bool = False) -> dict[str, Any]:
    page = site.service.getTopologyPageInfo(topology_id, window, system)
    return topology_page(page, View(site.cluster.clock.wall_secs(), window))


def test_the_figures_are_those_that_executors_told(site: Any, topology_id: str) -> None:
    page = shown(site, topology_id, "600")
    assert (page["window"], page["windowHint"]) == ("600", "10m 0s")
    assert [one["window"] for one in page["topologyStats"]] == ["600", "10800", "86400", ":all-time"]
    total = page["topologyStats"][0]
    assert (total["emitted"], total["transferred"], total["acked"], total["failed"]) == (710, 720, 98, 2)
    assert total["completeLatency"] == "2.500"
    [spout] = page["spouts"]
    assert (spout["spoutId"], spout["executors"], spout["tasks"], spout["emitted"]) == ("words", 2, 2, 110)
    assert (spout["completeLatency"], spout["lastError"], spout["errorPort"]) == ("2.500", "", None)
    count, split = page["bolts"]
    assert (count["boltId"], count["executed"], count["processLatency"]) == ("count", 620, "0.500")
    assert (split["tasks"], split["acked"], split["failed"], split["executeLatency"]) == (4, 98, 2, "0.125")
    assert split["capacity"] == "0.000"


def test_the_last_error_is_its_headline_with_where_it_was(site: Any, topology_id: str) -> None:
    split = shown(site, topology_id)["bolts"][1]
    assert (split["lastError"], split["errorHost"], split["errorPort"]) == ("ValueError: bad line 500", "host-a", 6700)
    assert split["errorLapsedSecs"] == 10
    assert split["errorWorkerLogLink"].endswith(f"{topology_id}%2F6700%2Fworker.log")


def test_the_systems_components_are_there_on_request(site: Any, topology_id: str) -> None:
    assert {one["boltId"] for one in shown(site, topology_id, system=True)["bolts"]} == {"__acker", "count", "split"}


def test_settings_are_an_object_without_secrets(site: Any) -> None:
    topology_id = site.cluster.submit(conf={"my.password": "hunter2", "topology.message.timeout.secs": 7})
    page = shown(site, topology_id)
    assert page["msgTimeout"] == 7
    assert page["configuration"]["topology.workers"] == 2
    assert "hunter2" not in str(page)


def test_whether_tuples_are_logged_is_shown(site: Any, topology_id: str) -> None:
    assert (shown(site, topology_id)["debug"], shown(site, topology_id)["samplingPct"]) == (False, 10.0)
    site.cluster.core.debug("wordcount", "", DebugOptions(True, 2.5))
    site.cluster.core.step()
    assert (shown(site, topology_id)["debug"], shown(site, topology_id)["samplingPct"]) == (True, 2.5)


def test_a_topology_without_slots_has_a_page(site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    topology_id = site.cluster.submit()
    page = shown(site, topology_id)
    assert (page["workers"], page["executorsTotal"]) == ([], 0)
    assert "no supervisor has a free slot" in page["schedulerInfo"]
