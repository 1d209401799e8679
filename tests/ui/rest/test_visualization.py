from __future__ import annotations

from typing import Any

import pytest

from storm.ui.rest.view import View
from storm.ui.rest.visualization import sanitized, visualization, visualization_init


def graph(site: Any, topology_id: str, view: View) -> dict[str, Any]:
    return visualization(site.service.getTopology(topology_id), site.service.getTopologyInfo(topology_id), view)


def test_the_graph_has_figures_and_inputs(site: Any, topology_id: str) -> None:
    found = graph(site, topology_id, View(0, "600"))
    assert {name: node[":type"] for name, node in found.items()} == {"words": "spout", "split": "bolt", "count": "bolt"}
    assert (found["words"][":latency"], found["words"][":transferred"], found["words"][":capacity"]) == (2.5, 120, 0)
    assert (found["count"][":latency"], found["count"][":transferred"]) == (0.5, 0)
    assert 0 < found["count"][":capacity"] < 0.01
    assert sorted((one[":component"], one[":stream"], one[":grouping"]) for one in found["count"][":inputs"]) == [
        ("split", "default", "fields"),
        ("words", "side", "all"),
    ]
    [first, _] = found["split"][":stats"]
    assert first[":transferred"]["600"] == {"default": 300, "_s__ack_ack": 49}
    assert found["split"][":link"] == f"/component.html?id=split&topology_id={topology_id}"
    assert {one[":component"] for one in found["words"][":inputs"]} == {"__acker"}


def test_the_systems_components_are_there_on_request(site: Any, topology_id: str) -> None:
    assert "__acker" in graph(site, topology_id, View(0, include_system=True))


def test_an_executor_that_told_nothing_has_null(site: Any) -> None:
    found = graph(site, site.cluster.submit(), View(0))
    assert [one[":transferred"] for one in found["words"][":stats"]] == [None, None]
    assert (found["count"][":latency"], found["count"][":capacity"]) == (0.0, 0.0)


def test_a_topology_that_runs_nowhere_has_no_graph(site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    assert graph(site, site.cluster.submit(), View(0)) == {}


def test_streams_are_listed_once_in_rows_of_four(site: Any, topology_id: str) -> None:
    table = visualization_init(graph(site, topology_id, View(0)))["visualizationTable"]
    assert [len(row) for row in table] == [4, 1]
    boxes = {box["stream"]: (box["sani-stream"], box["checked"]) for row in table for box in row}
    assert boxes["default"] == ("default", True)
    assert boxes["__ack_ack"] == ("_s__ack_ack", False)


@pytest.mark.parametrize(
    ("stream", "name"), [("default", "default"), ("__ack_ack", "_s__ack_ack"), ("a b1.c-d:e", "a_b_.c-d:e"), ("", "_s")]
)
def test_names_are_made_fit_for_the_page_by_storms_rule(stream: str, name: str) -> None:
    assert sanitized(stream) == name
