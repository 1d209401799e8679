"""A cluster goes to the next release and back while a topology runs: daemon by daemon, worker by worker."""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest
from cluster_site import start_site
from ledger_files import Ledger
from releases import next_release, release_after, release_of, this_release

from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite, Daemon

pytestmark = pytest.mark.timeout(600)
TRIES = 3
TRY_AGAIN_SECS = 4.0
MISUNDERSTOOD = re.compile(r".*(?:one release at a time|does not hold a readable|unknown kind|malformed|is damaged).*")


class PatientClient:
    """Asks Nimbus all the time. `failed` are the calls that a client which tries three times saw fail."""

    def __init__(self, cluster: ClusterSite) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            for tries in range(1, TRIES + 1):
                try:
                    self._cluster.call("getTopologySummaries")
                    self.answered += 1
                    break
                except StormError as error:
                    if tries == TRIES:
                        self.failed.append(str(error))
                    self._ended.wait(TRY_AGAIN_SECS)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ClusterSite]:
    made = start_site(tmp_path / "site", "embedded", ("a", "b"))
    try:
        yield made
    finally:
        made.close()


def replace_daemon(cluster: ClusterSite, daemon: Daemon, release: Path) -> None:
    daemon.stop()
    daemon.release = release
    if daemon is cluster.nimbus:
        cluster.start_nimbus()
    else:
        cluster.start_supervisor(daemon.name.removeprefix("supervisor-"))
    assert release_of(daemon.pid) == release


def replace_workers(cluster: ClusterSite, ledger: Ledger, topology_id: str, release: Path) -> None:
    """End each; its supervisor starts the next one with its own release."""
    before = cluster.worker_pids(topology_id)
    for victim in before:
        os.kill(victim, signal.SIGTERM)

        def is_replaced(victim: int = victim) -> bool:
            now = cluster.worker_pids(topology_id)
            return victim not in now and sorted(now.values()) == sorted(before.values())

        cluster.wait(is_replaced, "another worker has its slot")
        ledger.wait_progress(cluster)
    assert {release_of(pid) for pid in cluster.worker_pids(topology_id)} == {release}


def roll(
    cluster: ClusterSite, ledger: Ledger, topology_id: str, order: list[Daemon], release: Path, workers: int
) -> None:
    """Replace everything by another release; before the last daemon follows, the work is assigned anew."""
    pids = cluster.worker_pids(topology_id)
    for daemon in order[:-1]:
        replace_daemon(cluster, daemon, release)
        ledger.wait_progress(cluster)
    assert cluster.worker_pids(topology_id) == pids
    cluster.storm("rebalance", "upgraded", "-w", "1", "-n", str(workers))
    cluster.wait_spread(topology_id, workers)
    ledger.wait_progress(cluster)
    replace_daemon(cluster, order[-1], release)
    replace_workers(cluster, ledger, topology_id, release)


def test_upgrades_release_by_release_and_back_lose_nothing_and_are_not_noticed(
    site: ClusterSite, topologies: Path, tmp_path: Path
) -> None:
    files = tmp_path / "ledger"
    files.mkdir()
    ledger = Ledger(files)
    topology_id = ledger.submit(site, topologies, "upgraded", workers=2, topology__message__timeout__secs=5)
    client = PatientClient(site)
    up, down = site.daemons, site.daemons[::-1]
    for order, release, workers in (
        (up, next_release(tmp_path), 3),
        (up, release_after(tmp_path), 2),
        (down, next_release(tmp_path), 3),
        (down, this_release(), 2),
    ):
        roll(site, ledger, topology_id, order, release, workers)
        print(f"all of {release.name}: {client.answered} calls answered, {ledger.failed()} trees failed so far")
    ledger.check_complete(site)
    client.end()
    assert client.failed == []
    assert client.answered > 0
    assert misunderstandings(site) == []


def misunderstandings(cluster: ClusterSite) -> list[str]:
    logs = [daemon.log for daemon in cluster.daemons]
    for daemon in cluster.supervisors.values():
        logs += daemon.local_dir.rglob("worker.log*")
    assert len(logs) > len(cluster.daemons)
    return [f"{log}: {line}" for log in logs for line in MISUNDERSTOOD.findall(log.read_text(errors="replace"))]
