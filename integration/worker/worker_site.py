"""A topology's workers as real processes, with ZooKeeper and a supervisor of which only the Thrift port exists."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crossing_topology
from zookeeper_servers import free_port

from storm.cluster.records import Assignment, KnownTopology, StormBase, SupervisorInfo, TopologyStatus
from storm.cluster.storm_cluster_state import StormClusterState
from storm.cluster.zookeeper import connect
from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.errors import NotAuthorizedError
from storm.ids import ExecutorId, WorkerSlot
from storm.supervisor.worker_launch import write_launch_file
from storm.thrift.server import ThriftServer
from storm.thrift.topology_convert import topology_to_bytes
from storm.topology.parallelism import component_tasks, normalise, normalise_conf
from storm.topology.system_topology import system_topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from zookeeper_servers import ZooKeeperProcess

TOPOLOGY_ID = "crossing-1-1700000000"
NODE = "node-a"
REPOSITORY = Path(__file__).parents[2]
WAIT_SECS = 40.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; its value."""
    deadline = time.monotonic() + WAIT_SECS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {WAIT_SECS} s: {what}"
        time.sleep(0.02)
    return found


class SupervisorStandIn:
    """Takes heartbeats; refuses those of the workers in `replaced`."""

    def __init__(self) -> None:
        self.beats: list[Any] = []
        self.replaced: set[str] = set()
        self.server = ThriftServer("Supervisor", self, host="127.0.0.1", port=0)
        self.server.start()

    def sendSupervisorWorkerHeartbeat(self, heartbeat: Any) -> None:
        self.beats.append(heartbeat)
        if heartbeat.worker_id in self.replaced:
            raise NotAuthorizedError("another worker owns this slot")


class WorkerProcess:
    """A worker; its log, and the lines that it wrote."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, start_new_session=True, env=environment, cwd=log.parent
            )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for its end."""
        try:
            return self.process.wait(WAIT_SECS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still alive:\n{self.log.read_text()}") from None

    def logged(self, text: str) -> bool:
        return text in self.log.read_text()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Site:
    """`a` is the slot of spout and acker, `b` that of the bolts."""

    topology_module = crossing_topology  # `build` makes spouts `numbers` and bolts `check`

    def __init__(self, directory: Path, zookeeper: ZooKeeperProcess, conf: dict[str, Any], **topology: Any) -> None:
        self.directory = directory
        self.notes = directory / "notes"
        self.notes.mkdir()
        self.settings = {"storm.zookeeper.servers": [zookeeper.hosts], "task.refresh.poll.secs": 1}
        self.storage = connect([zookeeper.hosts], "/storm", 10_000, wait_secs=WAIT_SECS)
        self.state = StormClusterState(self.storage)
        self.state.prepare()
        self.supervisor = SupervisorStandIn()
        self.a, self.b = WorkerSlot(NODE, free_port()), WorkerSlot(NODE, free_port())
        self.state.put_supervisor(
            SupervisorInfo(NODE, "127.0.0.1", (self.a.port, self.b.port), (), self.supervisor.server.port, 0, "0")
        )
        self.workers: list[WorkerProcess] = []
        self._write_topology({"topology.workers": 2, "topology.acker.executors": 1, **conf}, topology)
        self.assign()
        self.set_status(TopologyStatus.ACTIVE, create=True)

    def _write_topology(self, conf: dict[str, Any], topology: dict[str, Any]) -> None:
        conf = normalise_conf(conf)
        built = normalise(self.topology_module.build(str(self.notes), **topology), conf)
        self.dist = self.directory / "stormdist" / TOPOLOGY_ID
        (self.dist / "code").mkdir(parents=True)
        (self.dist / "stormcode.ser").write_bytes(topology_to_bytes(built))
        (self.dist / "stormconf.ser").write_text(json.dumps(conf))
        source = Path(str(self.topology_module.__file__))
        (self.dist / "code" / source.name).write_text(source.read_text())
        full = effective_conf(Settings.of(), conf)
        tasks = component_tasks(system_topology(built, full), full)
        self.executors = {
            self.a: [ExecutorId(task, task) for name in ("__acker", "numbers") for task in tasks.get(name, ())],
            self.b: [ExecutorId(task, task) for task in tasks["check"]],
        }
        self.bolt_tasks = list(tasks["check"])

    def assign(self, version: int = 1, epochs: dict[WorkerSlot, int] | None = None, *, without_b: bool = False) -> None:
        slots = {slot: 1 for slot in (self.a, self.b) if not (without_b and slot == self.b)}
        self.assignment = Assignment(
            TOPOLOGY_ID,
            version,
            {executor: slot for slot in slots for executor in self.executors[slot]},
            {},
            {NODE: "127.0.0.1"},
            {**slots, **(epochs or {})},
        )
        self.state.put_assignment(self.assignment)

    def set_status(self, status: TopologyStatus, *, create: bool = False) -> None:
        base = StormBase(TOPOLOGY_ID, "crossing", status, 2, {}, 0)
        if create:
            self.state.create_storm_base(base)
        else:
            found = self.state.storm_base_versioned(TOPOLOGY_ID)
            assert found is not None
            self.state.update_storm_base(base, found[1])

    def launch(self, slot: WorkerSlot, epoch: int = 1, known: TopologyStatus | None = None) -> WorkerProcess:
        """`known`: the topology's status as the supervisor knows it, and the assignment with it; None: it does not."""
        worker_id = f"worker-{len(self.workers)}"
        record = {
            "topology_id": TOPOLOGY_ID,
            "node_id": NODE,
            "host": "127.0.0.1",
            "bind_host": "127.0.0.1",
            "port": slot.port,
            "worker_id": worker_id,
            "epoch": epoch,
            "executors": [list(executor) for executor in self.executors[slot]],
            "supervisor_port": self.supervisor.server.port,
            "dist_dir": str(self.dist),
            "log_dir": str(self.directory),
            "settings": self.settings,
        }
        directory = self.directory / worker_id
        path = write_launch_file(directory, record, known and KnownTopology(self.assignment, known))
        command = [sys.executable, "-m", "storm.worker", TOPOLOGY_ID, str(slot.port), worker_id, str(path)]
        worker = WorkerProcess(command, directory / "worker.log")
        self.workers.append(worker)
        return worker

    def noted(self, word: str) -> list[str]:
        """What spout and bolts noted under this word."""
        lines = [line for path in sorted(self.notes.iterdir()) for line in path.read_text().splitlines()]
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == word]

    def acked(self) -> int:
        return len(self.noted("acked"))

    def until_acked(self, more: int) -> None:
        before = self.acked()
        until(lambda: self.acked() >= before + more, f"{more} acks more; logs:\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"== {worker.log}\n{worker.log.read_text()[-3000:]}" for worker in self.workers)

    def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
        self.supervisor.server.stop()
        self.storage.close()
