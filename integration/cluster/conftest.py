"""One cluster for each kind of ZooKeeper, shared by all tests here; after each test it is put in order again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from zookeeper_servers import apache_missing

sys.path.insert(0, str(Path(__file__).parent))

from cluster_site import start_site
from ledger_files import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster_site import ClusterSite

TOPOLOGIES = Path(__file__).parent / "topologies"


EMBEDDED = pytest.param("embedded", marks=pytest.mark.embedded_twin)
APACHE = pytest.param("apache", marks=pytest.mark.apache_zookeeper)


@pytest.fixture(scope="session", params=[EMBEDDED, APACHE])
def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSite]:
    if request.param == "apache" and (reason := apache_missing()) is not None:
        pytest.skip(f"Apache ZooKeeper: {reason}")
    site = start_site(tmp_path_factory.mktemp(f"cluster_{request.param}"), request.param)
    yield site
    site.close()


@pytest.fixture
def cluster(shared_cluster: ClusterSite, request: pytest.FixtureRequest) -> Iterator[ClusterSite]:
    """Nimbus and three supervisors run, and no topology. Where the test fails, the ends of all logs are printed."""
    failed_before = request.session.testsfailed
    yield shared_cluster
    if request.session.testsfailed > failed_before:
        print(shared_cluster.log_tails())
    shared_cluster.reset()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The files of a run of topologies/ledger.py."""
    return Ledger(tmp_path)


@pytest.fixture
def topologies() -> Path:
    return TOPOLOGIES
