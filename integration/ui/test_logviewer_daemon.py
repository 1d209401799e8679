"""The log viewer in a supervisor's process, beside workers that run; and in a process of its own."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest
from cluster_site import STORM, Daemon, environment, free_ports, run

pytestmark = pytest.mark.timeout(240)


def test_the_links_of_the_ui_lead_to_the_logs(ui_site: Any, word_count: str) -> None:
    page = ui_site.get(f"/topology/{word_count}")
    assert len(page["workers"]) == 2
    for worker in page["workers"]:
        log = httpx.get(worker["workerLogLink"], headers={"accept": "text/html"}, timeout=30)
        assert log.status_code == 200
        assert f"{word_count}/{worker['port']}/worker.log" in log.text
    viewer = f"http://127.0.0.1:{ui_site.cluster.settings['logviewer.port']}"
    files = httpx.get(f"{viewer}/api/v1/listLogs?topoId={word_count}", timeout=30).json()
    assert sorted(files) == [
        f"{word_count}/{port}/worker.log" for port in sorted(one["port"] for one in page["workers"])
    ]
    found = httpx.get(f"{viewer}/api/v1/deepSearch/{word_count}?search-string=bad line 500&num-matches=5", timeout=30)
    assert sum(len(file["matches"]) for worker in found.json() for file in worker["matches"]) > 0


def test_logs_of_all_workers_are_searched_and_read_through_the_ui(ui_site: Any, word_count: str) -> None:
    search = f"/topology/{word_count}/logs/search"
    answer = ui_site.client.get(search, params={"text": "bad line 500"})
    assert answer.status_code == 200, answer.text
    assert "<mark>bad line 500</mark>" in answer.text
    found = re.search(r'href="(/topology/[^"]+/log\?start=[^"]+)"', answer.text)
    assert found is not None
    log = ui_site.client.get(unescape(found[1]))
    assert (log.status_code, "<mark>bad line 500</mark>" in log.text) == (200, True)
    told = ui_site.get(f"{search}?text=bad line 500")
    assert (told["problems"], told["supervisorsLeftOut"]) == ([], 0)
    assert told["records"]
    for one in told["records"]:
        start = ui_site.client.get(
            f"/topology/{word_count}/worker/{one['host']}:{one['port']}/log?start={one['offset']}"
        )
        assert one["text"].splitlines()[0] in unescape(start.text)
    times = [one["time"] for one in told["records"]]
    assert times == sorted(times, reverse=True)
    assert ui_site.get(f"{search}?text=what nobody logs")["records"] == []
    assert "No record" in ui_site.client.get(search, params={"text": "what nobody logs"}).text
    for worker in ui_site.get(f"/topology/{word_count}")["workers"]:
        newest = ui_site.client.get(f"/topology/{word_count}/worker/{worker['host']}:{worker['port']}/log")
        assert (newest.status_code, word_count in newest.text) == (200, True)

    supervisor = ui_site.cluster.supervisors["a"]
    put_aside = (
        supervisor.local_dir / "logs" / "workers-artifacts" / word_count
        / str(supervisor.settings["supervisor.slots.ports"][-1]) / "worker.log.1"
    )  # fmt: skip
    put_aside.parent.mkdir(parents=True, exist_ok=True)
    put_aside.write_text("2026-01-31T23:59:59.123Z INFO [words/h:6700] app: it ran here before\n")
    found = re.search(
        r'href="(/topology/[^"]+/log\?file=worker\.log\.1[^"]+)"',
        ui_site.client.get(search, params={"text": "it ran here before"}).text,
    )
    assert found is not None
    log = ui_site.client.get(unescape(found[1]))
    assert (log.status_code, "<mark>it ran here before</mark>" in log.text) == (200, True)
    put_aside.unlink()


def test_a_daemons_log_is_linked_once_the_log_viewer_has_it(ui_site: Any) -> None:
    supervisor, node_id = ui_site.cluster.supervisors["a"], ui_site.cluster.node_id("a")

    def link() -> str:
        return str(ui_site.get(f"/supervisor?id={node_id}")["supervisors"][0]["logLink"])

    assert link() == ""
    (supervisor.local_dir / "logs" / "supervisor.log").hardlink_to(supervisor.log)
    address = ui_site.cluster.wait(link, "the supervisor has told of its log")
    assert f'href="{address}"' in ui_site.client.get(f"/supervisor/{node_id}").text
    log = httpx.get(address, headers={"accept": "text/html"}, timeout=30)
    assert (log.status_code, "The log viewer listens on" in log.text) == (200, True)


def test_the_stacks_of_a_worker_are_told(ui_site: Any, word_count: str) -> None:
    worker = ui_site.get(f"/topology/{word_count}")["workers"][0]
    path = f"/api/v1/topology/{word_count}/profiling/dumpjstack/{worker['host']}:{worker['port']}"
    answer = ui_site.client.post(path)
    assert answer.status_code == 200, answer.text
    assert "most recent call first" in answer.json()["stacks"]
    every = json.loads(ui_site.cluster.storm("stacks", "wordcount", "--json").stdout)
    assert len(every) == 2
    assert all("most recent call first" in stacks for stacks in every.values())


def test_a_second_one_on_the_port_is_refused(ui_site: Any) -> None:
    log = ui_site.cluster.supervisors["a"].log.read_text()
    assert f"The log viewer listens on 127.0.0.1:{ui_site.cluster.settings['logviewer.port']}" in log
    done = run([*STORM, "logviewer"], environment(ui_site.cluster.supervisors["a"].directory / "conf"))
    assert done.returncode == 1
    assert "is in use" in done.stderr


def test_it_runs_alone_and_ends_in_order(ui_site: Any, word_count: str) -> None:
    cluster, port = ui_site.cluster, next(free_ports())
    supervisor = cluster.supervisors["a"]
    settings = {**cluster.settings, "logviewer.port": port, "storm.log.dir": str(supervisor.local_dir / "logs")}
    alone = Daemon("logviewer", "logviewer", cluster.directory / "logviewer", settings)
    alone.start()
    try:

        def is_there() -> bool:
            assert alone.is_running, alone.log.read_text()
            try:
                return len(httpx.get(f"http://127.0.0.1:{port}/api/v1/listLogs?topoId={word_count}").json()) == 2
            except httpx.TransportError:
                return False

        cluster.wait(is_there, "it answers")
    finally:
        assert alone.stop() == 0
    assert "The log viewer has stopped." in alone.log.read_text()
