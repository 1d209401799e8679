from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from storm_rest_contract import (
    ANSWERS,
    MISSING,
    PATHS,
    StormRestContract,
    differences,
    documented,
    lacking,
    storm_answer,
)

from storm.cluster.records import Recording

if TYPE_CHECKING:
    from collections.abc import Callable


API = "/api/v1"


class TestTheRestOfStorm(StormRestContract):
    @pytest.fixture
    def topology_id(self, site: Any) -> str:
        found: str = site.run_word_count()
        return found

    @pytest.fixture
    def get(self, client: Any) -> Callable[[str], Any]:
        def get(path: str) -> Any:
            answer = client.get(API + path)
            assert answer.status_code == 200
            return answer.json()

        return get

    @pytest.fixture
    def post(self, site: Any, client: Any) -> Callable[[str, Any], Any]:
        def post(path: str, body: Any) -> Any:
            answer = client.post(API + path, json=body) if body is not None else client.post(API + path)
            assert answer.status_code == 200, answer.text
            site.cluster.core.step()
            return answer.json()

        return post

    @pytest.fixture
    def refused(self, client: Any) -> Callable[[str], Any]:
        return lambda path: client.get(API + path).json()


def test_no_answer_of_storm_is_left_out() -> None:
    assert {file.stem for file in ANSWERS.iterdir()} == {*PATHS, MISSING}


@pytest.mark.parametrize("name", PATHS)
def test_the_comparison_finds_storm_equal_to_itself_and_sees_what_is_missing(name: str) -> None:
    answer = storm_answer(name)
    assert differences(name, answer) == []
    if name not in {"viz", "logconfig"}:  # whose keys are names
        first = next(iter(answer))
        assert f".{first} is missing" in differences(name, {key: answer[key] for key in answer if key != first})
        assert differences(name, {**answer, "more": 1}) == [".more is not Storm's"]


def test_the_comparison_sees_another_type() -> None:
    text = json.dumps(storm_answer("component_split")).replace('"capacity": "0.020"', '"capacity": 0.02')
    assert differences("component_split", json.loads(text)) == [".executorStats[].capacity is {'float'}, not {'str'}"]


def test_the_comparison_sees_what_a_client_looks_for_in_vain() -> None:
    levels = documented("levels")
    short = {"namedLoggerLevels": {"ROOT": {"target_level": 1, "reset_level": "INFO", "timeout": 60}}}
    assert lacking(levels, levels) == []
    assert lacking(levels, short) == [
        ".namedLoggerLevels{}.target_level is {'int'}, not {'str'}",
        ".namedLoggerLevels{}.timeout_epoch is missing",
    ]


def test_the_clusters_settings_are_without_secrets(client: Any) -> None:
    conf = client.get(f"{API}/cluster/configuration").json()
    assert conf["nimbus.thrift.port"] == 6627
    assert conf["storm.zookeeper.auth.payload"] is None


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("?id=", 400), ("?id=a", 200), ("?host=host-b", 200), ("?id=z", 404), ("?host=%3Cscript%3E", 404),
     ("?id=a&sys=true", 200), ("?id=a&sys=perhaps", 400)],
)  # fmt: skip
def test_a_supervisor_is_found_by_id_or_host(client: Any, query: str, status: int) -> None:
    assert client.get(f"{API}/supervisor{query}").status_code == status


@pytest.mark.parametrize("page", ["", "/metrics", "/visualization", "/visualization-init", "/component/split"])
def test_windows_and_sys_are_checked(client: Any, topology_id: str, page: str) -> None:
    path = f"{API}/topology/{topology_id}{page}"
    assert client.get(f"{path}?window=600&sys=1").status_code == 200
    for query in ("window=601", "window=", "sys=2"):
        answer = client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["error"]) == (400, "400 Bad Request")


def test_a_component_tells_of_profiles_of_its_workers(site: Any, client: Any, topology_id: str) -> None:
    path = f"{API}/topology/{topology_id}/component/split"
    info = site.cluster.core.snapshot.supervisors["a"]
    until = site.cluster.clock.wall_secs() + 60
    site.cluster.supervisors["a"].put_supervisor(
        replace(info, recordings=(Recording(6700, topology_id, until), Recording(6700, "other", until)))
    )
    [found] = client.get(path).json()["profilerActive"]
    assert (found["host"], found["port"], found["timestamp"]) == ("host-a", "6700", -60_000)
    assert not lacking(documented("profiles"), {"profilerActive": [found]})


def test_an_unknown_component_is_not_found(client: Any, topology_id: str) -> None:
    answer = client.get(f"{API}/topology/{topology_id}/component/splitt")
    assert (answer.status_code, "split" in answer.json()["errorMessage"]) == (404, True)


def test_an_owner_without_topologies_has_none(client: Any, topology_id: str) -> None:
    assert client.get(f"{API}/owner-resources/storm").json()["totalTopologies"] == 1
    assert client.get(f"{API}/owner-resources/nobody").json()["totalTopologies"] == 0


def test_an_owners_name_may_hold_slashes(site: Any, client: Any) -> None:
    site.run_word_count("one", "team/b")
    for path in ("team/b", "team%2Fb"):
        found = client.get(f"{API}/owner-resources/{path}").json()
        assert (found["owner"], [one["name"] for one in found["topologies"]]) == ("team/b", ["one"])
    assert client.get(f"{API}/owner-resources/").status_code == 404


def test_there_is_no_lag_without_kafka(client: Any, topology_id: str) -> None:
    assert client.get(f"{API}/topology/{topology_id}/lag").json() == {}
