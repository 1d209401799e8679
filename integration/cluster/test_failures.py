"""What a running topology notices when daemons and workers come, go and die: as little as possible."""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = pytest.mark.timeout(240)
WAYS_TO_END = [signal.SIGTERM, signal.SIGKILL]


def supervisor_of(cluster: ClusterSite, port: int) -> str:
    """The supervisor that has this slot."""
    return next(
        name for name, daemon in cluster.supervisors.items() if port in daemon.settings["supervisor.slots.ports"]
    )


def test_a_fourth_supervisor_joins_and_a_rebalance_uses_it(
    cluster: ClusterSite, ledger: Ledger, topologies: Path
) -> None:
    """It has a tag: what asks for that runs nowhere else."""
    topology_id = ledger.submit(cluster, topologies, "growing", workers=3)
    cluster.add_supervisor("d", supervisor__scheduler__meta={"tags": "gpu, ssd"})
    cluster.start_supervisor("d")
    cluster.storm("rebalance", "growing", "-w", "1", "-n", "4", "-e", "forward=4")
    cluster.wait_spread(topology_id, 4)
    used = {supervisor_of(cluster, port) for port in cluster.worker_pids(topology_id).values()}
    assert used == {"a", "b", "c", "d"}
    ledger.wait_progress(cluster)
    ledger.check_complete(cluster)

    own = ledger.directory / "tagged"  # the other one still writes above
    own.mkdir()
    settings = {"ledger__dir": own, "topology__workers": 2, "topology__scheduler__tags": "[ssd]"}
    tagged = cluster.submit(topologies / "ledger.py", "tagged", **settings)
    assert {supervisor_of(cluster, port) for port in cluster.worker_pids(tagged).values()} == {"d"}
    assert len(cluster.worker_pids(tagged)) == 2


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_workers_do_not_notice_that_their_supervisor_ends_and_comes_back(
    cluster: ClusterSite, ledger: Ledger, topologies: Path, way: signal.Signals
) -> None:
    topology_id = ledger.submit(cluster, topologies, "steady", workers=3)
    pids = cluster.worker_pids(topology_id)
    supervisor = cluster.supervisors["b"]
    assert "b" in {supervisor_of(cluster, port) for port in pids.values()}

    supervisor.stop(way)
    ledger.wait_progress(cluster, more=200)
    cluster.start_supervisor("b")
    ledger.wait_progress(cluster, more=200)

    assert cluster.worker_pids(topology_id) == pids
    assert cluster.workers_up(topology_id) == 3
    ledger.check_complete(cluster)
    assert ledger.failed() == 0
    cluster.storm("kill", "steady", "-w", "0")
    cluster.wait(lambda: not cluster.remains(topology_id), "the supervisor has ended the workers that it adopted")


@pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)
def test_a_supervisor_that_lost_its_disk_begins_anew(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "uprooted", workers=3, topology__message__timeout__secs=5)
    supervisor = cluster.supervisors["a"]
    orphans = {pid for pid, port in cluster.worker_pids(topology_id).items() if supervisor_of(cluster, port) == "a"}
    assert orphans
    supervisor.stop()
    shutil.rmtree(supervisor.local_dir)
    cluster.start_supervisor("a")
    cluster.wait(lambda: not orphans & set(cluster.worker_pids(topology_id)), "workers that nobody knows have ended")
    cluster.wait_spread(topology_id, 3)
    ledger.wait_progress(cluster)
    ledger.check_complete(cluster)


def test_a_pending_kill_outlives_nimbus(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "doomed", workers=2)
    cluster.storm("kill", "doomed", "-w", "5")
    cluster.nimbus.stop(signal.SIGKILL)
    assert len(cluster.worker_pids(topology_id)) == 2
    cluster.start_nimbus()
    cluster.wait(lambda: not cluster.remains(topology_id), "the new Nimbus has killed it")
    assert ledger.failed() == 0


def test_a_pending_rebalance_outlives_nimbus(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "moving", workers=2)
    cluster.storm("rebalance", "moving", "-w", "5", "-n", "4", "-e", "forward=4")
    cluster.nimbus.stop(signal.SIGKILL)
    assert len(cluster.worker_pids(topology_id)) == 2
    cluster.start_nimbus()
    cluster.wait_spread(topology_id, 4)
    ledger.wait_progress(cluster)
    ledger.check_complete(cluster)


@pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)
def test_nimbus_is_not_needed_for_a_topology_to_go_on(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "independent", workers=2)
    pids = cluster.worker_pids(topology_id)
    cluster.nimbus.stop(signal.SIGKILL)
    ledger.wait_progress(cluster, more=200)
    cluster.start_nimbus()
    cluster.wait(lambda: cluster.workers_up(topology_id) == 2, "the new Nimbus hears of both workers")
    assert cluster.worker_pids(topology_id) == pids
    ledger.check_complete(cluster)
    assert ledger.failed() == 0


def test_killed_workers_run_again_and_every_tuple_is_acked(
    cluster: ClusterSite, ledger: Ledger, topologies: Path
) -> None:
    topology_id = ledger.submit(cluster, topologies, "hurt", workers=3, topology__message__timeout__secs=5)
    for victim in cluster.worker_pids(topology_id):
        started = time.monotonic()
        kill_worker(cluster, topology_id, victim)
        print(f"the next process runs after {time.monotonic() - started:.2f} s", end=", ")
        ledger.wait_progress(cluster)
        print(f"every spout goes on after {time.monotonic() - started:.2f} s")
    ledger.check_complete(cluster)


def kill_worker(cluster: ClusterSite, topology_id: str, victim: int) -> None:
    """Kill it; return when another process has its slot, and all others run on."""
    before = cluster.worker_pids(topology_id)
    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        now = cluster.worker_pids(topology_id)
        return victim not in now and sorted(now.values()) == sorted(before.values())

    cluster.wait(is_replaced, "another process has its slot")
    assert set(before) - {victim} < set(cluster.worker_pids(topology_id))


@pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)
def test_a_tuple_that_kills_its_worker_each_time_is_given_up_and_told_of(
    cluster: ClusterSite, topologies: Path, tmp_path: Path
) -> None:
    """Spout and bolt are in one worker, and nothing of it lives to tell."""
    conf = {"poisoned.dir": tmp_path, "poisoned.order": 13, "poisoned.orders": 40, "topology.workers": 1}
    words = [word for key, value in conf.items() for word in ("-c", f"{key}={value}")]
    cluster.storm("submit", str(topologies / "poisoned.py"), "--name", "poisoned", "--no-wait", *words)
    cluster.wait(lambda: len(list(tmp_path.iterdir())) == 41, "every order is acked or given up")
    orders = [name for name in sorted(path.name for path in tmp_path.iterdir()) if not name.startswith("acked-")]
    assert orders == ["buried-13", "given_up-13"]
    why = (tmp_path / "given_up-13").read_text()
    assert why.startswith("the worker of its spout died 4 times in a row, 2 times with nothing else")

    def told() -> dict[str, str]:
        return {each["message_id"]: each["text"] for each in cluster.read("failures", "poisoned")["orders"]}

    cluster.wait(lambda: told() == {"13": why}, "storm failures names it")
    errors = [each["error"] for each in cluster.read("get-errors", "poisoned")["orders"]]
    assert f"The message 13 is given up: {why}" in errors


def test_a_topology_goes_on_while_zookeeper_is_away(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "apart", workers=2)
    pids = cluster.worker_pids(topology_id)
    cluster.zookeeper.kill()
    ledger.wait_progress(cluster, more=50)
    cluster.zookeeper.restart()
    ledger.wait_progress(cluster, more=50)
    assert cluster.worker_pids(topology_id) == pids

    cluster.wait_nimbus()
    cluster.storm("rebalance", "apart", "-w", "1", "-n", "3")
    cluster.wait_spread(topology_id, 3)
    ledger.check_complete(cluster)


def test_everything_dies_at_once_and_comes_back(cluster: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(cluster, topologies, "immortal", workers=3)
    for pid in cluster.worker_pids(topology_id):
        os.kill(pid, signal.SIGSTOP)  # so that none ends by itself, or is replaced, before all are dead
    for daemon in cluster.daemons:
        daemon.stop(signal.SIGKILL)
    cluster.zookeeper.kill()
    for pid in cluster.worker_pids(topology_id):
        os.kill(pid, signal.SIGKILL)

    cluster.zookeeper.restart()
    cluster.start()
    cluster.wait_spread(topology_id, 3)
    ledger.wait_progress(cluster)
    ledger.check_complete(cluster)


@pytest.mark.parametrize("shared_cluster", ["embedded"], indirect=True)
@pytest.mark.parametrize("damaged", ["localstate/state.json", "../workers/*/launch.json", "stormdist/*/stormconf.ser"])
def test_a_damaged_file_of_a_supervisor_does_not_end_a_topology(
    cluster: ClusterSite, ledger: Ledger, topologies: Path, damaged: str
) -> None:
    topology_id = ledger.submit(cluster, topologies, "robust", workers=3, topology__message__timeout__secs=5)
    supervisor = cluster.supervisors["a"]
    supervisor.stop()
    files = list((supervisor.local_dir / "supervisor").glob(damaged))
    assert files
    for file in files:
        file.write_bytes(b"\x00 nothing that anybody can read {")
    cluster.start_supervisor("a")
    cluster.wait_spread(topology_id, 3)
    ledger.wait_progress(cluster)
    ledger.check_complete(cluster)
