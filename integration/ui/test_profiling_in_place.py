"""What is asked of real workers by the REST API and the command line: profiles, stacks, heaps, a restart."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cluster_site import STORM, environment, heed_signals

from storm.supervisor.profiling import found_py_spy

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def worker(ui_site: Any, word_count: str) -> dict[str, Any]:
    ui_site.cluster.wait(lambda: ui_site.cluster.workers_up(word_count) == 2, "both workers are up")
    found: dict[str, Any] = ui_site.get(f"/topology/{word_count}")["workers"][0]
    return found


def ask(ui_site: Any, topology_id: str, action: str, worker: dict[str, Any], more: str = "") -> httpx.Response:
    place = f"{worker['host']}:{worker['port']}"
    answer: httpx.Response = ui_site.client.post(
        f"/api/v1/topology/{topology_id}/profiling/{action}/{place}{more}", timeout=90
    )
    return answer


def test_the_heap_of_a_worker_is_told_and_kept(ui_site: Any, word_count: str, worker: dict[str, Any]) -> None:
    answer = ask(ui_site, word_count, "dumpheap", worker)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert f"Heap of worker {worker['host']}:{worker['port']} of {word_count}" in told["heap"]
    assert "  dict\n" in told["heap"]
    listed = httpx.get(told["dumplink"], headers={"accept": "application/json"}, timeout=30).json()
    [name] = [one for one in listed if one.startswith("heap-")]
    assert httpx.get(f"{told['dumplink']}/{name}", timeout=30).text == told["heap"]
    place = f"{worker['host']}:{worker['port']}"
    every = json.loads(ui_site.cluster.storm("heap", "wordcount", "--json", "--worker", place).stdout)
    assert list(every) == [place]
    assert "objects" in every[place]


def test_a_profile_is_recorded_dumped_and_stopped(ui_site: Any, word_count: str, worker: dict[str, Any]) -> None:
    started = ask(ui_site, word_count, "start", worker, "/1")
    if found_py_spy() is None:
        assert (started.status_code, "-m pip install py-spy" in started.json()["errorMessage"]) == (501, True)
        pytest.skip("py-spy is not installed")
    assert started.status_code == 200, started.text
    assert (started.json()["status"], started.json()["timeout"]) == ("ok", "1")
    assert ask(ui_site, word_count, "start", worker, "/1").status_code == 409
    page = f"/topology/{word_count}/component/{min(worker['componentNumTasks'])}"
    ui_site.cluster.wait(lambda: ui_site.get(page)["profilerActive"], "its supervisor has told of the recording")
    [active] = ui_site.get(page)["profilerActive"]
    assert (active["host"], active["port"], active["dumplink"]) == (
        worker["host"],
        str(worker["port"]),
        started.json()["dumplink"],
    )
    assert -61_000 <= active["timestamp"] < 0
    files = []
    for action in ("dumpprofile", "stop"):
        ui_site.cluster.wait(lambda: _has_worked(ui_site, word_count), "it has worked meanwhile")
        told = ask(ui_site, word_count, action, worker)
        assert told.status_code == 200, told.text
        files.append(told.json()["file"])
    page = f"/topology/{word_count}/worker/{worker['host']}:{worker['port']}/dump"
    for file in files:
        picture = ui_site.client.get(f"{page}/{file}")
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "<svg" in picture.text
        assert httpx.get(f"{told.json()['dumplink']}/{file}", timeout=30).content == picture.content


def test_the_command_leaves_a_profile_where_it_is_told(ui_site: Any, word_count: str, tmp_path: Path) -> None:
    ui_site.cluster.wait(lambda: ui_site.cluster.workers_up(word_count) == 2, "both workers are up")
    picture, stacks = tmp_path / "split.svg", tmp_path / "split.txt"
    words = ("profile", "wordcount", "split", "--seconds", "2", "-o")
    if found_py_spy() is None:
        refused = ui_site.cluster.storm(*words, str(picture), code=1)
        assert ("-m pip install py-spy" in refused.stderr, picture.exists()) == (True, False)
        pytest.skip("py-spy is not installed")
    done = ui_site.cluster.storm(*words, str(picture))
    assert done.stdout == f"{picture}: {picture.stat().st_size:,} bytes\n"
    assert picture.read_text().rstrip().endswith("</svg>")
    executor = ui_site.get(f"/topology/{word_count}/component/split")["executorStats"][-1]
    place = f"{executor['host']}:{executor['port']}"
    done = ui_site.cluster.storm(*words, str(stacks), "--worker", place)
    assert f"looking at the worker on {place} for 2 s" in done.stderr
    samples = [line.rpartition(" ") for line in stacks.read_text().splitlines()]
    assert sum(int(count) for _, _, count in samples) > 0
    assert any("(storm/" in frames or "storm/worker" in frames for frames, _, _ in samples)
    refused = ui_site.cluster.storm("profile", "wordcount", "nobody", "--seconds", "2", code=1)
    assert "nobody" in refused.stderr


def test_a_profile_that_the_command_waits_for_is_told_of_and_ends_with_it(
    ui_site: Any, word_count: str, worker: dict[str, Any], tmp_path: Path
) -> None:
    if found_py_spy() is None:
        pytest.skip("py-spy is not installed")
    place, component = f"{worker['host']}:{worker['port']}", min(worker["componentNumTasks"])
    words = ("profile", "wordcount", component, "--worker", place, "--seconds", "300", "-o", str(tmp_path / "p.svg"))
    command = subprocess.Popen(
        [*STORM, *words], env=environment(ui_site.cluster.conf_dir), stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_signals,
    )  # fmt: skip
    try:
        page = f"/topology/{word_count}/component/{component}"
        ui_site.cluster.wait(lambda: ui_site.get(page)["profilerActive"], "its supervisor has told of the profile")
        ui_site.cluster.wait(lambda: _has_worked(ui_site, word_count), "it has worked meanwhile")
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=90)
    finally:
        command.kill()
        command.wait()
    assert command.returncode == 130, said
    file = said.split(f"beside the log of the worker on {place}: ")[1].strip()
    picture = ui_site.client.get(f"/topology/{word_count}/worker/{place}/dump/{file}")
    assert "<svg" in picture.text
    ui_site.cluster.wait(lambda: not ui_site.get(page)["profilerActive"], "its supervisor has told that it ended")


def _has_worked(ui_site: Any, topology_id: str) -> bool:
    """Whether it has acked some hundreds more than at the first look."""
    acked = ui_site.get(f"/topology/{topology_id}")["topologyStats"][3]["acked"]
    first = _seen.setdefault(topology_id, acked)
    if acked - first < 200:
        return False
    del _seen[topology_id]
    return True


_seen: dict[str, int] = {}


def test_a_worker_is_started_again_and_no_other(ui_site: Any, word_count: str, worker: dict[str, Any]) -> None:
    before = _pids_by_port(ui_site, word_count)
    answer = ask(ui_site, word_count, "restartworker", worker)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")

    def has_another() -> bool:
        now = _pids_by_port(ui_site, word_count)
        return now.keys() == before.keys() and now[worker["port"]] != before[worker["port"]]

    ui_site.cluster.wait(has_another, "it was started again")
    [other] = before.keys() - {worker["port"]}
    assert _pids_by_port(ui_site, word_count)[other] == before[other]
    ui_site.cluster.wait(lambda: ui_site.cluster.workers_up(word_count) == 2, "both workers are up")


def _pids_by_port(ui_site: Any, topology_id: str) -> dict[int, int]:
    return {port: pid for pid, port in ui_site.cluster.worker_pids(topology_id).items()}
