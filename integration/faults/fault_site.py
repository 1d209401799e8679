"""A cluster that faults are injected into: hosts, daemons, workers, and what can be seen of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import yaml
from cluster_site import COMMAND_SECS, STORM, environment, last_lines, wait_until
from daemons import ZOOKEEPER_PORT, Daemon, StormDaemon, apache_zookeepers, embedded_zookeeper
from links import LinkProxies
from sessions import FirstAnswer
from tcp_proxy import TcpProxy
from usage import Lives

from storm.cluster.storm_cluster_state import StormClusterState
from storm.cluster.zookeeper import connect
from storm.errors import StormError
from storm.thrift.client import ThriftClient
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from daemons import Ending
    from nemesis import Shape
    from network import Network, Place
    from timers import Timers

    from storm.cluster.zookeeper import ZooKeeperStorage

NIMBUS_PORT, SUPERVISOR_PORT, FIRST_SLOT = 6627, 6628, 6700
WAIT_SECS = 60.0
ASK_SECS = 1.0
CALL_SECS = 30.0  # more than a person waits: on a busy machine an answer may take that
LOOK_SECS = 0.1  # how often processes are looked at


class Plan(NamedTuple):
    """What to start. `zookeeper`: embedded or apache; `nimbuses`, `hosts`, `zookeepers`: how many.

    `proxied`: which links pass through proxies of the harness: "zookeeper" (each daemon's), "workers" (to each host's
    slots), "nimbus"; "links": all of these where else they could not be cut. `settings` are for all daemons,
    `host_settings` for some.
    """

    zookeeper: str = "embedded"
    zookeepers: int = 1
    nimbuses: int = 1
    hosts: int = 3
    slots: int = 4
    proxied: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = {}
    host_settings: Mapping[str, Mapping[str, Any]] = {}


class WorkerProcess(NamedTuple):
    """A worker that runs."""

    pid: int
    host: str
    port: int
    topology_id: str
    launch_file: str

    @property
    def id(self) -> str:
        return Path(self.launch_file).parent.name


class Appearance(NamedTuple):
    """A worker process was seen for the first time, or (`gone`) not any more."""

    at: float
    worker: WorkerProcess
    gone: bool


class FaultSite:
    """A cluster below `directory`. `start` it, and `close` it whatever happens."""

    def __init__(self, directory: Path, network: Network, timers: Timers, plan: Plan) -> None:
        self.directory = directory
        self.network = network
        self.timers = timers
        self.plan = plan
        is_carried = "links" in plan.proxied and not network.own_addresses
        self._proxied = plan.proxied | ({"zookeeper", "workers", "nimbus"} if is_carried else set())
        self._links = LinkProxies(network, directory)
        self.zookeeper_proxies: dict[tuple[str, str], TcpProxy] = {}  # by who uses it and the server
        self.first_answers: dict[tuple[str, str], FirstAnswer] = {}  # of these
        self.worker_proxies: list[TcpProxy] = []  # to slots
        self.nimbus_proxies: list[TcpProxy] = []
        self._other_proxies: list[TcpProxy] = []
        self.seen: list[Appearance] = []
        self.watch_problem: Exception | None = None
        self.lives = Lives()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._lock = threading.Lock()
        self._storage: ZooKeeperStorage | None = None
        self.zookeepers = self._make_zookeepers()
        self.nimbuses = self._make_nimbuses()
        self.supervisors = self._make_supervisors()
        self.client_conf = directory / "client"
        self.client_conf.mkdir(parents=True)
        (self.client_conf / "storm.yaml").write_text(yaml.safe_dump(self._settings("harness")))

    # --- making

    def _make_zookeepers(self) -> list[Daemon]:
        plan = self.plan
        names = ["zookeeper"] if plan.zookeepers == 1 else [f"zookeeper-{i + 1}" for i in range(plan.zookeepers)]
        places = [self.network.place(name) for name in names]
        ports = {place.name: self.network.port(place, ZOOKEEPER_PORT) for place in places}
        home = self.directory
        if plan.zookeeper == "apache":
            return apache_zookeepers(places, home, ports)
        return [embedded_zookeeper(place.name, place, home / place.name, ports[place.name]) for place in places]

    def _make_nimbuses(self) -> list[StormDaemon]:
        count = self.plan.nimbuses
        names = ["nimbus"] if count == 1 else [f"nimbus-{i + 1}" for i in range(count)]
        self._nimbus_places = [self.network.place(name) for name in names]
        return [
            StormDaemon("nimbus", place.name, place, self.directory / place.name, self._nimbus_settings(place))
            for place in self._nimbus_places
        ]

    def _nimbus_settings(self, place: Place) -> dict[str, Any]:
        settings = self._settings(place.name)
        if "nimbus" in self._proxied and self.network.own_addresses:
            alias = settings["storm.local.hostname"] = self.network.alias(place)
            port = self._nimbus_port(place)
            self.nimbus_proxies.append(TcpProxy((place.address, port), alias, port))
        return settings

    def _make_supervisors(self) -> dict[str, StormDaemon]:
        found = {name: self.make_supervisor(name) for name in "abcdefgh"[: self.plan.hosts]}
        if "workers" in self._proxied and not self.network.own_addresses:
            slots = {daemon.place: daemon.settings["supervisor.slots.ports"] for daemon in found.values()}
            self.worker_proxies += self._links.route_workers(slots)
        return found

    def make_supervisor(self, name: str, directory: Path | None = None) -> StormDaemon:
        """The supervisor of this host; not started, and only its maker's unless it is put into `supervisors`."""
        place = self.network.place(name)
        slots = [self.network.port(place, FIRST_SLOT + i) for i in range(self.plan.slots)]
        port = self.network.port(place, SUPERVISOR_PORT)
        settings = {
            **self._settings(name),
            "supervisor.thrift.port": port,
            "supervisor.slots.ports": slots,
            "logviewer.embedded": False,
            **self.plan.host_settings.get(name, {}),
        }
        if "workers" in self._proxied and self.network.own_addresses:
            alias = settings["storm.local.hostname"] = self.network.alias(place)
            self._other_proxies.append(TcpProxy((place.address, port), alias, port))
            self.worker_proxies += [TcpProxy((place.address, each), alias, each) for each in slots]
        return StormDaemon("supervisor", name, place, directory or self.directory / f"host-{name}", settings)

    def _settings(self, name: str) -> dict[str, Any]:
        """What everybody at this place is told."""
        found: dict[str, Any] = {
            "storm.zookeeper.servers": [self._zookeeper_address(name, daemon) for daemon in self.zookeepers],
            "nimbus.seeds": self._seeds_of(name),
            **self.timers.settings,
            **self.plan.settings,
        }
        if name == "harness":
            return found
        place = self.network.place(name)
        found["nimbus.thrift.port"] = self._nimbus_port(place)
        if self.network.own_addresses:
            found |= {"storm.security.insecure": True, "storm.local.hostname": place.address}
        return found

    def _nimbus_port(self, place: Place) -> int:
        return self.network.port(place, NIMBUS_PORT)

    def _seeds_of(self, name: str) -> list[str]:
        """Where this place finds Nimbuses. Where hosts share an address, a leader that is not the first seed is reached
        past the proxies, by what it says of itself.
        """
        nimbuses = self._nimbus_places
        if "nimbus" not in self._proxied or name in {"harness", *(place.name for place in nimbuses)}:
            return self.seeds
        ports = {place: self._nimbus_port(place) for place in nimbuses}
        if self.network.own_addresses:
            return [f"{self.network.alias(place)}:{port}" for place, port in ports.items()]
        source = self.network.place(name)
        proxies = [self._links.between(source, place, port) for place, port in ports.items()]
        return [f"{self.network.harness}:{proxy.port}" for proxy in proxies]

    def _zookeeper_address(self, name: str, daemon: Daemon) -> str:
        if "zookeeper" not in self._proxied or name == "harness":
            return f"{daemon.place.address}:{daemon.port}"
        key = (name, daemon.name)
        if key not in self.zookeeper_proxies:
            proxy = TcpProxy((daemon.place.address, daemon.port), self.network.harness)
            proxy.to_client.change = self.first_answers[key] = FirstAnswer()
            self.zookeeper_proxies[key] = proxy
            self.network.carry(proxy, self.network.place(name), daemon.place)
        return f"{self.network.harness}:{self.zookeeper_proxies[key].port}"

    @property
    def daemons(self) -> list[Daemon]:
        return [*self.zookeepers, *self.nimbuses, *self.supervisors.values()]

    def daemon(self, name: str) -> Daemon:
        """By its name: a host's name is its supervisor's."""
        return next(daemon for daemon in self.daemons if daemon.name == name)

    # --- starting and ending

    def start(self) -> None:
        for daemon in self.zookeepers:
            daemon.start()
        for daemon in self.zookeepers:
            self.wait(daemon.is_ready, f"{daemon.name} serves")
        for daemon in self.daemons:
            daemon.start()
        self._watcher.start()
        self.wait_well()

    def wait_well(self, secs: float = WAIT_SECS) -> None:
        """Until a Nimbus leads, and every supervisor that runs is registered."""
        wanted = sum(daemon.is_running for daemon in self.supervisors.values())
        self.wait(lambda: self.leader() is not None, "a Nimbus leads", secs)
        self.wait(
            lambda: len(self.call("getClusterInfo").supervisors) >= wanted, f"{wanted} supervisors registered", secs
        )

    def restart(self, daemon: Daemon) -> None:
        daemon.start()
        self.wait(daemon.is_ready, f"{daemon.name} serves again")

    def close(self) -> None:
        """End everything that was started here, and nothing else."""
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join()
        self.network.deliver()
        if self._storage is not None:
            self._storage.close()
        for daemon in self.supervisors.values():
            daemon.end(signal.SIGKILL)
        for worker in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
        for daemon in (*self.nimbuses, *self.zookeepers):
            daemon.end(signal.SIGKILL)
        for proxy in (
            *self.zookeeper_proxies.values(), *self.worker_proxies, *self.nimbus_proxies, *self._other_proxies,
        ):  # fmt: skip
            proxy.close()
        self._links.close()

    @property
    def worker_environment(self) -> dict[str, str]:
        """What `topology.environment` must have so that workers reach each other as this cluster is made."""
        return self._links.worker_environment

    # --- what people do

    def storm(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command. Raises AssertionError if its exit code is another one; None: any is well."""
        done = subprocess.run(
            [*STORM, *words],
            env=environment(self.client_conf),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if code is not None and done.returncode != code:
            raise AssertionError(f"storm {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def submit(self, file: Path, name: str, conf: Mapping[str, Any], *, wait: bool = True) -> str:
        """Submit a topology file; its id, once all its workers run."""
        words = [word for key, value in conf.items() for word in ("-c", f"{key}={json.dumps(value)}")]
        done = self.storm("submit", str(file), "--name", name, "--json", *words, code=0 if wait else None)
        if not wait:
            return str(self.call("getTopologySummaryByName", name).id)
        found: str = json.loads(done.stdout)["id"]
        return found

    def call(self, method: str, *arguments: Any, secs: float = CALL_SECS) -> Any:
        """Ask the leading Nimbus, and wait so long for an answer."""
        with NimbusClient(self.seeds, NIMBUS_PORT, secs) as nimbus:
            return nimbus.call(method, *arguments)

    @property
    def seeds(self) -> list[str]:
        return [f"{place.address}:{self._nimbus_port(place)}" for place in self._nimbus_places]

    # --- what can be seen

    def leader(self) -> StormDaemon | None:
        """The Nimbus that says of itself that it leads; None if none does. One that stands still costs ASK_SECS."""
        for daemon in self.nimbuses:
            known_as = (daemon.settings.get("storm.local.hostname", daemon.place.address), daemon.port)
            with contextlib.suppress(StormError):
                with ThriftClient("Nimbus", daemon.place.address, daemon.port, ASK_SECS) as nimbus:
                    said = nimbus.call("getLeader")
                if said.isLeader and (said.host, said.port) == known_as:
                    return daemon
        return None

    def assignment_version(self, topology_id: str) -> int:
        """-1: it has none."""
        found = self.state.assignment(topology_id)
        return -1 if found is None else found.version

    def _processes(self, workers: Mapping[int, WorkerProcess]) -> dict[int, str]:
        """{process: its name}, of daemons and workers of this project: of Java's nothing can be said, which takes what
        it may have.
        """
        ours = [each for each in self.daemons if each not in self.zookeepers or self.plan.zookeeper != "apache"]
        found = {daemon.pid: daemon.name for daemon in ours if daemon.is_running}
        return found | {pid: f"worker {each.topology_id} on {each.host}" for pid, each in workers.items()}

    @property
    def state(self) -> StormClusterState:
        """The cluster's state in ZooKeeper, seen by the harness."""
        if self._storage is None:
            hosts = [f"{daemon.place.address}:{daemon.port}" for daemon in self.zookeepers]
            self._storage = connect(hosts, "/storm", 10_000, wait_secs=WAIT_SECS)
        return StormClusterState(self._storage)

    def workers(self, topology_id: str | None = None) -> list[WorkerProcess]:
        """The workers of this cluster that run, by their command lines; sorted by host and port.

        A child that a bolt has forked has its worker's command line, and is none.
        """
        found, parents = [], {}
        for process in psutil.process_iter(["cmdline", "status", "ppid"]):
            words = process.info["cmdline"] or []
            if words[1:3] != ["-m", "storm.worker"] or not words[-1].startswith(f"{self.directory}/"):
                continue
            if process.info["status"] == psutil.STATUS_ZOMBIE or topology_id not in {None, words[3]}:
                continue
            host = Path(words[-1]).relative_to(self.directory).parts[0].removeprefix("host-")
            found.append(WorkerProcess(process.pid, host, int(words[4]), words[3], words[-1]))
            parents[process.pid] = process.info["ppid"]
        found = [worker for worker in found if parents[worker.pid] not in parents]
        return sorted(found, key=lambda worker: (worker.host, worker.port))

    def wait_workers(self, topology_id: str, count: int, secs: float = WAIT_SECS) -> list[WorkerProcess]:
        """Until so many workers of it run, all of them known to Nimbus as up."""

        def are_up() -> list[WorkerProcess]:
            page = self.call("getTopologyPageInfo", topology_id, ":all-time", False)
            up = [worker for worker in page.workers or [] if worker.uptime_secs is not None]
            running = self.workers(topology_id)
            return running if len(up) == len(running) == count and page.status == "ACTIVE" else []

        found: list[WorkerProcess] = self.wait(are_up, f"{topology_id} runs on {count} workers", secs)
        return found

    def wait(self, condition: Callable[[], Any], what: str, secs: float = WAIT_SECS) -> Any:
        """As `cluster_site.wait_until`."""
        return wait_until(condition, what, secs)

    def logs(self, role: str = "all") -> list[Path]:
        """The log files of a role: zookeeper, nimbus, supervisor, worker, or a daemon's name, or `HOST's workers`."""
        daemons: Sequence[Daemon] = {
            "all": self.daemons,
            "zookeeper": self.zookeepers,
            "nimbus": self.nimbuses,
            "supervisor": list(self.supervisors.values()),
            "worker": [],
        }.get(role) or [daemon for daemon in self.daemons if daemon.name == role]
        found = [daemon.log for daemon in daemons]
        for name, daemon in self.supervisors.items():
            if role in {"all", "worker", f"{name}'s workers"}:
                found += sorted(daemon.local_dir.glob("logs/workers-artifacts/*/*/worker.log*"))
        return [path for path in found if path.exists()]

    def worker_logs(self, worker: WorkerProcess) -> list[Path]:
        """Of its slot: those who had it before wrote them, too."""
        directory = self.supervisors[worker.host].local_dir / "logs" / "workers-artifacts" / worker.topology_id
        return sorted((directory / str(worker.port)).glob("worker.log*"))

    def log_tails(self) -> str:
        """The end of every log, for whoever reads of a failure."""
        return "\n".join(f"--- {path}\n{last_lines(path)}" for path in self.logs())

    def _watch(self) -> None:
        """Note which workers come and go, and which daemons end; what ends unasked is started again."""
        known: dict[int, WorkerProcess] = {}
        while not self._closing.wait(LOOK_SECS):
            try:
                running = {worker.pid: worker for worker in self.workers()}
                now = time.monotonic()  # after the look: whatever a log says of an end was written before
                with self._lock:
                    self.seen += [Appearance(now, running[pid], False) for pid in running.keys() - known.keys()]
                    self.seen += [Appearance(now, known[pid], True) for pid in known.keys() - running.keys()]
                known = running
                self.lives.look(self._processes(running), now)
                for daemon in self.daemons:
                    daemon.keep_running()
            except (psutil.Error, OSError) as error:
                self.watch_problem = error

    @property
    def endings(self) -> list[Ending]:
        """Of all daemons."""
        return [ending for daemon in self.daemons for ending in daemon.endings]

    def worker_events(self) -> list[Appearance]:
        with self._lock:
            return list(self.seen)


def shape_of(site: FaultSite, workers: int) -> Shape:
    """What of it faults can hit."""
    from nemesis import Shape

    return Shape(
        tuple(site.supervisors),
        tuple(daemon.name for daemon in site.nimbuses),
        tuple(daemon.name for daemon in site.zookeepers),
        workers,
    )
