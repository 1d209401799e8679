from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from storm.cluster.records import Recording, SlotFailure, SupervisorInfo
from storm.ui.pages.worker import executors
from storm.ui.rest.view import View

WIDE = 101  # components of Site.run_wide


def page_of(client: Any, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def rows_of(html: str) -> list[list[str]]:
    """Cells of the table of executors, as text."""
    found = re.findall(r'<tr data-key="\[.*?</tr>', html[html.index('id="executors"') :], re.DOTALL)
    rows = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in found]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in rows]


def worker_of(site: Any, topology_id: str) -> Any:
    return site.service.getTopologyPageInfo(topology_id, ":all-time", False).workers[0]


def test_it_has_the_executors_that_run_in_it(client: Any, site: Any, topology_id: str) -> None:
    worker = worker_of(site, topology_id)
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    executors = html[html.index('id="executors"') :]
    there = {
        f"[{executor.start_task}-{executor.end_task}]"
        for executor, slot in site.cluster.assignment(topology_id).executor_slots.items()
        if (slot.node_id, slot.port) == (worker.supervisor_id, worker.port)
        and site.cluster.core.snapshot.plans[topology_id].component_of(executor) in ("words", "split", "count")
    }
    assert set(re.findall(r'data-key="(\[[^"]*\])"', executors)) == there
    assert f'href="/topology/{topology_id}/component/' in executors
    assert "1m 0s" in html


def test_figures_are_those_of_its_executors_and_what_was_not_timed_is_not_known(
    client: Any, site: Any, topology_id: str
) -> None:
    worker = worker_of(site, topology_id)
    shown = client.get(f"/topology/{topology_id}/worker/{worker.host}:{worker.port}?window=600").text
    rows = {cells[0]: cells for cells in rows_of(shown)}
    assert rows["words"][2:] == ["1m 0s", "–", "55", "60", "–", "2.500", "49", "1"]
    assert rows["count"][2:4] == ["1m 0s", "0.3"]
    assert rows["count"][4:] == ["0", "0", "310", "0.500", "310", "0"]
    told_nothing = site.cluster.submit("other")
    other = worker_of(site, told_nothing)
    for cells in rows_of(client.get(f"/topology/{told_nothing}/worker/{other.host}:{other.port}").text):
        assert cells[3:] == ["–", "0", "0", "–", "–", "0", "0"]


def test_a_worker_of_many_components_shows_them_all_for_few_calls(client: Any, site: Any) -> None:
    topology_id = site.run_wide()
    worker = worker_of(site, topology_id)
    site.calls.clear()
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    assert len(rows_of(html)) == WIDE
    assert len(site.calls) <= 4


def test_a_nimbus_of_the_former_release_tells_of_all_executors(site: Any, topology_id: str) -> None:
    worker, info = worker_of(site, topology_id), site.service.getTopologyInfo(topology_id)
    told = {"host": worker.host, "port": worker.port, "componentNumTasks": worker.component_to_num_tasks}
    found = executors(info, told, View(0))
    assert 0 < len(found) < len(info.executors)
    assert {one["component"] for one in found} <= set(worker.component_to_num_tasks)


def test_it_shows_what_its_process_takes(client: Any, site: Any, topology_id: str) -> None:
    worker = worker_of(site, topology_id)
    path = f"/topology/{topology_id}/worker/{worker.host}:{worker.port}"
    assert "<dt>Memory, MB</dt><dd>–</dd>" in page_of(client, path)
    site.tell_usage(topology_id)
    html = page_of(client, path)
    assert "<dt>Memory, MB</dt><dd>1,234</dd>" in html
    assert "<dt>CPU, %</dt><dd>88</dd>" in html


def test_a_profile_of_it_is_shown_and_can_be_stopped(client: Any, site: Any, topology_id: str) -> None:
    until = site.cluster.clock.wall_secs() + 75
    told = replace(site.cluster.core.snapshot.supervisors["a"], recordings=(Recording(6700, topology_id, until),))
    site.cluster.supervisors["a"].put_supervisor(told)
    for host, is_shown in (("host-a", True), ("host-b", False)):
        html = page_of(client, f"/topology/{topology_id}/worker/{host}:6700")
        assert ("1m 15s left" in html, 'data-opens="stop-profile"' in html) == (is_shown, is_shown)
        assert (f'"profiled": ["{host}:6700"]' in html) == is_shown
    html = page_of(client, f"/topology/{topology_id}/component/split")
    assert "host-a:6700, 1m 15s left" in html
    assert '"profiled": ["host-a:6700"]' in html


def test_its_last_lines_are_there_if_it_died(client: Any, site: Any, topology_id: str) -> None:
    worker, now = worker_of(site, topology_id), site.cluster.clock.wall_secs()
    node = worker.supervisor_id
    died = SlotFailure(worker.port, topology_id, "running", 1, "was killed by signal 9", "one\n<two>", now - 5)
    info = SupervisorInfo(node, f"host-{node}", (6700,), (), 6628, 0, "1", failures=(died,))
    site.cluster.supervisors[node].put_supervisor(info)
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    assert "one\n&lt;two&gt;" in html
    assert "died once" in html


def test_a_worker_that_has_not_told_yet_is_starting(client: Any, site: Any) -> None:
    topology_id = site.cluster.submit()
    worker = worker_of(site, topology_id)
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    assert '<span class="badge warn">starting</span>' in html


def test_its_stacks_and_its_heap_can_be_asked_for(client: Any, site: Any, topology_id: str) -> None:
    worker = worker_of(site, topology_id)
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    assert set(re.findall(r'data-opens="([\w-]+)"', html)) == {"flame-graph", "stacks", "heap", "restart"}
    for shows, told in (("stacks", "Thread 1"), ("heap", "1 object")):
        [path] = re.findall(rf'data-post="([^"]+)" data-shows="{shows}"', html)
        answer = client.post(f"/api/v1{path.replace('{worker}', f'{worker.host}:{worker.port}')}")
        assert (answer.status_code, answer.json()[shows]) == (200, told)
    assert f'href="http://{worker.host}:8000/api/v1/dumps/{topology_id}/{worker.host}%3A{worker.port}"' in html


def test_a_worker_that_does_not_run_yet_is_asked_for_no_stacks(client: Any, site: Any) -> None:
    topology_id = site.cluster.submit()
    worker = worker_of(site, topology_id)
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    assert "data-opens" not in html


def test_it_leads_to_its_log_and_to_all(client: Any, site: Any, topology_id: str) -> None:
    worker = worker_of(site, topology_id)
    html = page_of(client, f"/topology/{topology_id}/worker/{worker.host}:{worker.port}")
    assert f'href="/topology/{topology_id}/worker/{worker.host}%3A{worker.port}/log"' in html
    assert f'href="/topology/{topology_id}/logs"' in html


def test_what_is_no_worker_of_the_topology_is_not_found(client: Any, topology_id: str) -> None:
    for at in ("host-a:9999", "nowhere:6700", "host-a", "..%2f..:x", ":"):
        assert client.get(f"/topology/{topology_id}/worker/{at}").status_code == 404, at
