"""The commands that read a running topology, the refusals of those that change one, and `storm dev`."""

from __future__ import annotations

import json
import signal
import subprocess
from itertools import islice
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from cluster_site import STORM, environment, free_ports, run

from storm import hot_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]


def test_every_command_that_reads(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "seen", workers=2)
    cluster.wait(lambda: cluster.read("status", "seen")["topology_stats"], "its figures have come")

    [summary] = cluster.read("list")
    assert (summary["id"], summary["status"], summary["num_workers"]) == (topology_id, "ACTIVE", 2)
    cluster.wait(
        lambda: all(bolt["acked"] > 0 for bolt in cluster.read("status", "seen")["bolts"].values()),
        "every bolt has counts",
    )
    status = cluster.read("status", "seen", "--system", "--window", "10m")
    assert status["spouts"]["numbers"]["num_executors"] == 2
    assert {"forward", "sink", "__acker"} <= set(status["bolts"])
    assert {worker["port"] for worker in status["workers"]} == set(cluster.worker_pids(topology_id).values())
    assert status["errors"] == {}
    assert cluster.read("get-errors", "seen", "--all") == {}
    assert cluster.read("config", "show")["nimbus.thrift.port"] == cluster.settings["nimbus.thrift.port"]
    assert set(cluster.read("version")) == {"storm", "python", "platform", "hot_path"}

    shown = cluster.storm("status", "seen").stdout
    assert "forward" in shown
    assert f"hot path {hot_path.mode()}" in shown
    port = cluster.settings["nimbus.thrift.port"]
    for where in ("localconfvalue", "remoteconfvalue"):
        assert cluster.storm(where, "nimbus.thrift.port").stdout == f"nimbus.thrift.port: {port}\n"
        assert port in cluster.read(where, "nimbus.thrift.port").values()
    look = cluster.read("monitor", "seen", "--count", "1", "-i", "0.5", "-w", "acked")
    assert look["topology"] == "seen"
    assert {"component", "parallelism", "stream", "acked"} <= set(look)
    head, line = cluster.storm("monitor", "seen", "--count", "1", "-i", "0.5").stdout.splitlines()
    assert head.split()[:2] == ["topology", "component"]
    assert line.split()[0] == "seen"


def test_logs_show_every_worker_and_follow_a_level(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "loud", workers=2)
    shown = cluster.storm("logs", "loud").stdout
    for port in cluster.worker_pids(topology_id).values():
        assert f"127.0.0.1:{port}" in shown
    assert "Spouts are active now" in shown
    assert cluster.storm("logs", "loud", "sink", "-n", "1").stdout

    def logged(text: str) -> int:
        return cluster.storm("logs", "loud", "-n", "1000").stdout.count(text)

    assert logged(f"hot path {hot_path.mode()}") == 2  # each worker says what runs, and it is what was asked for
    assert logged("a line for those who look closely") == 0
    cluster.storm("set-log-level", "loud", "-l", "ledger=DEBUG")
    cluster.wait(lambda: logged("a line for those who look closely") > 2, "the spouts log at DEBUG")


def test_what_cannot_be_done_is_refused_with_a_hint(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    ledger.submit(cluster, topologies, "hinted", workers=1)
    refused = {
        ("rebalance", "hinted", "-e", "froward=2"): ["froward", "forward"],
        ("rebalance", "hinted", "-e", "forward=99"): ["forward", "4"],
        ("kill", "hintde"): ["hintde", "hinted"],
        ("status", "hintde"): ["hintde"],
        ("activate", "hintde"): ["hintde"],
        ("logs", "hinted", "snik"): ["snik", "sink"],
        ("localconfvalue", "nimbus.thrift.prot"): ["nimbus.thrift.port"],
    }
    for words, wanted in refused.items():
        stderr = cluster.storm(*words, code=1).stderr
        assert [word for word in wanted if word not in stderr] == [], f"{words}: {stderr}"
        assert "Traceback" not in stderr
    for words in [("kil", "hinted"), ("rebalance", "hinted", "-e", "forward"), ("set-log-level", "hinted")]:
        assert "Usage" in cluster.storm(*words, code=2).stderr
    assert [summary["status"] for summary in cluster.read("list")] == ["ACTIVE"]
    ledger.wait_progress(cluster)


@pytest.fixture
def dev(cluster: ClusterSite, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`storm dev` with two supervisors, beside the other cluster."""
    base = str(next(islice(free_ports(), 1)))
    words = [*STORM, "dev", "--dir", str(tmp_path / "dev"), "--port-base", base, "--supervisors", "2", "--slots", "2"]
    process = subprocess.Popen(words, env=environment(tmp_path), stdout=subprocess.PIPE, text=True)
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=60)


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_dev_runs_topologies_and_leaves_no_process(
    dev: subprocess.Popen[str], topologies: Path, tmp_path: Path, way: signal.Signals
) -> None:
    assert dev.stdout is not None
    announced = []
    while not announced or "Ctrl-C ends it." not in announced[-1]:
        announced.append(dev.stdout.readline())
        assert dev.poll() is None, announced
    [export] = [line.split("=")[1].strip() for line in announced if "export STORM_CONF_DIR=" in line]
    assert export == str(tmp_path / "dev" / "conf")
    assert announced[0].startswith("the UI: http://127.0.0.1:"), announced
    address = announced[0].split()[2]
    assert httpx.get(f"{address}api/v1/cluster/summary", timeout=30).json()["supervisors"] == 2

    env = {**environment(tmp_path), "STORM_CONF_DIR": export}
    (tmp_path / "ledger").mkdir()
    words = ["-c", f"ledger.dir={tmp_path}/ledger", "-c", "topology.workers=3"]
    done = run([*STORM, "submit", str(topologies / "ledger.py"), "--name", "first", "--json", *words], env)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["workers"]) == 3

    started = processes_of(tmp_path)
    assert len(started) == 1 + 1 + 1 + 2 + 1 + 3  # itself, ZooKeeper, Nimbus, supervisors, the UI, workers
    dev.send_signal(way)
    assert dev.wait(60) == 0
    assert processes_of(tmp_path) == []


def processes_of(directory: Path) -> list[str]:
    """The command lines of processes that name the directory."""
    found = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in found if f"{directory}/" in line]
