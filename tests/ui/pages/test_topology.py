from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from storm.cluster.records import ErrorInfo
from storm.config.conf_origins import with_command_line
from storm.ids import GlobalStreamId
from storm.thrift.interface import storm_thrift
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, StormTopology, StreamInfo
from storm.ui.pages.regions import regions
from storm.ui.pages.topology import log_levels, workers_wanted
from storm.ui.pages.troubles import SHOWN_MAX
from storm.ui.rest.log_levels import log_config_change
from storm.ui.rest.requests import Level

PAGE_BYTES_MAX = 300_000
HOSTILE = "<script>alert(1)<script>"
EMPTY_TAGS = {"meta", "link", "img", "input", "br", "hr"}


class Shape(HTMLParser):
    """Fails where tags are not closed in order; `ids` are those of elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.ids += [value for name, value in attrs if name == "id" and value]
        assert not {name for name, _ in attrs if name.startswith("on") or name == "style"}, (tag, attrs)
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"p", "li", "option"} or self.open[-1] == tag:
            assert self.open.pop() == tag


def shape_of(html: str) -> Shape:
    shape = Shape()
    shape.feed(html)
    assert shape.open == []
    assert len(shape.ids) == len(set(shape.ids))
    return shape


def page_of(client: Any, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    shape_of(answer.text)
    return str(answer.text)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def hostile_topology() -> StormTopology:
    stream = StreamInfo(("word",))
    return StormTopology(
        {HOSTILE: ComponentSpec(PythonObject(b"s"), {}, {HOSTILE: stream}, 1)},
        {
            '"><img src=x onerror=alert(1)>': ComponentSpec(
                PythonObject(b"b"), {GlobalStreamId(HOSTILE, HOSTILE): Grouping(GroupingKind.SHUFFLE)}, {}, 1
            )
        },
    )


def test_the_trouble_comes_first_in_sentences(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}")
    text = text_of(html)
    assert "split reported an error 10s ago on host-a:6700: ValueError: bad line 500." in text
    assert "2.0 % of the tuples failed in the last 10 minutes (2 tuples): split failed 2 of its inputs." in text
    assert html.index("split reported") < html.index("<svg")


def test_the_graph_is_drawn_and_told_as_a_table(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}")
    svg = html[html.index("<svg") : html.index("</svg>")]
    assert svg.count('<a class="node') == 3
    assert svg.count('<a class="stream') == 3
    assert f'href="/topology/{topology_id}/samples?component=words&amp;stream=side"' in svg
    assert f'href="/topology/{topology_id}/component/split"' in svg
    assert 'aria-label="bolt split, 2 executors, busy' in svg
    assert "words to split: stream default, shuffle: 1.67 tuples a second, 2 failed" in svg
    table = html[html.index('id="streams"') :]
    assert "fields (word)" in table
    assert table.count(f'<a href="/topology/{topology_id}/samples?component=') == 3


def test_links_and_figures_keep_the_window(client: Any, site: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}?window=600&sys=true")
    assert f'href="/topology/{topology_id}/component/split?window=600&amp;sys=true"' in html
    assert "__acker" in html
    assert 'aria-current="true">10 min' in html
    assert site.calls.count("getTopologyPageInfo") == 1


def test_it_costs_nimbus_three_calls_and_its_settings_at_times(client: Any, site: Any, topology_id: str) -> None:
    page_of(client, f"/topology/{topology_id}")
    site.cluster.clock.secs += 3
    page_of(client, f"/topology/{topology_id}")
    assert sorted(site.calls) == [*["getLogConfig"] * 2, "getNimbusConf", *["getTopologyPageInfo"] * 4]


def test_figures_are_those_of_the_rest_api(client: Any, topology_id: str) -> None:
    rest = client.get(f"/api/v1/topology/{topology_id}").json()
    html = page_of(client, f"/topology/{topology_id}")
    bolts = html[html.index('id="bolts"') :]
    row = text_of(bolts[bolts.index('<tr data-key="count"') :].split("</tr>")[0]).split()
    [count] = [one for one in rest["bolts"] if one["boltId"] == "count"]
    assert row[:3] == ["count", str(count["executors"]), str(count["tasks"])]
    assert str(count["executed"]) in row
    assert "0.500" in row


def test_workers_tell_what_they_take_of_their_hosts(client: Any, site: Any, topology_id: str) -> None:
    site.tell_usage(topology_id)
    html = page_of(client, f"/topology/{topology_id}")
    workers = html[html.index('id="workers"') :]
    assert workers.count('data-value="1234">1,234</td>') == workers.count('data-value="88">88</td>') == 2


def test_workers_lead_to_their_pages_and_hosts(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}")
    workers = html[html.index('id="workers"') :]
    assert re.search(rf'href="/topology/{topology_id}/worker/host-[ab]%3A6700"', workers)
    assert 'href="/supervisor/a"' in workers
    assert "worker.log" in workers


def test_settings_tell_their_origin(client: Any, site: Any) -> None:
    conf = {"topology.message.timeout.secs": 77, "my.own": "<b>", "topology.debug": False}
    topology_id = site.cluster.submit("own", conf=with_command_line(conf, ["topology.debug"]))
    html = page_of(client, f"/topology/{topology_id}")
    rows = html[html.index('id="settings"') :]
    as_by_default = text_of(rows[rows.index('data-key="topology.debug"') :].split("</tr>")[0])
    assert as_by_default.split()[-4:] == ["false", "topology", "-c", "false"]
    assert "storm.conf.origins" not in rows
    own = text_of(rows[rows.index('data-key="topology.message.timeout.secs"') :].split("</tr>")[0])
    assert own.split()[-3:] == ["77", "topology", "30"]
    assert "&lt;b&gt;" in rows
    default = text_of(rows[rows.index('data-key="topology.max.spout.pending"') :].split("</tr>")[0])
    assert default.split()[-1] == "default"


def test_actions_have_their_dialogs_with_the_wait(client: Any, site: Any) -> None:
    topology_id = site.cluster.submit("own", conf={"topology.message.timeout.secs": 77})
    html = page_of(client, f"/topology/{topology_id}")
    for action in ("deactivate", "rebalance", "kill", "log-level", "debug"):
        assert f'data-opens="{action}"' in html
        assert f'<dialog id="{action}"' in html
    kill = html[html.index('<dialog id="kill"') :]
    assert 'value="77"' in kill.split("</dialog>")[0]
    assert 'data-executors="__acker"' not in html


def present(client: Any, topology_id: str) -> Any:
    """What the dialog of a rebalance is filled from."""
    actions = regions(page_of(client, f"/topology/{topology_id}"))["actions"]
    return json.loads(actions.split("data-present='")[1].split("'")[0])


def test_a_rebalance_begins_with_the_numbers_of_this_moment(client: Any, site: Any, topology_id: str) -> None:
    assert present(client, topology_id) == {"numWorkers": 2, "executors": {"count": 2, "split": 2, "words": 2}}
    options = {"rebalanceOptions": {"numWorkers": 3, "executors": {"split": 4}}}
    assert client.post(f"/api/v1/topology/{topology_id}/rebalance/0", json=options).status_code == 200
    site.cluster.pass_time(5, [topology_id])
    assert present(client, topology_id) == {"numWorkers": 3, "executors": {"count": 2, "split": 4, "words": 2}}


def test_a_rebalance_begins_with_as_many_workers_as_are_wanted(client: Any, site: Any) -> None:
    assert present(client, site.cluster.submit("wide", conf={"topology.workers": 3}))["numWorkers"] == 3
    lacks = site.cluster.submit("lacks", type(site.cluster).word_count(4, 8), {"topology.workers": 9})
    assert site.service.getTopologySummary(lacks).num_workers == 5
    assert present(client, lacks)["numWorkers"] == 9
    nowhere = site.cluster.submit("nowhere", conf={"topology.workers": 2})
    assert present(client, nowhere)["numWorkers"] == 2


def test_where_nimbus_does_not_tell_what_is_wanted_it_is_what_there_is() -> None:
    """One of the former release."""
    t, conf = storm_thrift(), {"topology.workers": 4}
    assert workers_wanted(t.TopologyPageInfo(id="a", num_workers=3), conf) == 3
    assert workers_wanted(t.TopologyPageInfo(id="a", num_workers=0), conf) == 4
    assert workers_wanted(t.TopologyPageInfo(id="a"), {}) == 0


def test_a_deactivated_topology_can_be_activated(client: Any, site: Any, topology_id: str) -> None:
    site.cluster.core.deactivate("wordcount")
    site.cluster.core.step()
    html = page_of(client, f"/topology/{topology_id}")
    assert 'data-opens="activate"' in html
    assert 'data-opens="deactivate"' not in html
    assert "It is deactivated" in html


def test_the_last_hour_is_drawn_once_it_is_known(client: Any, topology_id: str, look_twice: Any) -> None:
    html = page_of(client, f"/topology/{topology_id}")
    rate = f"{98 / 60:.2f}"
    assert f'aria-label="Acked, tuples a second, in 1m 0s: now {rate}, between {rate} and {rate}"' in html
    assert html.count("the mean of 1m 0s") == 4

    look_twice()
    html = page_of(client, f"/topology/{topology_id}")
    assert 'role="img" aria-label="Acked, tuples a second, in 15s: now 0, between 0 and 0"' in html
    assert "the mean of" not in html


def test_of_what_runs_nowhere_there_is_no_last_hour(client: Any, site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    assert page_of(client, f"/topology/{site.cluster.submit()}").count("Nothing was counted yet.") == 4


def test_it_leads_to_logs_and_to_tuples_that_failed(client: Any, site: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}")
    assert f'<a href="/topology/{topology_id}/logs">Its logs</a>' in html
    assert f'<a href="/topology/{topology_id}/failures">Tuples that failed</a>' in html
    told = html[html.index("2.0 % of the tuples failed") :].split("</li>")[0]
    assert f'<a href="/topology/{topology_id}/failures">failed tuples</a>' in told
    assert "/failures" not in page_of(client, f"/topology/{site.cluster.submit('well')}")


def test_log_levels_that_are_set_are_told_with_the_time_they_have_left(
    client: Any, site: Any, topology_id: str
) -> None:
    assert "Log levels that are set" not in page_of(client, f"/topology/{topology_id}")
    levels = {"ROOT": Level("DEBUG", 300), "a<b>": Level("ERROR", 0)}
    site.service.setLogConfig(topology_id, log_config_change(levels))
    site.cluster.clock.secs += 60
    html = page_of(client, f"/topology/{topology_id}")
    rows = html[html.index('id="log-levels"') :]
    assert text_of(rows[rows.index('data-key="ROOT"') :].split("</tr>")[0]).split(" ", 1)[1] == (
        "ROOT DEBUG 4m 0s as it was configured"
    )
    assert "a&lt;b&gt;" in rows
    assert "for good" in rows


def test_where_nothing_was_timed_no_latency_is_known(client: Any, site: Any) -> None:
    html = page_of(client, f"/topology/{site.run_unacked()}")
    assert re.search(r"<dt>Complete latency</dt><dd>– <small>ms", html)
    found = [
        text_of(html[html.index(f'id="{table}"') :].split("</table>")[0]) for table in ("totals", "spouts", "bolts")
    ]
    assert "All time 120 120 – 0 0" in found[0]
    assert "words 2 2 120 120 – 0 0" in found[1]
    assert "count 2 2 0 % 0 0 0 – – 0 0" in found[2]
    assert "execute latency – ms" in html


def test_levels_whose_time_is_over_are_not_told() -> None:
    level = {"target_level": "DEBUG", "reset_level": "INFO", "timeout": 5, "timeout_epoch": 100_000}
    assert log_levels({"a": level}, 100) == []
    assert log_levels({"a": level}, 99) == [{"logger": "a", "level": "DEBUG", "reset": "INFO", "left_secs": 1}]
    assert log_levels({"a": {**level, "target_level": None}}, 99) == []


def test_a_topology_that_runs_nowhere_has_a_page(client: Any, site: Any) -> None:
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    html = page_of(client, f"/topology/{site.cluster.submit()}")
    assert "Not scheduled: no supervisor has a free slot." in html
    assert html.count('<a class="node') == 2
    assert "It runs nowhere." in html


def test_a_nimbus_that_tells_no_streams_is_told_of(client: Any, site: Any, topology_id: str) -> None:
    site.lacks = ("inputs",)
    assert "does not tell which stream leads where" in page_of(client, f"/topology/{topology_id}")


def test_unknown_topologies_and_windows_are_told_of(client: Any, topology_id: str) -> None:
    assert client.get("/topology/nothing-1-1").status_code == 404
    assert client.get(f"/topology/{topology_id}?window=7").status_code == 400


@pytest.mark.parametrize("page", ["", "component", "worker"])
def test_hostile_names_do_nothing(client: Any, site: Any, page: str) -> None:
    conf = {"topology.submitter.user": HOSTILE, HOSTILE: HOSTILE}
    topology_id = site.cluster.submit("own", hostile_topology(), conf)
    site.cluster.beat(topology_id)
    error = ErrorInfo(f"</pre>{HOSTILE}", site.cluster.clock.wall_secs(), HOSTILE, 6700)
    site.cluster.state.report_error(topology_id, HOSTILE, error)
    plan = site.cluster.core.snapshot.plans[topology_id]
    slots = site.cluster.assignment(topology_id).executor_slots
    slot = next(slot for executor, slot in slots.items() if plan.component_of(executor) == HOSTILE)
    paths = {
        "": f"/topology/{topology_id}",
        "component": f"/topology/{topology_id}/component/%3Cscript%3Ealert(1)%3Cscript%3E",
        "worker": f"/topology/{topology_id}/worker/host-{slot.node_id}:{slot.port}",
    }
    answer = client.get(paths[page])
    assert answer.status_code == 200
    assert shape_of(answer.text).scripts == 1
    assert "<img src=x" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def large(site: Any) -> str:
    """300 executors, with figures."""
    topology = type(site.cluster).word_count(100, 199)
    topology_id = site.cluster.submit("large", topology, {"topology.workers": 8, "topology.acker.executors": 1})
    site.tell_figures(topology_id)
    return str(topology_id)


def test_the_pages_of_300_executors_are_not_large(client: Any, site: Any) -> None:
    topology_id = large(site)
    for path in ("", "/component/count", "/component/words", "/worker/host-a:6700"):
        html = page_of(client, f"/topology/{topology_id}{path}")
        assert len(html.encode()) < PAGE_BYTES_MAX, path


def test_a_topology_with_very_many_troubles_tells_how_many_more_there_are(client: Any, site: Any) -> None:
    word = StreamInfo(("word",))
    bolts = {
        f"bolt-{number}": ComponentSpec(
            PythonObject(b"b"), {GlobalStreamId("words", "default"): Grouping(GroupingKind.SHUFFLE)}, {}, 1
        )
        for number in range(20)
    }
    spout = ComponentSpec(PythonObject(b"s"), {}, {"default": word}, 1)
    topology_id = site.cluster.submit("many", StormTopology({"words": spout}, bolts))
    told = ErrorInfo("ValueError: x", site.cluster.clock.wall_secs(), "host-a", 6700)
    for bolt in bolts:
        site.cluster.state.report_error(topology_id, bolt, told)
    html = page_of(client, f"/topology/{topology_id}")
    assert html.count("reported an error") == SHOWN_MAX
    assert "And 6 more like these." in html  # one is a worker that has not told yet
