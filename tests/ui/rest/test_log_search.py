from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from storm.errors import NotServedError, ThriftConnectionError
from storm.thrift.interface import storm_thrift
from storm.topology.structure import ComponentSpec, PythonObject, StormTopology, StreamInfo
from storm.ui.pages import log_reader
from storm.ui.pages.log_reader import Told
from storm.ui.rest import log_search
from storm.ui.rest.log_search import OTHERS_MAX, RECORDS_MAX, SUPERVISORS_MAX, places, records


def record(port: int, text: str, time: str = "2026-01-31T23:59:59.123", file: str = "worker.log") -> Any:
    return storm_thrift().FoundRecord(port=port, file=file, offset=4_711, time=time, text=text)


def slots(site: Any, topology_id: str) -> list[tuple[str, int]]:
    return sorted((f"host-{slot.node_id}", slot.port) for slot in site.cluster.assignment(topology_id).slot_executors())


@pytest.fixture
def path(topology_id: str) -> str:
    return f"/api/v1/topology/{topology_id}/logs/search"


def test_the_same_as_the_page_as_json(site: Any, topology_id: str, client: Any, path: str) -> None:
    (first, port), (second, other) = slots(site, topology_id)
    site.records = {
        first: [record(port, "a <needle>"), record(port, "c needle", "", "worker.log.1")],
        second: [record(other, "b\nneedle", "2026-01-31T23:59:59.124")],
    }
    assert client.get(path, params={"text": "needle"}).json() == {
        "records": [
            {"time": time, "host": host, "port": of_port, "file": file, "offset": 4_711, "text": text}
            for time, host, of_port, file, text in (
                ("2026-01-31T23:59:59.124Z", second, other, "worker.log", "b\nneedle"),
                ("2026-01-31T23:59:59.123Z", first, port, "worker.log", "a <needle>"),
                (None, first, port, "worker.log.1", "c needle"),
            )
        ],
        "problems": [],
        "isCut": False,
        "supervisorsLeftOut": 0,
        "othersLeftOut": 0,
    }
    assert sorted(site.supervisor_calls) == [
        (host, "searchWorkerLogs", (topology_id, "needle", RECORDS_MAX)) for host in (first, second)
    ]
    client.get(path.removeprefix("/api/v1"), params={"text": "needle"})
    assert len(site.supervisor_calls) == 2, "a page and a program that look for the same share the search"


@pytest.mark.parametrize(
    "query", [{}, {"text": ""}, {"text": "  "}, {"text": "é" * 513}, {"text": "x", "callback": "f"}]
)
def test_what_makes_no_sense_is_refused_and_nothing_is_searched(
    site: Any, client: Any, path: str, query: dict[str, str]
) -> None:
    answer = client.get(path, params=query)
    assert (answer.status_code, set(answer.json())) == (400, {"error", "errorMessage"})
    assert site.supervisor_calls == []


def test_a_topology_that_is_not_there(site: Any, client: Any) -> None:
    answer = client.get("/api/v1/topology/nope-1-1/logs/search?text=x")
    assert (answer.status_code, "nope-1-1" in answer.json()["errorMessage"]) == (404, True)
    assert site.supervisor_calls == []


def test_who_cannot_search_is_told_of_and_the_others_answer(
    site: Any, topology_id: str, client: Any, path: str
) -> None:
    (first, port), (second, _) = slots(site, topology_id)
    site.records = {first: [record(port, "here")]}
    told = replace(site.cluster.core.snapshot.supervisors[second.removeprefix("host-")], thrift_port=0)
    site.cluster.supervisors[second.removeprefix("host-")].put_supervisor(told)
    site.cluster.core.step()
    found = client.get(f"{path}?text=here").json()
    assert found["problems"] == [{"host": second, "text": "the supervisor is gone: nobody can search its logs"}]
    assert [one["text"] for one in found["records"]] == ["here"]
    for error, text in (
        (ThriftConnectionError("host-a:6628: nothing\nlistens there"), "host-a:6628: nothing listens there"),
        (NotServedError("searchWorkerLogs"), "the supervisor cannot search logs: it is of an older release"),
    ):
        site.refusals = {"searchWorkerLogs": error}
        site.cluster.clock.secs += 60
        found = client.get(f"{path}?text=here").json()
        assert (found["records"], found["problems"][0]) == ([], {"host": first, "text": text})


def test_an_answer_is_bounded_and_says_that_there_is_more(site: Any, topology_id: str, client: Any, path: str) -> None:
    for host, port in slots(site, topology_id):
        site.records[host] = [record(port, "x") for _ in range(RECORDS_MAX)]
    found = client.get(f"{path}?text=x").json()
    assert (len(found["records"]), found["isCut"]) == (RECORDS_MAX, True)


def test_hosts_that_it_has_no_worker_on_now_are_searched_too(
    site: Any, topology_id: str, client: Any, path: str
) -> None:
    (_, port), _ = slots(site, topology_id)
    site.cluster.start_supervisor("0-before")
    site.cluster.core.step()
    site.records = {"host-0-before": [record(port, "it was here")]}
    found = client.get(f"{path}?text=here").json()
    assert [(one["host"], one["text"]) for one in found["records"]] == [("host-0-before", "it was here")]
    assert (len(site.supervisor_calls), found["supervisorsLeftOut"], found["othersLeftOut"]) == (3, 0, 0)
    assert site.supervisor_calls[-1][0] == "host-0-before", "once the others have answered"


def test_other_hosts_are_not_asked_while_those_of_its_workers_have_not_answered(
    site: Any, topology_id: str, client: Any, path: str, monkeypatch: Any
) -> None:
    site.cluster.start_supervisor("0-before")
    site.cluster.core.step()
    monkeypatch.setattr(log_reader, "PATIENCE_SECS", 0.0)
    found = client.get(f"{path}?text=here").json()
    assert {one["text"] for one in found["problems"]} == {"the supervisor is still searching: ask again"}
    assert (found["supervisorsLeftOut"], found["othersLeftOut"]) == (0, 1)
    assert "host-0-before" not in {host for host, *_ in site.supervisor_calls}


def test_of_very_many_hosts_those_with_its_workers_come_first_and_the_rest_is_counted(
    site: Any, client: Any, monkeypatch: Any
) -> None:
    for number in range(SUPERVISORS_MAX + 3):
        site.cluster.start_supervisor(f"{number:02}", ports=[6700])
    site.cluster.core.step()
    spout = ComponentSpec(PythonObject(b"s"), {}, {"default": StreamInfo(("word",))}, 1)
    conf = {"topology.workers": 9, "topology.acker.executors": 9}
    topology_id = site.cluster.submit("wide", StormTopology({"words": spout}, {}), conf)
    path = f"/api/v1/topology/{topology_id}/logs/search"
    hosts = {host for host, _ in slots(site, topology_id)}
    site.records = {host: [record(6700, "here")] for host in hosts}
    found = client.get(f"{path}?text=here").json()
    assert {one["host"] for one in found["records"]} == hosts
    others = len(site.cluster.core.snapshot.supervisors) - len(hosts)
    assert (found["supervisorsLeftOut"], found["othersLeftOut"]) == (0, others - OTHERS_MAX)
    assert len(site.supervisor_calls) == len(hosts) + OTHERS_MAX
    page = client.get(f"{path.removeprefix('/api/v1')}?text=here").text
    assert f"no worker of it is known to have been there: {others - OTHERS_MAX}." in page
    assert "Hosts of its workers" not in page
    monkeypatch.setattr(log_search, "SUPERVISORS_MAX", 5)
    page = client.get(f"{path.removeprefix('/api/v1')}?text=here").text
    assert f"Hosts of its workers that were not asked, because there are so many: {len(hosts) - 5}." in page


def test_hosts_on_which_a_worker_ended_come_before_others() -> None:
    t = storm_thrift()
    there = [
        SimpleNamespace(host=host, supervisor_id=f"id-{host}", thrift_port=6628) for host in ("a", "b", "c", "gone")
    ]
    page = SimpleNamespace(
        workers=[SimpleNamespace(host="c", port=6700, supervisor_id="id-c"),
                 SimpleNamespace(host="gone", port=6700, supervisor_id="id-gone")],
        ended_workers=[t.EndedWorker(host="b", port=6700, reason="exited with code 1")],
    )  # fmt: skip
    known, others = places(page, SimpleNamespace(supervisors=there[:-1]))
    assert known == [("c", 6628), ("gone", 0), ("b", 6628)]
    assert others == [("a", 6628)]


def test_a_page_of_another_site_does_not_make_supervisors_search(site: Any, client: Any, path: str) -> None:
    answer = client.get(f"{path}?text=x", headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "search logs" in answer.json()["errorMessage"]) == (403, True)
    assert site.supervisor_calls == []
    assert client.get(f"{path}?text=x", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_records_are_merged_by_time_and_those_without_one_come_last() -> None:
    told = [("a", Told((record(1, "x", ""), record(1, "y", "2026-02")))), ("b", Told((record(2, "z", "2026-03"),)))]
    assert [one.text for one in records(told)] == ["z", "y", "x"]
