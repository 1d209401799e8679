from __future__ import annotations

from typing import Any


def test_its_workers_stand_by_port_with_what_runs_in_them(site: Any, topology_id: str, client: Any) -> None:
    answer = client.get("/supervisor/a")
    assert answer.status_code == 200
    ports = sorted(
        slot.port for slot in set(site.cluster.assignment(topology_id).executor_slots.values()) if slot.node_id == "a"
    )
    assert ports
    for port in ports:
        assert f'data-key="{port}"' in answer.text
    assert f'href="/topology/{topology_id}"' in answer.text
    assert f'href="/topology/{topology_id}/component/' in answer.text
    assert f'href="/topology/{topology_id}/worker/host-a%3A{ports[0]}/log"' in answer.text
    assert "Log of the supervisor" not in answer.text  # nobody serves it


def test_what_its_workers_take_and_what_it_has(site: Any, topology_id: str, client: Any) -> None:
    site.tell_usage(topology_id)
    text = client.get("/supervisor/a").text
    assert "<dt>Memory of workers, MB</dt><dd>1,234 <small>of 2,000</small></dd>" in text
    assert "<dt>CPU of workers, %</dt><dd>88 <small>of 400</small></dd>" in text
    assert '<td class="num" data-value="1234">1,234</td>' in text
    assert '<td class="num" data-value="88">88</td>' in text


def test_one_without_workers(client: Any) -> None:
    assert "No worker is assigned to this host." in client.get("/supervisor/b").text


def test_one_that_is_not_there(client: Any) -> None:
    answer = client.get("/supervisor/nope")
    assert (answer.status_code, "There is no supervisor nope" in answer.text) == (404, True)
