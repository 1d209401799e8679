from __future__ import annotations

import logging
from typing import Any

import pytest

from storm.errors import NimbusUnreachableError, NotAuthorizedError, NotServedError
from storm.ui.rest.calls import PREFIX
from storm.ui.rest.endpoints import ENDPOINTS

NEEDED = {"id": "?id=a", "text": "?text=x"}  # what an answer cannot be without
READING = [endpoint for endpoint in ENDPOINTS if endpoint.method == "GET"]
BAD_IDS = ("nope-1-1", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "<script>", "a%0Ab", "x" * 3_000, "%ff")


def path_of(endpoint: Any, topology_id: str) -> str:
    query = "".join(one for name, one in NEEDED.items() if name in endpoint.query)
    return PREFIX + endpoint.path.format(id=topology_id, component="split", owner="storm") + query


@pytest.mark.parametrize("endpoint", READING, ids=[endpoint.path for endpoint in READING])
def test_every_path_answers(endpoint: Any, topology_id: str, client: Any) -> None:
    answer = client.get(path_of(endpoint, topology_id))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    head = client.head(path_of(endpoint, topology_id))
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if "{id}" in one.path], ids=lambda one: one.path)
@pytest.mark.parametrize("bad", BAD_IDS)
def test_an_id_that_is_none_is_not_found(endpoint: Any, bad: str, topology_id: str, client: Any) -> None:
    names = {"component": "split", "wait": 0, "action": "enable", "percent": 1, "host_port": "h:1", "minutes": 1}
    path = PREFIX + endpoint.path.format(id=bad, **names)
    query = {"text": "x"} if "text" in endpoint.query else None
    answer = client.request(endpoint.method, path, params=query, json=endpoint.body)
    assert answer.status_code in {404, 405}  # `..` is taken out of a path by clients: then it is another one
    assert set(answer.json()) == {"error", "errorMessage"}
    assert "Traceback" not in answer.text


def test_what_is_not_there_is_told_in_the_same_form(client: Any) -> None:
    answer = client.get(f"{PREFIX}/nothing")
    assert (answer.status_code, answer.json()["error"]) == (404, "404 Not Found")
    assert client.get(f"{PREFIX}/cluster/summary/").status_code == 404
    answer = client.post(f"{PREFIX}/cluster/summary")
    assert (answer.status_code, answer.json()["error"]) == (405, "405 Method Not Allowed")
    assert "GET" in answer.headers["allow"]


def test_nimbus_gone_is_told_since_when_and_it_comes_back_by_itself(site: Any, topology_id: str, client: Any) -> None:
    page = f"{PREFIX}/topology/{topology_id}"
    site.failure = NimbusUnreachableError("127.0.0.1:6627: nothing listens there")
    for path in (page, "/health"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]) == (503, "503 Service Unavailable")
        assert "has not answered since 20" in answer.json()["errorMessage"]
    assert client.get("/health").json()["status"] == "failing"
    assert client.get("/live").status_code == client.get("/metrics").status_code == 200
    assert "storm_ui_nimbus_up 0.0" in client.get("/metrics").text
    site.failure = None
    site.cluster.clock.secs += 2
    assert client.get(page).status_code == client.get("/health").status_code == 200
    assert "storm_ui_nimbus_up 1.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    ("error", "status"), [(NotAuthorizedError("no"), 401), (NotServedError("not by this release"), 501)]
)
def test_what_nimbus_refuses_has_its_status(site: Any, client: Any, error: Any, status: int) -> None:
    site.failure = error
    answer = client.get(f"{PREFIX}/owner-resources")
    assert (answer.status_code, answer.json()["errorMessage"]) == (status, str(error))


def test_a_bug_is_one_sentence_to_the_client(site: Any, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    site.failure = ZeroDivisionError("a secret of the code")
    answer = client.get(f"{PREFIX}/cluster/summary")
    assert answer.status_code == 500
    assert answer.json()["error"] == "500 Server Error"
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_each_change_leaves_a_line_in_the_log(topology_id: str, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "storm.ui"):
        client.post(f"{PREFIX}/topology/{topology_id}/activate")
        client.post(f"{PREFIX}/topology/no%0Asuch/kill/0")
        client.get(f"{PREFIX}/cluster/summary")
    done, refused = [record.getMessage() for record in caplog.records if record.name.startswith("storm.ui")]
    assert done == f"POST '{PREFIX}/topology/{topology_id}/activate' from 127.0.0.1: done"
    assert refused.startswith(f"POST '{PREFIX}/topology/no")
    assert ": refused, " in refused
    assert "\n" not in refused


def test_the_page_of_the_api_lists_every_path(client: Any) -> None:
    page = client.get(f"{PREFIX}/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(endpoint.path in page.text for endpoint in ENDPOINTS)


def test_the_document_is_there_for_programs(client: Any) -> None:
    assert client.get(f"{PREFIX}/openapi.json").json()["openapi"] == "3.1.0"


def test_many_viewers_cost_nimbus_the_load_of_one(site: Any, topology_id: str, client: Any) -> None:
    for _ in range(20):
        client.get(f"{PREFIX}/topology/{topology_id}?window=600")
        client.get(f"{PREFIX}/topology/summary")
        client.get(f"{PREFIX}/cluster/summary")
    assert sorted(site.calls) == ["getClusterInfo", "getTopologyPageInfo"]
