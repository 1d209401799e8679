from __future__ import annotations

from typing import Any

from storm.cluster.records import DebugOptions, ErrorInfo
from storm.metrics.series import Series, components_part, encode
from storm.nimbus.heartbeats import WorkerBeat
from storm.thrift.interface import storm_thrift
from storm.ui.rest.component_page import component_page
from storm.ui.rest.view import View


def shown(site: Any, topology_id: str, component: str, window: str = ":all-time", system: bool = False) -> Any:
    page = site.service.getComponentPageInfo(topology_id, component, window, system)
    return component_page(page, View(site.cluster.clock.wall_secs(), window))


def test_a_spout_shows_its_streams_and_executors(site: Any, topology_id: str) -> None:
    page = shown(site, topology_id, "words")
    assert (page["componentType"], page["executors"], page["tasks"]) == ("spout", 2, 2)
    assert [(one["stream"], one["emitted"], one["transferred"], one["acked"]) for one in page["outputStats"]] == [
        ("default", 100, 100, 98),
        ("side", 10, 20, 0),
    ]
    assert page["spoutSummary"][3]["completeLatency"] == 2.5
    assert page["spoutSummary"][3]["windowPretty"] == "All time"
    assert [one["emitted"] for one in page["executorStats"]] == [55, 55]
    assert "boltStats" not in page
    assert "inputStats" not in page


def test_a_profile_that_is_being_recorded_is_shown_with_the_time_that_it_has_left(site: Any, topology_id: str) -> None:
    t = storm_thrift()
    page = site.service.getComponentPageInfo(topology_id, "words", ":all-time", False)
    until = t.ProfileRequest(
        nodeInfo=t.NodeInfo(node="host-a", port={6700}), action=t.ProfileAction.JPROFILE_STOP, time_stamp=1_060_000
    )
    dumps = f"http://host-a:8000/api/v1/dumps/{topology_id}/host-a%3A6700"
    for wall_secs, since in ((1_000, -60_000), (1_100, 40_000)):
        assert component_page(page, View(wall_secs), [until])["profilerActive"] == [
            {"host": "host-a", "port": "6700", "dumplink": dumps, "timestamp": since}
        ]
    assert shown(site, topology_id, "words")["profilerActive"] == []


def test_a_bolt_shows_its_inputs(site: Any, topology_id: str) -> None:
    page = shown(site, topology_id, "count", "600")
    assert [(one["component"], one["stream"], one["executed"]) for one in page["inputStats"]] == [
        ("split", "default", 600),
        ("words", "side", 20),
    ]
    assert page["outputStats"] == []
    assert page["boltStats"][0]["executed"] == 620
    assert all(one["id"].startswith("[") and one["encodedId"].startswith("%5B") for one in page["executorStats"])


def test_errors_are_whole_and_in_order_of_time(site: Any, topology_id: str) -> None:
    errors = shown(site, topology_id, "split")["componentErrors"]
    assert [(one["errorPort"], one["errorLapsedSecs"]) for one in errors] == [(6701, 20), (6700, 10)]
    assert errors[0]["error"].startswith("Traceback")


def test_errors_of_one_second_are_in_order_too(site: Any, topology_id: str) -> None:
    for text in ("first", "second", "third"):
        told = ErrorInfo(text, site.cluster.clock.wall_secs(), "host-a", 6700)
        site.cluster.state.report_error(topology_id, "count", told)
    errors = shown(site, topology_id, "count")["componentErrors"]
    assert [one["error"] for one in errors] == ["first", "second", "third"]


def test_an_error_from_a_host_with_a_faster_clock_is_not_of_tomorrow(site: Any, topology_id: str) -> None:
    late = ErrorInfo("x", site.cluster.clock.wall_secs() + 60, "host-a", 6700)
    site.cluster.state.report_error(topology_id, "count", late)
    assert shown(site, topology_id, "count")["componentErrors"][0]["errorLapsedSecs"] == 0


def test_the_systems_streams_are_there_on_request(site: Any, topology_id: str) -> None:
    plain, whole = (shown(site, topology_id, "words", system=system)["outputStats"] for system in (False, True))
    assert {one["stream"] for one in whole} - {one["stream"] for one in plain} == {"__metrics"}


def test_a_system_component_has_a_page(site: Any, topology_id: str) -> None:
    assert shown(site, topology_id, "__acker", system=True)["componentType"] == "bolt"


def test_an_executor_that_told_nothing_has_no_figures(site: Any) -> None:
    page = shown(site, site.cluster.submit(), "count")
    assert [one["executed"] for one in page["executorStats"]] == [0, 0, 0]
    assert page["inputStats"] == page["componentErrors"] == []


def test_whether_its_tuples_are_logged_is_shown(site: Any, topology_id: str) -> None:
    site.cluster.core.debug("wordcount", "split", DebugOptions(True, 50.0))
    site.cluster.core.step()
    pages = [shown(site, topology_id, name) for name in ("split", "count")]
    assert [(page["debug"], page["samplingPct"]) for page in pages] == [(True, 50.0), (False, 10.0)]


def test_while_it_is_sampled_it_says_where_the_samples_are(site: Any, topology_id: str) -> None:
    assert "eventLogLink" not in shown(site, topology_id, "split")
    site.cluster.core.debug("wordcount", "split", DebugOptions(True, 50.0))
    site.cluster.core.step()
    page = shown(site, topology_id, "split")
    first = page["executorStats"][0]
    file = f"{topology_id}%2F{first['port']}%2Fevents.log"
    assert page["eventLogLink"] == f"http://{first['host']}:8000/api/v1/log?file={file}"
    assert "eventLogLink" not in shown(site, topology_id, "count")


def test_what_a_component_measures_is_shown_where_there_is_some(site: Any, topology_id: str) -> None:
    assert "metrics" not in shown(site, topology_id, "split")
    series = [Series("storm_metric_count_total", {"component": "split", "name": "lines"}, 3)]
    [slot, other] = site.cluster.assignment(topology_id).slot_executors().items()
    for (node_id, port), executors in (slot, other):
        site.cluster.clock.secs += 1
        beat = WorkerBeat(
            topology_id,
            frozenset(executors),
            site.cluster.clock.wall_secs(),
            node_id,
            port,
            metrics=components_part(encode([], series)),
        )
        site.cluster.core.record([beat])
    assert shown(site, topology_id, "split")["metrics"] == [{"name": "lines", "kind": "count", "value": 6.0}]
    assert "metrics" not in shown(site, topology_id, "count")


def test_what_is_said_of_the_topology_holds_for_a_component_of_which_nothing_is_said(
    site: Any, topology_id: str
) -> None:
    assert (shown(site, topology_id, "split")["debug"], "eventLogLink" in shown(site, topology_id, "split")) == (
        False,
        False,
    )
    site.cluster.core.debug("wordcount", "", DebugOptions(True, 20.0))
    site.cluster.core.debug("wordcount", "count", DebugOptions(False, 5.0))
    site.cluster.core.step()
    split, count, acker = (shown(site, topology_id, name, system=True) for name in ("split", "count", "__acker"))
    assert (split["debug"], split["samplingPct"], "eventLogLink" in split) == (True, 20.0, True)
    assert (count["debug"], "eventLogLink" in count) == (False, False)
    assert (acker["debug"], "eventLogLink" in acker) == (False, False)
