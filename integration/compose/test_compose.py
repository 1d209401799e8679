"""What happens to a cluster of containers, and what people do to it from outside, while a source counts.

Whatever it is, every number must arrive.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import answers
import httpx
import pytest
from compose_site import LOOK_SECS, NIMBUS_PORT, SUPERVISORS, ComposeSite

pytestmark = pytest.mark.timeout(1_800)  # the first waits for images to be made

RATE = 100.0
STEMS = Path(__file__).parent / "stems"  # a project with a dependency that no node has
TEXT = ["storms stormed", "connecting connections connected"]
BUILD_SECS = 300.0  # that hosts may take for an environment, on a busy machine
TIMES = 100  # that the text is read
COUNTS = Counter({"storm": 2 * TIMES, "connect": 3 * TIMES})
ASK_RIGHTS = """grep -E '^(Uid|CapBnd|NoNewPrivs):' /proc/1/status
for compiler in cc gcc c++; do command -v $compiler; done
storm version | tail -n 1"""
RIGHTS = ["Uid: 1000 1000 1000 1000", f"CapBnd: {'0' * 16}", "NoNewPrivs: 1", "hot path compiled"]  # and no compiler


def test_a_topology_submitted_from_the_host_runs_on_every_supervisor(cluster: ComposeSite) -> None:
    load = cluster.load(RATE)
    assert len(cluster.wait_hosts(load.topology_id, SUPERVISORS)) == 3
    assert load.name in cluster.cluster("storm", "list")
    assert cluster.cluster("storm", "logs", load.name)
    assert "Nimbus listens on" in cluster.node_log(cluster.leader())
    said = cluster.within(cluster.supervisors()[0], "sh", "-c", ASK_RIGHTS)
    assert [" ".join(line.split()) for line in said.splitlines()] == RIGHTS
    load.finish()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the project asks for, fetched on this machine."""
    directory = tmp_path_factory.mktemp("wheels")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet")
    wanted = ("--only-binary", ":all:", "--requirement", str(STEMS / "requirements.txt"))
    subprocess.run([*pip, "--dest", str(directory), *wanted], stdin=subprocess.DEVNULL, check=True)
    return directory


def submit_stems(cluster: ComposeSite, name: str, *more: str, code: int = 0) -> str:
    """Submit the project, with one worker on each host; what was said."""
    directory = cluster.directory / name
    directory.mkdir()
    directory.chmod(0o777)  # for the user of the containers
    (directory / "text").write_text("\n".join(TEXT))
    settings = {"text": directory / "text", "report_dir": directory, "passes": TIMES}
    words = [word for key, value in settings.items() for word in ("-c", f"word_count.{key}={value}")]
    return cluster.storm(
        "submit", str(STEMS), "--name", name, "-c", f"topology.workers={SUPERVISORS}", *words, *more, code=code,
        secs=BUILD_SECS,
    )  # fmt: skip


def counted(cluster: ComposeSite, name: str) -> Counter[str]:
    """How often its tasks have counted each word, on all hosts."""
    counts: Counter[str] = Counter()
    for report in (cluster.directory / name).glob("count-*.json"):
        counts.update(json.loads(report.read_text())["counts"])
    return counts


def test_a_dependency_that_no_node_has_comes_from_their_index(cluster: ComposeSite, wheels: Path) -> None:
    before = cluster.environments()
    with cluster.index(wheels):
        submit_stems(cluster, "from-index")
    assert len(cluster.hosts(cluster.id_of("from-index"))) == SUPERVISORS
    cluster.wait(lambda: counted(cluster, "from-index") == COUNTS, "every word is counted by its stem")
    built = [now - was for now, was in zip(cluster.environments(), before, strict=True)]
    assert len(built[0]) == 1
    assert built == SUPERVISORS * [built[0]], "one environment, the same on each"


def test_a_dependency_travels_to_nodes_that_reach_no_index(cluster: ComposeSite, wheels: Path, tmp_path: Path) -> None:
    others = tmp_path / "requirements.txt"
    others.write_text("snowballstemmer<2.2\n")  # for which no environment is there
    said = submit_stems(cluster, "nowhere", "--requirements", str(others), code=1)
    assert "nowhere is not started, and was removed again:" in said
    assert "could not build its environment" in said
    submit_stems(cluster, "from-wheels", "--wheelhouse", str(wheels))
    assert len(cluster.hosts(cluster.id_of("from-wheels"))) == SUPERVISORS
    cluster.wait(lambda: counted(cluster, "from-wheels") == COUNTS, "every word is counted by its stem")


def test_up_changes_nothing_of_a_cluster_that_is_up(cluster: ComposeSite) -> None:
    before = cluster.cluster("nodes", "--json")
    said = cluster.up()
    assert "image" not in said
    assert cluster.cluster("nodes", "--json") == before


def test_the_ui_shows_the_cluster_on_a_port_of_the_host(cluster: ComposeSite) -> None:
    summary = httpx.get(f"http://127.0.0.1:{cluster.ui_port}/api/v1/cluster/summary", timeout=30).json()
    assert summary["supervisors"] == SUPERVISORS


def test_the_leading_nimbus_is_killed_and_the_next_one_cut_off(cluster: ComposeSite) -> None:
    load = cluster.load(RATE)
    killed = cluster.leader()
    cluster.cluster("kill", killed)
    cluster.wait(lambda: cluster.leader() not in {"", killed}, "the other Nimbus leads")
    load.wait_progress(200)
    cluster.storm("rebalance", load.name, "-w", "1", "-n", "2")
    cluster.wait_hosts(load.topology_id, 2)
    cluster.cluster("start", killed)
    cluster.wait_well()

    lost = next(node for node in cluster.nodes() if node.name == cluster.leader())
    cluster.cluster("cut", lost.name)
    cluster.wait(lambda: cluster.leader() not in {"", lost.name}, "the first one leads again")
    load.wait_progress(200)
    cluster.cluster("heal")
    cluster.wait_well()
    assert answers.answers(answers.LEADER, lost.ports[NIMBUS_PORT]), "this machine reaches it by its port again"
    load.finish()


def test_the_leading_zookeeper_is_paused(cluster: ComposeSite) -> None:
    load = cluster.load(RATE)
    paused = cluster.zookeeper_leader()
    cluster.cluster("pause", paused)
    assert cluster.zookeeper_leader() != paused, "the others elect one"
    load.wait_progress(500)
    cluster.storm("deactivate", load.name)
    cluster.storm("activate", load.name)
    load.wait_progress(200)
    cluster.cluster("resume", paused)
    cluster.wait_well()
    load.finish()


def test_a_supervisor_is_cut_off_and_comes_back(cluster: ComposeSite) -> None:
    load = cluster.load(RATE)
    hosts = cluster.wait_hosts(load.topology_id, 3)
    lost = next(node for node in cluster.nodes() if node.id.startswith(min(hosts)))
    cluster.cluster("cut", lost.name)
    cluster.wait(lambda: hosts - cluster.hosts(load.topology_id) == {min(hosts)}, "its work is done by others")
    load.wait_progress(200)
    assert cluster.worker_processes(lost) > 0, "a worker lives that cannot be reached"
    cluster.cluster("heal")
    cluster.wait_well()
    cluster.wait(lambda: cluster.worker_processes(lost) == 0, "the worker that was replaced has ended", every=LOOK_SECS)
    load.finish()


def test_every_container_is_restarted_in_turn(cluster: ComposeSite) -> None:
    load = cluster.load(RATE)
    for node in cluster.nodes():
        cluster.cluster("restart", node.name)
        cluster.wait_well()
        # Not each on its own host: what was silent for too long was moved, and nothing moves back by itself.
        cluster.wait(lambda: len(cluster.workers(load.topology_id)) == load.workers, "all workers run")
        load.wait_progress(100)
    load.finish()


def test_supervisors_come_and_go_and_then_the_whole_cluster(cluster: ComposeSite) -> None:
    load = cluster.load(RATE)
    before = cluster.wait_hosts(load.topology_id, 3)
    present = {node.id for node in cluster.nodes()}
    cluster.by_compose("up", "-d", "--scale", "supervisor=5")
    added = {node.id for node in cluster.nodes()} - present
    assert len(added) == len(cluster.nodes()) - len(present) == 2, "nothing else was made anew"
    cluster.wait_well()
    assert cluster.hosts(load.topology_id) == before, "nothing moves by itself"
    cluster.storm("rebalance", load.name, "-w", "1", "-n", "5")
    cluster.wait_hosts(load.topology_id, 5)
    load.wait_progress(200)
    caches = {name for node in cluster.nodes() for name in node.caches}
    cluster.up("--scale", f"supervisor={SUPERVISORS}")
    assert cluster.volumes() & caches == {name for node in cluster.nodes() for name in node.caches}
    cluster.wait_well()
    cluster.wait_hosts(load.topology_id, 3)

    kept, caches = cluster.kept(), {name for node in cluster.nodes() for name in node.caches}
    cluster.cluster("down")
    assert cluster.nodes() == []
    assert cluster.kept() == kept, "what ZooKeeper and Nimbus have stored"
    assert not cluster.volumes() & caches, "supervisors are new hosts when they come again"
    cluster.up()
    cluster.wait_well()
    # On those that came first: nothing moves to the others by itself.
    cluster.wait(lambda: cluster.hosts(load.topology_id), "all its workers run")
    load.wait_progress(200)
    load.finish()
