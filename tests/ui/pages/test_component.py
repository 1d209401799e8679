from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

from storm.cluster.records import ErrorInfo
from storm.metrics.distribution import Distribution, bucket_of
from storm.metrics.series import Series, components_part, encode
from storm.nimbus.heartbeats import WorkerBeat
from storm.ui.pages.regions import Versions, regions

PAGE_BYTES_MAX = 300_000


def page_of(client: Any, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def row(html: str, table: str, key: str) -> list[str]:
    """The words in the row of a table."""
    found = html[html.index(f'id="{table}"') :]
    found = found[found.index(f'<tr data-key="{key}"') :].split("</tr>")[0]
    return re.sub(r"<[^>]*>", " ", found).split()


def test_a_bolts_page_has_inputs_outputs_and_executors(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}/component/split")
    assert row(html, "inputs", "words&#10;default") == [
        "words",
        "default",
        "shuffle",
        "100",
        "0.125",
        "0.250",
        "98",
        "2",
    ]
    assert html.count(f'<a href="/topology/{topology_id}/samples?component=split&amp;stream=default"') == 1
    assert f'<a href="/topology/{topology_id}/samples?component=words&amp;stream=default"' in html
    assert row(html, "outputs", "default") == ["default", "count", "fields", "(word)", "600", "600"]
    executors = html[html.index('id="executors"') :]
    assert executors.count("<tr data-key=") == 2
    assert re.search(rf'href="/topology/{topology_id}/worker/host-[ab]%3A6700"', executors)


def test_a_spouts_page_has_outputs_with_who_takes_them(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}/component/words")
    assert row(html, "outputs", "side")[:4] == ["side", "count", "all", "10"]
    assert row(html, "totals", ":all-time") == ["All", "time", "110", "120", "2.500", "98", "2"]
    assert 'id="inputs"' not in html


def test_the_last_hour_is_drawn_once_it_is_known(client: Any, topology_id: str, look_twice: Any) -> None:
    bolt, spout = f"/topology/{topology_id}/component/split", f"/topology/{topology_id}/component/words"
    html, rate = page_of(client, bolt), f"{100 / 60:.2f}"
    assert f'aria-label="Executed, tuples a second, in 1m 0s: now {rate}, between {rate} and {rate}"' in html
    assert html.count("the mean of 1m 0s") == 4
    assert html.index("</dl>") < html.index("<h2>Last hour</h2>") < html.index('class="sparks"')

    look_twice()
    html = page_of(client, bolt)
    assert 'aria-label="Executed, tuples a second, in 15s: now 0, between 0 and 0"' in html
    assert 'aria-label="Capacity, % busy, in 15s: now 0' in html
    assert 'aria-label="Acked, tuples a second, in 15s: now 0, between 0 and 0"' in page_of(client, spout)
    assert "the mean of" not in html


def test_the_mean_before_two_looks_is_without_the_systems_streams_as_the_looks_are(
    client: Any, topology_id: str
) -> None:
    def spark(query: str) -> str:
        html = page_of(client, f"/topology/{topology_id}/component/words{query}")
        return html.split('class="sparks">')[1].split("</section>")[0]

    assert "the mean of 1m 0s" in spark("")
    assert spark("?sys=true") == spark("")


def test_it_says_that_measures_had_no_room(client: Any, site: Any, topology_id: str) -> None:
    path = f"/topology/{topology_id}/component/split"
    assert "had no room in their messages" not in page_of(client, path)
    many = [Series("storm_metric_value", {"component": "count", "name": f"n{i:0100}"}, i) for i in range(2_000)]
    (node_id, port), executors = next(iter(site.cluster.assignment(topology_id).slot_executors().items()))
    site.cluster.clock.secs += 3  # what Nimbus answered is shared for two seconds
    now, told = site.cluster.clock.wall_secs(), components_part(encode([], many))
    site.cluster.core.record([WorkerBeat(topology_id, frozenset(executors), now, node_id, port, metrics=told)])
    site.cluster.core.step()
    lacks = 2_000 - told.count("storm_metric_value")
    assert client.get(f"/api/v1{path}").json()["metricsLeftOut"] == lacks
    assert f"had no room in their messages for {lacks:,}" in page_of(client, path)


def test_where_nothing_was_timed_no_latency_is_known(client: Any, site: Any) -> None:
    topology_id = site.run_unacked()
    spout = page_of(client, f"/topology/{topology_id}/component/words")
    assert row(spout, "outputs", "default")[-4:] == ["120", "–", "0", "0"]
    assert row(spout, "totals", ":all-time")[4:] == ["–", "0", "0"]
    assert re.search(r"<dt>Complete latency</dt><dd>– <small>ms", spout)
    bolt = page_of(client, f"/topology/{topology_id}/component/split")
    assert row(bolt, "totals", ":all-time")[2:] == ["0", "0", "0", "–", "–", "0", "0"]
    assert re.search(r"<dt>Execute latency</dt><dd>– <small>ms", bolt)


def test_errors_are_there_with_their_traceback_the_newest_whole(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}/component/split")
    errors = html[html.index('id="errors"') :]
    assert errors.count('class="fold error"') == 2
    assert errors.count("<details") == 1
    assert errors.index("The last one came 10s ago.") < errors.index("<details")
    assert "<strong>ValueError: bad line 500</strong>" in errors
    assert "Traceback (most recent call last):" in errors


def report(site: Any, topology_id: str, *texts: str) -> None:
    for text in texts:
        site.cluster.state.report_error(
            topology_id, "count", ErrorInfo(text, site.cluster.clock.wall_secs(), "host-a", 6700)
        )


def test_of_long_errors_the_ends_are_there_and_the_whole_text_on_a_page_of_its_own(
    client: Any, site: Any, topology_id: str
) -> None:
    texts = [f"Traceback {i}:\n" + "'\"<&>" * 6_000 + f"\nValueError: the end of {i}" for i in range(10)]
    report(site, topology_id, *texts)
    html = page_of(client, f"/topology/{topology_id}/component/count")
    assert len(html.encode()) < PAGE_BYTES_MAX
    assert "Traceback 9:" in html
    assert html.count("\n... 26,0") == 10
    addresses = re.findall(r'<a href="([^"]*)">The whole text</a>', html)
    wholes = [page_of(client, unescape(at)) for at in addresses]
    assert [unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", one, re.DOTALL)[0]) for one in wholes] == texts[::-1]
    assert all(len(one.encode()) < PAGE_BYTES_MAX for one in wholes)
    site.cluster.clock.secs += 3
    report(site, topology_id, "another")
    assert client.get(unescape(addresses[-1])).status_code == 404
    assert "another" in page_of(client, f"/topology/{topology_id}/component/count/error")


def test_a_last_line_that_is_cut_has_its_beginning_as_the_headline(client: Any, site: Any, topology_id: str) -> None:
    report(site, topology_id, "Traceback (most recent call last):\n  File ...\nValueError: the row " + "x" * 5_000)
    html = page_of(client, f"/topology/{topology_id}/component/count")
    assert "<strong>ValueError: the row xxx" in html
    assert " characters ...\n" in html


def test_errors_are_not_sent_again_while_only_time_passes(client: Any, site: Any, topology_id: str) -> None:
    report(site, topology_id, "short", "long " * 5_000)
    versions = Versions()
    versions.put(regions(page_of(client, f"/topology/{topology_id}/component/count")))
    seen = versions.version
    site.cluster.clock.secs += 3
    versions.put(regions(page_of(client, f"/topology/{topology_id}/component/count")))
    again = versions.since(seen)
    assert "3s ago" in again["errors-age"]
    assert "errors" not in again
    assert sum(map(len, again.values())) < 5_000


def test_a_component_without_errors_has_none_to_show_whole(client: Any, topology_id: str) -> None:
    assert "It has reported none." in page_of(client, f"/topology/{topology_id}/component/count/error")


def test_errors_of_one_second_are_told_apart_and_keep_their_names(client: Any, site: Any, topology_id: str) -> None:
    now = site.cluster.clock.wall_secs()

    def reported(*texts: str) -> dict[str, str]:
        """{text: data-key} of all that are shown, the newest first."""
        for text in texts:
            site.cluster.state.report_error(topology_id, "count", ErrorInfo(text, now, "host-a", 6700))
        site.cluster.clock.secs += 3
        errors = page_of(client, f"/topology/{topology_id}/component/count").split('id="errors"')[1]
        found = re.findall(r'data-key="([^"]*)">.*?<strong>(.*?)</strong>', errors, re.DOTALL)
        return {text: key for key, text in found}

    before = reported("first", "second", "third")
    assert list(before) == ["third", "second", "first"]
    assert len(set(before.values())) == 3
    after = reported("fourth")
    assert list(after) == ["fourth", "third", "second", "first"]
    assert before.items() <= after.items()
    assert len(set(after.values())) == 4
    some = reported(*(f"error {i}" for i in range(4)))
    then = reported(*(f"more {i}" for i in range(4)))  # the oldest are kept no longer
    assert "first" not in then
    assert {text: key for text, key in then.items() if not text.startswith("more")}.items() <= some.items()


def test_workers_that_can_be_asked_are_those_of_this_moment(client: Any, site: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}/component/split")
    actions = regions(html)["actions"]
    assert set(present(actions)["workers"]) <= {"host-a:6700", "host-b:6700"}
    assert present(actions)["workers"]
    assert "disabled" not in actions
    for node in ("a", "b"):
        site.cluster.stop_supervisor(node)
    actions = regions(page_of(client, f"/topology/{site.cluster.submit('nowhere')}/component/count"))["actions"]
    assert present(actions)["workers"] == []
    assert actions.count('disabled title="It runs in no worker now."') == 4


def present(actions: str) -> Any:
    """What dialogs are filled from."""
    return json.loads(unescape(actions.split("data-present='")[1].split("'")[0]))


def test_only_its_own_trouble_is_told(client: Any, topology_id: str) -> None:
    assert "split reported an error" in page_of(client, f"/topology/{topology_id}/component/split")
    assert "nothing is wrong with this component" in page_of(client, f"/topology/{topology_id}/component/count")
    spout = page_of(client, f"/topology/{topology_id}/component/words")
    assert "split failed 2 of its inputs" in spout
    assert f'<a href="/topology/{topology_id}/component/split">split</a></span></li>' in spout


def test_a_component_that_told_nothing_has_a_page(client: Any, site: Any) -> None:
    html = page_of(client, f"/topology/{site.cluster.submit()}/component/count")
    assert "It has taken nothing yet." in html
    assert "It has reported none." in html


def test_an_error_without_a_place_has_no_link(client: Any, site: Any, topology_id: str) -> None:
    site.cluster.state.report_error(topology_id, "count", ErrorInfo("x", site.cluster.clock.wall_secs(), "", 0))
    errors = page_of(client, f"/topology/{topology_id}/component/count").split('id="errors"')[1]
    assert "<strong>x</strong>" in errors
    assert "Its log" not in errors


def test_the_systems_components_have_pages(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}/component/__acker?sys=true")
    assert "__acker" in html
    assert "Last hour" not in html
    assert 'class="spark"' not in html  # no looks are taken at it


def test_unknown_components_are_told_of(client: Any, topology_id: str) -> None:
    answer = client.get(f"/topology/{topology_id}/component/counts")
    assert answer.status_code == 404
    assert "count" in answer.text


def test_tuples_of_a_component_can_be_logged(client: Any, topology_id: str) -> None:
    html = page_of(client, f"/topology/{topology_id}/component/split")
    assert f'data-post="/topology/{topology_id}/component/split/debug/{{action}}/{{percent}}"' in html


def test_what_it_measures_itself_is_a_table(client: Any, site: Any, topology_id: str) -> None:
    assert "What it measures itself" not in page_of(client, f"/topology/{topology_id}/component/split")
    times = Distribution(1, 0.5, 0.5, 0.5, {bucket_of(0.5): 1})
    of = {"component": "split"}
    series = [
        Series("storm_metric_count_total", {**of, "name": "<lines>"}, 1234.0),
        Series("storm_metric_value", {**of, "name": "size", "task": "4"}, 2.5),
        Series("storm_metric_seconds", {**of, "name": "db"}, times),
    ]
    (slot, executors), *_ = site.cluster.assignment(topology_id).slot_executors().items()
    metrics = components_part(encode([], series))
    site.cluster.clock.secs += 3
    now = site.cluster.clock.wall_secs()
    beat = WorkerBeat(topology_id, frozenset(executors), now, slot.node_id, slot.port, metrics=metrics)
    site.cluster.core.record([beat])
    html = page_of(client, f"/topology/{topology_id}/component/split")
    assert row(html, "measured", "&lt;lines&gt;&#10;count&#10;")[-3:] == ["&lt;lines&gt;", "count", "1,234"]
    assert row(html, "measured", "size&#10;gauge&#10;4")[-4:] == ["size", "gauge", "4", "2.50"]
    timer = row(html, "measured", "db&#10;timer&#10;")
    assert timer[-9:-5] == ["db", "timer,", "ms", "1"]
    assert timer[-5] == timer[-1] == "500.0"
