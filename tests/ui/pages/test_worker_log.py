from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from storm.errors import NotAuthorizedError, ThriftConnectionError
from storm.ui.pages.log_part import PART_BYTES


def place(site: Any, topology_id: str) -> tuple[str, int]:
    return min((f"host-{slot.node_id}", slot.port) for slot in site.cluster.assignment(topology_id).slot_executors())


def test_it_is_read_part_by_part_from_its_end(site: Any, topology_id: str, client: Any) -> None:
    host, port = place(site, topology_id)
    lines = [f"line {i} <b>\n" for i in range(10_000)]
    site.logs = {(host, port): "".join(lines).encode()}
    page = f"/topology/{topology_id}/worker/{host}:{port}/log"
    html = client.get(page).text
    assert "line 9999 &lt;b&gt;" in html
    assert "Newer" not in html
    read = html
    while (older := re.search(r'href="([^"]+)">Older</a>', html)) is not None:
        html = client.get(unescape(older[1])).text
        read = html + read
    assert re.findall(r"line (\d+) &lt;b&gt;\n", read) == [str(i) for i in range(10_000)]
    assert max(arguments[-1] for _, _, arguments in site.supervisor_calls) == PART_BYTES


def test_it_leads_on_and_to_its_log_viewer(site: Any, topology_id: str, client: Any) -> None:
    host, port = place(site, topology_id)
    site.logs = {(host, port): b"0123456789\n" * 10}
    html = client.get(f"/topology/{topology_id}/worker/{host}:{port}/log?start=11&text=45").text
    assert "0123<mark>45</mark>6789" in html
    assert "Bytes 11 to 110 of 110" in html
    assert f'href="http://{host}:8000/api/v1/log?file={topology_id}%2F{port}%2Fworker.log"' in html
    assert f'action="/topology/{topology_id}/logs/search"' in html
    assert "put aside" in client.get(f"/topology/{topology_id}/worker/{host}:{port}/log?start=111").text


def test_a_log_that_was_put_aside_is_read_part_by_part(site: Any, topology_id: str, client: Any) -> None:
    host, port = place(site, topology_id)
    site.put_aside = {"worker.log.1": b"".join(b"line %d\n" % i for i in range(10_000))}
    page = f"/topology/{topology_id}/worker/{host}:{port}/log"
    html = client.get(f"{page}?file=worker.log.1").text
    assert "<pre" in html, html
    read = html
    while (older := re.search(r'href="([^"]+)">Older</a>', html)) is not None:
        html = client.get(unescape(older[1])).text
        read = html + read
    assert re.findall(r"line (\d+)\n", read) == [str(i) for i in range(10_000)]
    assert "This is worker.log.1" in html
    assert "Fworker.log.1" in html  # at the log viewer
    for none in ("worker.log.", "worker.log.1/..", "events.log", "worker.log.12"):
        answer = client.get(page, params={"file": none})
        assert (answer.status_code, "worker.log.1 to .5" in answer.text) == (400, True)


def test_what_cannot_be_read_is_told_in_a_sentence(site: Any, topology_id: str, client: Any) -> None:
    host, port = place(site, topology_id)
    page = f"/topology/{topology_id}/worker/{host}:{port}/log"
    answer = client.get(page)
    assert (answer.status_code, "has logged on port" in answer.text) == (404, True)
    site.logs = {(host, port): ThriftConnectionError("host-a:6628: nothing listens there")}
    answer = client.get(page)
    assert (answer.status_code, "nothing listens there" in answer.text) == (503, True)
    assert client.get(f"{page}?end=x").status_code == 400
    node = host.removeprefix("host-")
    told = replace(site.cluster.core.snapshot.supervisors[node], thrift_port=0)
    site.cluster.supervisors[node].put_supervisor(told)
    site.cluster.core.step()
    site.cluster.clock.secs += 3
    answer = client.get(page)
    assert (answer.status_code, "is gone" in answer.text) == (503, True)


def test_the_log_of_a_worker_that_is_gone_is_read_of_its_host(site: Any, topology_id: str, client: Any) -> None:
    """Of several supervisors of a host the one that has the port is asked, else all of them."""
    host, _ = place(site, topology_id)
    other = replace(site.cluster.core.snapshot.supervisors["a"], node_id="c", slot_ports=(6800,), thrift_port=6629)
    site.cluster.supervisors["a"].put_supervisor(other)
    site.cluster.core.step()
    for port in (6800, 6999):
        site.supervisor_calls.clear()
        site.logs = {(host, port): b"it was here\n"}
        html = client.get(f"/topology/{topology_id}/worker/{host}:{port}/log").text
        assert "it was here" in html
        assert "has no worker here now" in html


@pytest.mark.parametrize("at", ["host-a", ":6700", "nowhere:6700", "host-a:0", "host-a:65536", "..%2f..:6700", "a:x"])
def test_only_hosts_and_ports_that_there_are_are_asked(at: str, site: Any, topology_id: str, client: Any) -> None:
    assert client.get(f"/topology/{topology_id}/worker/{at}/log").status_code == 404
    assert client.get("/topology/nope-1-1/worker/host-a:6700/log").status_code == 404
    assert site.supervisor_calls == []


def test_a_supervisor_of_an_older_release_is_said_to_be_one_where_it_does_not_read_what_was_put_aside(
    site: Any, topology_id: str, client: Any
) -> None:
    host, port = place(site, topology_id)
    refusal = NotAuthorizedError("'worker.log.1' is no log; there are worker.log and events.log, and dumps")
    site.refusals = {"readWorkerDump": refusal, "readWorkerLog": NotAuthorizedError("it is a link")}
    page = f"/topology/{topology_id}/worker/{host}:{port}/log"
    answer = client.get(f"{page}?file=worker.log.1")
    assert (answer.status_code, "as one of an older release" in answer.text) == (501, True)
    assert client.get(page).status_code == 401
