"""A machine with a supervisor as a real process, a ZooKeeper, and a Nimbus of which only the Thrift port exists."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seen_processes import command_lines

from storm.cluster.records import Assignment
from storm.cluster.storm_cluster_state import StormClusterState
from storm.cluster.zookeeper import connect
from storm.errors import BlobNotFoundError, StormError
from storm.ids import ExecutorId, WorkerSlot
from storm.thrift.interface import storm_thrift
from storm.thrift.server import ThriftServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from zookeeper_servers import ZooKeeperProcess

    from storm.cluster.records import SlotFailure

PROGRAM = Path(__file__).with_name("supervisor_process.py")
WAIT_SECS = 30.0
CHUNK_BYTES, HELD_AFTER = 65536, 20


class NimbusStandIn:
    """Serves blobs, and notes the heartbeats it gets. It may know of no leader. While `flows` is not set, what has
    given HELD_AFTER chunks gives no more.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.beats: dict[str, Any] = {}
        self.leads = True
        self.flows = threading.Event()
        self.flows.set()
        self._sessions: dict[str, list[bytes]] = {}
        self.server = ThriftServer("Nimbus", self, host="127.0.0.1", port=0)
        self.server.start()

    def getLeader(self) -> Any:
        if not self.leads:
            raise StormError("no Nimbus leads at the moment")
        return storm_thrift().NimbusSummary(
            host="127.0.0.1", port=self.server.port, uptime_secs=1, isLeader=True, version="0"
        )

    def getBlobMeta(self, key: str) -> Any:
        thrift = storm_thrift()
        return thrift.ReadableBlobMeta(settable=thrift.SettableBlobMeta(acl=[]), version=1)

    def beginBlobDownload(self, key: str) -> Any:
        if key not in self.blobs:
            raise BlobNotFoundError(f"no blob {key}")
        data = self.blobs[key]
        self._sessions[key] = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        return storm_thrift().BeginDownloadResult(version=1, session=key, data_size=len(data))

    def downloadBlobChunk(self, session: str) -> bytes:
        chunks = self._sessions[session]
        if len(self.blobs[session]) - sum(map(len, chunks)) >= HELD_AFTER * CHUNK_BYTES:
            self.flows.wait(WAIT_SECS)
        return chunks.pop(0) if chunks else b""

    def isRemoteBlobExists(self, key: str) -> bool:
        return key in self.blobs

    def sendSupervisorWorkerHeartbeats(self, heartbeats: Any) -> None:
        self.beats[heartbeats.supervisor_id] = heartbeats.worker_heartbeats


class SupervisorSite:
    """`start`, `stop`, `kill` the supervisor; `assign` work to its ports; look at its workers."""

    def __init__(self, directory: Path, zookeeper: ZooKeeperProcess, settings: dict[str, Any]) -> None:
        self.directory = directory
        self.zookeeper = zookeeper
        self.nimbus = NimbusStandIn()
        self.storage = connect([zookeeper.hosts], "/storm", 10_000, wait_secs=WAIT_SECS)
        self.state = StormClusterState(self.storage)
        self.state.prepare()
        self.ports = free_ports(2)
        self.settings = {
            "storm.local.dir": str(directory / "local"),
            "storm.zookeeper.servers": [zookeeper.hosts.split(":")[0]],
            "storm.zookeeper.port": zookeeper.port,
            "nimbus.seeds": ["127.0.0.1"],
            "nimbus.thrift.port": self.nimbus.server.port,
            "supervisor.slots.ports": self.ports,
            "supervisor.thrift.port": 0,
            "supervisor.worker.start.timeout.secs": 10,
            "supervisor.worker.timeout.secs": 3,
            "supervisor.worker.shutdown.sleep.secs": 1,
            "supervisor.heartbeat.frequency.secs": 1,
            **settings,
        }
        self.supervisor_dir = directory / "local" / "supervisor"
        self.log = directory / "supervisor.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor and wait until it is registered."""
        assert self.process is None
        self.process = self.spawn()
        wait_until(lambda: self.node_id() in self.state.supervisor_ids(), "the supervisor is registered", self)

    def spawn(self, **settings: Any) -> subprocess.Popen[bytes]:
        """A supervisor, which is not waited for; `settings` replace this site's, with `_` for `.` in their keys."""
        changed = {**self.settings, **{key.replace("_", "."): value for key, value in settings.items()}}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(changed)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the supervisor and wait for it; its exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        return process.wait(WAIT_SECS)

    def close(self) -> None:
        """End everything that this site started."""
        if self.process is not None:
            self.stop(signal.SIGKILL)
        from storm.config.settings import Settings
        from storm.supervisor.daemon import kill_all_workers

        kill_all_workers(Settings.of(self.settings))
        self.storage.close()
        self.nimbus.server.stop()

    def node_id(self) -> str:
        path = self.supervisor_dir / "node-id"
        return path.read_text(errors="replace").strip() if path.exists() else ""

    def put_topology(self, topology_id: str, conf: dict[str, Any], package: bytes | None = None) -> dict[str, str]:
        """Give Nimbus the blobs of a topology; {key: hash}."""
        blobs = {
            f"{topology_id}-stormcode.ser": b"topology",
            f"{topology_id}-stormconf.ser": json.dumps(conf).encode(),
            f"{topology_id}-stormjar.jar": _small_package() if package is None else package,
        }
        self.nimbus.blobs.update(blobs)
        return {key: hashlib.sha256(data).hexdigest() for key, data in blobs.items()}

    def assign(
        self, topology_id: str, ports: list[int], version: int = 1, hashes: dict[str, str] | None = None
    ) -> None:
        """Write the topology's assignment: one executor on each of the ports of this supervisor."""
        slots = {ExecutorId(n, n): WorkerSlot(self.node_id(), port) for n, port in enumerate(ports, 1)}
        self.state.put_assignment(
            Assignment(
                topology_id=topology_id,
                version=version,
                executor_slots=slots,
                executor_start_wall_secs=dict.fromkeys(slots, 1),
                node_hosts={self.node_id(): "127.0.0.1"},
                slot_epochs=dict.fromkeys(slots.values(), version),
                blob_hashes=hashes or {},
            )
        )

    def workers(self) -> dict[int, int]:
        """{port: process id} of the workers that run, by their launch files."""
        found = {}
        for launch_file in (self.directory / "local" / "workers").glob("*/launch.json"):
            with contextlib.suppress(FileNotFoundError):  # its worker has just been found dead
                port = json.loads(launch_file.read_bytes())["port"]
                found.update((port, pid) for pid in pids_with(str(launch_file)))
        return found

    def failures(self) -> dict[int, SlotFailure]:
        """{port: what the supervisor's record says of its slot}, of the slots that fail."""
        found = self.state.supervisor(self.node_id())
        return {failure.port: failure for failure in (found[0].failures if found else ())}

    def worker_log(self, topology_id: str, port: int) -> Path:
        return self.directory / "local" / "logs" / "workers-artifacts" / topology_id / str(port) / "worker.log"

    def beating(self) -> set[int]:
        """The ports whose workers Nimbus has heard of."""
        return {beat.port for beat in self.nimbus.beats.get(self.node_id(), [])}


def _small_package() -> bytes:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app/bolt.py", "x = 1\n")
    return package.getvalue()


def pids_with(argument: str) -> list[int]:
    return [pid for pid, words in command_lines() if argument in words]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(holds: Callable[[], object], what: str, site: SupervisorSite | None = None) -> None:
    """Wait until `holds()` is true. AssertionError with the supervisor's log after 30 s."""
    deadline = time.monotonic() + WAIT_SECS
    pause = threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            log = site.log.read_text() if site is not None and site.log.exists() else ""
            raise AssertionError(f"not within {WAIT_SECS:g} s: {what}\n{log}")
        pause.wait(0.02)
