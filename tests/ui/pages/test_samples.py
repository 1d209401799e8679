from __future__ import annotations

import json
import re
from typing import Any

from storm.errors import NotServedError, ThriftConnectionError
from storm.ui.rest.samples import SHOWN


def line(time: int, values: str, component: str = "split", stream: str = "default") -> str:
    event = {"time": time, "component": component, "task": 4, "stream": stream, "values": values}
    return f"{json.dumps(event)}\n"


def slots(site: Any, topology_id: str) -> list[tuple[str, int]]:
    return sorted((f"host-{slot.node_id}", slot.port) for slot in site.cluster.assignment(topology_id).slot_executors())


def values_of(html: str) -> list[str]:
    return re.findall(r"<code>(\[.*?\])</code>", html)


def test_samples_of_all_workers_the_newest_first(site: Any, client: Any, topology_id: str) -> None:
    first, second = slots(site, topology_id)
    dropped = json.dumps({"time": 5, "dropped": 7})
    site.samples = {
        first: f"{line(10, '[1]')}{line(30, '[3]')}{dropped}\n".encode(),
        second: f"{line(20, '[<2>]')}{line(40, '[half]')[:-3]}".encode(),
    }
    html = client.get(f"/topology/{topology_id}/samples").text
    assert values_of(html) == ["[3]", "[&lt;2&gt;]", "[1]"]
    assert "and are left out: 7." in html
    assert f'<a href="/topology/{topology_id}/worker/{second[0]}%3A{second[1]}">' in html
    assert f'<a href="/topology/{topology_id}/component/split">split</a>' in html
    assert f'<a href="/topology/{topology_id}/samples?component=split&amp;stream=default"' in html


def test_those_of_one_stream_are_found_behind_those_of_a_busy_one(site: Any, client: Any, topology_id: str) -> None:
    first, _ = slots(site, topology_id)
    rare = line(1, "[rare]", "words") + line(2, "[side]", "words", "side") + line(3, "[rare, too]", "words")
    site.samples = {first: (rare + line(9, '[\'"words" "side"\']') * 1_000).encode()}
    path = f"/topology/{topology_id}/samples"
    assert "[side]" not in values_of(client.get(path).text)
    assert values_of(client.get(f"{path}?component=words&stream=side").text) == ["[side]"]
    assert values_of(client.get(f"{path}?component=words").text) == ["[rare, too]", "[side]", "[rare]"]
    assert values_of(client.get(f"{path}?stream=side").text) == ["[side]"]
    assert "No such tuple is among" in client.get(f"{path}?component=words&stream=nope").text


def test_of_a_component_it_says_whether_that_is_sampled_and_begins_with_that(client: Any, topology_id: str) -> None:
    path = f"/topology/{topology_id}/samples?component=split&stream=default"
    assert "The component is not sampled" in client.get(path).text
    client.post(f"/api/v1/topology/{topology_id}/debug/enable/20")
    assert "20 % of its tuples are sampled" in client.get(path).text
    client.post(f"/api/v1/topology/{topology_id}/component/split/debug/enable/5")
    html = client.get(path).text
    assert "5 % of its tuples are sampled" in html
    assert f'data-post="/topology/{topology_id}/component/split/debug/' in html
    assert f'<a href="/topology/{topology_id}/samples">here are all</a>' in html


def test_it_says_how_to_begin_and_whether_it_is_on(site: Any, client: Any, topology_id: str) -> None:
    html = client.get(f"/topology/{topology_id}/samples").text
    assert "No tuple was sampled yet." in html
    assert "is not sampled" in html
    assert 'data-opens="debug"' in html
    client.post(f"/api/v1/topology/{topology_id}/debug/enable/20")
    assert "20 % of its tuples are sampled" in client.get(f"/topology/{topology_id}/samples").text


def test_a_worker_that_cannot_be_read_is_told_of_and_the_others_are_shown(
    site: Any, client: Any, topology_id: str
) -> None:
    first, second = slots(site, topology_id)
    site.samples = {first: ThriftConnectionError("host-a:6628: nothing listens there")}
    site.samples[second] = line(10, "[1]").encode()
    html = client.get(f"/topology/{topology_id}/samples").text
    assert f"{first[0]}:{first[1]}: host-a:6628: nothing listens there" in html
    assert "[1]" in html
    site.samples[first] = NotServedError("readWorkerEvents")
    site.cluster.clock.secs += 3
    assert "of an older release" in client.get(f"/topology/{topology_id}/samples").text


def test_the_page_is_bounded(site: Any, client: Any, topology_id: str) -> None:
    for slot in slots(site, topology_id):
        site.samples[slot] = "".join(line(i, "x" * 200) for i in range(5_000)).encode()
    for query in ("", "?component=split"):
        html = client.get(f"/topology/{topology_id}/samples{query}").text
        assert 0 < html.count("x" * 200) <= SHOWN
        assert len(html.encode()) < 100_000


def test_what_is_asked_for_is_text(client: Any, topology_id: str) -> None:
    html = client.get(f"/topology/{topology_id}/samples?stream=%3Cscript%3Ealert(1)").text
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html


def test_a_topology_or_component_that_is_not_there(client: Any, topology_id: str) -> None:
    assert client.get("/topology/nope-1-1/samples").status_code == 404
    assert client.get(f"/topology/{topology_id}/samples?component=nope").status_code == 404
