"""A cluster all of whose addresses are IPv6."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psutil
import pytest
from cluster_site import start_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster_site import ClusterSite
    from ledger_files import Ledger

pytestmark = pytest.mark.timeout(240)
LOOPBACK = "::1"


def has_ipv6() -> bool:
    try:
        with socket.create_server((LOOPBACK, 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ClusterSite]:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    found = start_site(tmp_path / "cluster", "embedded", ("a", "b"), host=LOOPBACK)
    yield found
    found.close()


def test_a_cluster_runs_on_the_loopback_of_ipv6(site: ClusterSite, ledger: Ledger, topologies: Path) -> None:
    topology_id = ledger.submit(site, topologies, "six", workers=4)
    assert {worker.host for worker in site.page(topology_id).workers} == {LOOPBACK}
    pids = {daemon.pid for daemon in site.daemons} | site.worker_pids(topology_id).keys()
    listening = [
        one.laddr.ip for one in psutil.net_connections("tcp") if one.pid in pids and one.status == psutil.CONN_LISTEN
    ]
    assert len(listening) == 2 * len(site.daemons) + 4  # a daemon has another port for Prometheus
    assert set(listening) == {LOOPBACK}
    assert "[::1]:" in site.storm("status", "six").stdout
    assert "Spouts are active now" in site.storm("logs", "six").stdout
    found = site.read("doctor")["findings"]
    assert [one for one in found if one["level"] == "problem"] == []
    ledger.check_complete(site)
    site.storm("kill", "six", "-w", "0")
    words = ["--name", "seven", "-c", f"ledger.dir={ledger.directory}", "-c", "topology.workers=1"]
    told = site.storm("submit", str(topologies / "ledger.py"), *words).stdout
    assert "waiting for its workers: [::1]:" in told
