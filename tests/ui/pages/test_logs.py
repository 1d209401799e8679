from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from storm.errors import NotServedError, ThriftConnectionError
from storm.thrift.interface import storm_thrift
from storm.ui.pages import logs
from storm.ui.rest.formats import LogLinks
from storm.ui.rest.log_search import RECORDS_MAX, Record


def slots(site: Any, topology_id: str) -> list[tuple[str, int]]:
    return sorted((f"host-{slot.node_id}", slot.port) for slot in site.cluster.assignment(topology_id).slot_executors())


def record(port: int, text: str, time: str = "2026-01-31T23:59:59.123", file: str = "worker.log") -> Any:
    return storm_thrift().FoundRecord(port=port, file=file, offset=4_711, time=time, text=text)


def found_times(html: str) -> list[str]:
    return re.findall(r'<span class="when">(.*?) UTC</span>', html)


def test_each_worker_has_its_log_here_and_at_its_log_viewer(site: Any, topology_id: str, client: Any) -> None:
    html = client.get(f"/topology/{topology_id}/logs").text
    for host, port in slots(site, topology_id):
        assert f'href="/topology/{topology_id}/worker/{host}%3A{port}/log"' in html
        assert f'href="http://{host}:8000/?topoId={topology_id}&amp;port={port}"' in html
        assert f'href="http://{host}:8000/?topoId={topology_id}"' in html
        assert f'href="/topology/{topology_id}/worker/{host}%3A{port}"' in html
    assert f'<form class="search" method="get" action="/topology/{topology_id}/logs/search"' in html
    assert "storm logs wordcount" in html


def test_links_lead_to_the_port_that_the_supervisor_tells(site: Any, topology_id: str, client: Any) -> None:
    for node, port in (("a", 8123), ("b", 0)):
        told = replace(site.cluster.core.snapshot.supervisors[node], logviewer_port=port)
        site.cluster.supervisors[node].put_supervisor(told)
    site.cluster.core.step()
    html = client.get(f"/topology/{topology_id}/logs").text
    assert f'href="http://host-a:8123/?topoId={topology_id}"' in html
    assert "http://host-b" not in html  # it has no log viewer
    rest = client.get(f"/api/v1/topology/{topology_id}").json()
    by_host = {one["host"]: one["workerLogLink"] for one in rest["workers"]}
    assert by_host["host-b"] == ""
    assert by_host["host-a"].startswith("http://host-a:8123/api/v1/log?file=")


def test_a_search_asks_each_supervisor_once_and_merges_what_they_found(
    site: Any, topology_id: str, client: Any
) -> None:
    (first, port), (second, other) = slots(site, topology_id)
    site.records = {
        first: [record(port, "b <needle>", "2026-01-31T23:59:59.003"), record(port, "d", "2026-01-31T23:59:59.001")],
        second: [record(other, "a", "2026-01-31T23:59:59.004"), record(other, "c", "2026-01-31T23:59:59.002")],
    }
    html = client.get(f"/topology/{topology_id}/logs/search", params={"text": "<needle>"}).text
    assert [time[-3:] for time in found_times(html)] == ["004", "003", "002", "001"]
    assert "b <mark>&lt;needle&gt;</mark>" in html
    assert f'/worker/{first}%3A{port}/log?start=4711&amp;text=%3Cneedle%3E"' in html
    assert sorted(site.supervisor_calls) == [
        (host, "searchWorkerLogs", (topology_id, "<needle>", RECORDS_MAX)) for host in (first, second)
    ]


def test_without_a_text_nothing_is_searched_and_a_long_one_is_refused(site: Any, topology_id: str, client: Any) -> None:
    page = f"/topology/{topology_id}/logs/search"
    for query in ("", "?text=", "?text=%20"):
        assert "Give a text" in client.get(page + query).text
    answer = client.get(page, params={"text": "x" * 1_025})
    assert (answer.status_code, "1,024 bytes at most" in answer.text) == (400, True)
    assert site.supervisor_calls == []
    assert client.get("/topology/nope-1-1/logs/search?text=x").status_code == 404


def test_who_cannot_search_is_told_of_and_the_others_are_shown(site: Any, topology_id: str, client: Any) -> None:
    (first, port), (second, _) = slots(site, topology_id)
    site.records = {first: [record(port, "here")]}
    node = second.removeprefix("host-")
    told = replace(site.cluster.core.snapshot.supervisors[node], thrift_port=0)
    site.cluster.supervisors[node].put_supervisor(told)
    site.cluster.core.step()
    page = f"/topology/{topology_id}/logs/search?text=here"
    html = client.get(page).text
    assert f"{second}: the supervisor is gone" in html
    assert "<mark>here</mark>" in html
    for error, told in (
        (ThriftConnectionError("host-a:6628: nothing\nlistens there"), f"{first}: host-a:6628: nothing listens there"),
        (NotServedError("searchWorkerLogs"), f"{first}: the supervisor cannot search logs: it is of an older release"),
    ):
        site.refusals = {"searchWorkerLogs": error}
        site.cluster.clock.secs += 60
        assert told in client.get(page).text


def test_what_is_shown_is_bounded(site: Any, topology_id: str, client: Any) -> None:
    for host, port in slots(site, topology_id):
        site.records[host] = [record(port, "x" * 2_000) for _ in range(RECORDS_MAX)]
    html = client.get(f"/topology/{topology_id}/logs/search?text=xx").text
    assert len(found_times(html)) == RECORDS_MAX
    assert "there is more" in html


def test_a_page_of_another_site_does_not_make_supervisors_search(site: Any, topology_id: str, client: Any) -> None:
    page = f"/topology/{topology_id}/logs/search?text=x"
    assert client.get(page, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert site.supervisor_calls == []
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-user": "?1", "sec-fetch-dest": "document"}
    assert client.get(page, headers=followed).status_code == 200


def test_records_lead_to_their_logs_here_and_those_of_other_files_to_the_log_viewer(
    site: Any, topology_id: str, client: Any
) -> None:
    (host, port), _ = slots(site, topology_id)
    site.records = {host: [record(port, "here", file=file) for file in ("worker.log", "worker.log.1", "worker.log.gz")]}
    html = client.get(f"/topology/{topology_id}/logs/search?text=here").text
    page = f"/topology/{topology_id}/worker/{host}%3A{port}/log?"
    assert f'href="{page}start=4711&amp;text=here">worker.log<' in html
    assert f'href="{page}file=worker.log.1&amp;start=4711&amp;text=here">worker.log.1<' in html
    viewer = f"http://{host}:8000/api/v1/log?file={topology_id}%2F{port}%2F"
    assert f'<a href="{viewer}worker.log.1">At its log viewer</a>' in html  # its supervisor may not read it
    assert f'{viewer}worker.log"' not in html
    assert f'href="{viewer}worker.log.gz">worker.log.gz<' in html
    undated = logs.rows([Record("", "h", 6701, "worker.log", 2, "y")], "t-1", "q", LogLinks(8000))
    assert [(one.time, one.link) for one in undated] == [("", "")]


def test_a_topology_that_is_not_there(client: Any) -> None:
    assert client.get("/topology/nope-1-1/logs").status_code == 404
