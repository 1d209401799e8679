"""Fixtures for every integration test. Servers are processes; each test that asks gets its own."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from zookeeper_servers import apache_missing, start_apache, start_embedded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from zookeeper_servers import ZooKeeperProcess

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as in the background of a script: those we start would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)

REQUIRE_REAL_PARTS = bool(os.environ.get("STORM_REQUIRE_REAL_PARTS"))  # set where everything was installed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every real part must be there, a test that is skipped has failed."""
    report = yield
    if REQUIRE_REAL_PARTS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though STORM_REQUIRE_REAL_PARTS is set: {report.longrepr}"
    return report


@pytest.fixture
def embedded_zookeeper(tmp_path: Path) -> Iterator[ZooKeeperProcess]:
    """A fresh development server of this project: `.hosts`, `.stop()`, `.kill()`, `.restart()`."""
    directory = tmp_path / "embedded_zookeeper"
    directory.mkdir()
    server = start_embedded(directory)
    yield server
    server.stop()


@pytest.fixture
def apache_zookeeper(tmp_path: Path) -> Iterator[ZooKeeperProcess]:
    """A fresh Apache ZooKeeper; without one on this machine the test is skipped."""
    if (reason := apache_missing()) is not None:
        pytest.skip(f"Apache ZooKeeper: {reason}")
    directory = tmp_path / "apache_zookeeper"
    directory.mkdir()
    server = start_apache(directory)
    yield server
    server.stop()


@pytest.fixture(params=["embedded", pytest.param("apache", marks=pytest.mark.apache_zookeeper)])
def zookeeper(request: pytest.FixtureRequest) -> ZooKeeperProcess:
    """The test runs twice: on this project's server and on Apache's."""
    server: ZooKeeperProcess = request.getfixturevalue(f"{request.param}_zookeeper")
    return server
