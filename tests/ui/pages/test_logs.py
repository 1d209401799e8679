from __future__ import annotations

from typing import Any


def test_each_worker_has_its_log_and_each_host_all_of_them(site: Any, topology_id: str, client: Any) -> None:
    answer = client.get(f"/topology/{topology_id}/logs")
    assert answer.status_code == 200
    slots = set(site.cluster.assignment(topology_id).executor_slots.values())
    assert slots
    for slot in slots:
        host = f"host-{slot.node_id}"
        file = f"{topology_id}%2F{slot.port}%2Fworker.log"
        assert f'href="http://{host}:8000/api/v1/log?file={file}"' in answer.text
        assert f'href="http://{host}:8000/?topoId={topology_id}&amp;port={slot.port}"' in answer.text
        assert f'href="http://{host}:8000/?topoId={topology_id}"' in answer.text
        assert f'href="/topology/{topology_id}/worker/{host}%3A{slot.port}"' in answer.text
    assert "storm logs wordcount" in answer.text


def test_a_topology_that_is_not_there(client: Any) -> None:
    assert client.get("/topology/nope-1-1/logs").status_code == 404
