"""The commands that read a running topology, the refusals of those that change one, and `storm dev`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from cluster_site import STORM, environment, free_ports, heed_signals, run, wait_until

from storm import hot_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = [pytest.mark.timeout(240), pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)]


def test_every_command_that_reads(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "seen", workers=2, topology__worker__log__format="json")
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
    look = cluster.read("monitor", "seen", "-m", "sink", "--count", "1", "-w", "acked")
    assert (look["topology"], look["component"]) == ("seen", "sink")
    assert look["acked"] > 0
    head, *lines = cluster.storm("monitor", "seen", "-m", "numbers", "--count", "2", "-i", "0.5").stdout.splitlines()
    assert head.split("\t")[:2] == ["topology", "component"]
    assert [line.split("\t")[:4] for line in lines] == [["seen", "numbers", "2", "default"]] * 2
    assert "sink" in cluster.storm("monitor", "seen").stdout.splitlines()
    for record in map(json.loads, cluster.storm("logs", "seen", "--json").stdout.splitlines()):
        told = json.loads(record["line"])
        assert (told["topology"], told["worker"], told["logger"]) == (topology_id, record["worker"], record["logger"])
    assert [look["seen"]["id"] for look in watched(cluster, "status", "seen")] == [topology_id] * 2
    assert [look["seen"][0]["id"] for look in watched(cluster, "list")] == [topology_id] * 2


def watched(cluster: ClusterSite, *words: str) -> list[Any]:
    """Two looks of `--watch`."""
    shown = cluster.storm(*words, "--watch", "--count", "2", "-i", "0.5", "--json").stdout
    return [json.loads(line) for line in shown.splitlines()]


def test_logs_show_every_worker_and_follow_a_level(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "loud", workers=2)
    shown = cluster.storm("logs", "loud").stdout
    for port in cluster.worker_pids(topology_id).values():
        assert f"127.0.0.1:{port}" in shown
    assert "Spouts are active now" in shown

    def logged(text: str) -> int:
        return cluster.storm("logs", "loud", "-n", "1000").stdout.count(text)

    assert logged(f"hot path {hot_path.mode()}") == 2  # each worker says what runs, and it is what was asked for
    assert logged("a line for those who look closely") == 0
    cluster.storm("set-log-level", "loud", "-l", "ledger=DEBUG")
    cluster.wait(lambda: logged("a line for those who look closely") > 2, "the spouts log at DEBUG")
    assert cluster.read("status", "loud")["log_levels"] == {"ledger": "DEBUG"}

    def records(*words: str) -> list[Any]:
        lines = cluster.storm("logs", "loud", *words, "-n", "1000", "--json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def takes_turns(found: list[Any]) -> bool:
        """Whether what two workers say ten times a second is one log."""
        return sum(one["worker"] != other["worker"] for one, other in pairwise(found)) >= 5

    wanted = ("numbers", "--grep", "look closely", "--level", "debug")
    cluster.wait(lambda: takes_turns(records(*wanted)), "records of both workers are in order of time")
    with cluster.following("logs", "loud", "numbers", "-n", "1") as followed:
        cluster.wait(lambda: takes_turns(followed()), "and so is what is added")
        assert {record["component"] for record in followed()} == {"numbers"}
    found = records("numbers")
    assert {(record["component"], record["logger"], record["level"]) for record in found} == {
        ("numbers", "ledger", "DEBUG")
    }
    assert len({(record["worker"], record["task"]) for record in found}) == 2
    assert {record["component"] for record in records() if record["logger"] != "ledger"} == {None}
    assert cluster.storm("logs", "loud", "sink").stdout == ""
    cluster.storm("set-log-level", "loud", "-l", "ledger=DEBUG:1")
    cluster.wait(lambda: cluster.read("status", "loud")["log_levels"] == {}, "its time is over")
    cluster.wait(
        lambda: "as at the start" in records("--grep", "Log levels are now")[-1]["message"], "workers take it back"
    )


def test_what_goes_on_inside_is_shown(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "looked-into", workers=2)
    cluster.storm("debug", "looked-into", "forward", "--sample", "50")

    def samples() -> list[dict[str, Any]]:
        lines = cluster.storm("events", "looked-into", "--json", "-n", "1000").stdout.splitlines()
        return [sample for sample in map(json.loads, lines) if "dropped" not in sample]

    cluster.wait(lambda: len({sample["worker"] for sample in samples()}) == 2, "both workers have samples")
    assert {(sample["component"], sample["stream"]) for sample in samples()} == {("forward", "default")}
    with cluster.following("events", "looked-into", "forward", "-n", "1") as followed:

        def are_added() -> bool:
            workers = [sample["worker"] for sample in followed()]
            return all(workers.count(each) > 3 for each in workers) and len(set(workers)) == 2

        cluster.wait(are_added, "more of both workers are shown")
    cluster.storm("debug", "looked-into", "forward", "--off")

    def spout() -> dict[str, Any]:
        found: dict[str, Any] = cluster.read("status", "looked-into")["spouts"]["numbers"].get("insight", {})
        return found

    cluster.wait(lambda: spout().get("known") == 2, "both executors tell what they do")
    assert "no tuple has failed" in cluster.storm("failures", "looked-into").stdout
    victim = next(iter(cluster.worker_pids(topology_id)))
    os.kill(victim, signal.SIGSTOP)
    cluster.wait(lambda: ledger.unacked() > 20, "the worker that stands still holds tuples of the other one's spout")
    os.kill(victim, signal.SIGKILL)
    cluster.wait(lambda: cluster.read("failures", "looked-into")["numbers"], "what was lost with a worker is told")
    assert cluster.read("failures", "looked-into")["numbers"][0]["kind"] in {"worker-died", "timeout"}
    cluster.storm("deactivate", "looked-into")
    cluster.wait(lambda: spout().get("reasons") == {"inactive": 2}, "both executors tell that they stand still")
    assert "warning: It is deactivated: its spouts do not emit." in cluster.storm("status", "looked-into").stdout


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
    process = subprocess.Popen(
        words, env=environment(tmp_path), stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals
    )
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=60)


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGHUP])
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
    submitted = json.loads(done.stdout)
    assert len(submitted["workers"]) == 3

    told = httpx.get(f"{address}api/v1/topology/{submitted['id']}").json()["configuration"]["storm.conf.origins"]
    assert set(told["-c"]) == {"ledger.dir", "topology.workers"}

    def links() -> list[str]:
        """To the logs of all daemons and workers; empty as long as one is not known."""
        api = f"{address}api/v1"
        found = [one["nimbusLogLink"] for one in httpx.get(f"{api}/nimbus/summary").json()["nimbuses"]]
        found += [one["logLink"] for one in httpx.get(f"{api}/supervisor/summary").json()["supervisors"]]
        workers = httpx.get(f"{api}/topology/{submitted['id']}").json()["workers"]
        return [] if "" in found else found + [one["workerLogLink"] for one in workers]

    logs = wait_until(links, "supervisors have told of their log viewers", 30)
    answers = {link: httpx.get(link, headers={"accept": "text/html"}, timeout=30).status_code for link in logs}
    assert list(answers.values()) == [200] * (1 + 2 + 3), answers

    started = processes_of(tmp_path)
    assert len(started) == 1 + 1 + 1 + 2 + 1 + 3  # itself, ZooKeeper, Nimbus, supervisors, the UI, workers
    dev.send_signal(way)
    assert dev.wait(60) == 0
    assert processes_of(tmp_path) == []


def processes_of(directory: Path) -> list[str]:
    """The command lines of processes that name the directory."""
    found = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [line for line in found if f"{directory}/" in line]
