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
    assert "worker.log" in answer.text


def test_one_without_workers(client: Any) -> None:
    assert "No worker is assigned to this host." in client.get("/supervisor/b").text


def test_one_that_is_not_there(client: Any) -> None:
    answer = client.get("/supervisor/nope")
    assert (answer.status_code, "There is no supervisor nope" in answer.text) == (404, True)
