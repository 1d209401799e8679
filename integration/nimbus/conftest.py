"""A Nimbus as a process, over a development ZooKeeper server, with supervisors that are only records."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storm.cluster import zookeeper as storage_of
from storm.cluster.records import SupervisorInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECS = 30.0
REPOSITORY = Path(__file__).parent.parent.parent
PROGRAM = """
import json, logging, sys
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("kazoo").setLevel(logging.WARNING)
from storm.config.settings import Settings
from storm.nimbus.daemon import run
sys.exit(run(Settings.of(json.loads(sys.argv[1]))))
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, secs: float = START_SECS) -> Any:
    """The first true answer of `condition`; its StormErrors count as not yet."""
    deadline = time.monotonic() + secs
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except Exception as error:  # noqa: BLE001  told below
            last = error
        time.sleep(0.02)
    raise AssertionError(f"not in {secs} s: {what}; last: {last!r}")


class NimbusProcess:
    def __init__(self, directory: Path, zookeeper_hosts: str, port: int, **settings: Any) -> None:
        host, zookeeper_port = zookeeper_hosts.split(":")
        self.port = port
        self.log = directory / "nimbus.log"
        self.settings = {
            "storm.zookeeper.servers": [host],
            "storm.zookeeper.port": int(zookeeper_port),
            "storm.local.dir": str(directory),
            "nimbus.thrift.port": port,
            "storm.zookeeper.session.timeout": 4000,
            **settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(self.settings)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )  # fmt: skip

    def client(self) -> NimbusClient:
        return NimbusClient(["127.0.0.1"], self.port, 30.0)

    def wait_leading(self) -> None:
        def leads() -> bool:
            with self.client() as client:
                leader = client.call("getLeader")
                client.call("beginFileUpload")
                return bool(leader.port == self.port)

        wait_for(leads, f"Nimbus leads:\n{self.log.read_text()}")

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)


class Site:
    """One ZooKeeper, Nimbuses as they are started, and supervisors as records."""

    def __init__(self, directory: Path, zookeeper_hosts: str) -> None:
        self.directory = directory
        self.hosts = zookeeper_hosts
        self.nimbuses: list[NimbusProcess] = []
        self.storages: list[Any] = []
        self.state = StormClusterState(self.session())

    def session(self) -> Any:
        storage = storage_of.connect([self.hosts], "/storm", 4000, wait_secs=20)
        self.storages.append(storage)
        return storage

    def start_nimbus(self, name: str = "nimbus", port: int = 0, **settings: Any) -> NimbusProcess:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        nimbus = NimbusProcess(directory, self.hosts, port or free_port(), **settings)
        self.nimbuses.append(nimbus)
        return nimbus

    def start_supervisor(self, node_id: str, slots: int = 2) -> Any:
        storage = self.session()
        ports = tuple(range(6700, 6700 + slots))
        StormClusterState(storage).put_supervisor(
            SupervisorInfo(node_id, "127.0.0.1", ports, (), 6628, int(time.time()), "0.1.0")
        )
        return storage

    def close(self) -> None:
        for nimbus in self.nimbuses:
            if nimbus.process.poll() is None:
                nimbus.end(signal.SIGKILL)
        for storage in self.storages:
            storage.close()


@pytest.fixture(
    params=[
        pytest.param("embedded", marks=pytest.mark.embedded_twin),
        pytest.param("apache", marks=pytest.mark.apache_zookeeper),
    ]
)
def zookeeper(request: pytest.FixtureRequest) -> Any:
    """On both servers by hand; that both answer Nimbus alike is seen to by integration/contracts and zookeeper."""
    return request.getfixturevalue(f"{request.param}_zookeeper")


@pytest.fixture
def site(tmp_path: Path, zookeeper: Any) -> Iterator[Site]:
    site = Site(tmp_path, zookeeper.hosts)
    yield site
    site.close()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A topology's code: 700 kB, so that it takes several chunks."""
    path = tmp_path / "code.zip"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("code.py", "print('hello')\n" * 50_000)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.fixture
def wait() -> Callable[..., Any]:
    return wait_for
