"""One cluster of containers for all tests here; after each it is put in order again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# What the tests are made of: docker/cluster, the site of clusters, the harness of faults.
sys.path.insert(0, str(Path(__file__).parents[2] / "docker"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
sys.path.insert(0, str(Path(__file__).parent))

import engine
from compose_site import ComposeSite, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[None]:
    """An engine runs; if it was started for these tests, the last process of them ends it."""
    if (reason := why_not()) is not None:
        pytest.skip(f"Docker: {reason}")
    # By a process that ends: the engine is nobody's child here, which a test would have to wait for.
    words = [sys.executable, "-c", "import engine; engine.ensure()"]
    subprocess.run(words, cwd=Path(engine.__file__).parent, check=True)
    with engine.in_use():
        yield
    engine.stop_if_ours()


@pytest.fixture(scope="session")
def running_cluster(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeSite]:
    site = ComposeSite(tmp_path_factory.mktemp("compose"), f"storm-test-{os.getpid()}")
    try:
        site.start()
        yield site
    finally:
        site.close()
    assert site.kept() == set(), "`down --data` removes them"


@pytest.fixture
def cluster(running_cluster: ComposeSite, request: pytest.FixtureRequest) -> Iterator[ComposeSite]:
    """All nodes are well, and no topology runs. Where the test fails, the ends of all logs are printed."""
    failed_before = request.session.testsfailed
    yield running_cluster
    if request.session.testsfailed > failed_before:
        print(running_cluster.log_tails())
    running_cluster.restore()
