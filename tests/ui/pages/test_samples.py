from __future__ import annotations

import json
import re
from typing import Any

from storm.errors import NotServedError, ThriftConnectionError
from storm.ui.pages.samples import SHOWN, samples
from storm.ui.pages.samples_reader import Told


def line(time: int, values: str, component: str = "split", task: int = 4) -> str:
    event = {"time": time, "component": component, "task": task, "stream": "default", "values": values}
    return json.dumps(event)


def slots(site: Any, topology_id: str) -> list[tuple[str, int]]:
    return sorted((f"host-{slot.node_id}", slot.port) for slot in site.cluster.assignment(topology_id).slot_executors())


def test_samples_of_all_workers_the_newest_first(site: Any, client: Any, topology_id: str) -> None:
    first, second = slots(site, topology_id)
    dropped = json.dumps({"time": 5, "dropped": 7})
    site.samples = {
        first: f"{line(10, '[1]')}\n{line(30, '[3]')}\n{dropped}\n".encode(),
        second: f"{line(20, '[<2>]')}\n{line(40, '[half]')[:-3]}".encode(),
    }
    html = client.get(f"/topology/{topology_id}/samples").text
    assert re.findall(r"<code>(\[.*?\])</code>", html) == ["[3]", "[&lt;2&gt;]", "[1]"]
    assert f'<a href="/topology/{topology_id}/worker/{second[0]}%3A{second[1]}">' in html
    assert f'<a href="/topology/{topology_id}/component/split">split</a>' in html


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
    site.samples = {first: ThriftConnectionError("host-a:6628: nothing listens there"), second: b""}
    site.samples[second] = f"{line(10, '[1]')}\n".encode()
    html = client.get(f"/topology/{topology_id}/samples").text
    assert f"{first[0]}:{first[1]}: host-a:6628: nothing listens there" in html
    assert "[1]" in html
    site.samples[first] = NotServedError("readWorkerEvents")
    site.cluster.clock.secs += 3
    assert "of an older release" in client.get(f"/topology/{topology_id}/samples").text


def test_the_page_is_bounded(site: Any, client: Any, topology_id: str) -> None:
    for slot in slots(site, topology_id):
        site.samples[slot] = "".join(f"{line(i, 'x' * 200)}\n" for i in range(5_000)).encode()
    html = client.get(f"/topology/{topology_id}/samples").text
    assert 0 < html.count("x" * 200) <= SHOWN
    assert len(html.encode()) < 100_000


def test_lines_that_are_no_samples_are_passed_over() -> None:
    lines = ("", "null", "[1]", "{", '{"time": 1}', line(7, "[1]"), '{"time": 1e999}', line(1 << 70, "[2]"))
    found = samples([(("h", 6700), Told(lines))])
    assert [one.values for one in found] == ["[2]", "[1]"]
    assert found[1]._replace(values="") == (7, "h", 6700, "split", 4, "default", "")


def test_a_topology_that_is_not_there(client: Any) -> None:
    assert client.get("/topology/nope-1-1/samples").status_code == 404
