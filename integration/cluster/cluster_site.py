"""A cluster of real processes, started by the command line as people start it, each daemon with its own directory."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import yaml
from seen_processes import command_lines, listening_ports
from zookeeper_servers import REPOSITORY, ZooKeeperProcess, four_letter_word, start_apache

from storm.cluster.storm_cluster_state import StormClusterState
from storm.cluster.zookeeper import connect
from storm.errors import StormError
from storm.thrift.client import ThriftClient
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from storm.cluster.zookeeper import ZooKeeperStorage

WAIT_SECS = 60.0
COMMAND_SECS = 90.0
POLL_SECS = 0.1
LOG_LINES = 40
SLOTS = 4
STORM = [sys.executable, "-m", "storm.cli"]
QUICK = {  # so that tests need not wait long for what comes with time
    "storm.zookeeper.session.timeout": 10_000,
    "nimbus.monitor.freq.secs": 1,
    "supervisor.heartbeat.frequency.secs": 1,
    "supervisor.monitor.frequency.secs": 1,
    "supervisor.worker.shutdown.sleep.secs": 1,
    "supervisor.localizer.cleanup.interval.ms": 2_000,
    "topology.message.timeout.secs": 8,
}


class Daemon:
    """One daemon: its own configuration directory, its own local directory, its log.

    `release` is the directory whose `storm/` it runs when it is started next, and its workers with it.
    """

    def __init__(self, name: str, command: str, directory: Path, settings: dict[str, Any]) -> None:
        self.name = name
        self.directory = directory
        self.settings = {**settings, "storm.local.dir": str(directory / "local")}
        self.log = directory / "daemon.log"
        self.release = REPOSITORY
        self._command = [*STORM, command]
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "conf").mkdir(parents=True)
        (directory / "conf" / "storm.yaml").write_text(yaml.safe_dump(self.settings))

    @property
    def local_dir(self) -> Path:
        return self.directory / "local"

    @property
    def environment(self) -> dict[str, str]:
        """With it a command reads this daemon's configuration."""
        return environment(self.directory / "conf", self.release)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.is_running
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment, cwd=self.release
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait until the daemon has ended; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait_ended()

    def wait_ended(self) -> int:
        assert self._process is not None
        return self._process.wait(WAIT_SECS)


class ClusterSite:
    """ZooKeeper, Nimbus and supervisors, `a`, `b` and `c` unless told otherwise, each with four slots."""

    def __init__(
        self,
        directory: Path,
        zookeeper: ZooKeeperProcess,
        supervisors: Sequence[str] = ("a", "b", "c"),
        settings: Mapping[str, Any] = QUICK,
    ) -> None:
        self.directory = directory
        self.zookeeper = zookeeper
        self._ports = free_ports()
        self.settings = {
            "storm.zookeeper.servers": ["127.0.0.1"],
            "storm.zookeeper.port": zookeeper.port,
            "nimbus.seeds": ["127.0.0.1"],
            "nimbus.thrift.port": next(self._ports),
            "nimbus.metrics.port": next(self._ports),
            "logviewer.embedded": False,  # else all clusters of this machine want its port
            **settings,
        }
        self.conf_dir = directory / "conf"
        self.conf_dir.mkdir()
        (self.conf_dir / "storm.yaml").write_text(yaml.safe_dump(self.settings))
        self.nimbus = Daemon("nimbus", "nimbus", directory / "nimbus", self.settings)
        self.supervisors: dict[str, Daemon] = {}
        for name in supervisors:
            self.add_supervisor(name)
        self._storage: ZooKeeperStorage | None = None

    def add_supervisor(self, name: str, **more: Any) -> Daemon:
        """A supervisor of this cluster; it is not started. `more` of its settings have `__` for `.` in their keys."""
        settings = {
            **self.settings,
            "supervisor.thrift.port": next(self._ports),
            "supervisor.metrics.port": next(self._ports),
            "supervisor.slots.ports": [next(self._ports) for _ in range(SLOTS)],
            **{key.replace("__", "."): value for key, value in more.items()},
        }
        daemon = Daemon(f"supervisor-{name}", "supervisor", self.directory / f"supervisor-{name}", settings)
        self.supervisors[name] = daemon
        return daemon

    @property
    def daemons(self) -> list[Daemon]:
        return [self.nimbus, *self.supervisors.values()]

    # --- starting and ending

    def start(self) -> None:
        for daemon in self.daemons:
            daemon.start()
        self.wait_nimbus()
        for name in self.supervisors:
            self.wait_supervisor(name)

    def start_nimbus(self) -> None:
        self.nimbus.start()
        self.wait_nimbus()

    def wait_nimbus(self) -> None:
        self.wait(lambda: self.call("getLeader").isLeader, "Nimbus leads")

    def start_supervisor(self, name: str) -> None:
        self.supervisors[name].start()
        self.wait_supervisor(name)

    def wait_supervisor(self, name: str) -> None:
        """Until it serves, and Nimbus sees its slots."""
        port = self.supervisors[name].settings["supervisor.thrift.port"]
        self.wait(lambda: port in listening_ports(), f"supervisor {name} listens")
        self.wait(lambda: self.node_id(name) in self.state.supervisor_ids(), f"supervisor {name} is registered")

    def reset(self) -> None:
        """As it was at first: ZooKeeper, Nimbus and three supervisors run, and no topology does."""
        if four_letter_word(self.zookeeper.port, b"ruok", self.zookeeper.host) != b"imok":
            self.zookeeper.restart()
        for name in [name for name in self.supervisors if name not in {"a", "b", "c"}]:
            self.end_supervisor(name)
            del self.supervisors[name]
        if not self.nimbus.is_running:
            self.start_nimbus()
        for name, daemon in self.supervisors.items():
            if not daemon.is_running:
                self.start_supervisor(name)
        for drained in self.call("getClusterInfo").drained or []:
            self.call("undrainHost", drained.supervisor_id)
        for summary in self.call("getTopologySummaries"):
            if summary.status != "KILLED":
                self.call("killTopologyWithOpts", summary.name, storm_thrift().KillOptions(wait_secs=0))
        self.wait(lambda: not self.call("getTopologySummaries") and not self.worker_pids(), "every topology is gone")

    def end_supervisor(self, name: str) -> None:
        """End it and its workers."""
        daemon = self.supervisors[name]
        if daemon.is_running:
            daemon.stop()
        run([*STORM, "kill-workers"], daemon.environment)

    def close(self) -> None:
        """End everything that was started here, and nothing else."""
        for name in self.supervisors:
            self.end_supervisor(name)
        if self.nimbus.is_running:
            self.nimbus.stop()
        if self._storage is not None:
            self._storage.close()
        self.zookeeper.stop()
        left = self.worker_pids()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, f"worker processes {left} outlived `storm kill-workers`"

    # --- what people do

    def storm(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit code."""
        done = run([*STORM, *words], environment(self.conf_dir))
        assert done.returncode == code, f"storm {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def read(self, *words: str) -> Any:
        """What a command with --json prints."""
        return json.loads(self.storm(*words, "--json").stdout)

    @contextlib.contextmanager
    def following(self, *words: str) -> Iterator[Callable[[], list[Any]]]:
        """A command with -f and --json that runs beside; it tells what was printed so far. Ctrl-C ends it well."""
        shown, complaints = self.directory / "followed", self.directory / "followed.err"
        with shown.open("wb") as out, complaints.open("wb") as err:
            process = subprocess.Popen(
                [*STORM, *words, "-f", "--json"],
                env=environment(self.conf_dir),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                preexec_fn=heed_signals,
            )
        try:
            yield lambda: [json.loads(line) for line in shown.read_text().split("\n")[:-1]]
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_SECS) == 0, complaints.read_text()
        finally:
            process.kill()
            process.wait()

    def submit(self, file: Path, name: str, **conf: Any) -> str:
        """Submit and wait until all its workers run; its id."""
        words = [word for key, value in conf.items() for word in ("-c", f"{key.replace('__', '.')}={value}")]
        found: str = self.read("submit", str(file), "--name", name, *words)["id"]
        return found

    # --- what can be seen

    def call(self, method: str, *arguments: Any) -> Any:
        """Ask Nimbus."""
        with NimbusClient(self.settings["nimbus.seeds"], self.settings["nimbus.thrift.port"], 10.0) as nimbus:
            return nimbus.call(method, *arguments)

    def call_supervisor(self, name: str, method: str, *arguments: Any) -> Any:
        client = ThriftClient(
            "Supervisor", self.zookeeper.host, self.supervisors[name].settings["supervisor.thrift.port"], 5.0
        )
        try:
            return client.call(method, *arguments)
        finally:
            client.close()

    @property
    def state(self) -> StormClusterState:
        """The cluster's state in ZooKeeper."""
        if self._storage is None:
            self._storage = connect([self.zookeeper.hosts], "/storm", 10_000, wait_secs=WAIT_SECS)
        return StormClusterState(self._storage)

    def node_id(self, name: str) -> str:
        file = self.supervisors[name].local_dir / "supervisor" / "node-id"
        return file.read_text().strip() if file.exists() else ""

    def worker_pids(self, topology_id: str | None = None) -> dict[int, int]:
        """{process id: port} of this cluster's workers, by their command lines."""
        found = {}
        for pid, words in command_lines():
            is_ours = words[1:3] == ["-m", "storm.worker"] and words[-1].startswith(f"{self.directory}/")
            if is_ours and topology_id in {None, words[3]}:
                found[pid] = int(words[4])
        return found

    def page(self, topology_id: str) -> Any:
        return self.call("getTopologyPageInfo", topology_id, ":all-time", False)

    def workers_up(self, topology_id: str) -> int:
        """How many of its workers have told that their executors run."""
        return sum(1 for worker in self.page(topology_id).workers or [] if worker.uptime_secs is not None)

    def wait_spread(self, topology_id: str, workers: int) -> None:
        """Until it is active on so many workers, all of them up."""

        def is_spread() -> bool:
            page = self.page(topology_id)
            running = self.worker_pids(topology_id)
            return (
                page.status == "ACTIVE"
                and page.num_workers == len(running) == self.workers_up(topology_id) == workers
                and {worker.port for worker in page.workers} == set(running.values())
            )

        self.wait(is_spread, f"{topology_id} runs on {workers} workers")

    def remains(self, topology_id: str) -> list[str]:
        """Whatever is left of a topology: nodes in ZooKeeper, files and directories, processes."""
        state = self.state
        found = [f"node {path}" for path in self._nodes_of(state, topology_id)]
        found += [f"process {pid}" for pid in self.worker_pids(topology_id)]
        for daemon in self.daemons:
            found += [str(path) for path in (daemon.local_dir / "workers").glob("*")]
            for directory, folders, files in os.walk(daemon.local_dir):  # it does not mind what vanishes meanwhile
                found += [f"{directory}/{name}" for name in folders + files if topology_id in name]
                folders[:] = [name for name in folders if name != "workers-artifacts"]  # logs stay
        return found

    @staticmethod
    def _nodes_of(state: StormClusterState, topology_id: str) -> Iterator[str]:
        for kind, ids in {
            "storms": state.topology_ids(),
            "assignments": state.assignment_ids(),
            "errors": state.error_topology_ids(),
        }.items():
            if topology_id in ids:
                yield f"{kind}/{topology_id}"
        if state.log_config(topology_id) is not None:
            yield f"logconfigs/{topology_id}"

    def wait(self, condition: Callable[[], Any], what: str, secs: float = WAIT_SECS) -> Any:
        """As `wait_until`."""
        return wait_until(condition, what, secs)

    def log_tails(self) -> str:
        """The end of every log, for whoever reads of a failure."""
        logs = [self.zookeeper.log, *(daemon.log for daemon in self.daemons)]
        for daemon in self.supervisors.values():
            logs += sorted(daemon.local_dir.rglob("worker.log"), key=lambda log: log.stat().st_mtime)[-3:]
        return "\n".join(f"--- {log}\n{last_lines(log)}" for log in logs if log.exists())


def wait_until(condition: Callable[[], Any], what: str, secs: float, every: float = POLL_SECS) -> Any:
    """The first true answer of `condition`; a StormError from it counts as not yet. Raises AssertionError."""
    deadline = time.monotonic() + secs
    last: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
            last = None
        except StormError as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not in {secs:.0f} s: {what}{f' ({last})' if last else ''}")


def environment(conf_dir: Path, release: Path = REPOSITORY) -> dict[str, str]:
    """This process's, without any Storm setting but the configuration directory and the choice of the hot path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STORM_") or name == "STORM_PURE"}
    return {**kept, "STORM_CONF_DIR": str(conf_dir), "PYTHONPATH": str(release)}


def run(words: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=env, capture_output=True, text=True, timeout=COMMAND_SECS, stdin=subprocess.DEVNULL, check=False
    )


def heed_signals() -> None:
    """Whoever runs the tests may have these ignored (nohup, `&` in a script)."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])


def free_ports() -> Iterator[int]:
    """Ports nobody listens on, below those that the kernel gives to outgoing connections."""
    first = random.SystemRandom().randrange(10_000, 30_000)
    for port in range(first, 32_000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


def start_site(
    directory: Path,
    zookeeper_kind: str,
    supervisors: Sequence[str] = ("a", "b", "c"),
    settings: Mapping[str, Any] = QUICK,
    host: str = "127.0.0.1",
) -> ClusterSite:
    """A whole cluster over `embedded` or `apache` ZooKeeper, on another address of loopback if `embedded`."""
    home = directory / "zookeeper"
    home.mkdir(parents=True)
    if zookeeper_kind == "apache":
        zookeeper = start_apache(home)
    else:
        port = next(free_ports())
        command = [*STORM, "dev-zookeeper", "--port", str(port), "--data-dir", str(home / "data")]
        if host != "127.0.0.1":
            command += ["-c", f"storm.local.hostname={host}"]
        zookeeper = ZooKeeperProcess(command, port, home / "zookeeper.log", host=host)
    if host != "127.0.0.1":
        settings = {
            **settings,
            "storm.zookeeper.servers": [host],
            "storm.metrics.host": host,
            "nimbus.seeds": [host],
            "storm.local.hostname": host,
        }
    site = ClusterSite(directory, zookeeper, supervisors, settings)
    try:
        site.start()
    except BaseException:
        print(site.log_tails())
        site.close()
        raise
    return site
