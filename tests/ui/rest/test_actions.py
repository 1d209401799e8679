from __future__ import annotations

from typing import Any

import pytest

from storm.errors import InvalidTransitionError, NotServedError, StormError

API = "/api/v1"


def status(site: Any, topology_id: str) -> str:
    site.cluster.core.step()
    return str(site.service.getTopologySummary(topology_id).status)


def test_a_topology_goes_to_sleep_and_wakes(site: Any, topology_id: str, client: Any) -> None:
    for operation, after in (("deactivate", "INACTIVE"), ("activate", "ACTIVE"), ("activate", "ACTIVE")):
        answer = client.post(f"{API}/topology/{topology_id}/{operation}")
        assert answer.json() == {"topologyOperation": operation, "topologyId": topology_id, "status": "success"}
        assert status(site, topology_id) == after


def test_who_looks_after_a_change_sees_it(site: Any, topology_id: str, client: Any) -> None:
    page = f"{API}/topology/{topology_id}"
    assert client.get(page).json()["status"] == "ACTIVE"
    client.post(f"{page}/deactivate")
    site.cluster.core.step()
    assert client.get(page).json()["status"] == "INACTIVE"


def test_a_kill_waits_as_long_as_it_is_told(site: Any, topology_id: str, client: Any) -> None:
    assert client.post(f"{API}/topology/{topology_id}/kill/7").json()["topologyOperation"] == "kill"
    assert status(site, topology_id) == "KILLED"
    assert site.cluster.core.snapshot.bases[topology_id].wait_secs == 7
    refused = client.post(f"{API}/topology/{topology_id}/activate")
    assert (refused.status_code, refused.json()["error"]) == (409, "409 Conflict")


def test_a_rebalance_takes_numbers_or_none(site: Any, topology_id: str, client: Any) -> None:
    body = {"rebalanceOptions": {"numWorkers": 1, "executors": {"split": 4}}}
    assert client.post(f"{API}/topology/{topology_id}/rebalance/0", json=body).status_code == 200
    site.cluster.core.step()
    base = site.cluster.core.snapshot.bases[topology_id]
    assert (base.num_workers, base.component_executors["split"]) == (1, 4)
    assert client.post(f"{API}/topology/{topology_id}/rebalance/5").status_code == 200
    assert status(site, topology_id) == "REBALANCING"


def test_a_rebalance_that_nimbus_refuses_is_a_bad_request(topology_id: str, client: Any) -> None:
    body = {"rebalanceOptions": {"executors": {"split": 5}}}
    answer = client.post(f"{API}/topology/{topology_id}/rebalance/0", json=body)
    assert (answer.status_code, "split" in answer.json()["errorMessage"]) == (400, True)


def test_tuples_are_logged_of_all_or_of_one_component(site: Any, topology_id: str, client: Any) -> None:
    page = f"{API}/topology/{topology_id}"
    answer = client.post(f"{page}/debug/enable/20")
    assert answer.json()["topologyOperation"] == "debug/enable"
    assert client.post(f"{page}/component/split/debug/enable/2.5").status_code == 200
    site.cluster.core.step()
    assert (client.get(page).json()["debug"], client.get(page).json()["samplingPct"]) == (True, 20.0)
    assert client.get(f"{page}/component/split").json()["samplingPct"] == 2.5
    client.post(f"{page}/debug/disable/20")
    site.cluster.core.step()
    assert client.get(page).json()["debug"] is False
    assert client.post(f"{page}/component/nope/debug/enable/1").status_code == 404


def test_log_levels_are_merged(topology_id: str, client: Any) -> None:
    path = f"{API}/topology/{topology_id}/logconfig"
    one = {"namedLoggerLevels": {"ROOT": {"target_level": "DEBUG", "reset_level": "INFO", "timeout": 60}}}
    answer = client.post(path, json=one).json()
    assert (answer["namedLoggerLevels"]["ROOT"]["target_level"], answer["namedLoggerLevels"]["ROOT"]["timeout"]) == (
        "DEBUG",
        60,
    )
    client.post(path, json={"namedLoggerLevels": {"x": {"target_level": "ERROR"}}})
    assert set(client.get(path).json()["namedLoggerLevels"]) == {"ROOT", "x"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("kill/x", b""),
        ("kill/-1", b""),
        ("rebalance/99999999999", b""),
        ("rebalance/0", b"{"),
        ("debug/on/10", b""),
        ("debug/enable/101", b""),
        ("logconfig", b""),
        ("logconfig", b'{"namedLoggerLevels": {"ROOT": {"target_level": "LOUD"}}}'),
        ("profiling/start/h:1/x", b""),
    ],
)
def test_what_makes_no_sense_is_refused_before_nimbus_hears_of_it(
    site: Any, topology_id: str, client: Any, path: str, body: bytes
) -> None:
    answer = client.post(f"{API}/topology/{topology_id}/{path}", content=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "400 Bad Request")
    assert site.calls == []


def worker_of(site: Any, topology_id: str) -> tuple[str, int]:
    worker = min(set(site.cluster.assignment(topology_id).executor_slots.values()))
    return f"host-{worker.node_id}", worker.port


@pytest.mark.parametrize(
    ("action", "method", "more"),
    [
        ("dumpjstack", "getWorkerStacks", {"stacks": "Thread 1"}),
        ("dumpheap", "getWorkerHeap", {"heap": "1 object"}),
        ("dumpprofile", "dumpProfile", {"file": "profile-20260131T235959123Z.svg"}),
        ("stop", "stopProfile", {"file": "profile-20260131T235959124Z.svg"}),
        ("restartworker", "restartWorker", None),
    ],
)
def test_what_is_asked_of_a_worker_is_asked_of_its_supervisor(
    site: Any, topology_id: str, client: Any, action: str, method: str, more: dict[str, str] | None
) -> None:
    host, port = worker_of(site, topology_id)
    answer = client.post(f"{API}/topology/{topology_id}/profiling/{action}/{host}:{port}")
    link = {"dumplink": f"http://{host}:8000/api/v1/dumps/{topology_id}/{host}%3A{port}"}
    assert answer.json() == {"status": "ok", "id": f"{host}:{port}", **({} if more is None else {**more, **link})}
    assert site.supervisor_calls == [(host, method, (topology_id, port))]
    refused = client.post(f"{API}/topology/{topology_id}/profiling/{action}/{host}:1")
    assert (refused.status_code, "No worker of" in refused.json()["errorMessage"]) == (404, True)


def test_a_profile_is_started_for_some_minutes(site: Any, topology_id: str, client: Any) -> None:
    host, port = worker_of(site, topology_id)
    answer = client.post(f"{API}/topology/{topology_id}/profiling/start/{host}:{port}/5")
    assert answer.json() == {
        "status": "ok",
        "id": f"{host}:{port}",
        "timeout": "5",
        "dumplink": f"http://{host}:8000/api/v1/dumps/{topology_id}/{host}%3A{port}",
    }
    assert site.supervisor_calls == [(host, "startProfile", (topology_id, port, 300))]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(NotServedError("py-spy is not installed"), 501), (InvalidTransitionError("it is being profiled already"), 409)],
)
def test_what_a_supervisor_refuses_is_told(
    site: Any, topology_id: str, client: Any, refusal: StormError, status: int
) -> None:
    host, port = worker_of(site, topology_id)
    site.refusals["startProfile"] = refusal
    answer = client.post(f"{API}/topology/{topology_id}/profiling/start/{host}:{port}/5")
    assert (answer.status_code, answer.json()["errorMessage"]) == (status, str(refusal))


def test_nothing_changes_by_get(site: Any, topology_id: str, client: Any) -> None:
    for path in ("activate", "deactivate", "kill/0", "rebalance/0", "debug/enable/1", "profiling/stop/h:1"):
        assert client.get(f"{API}/topology/{topology_id}/{path}").status_code == 405
    assert site.calls == []


def test_no_more_than_100_loggers_have_a_level_however_they_were_set(client: Any, topology_id: str) -> None:
    def set_levels(names: list[str]) -> Any:
        levels = {name: {"target_level": "DEBUG"} for name in names}
        return client.post(f"/api/v1/topology/{topology_id}/logconfig", json={"namedLoggerLevels": levels})

    assert set_levels([f"app.{i}" for i in range(60)]).status_code == 200
    refused = set_levels([f"lib.{i}" for i in range(41)])
    assert (refused.status_code, "at most 100" in refused.json()["errorMessage"]) == (400, True)
    assert len(set_levels([f"lib.{i}" for i in range(40)]).json()["namedLoggerLevels"]) == 100
