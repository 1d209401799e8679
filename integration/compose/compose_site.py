"""A cluster of containers, driven from outside by what people use: docker/cluster and storm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import checkers
import engine
import images
import nodes
from cluster_site import COMMAND_SECS, POLL_SECS, STORM, environment, free_ports, wait_until
from load import Amount, Load
from timers import SHORT
from zookeeper_servers import REPOSITORY

from storm.config.loading import environment_names
from storm.errors import StormError
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nodes import Node

WAIT_SECS = 90.0
UP_SECS = 1_500.0  # with all images to be made, on a machine that does other things, too
NIMBUS_PORT = 6627
SUPERVISORS = 3
LOOK_SECS = 0.5  # each look at the nodes costs the machine a tenth of a second of work
MESSAGES_MAX = 1_000_000  # a load ends when it is told to
MORE = "more.yml"  # beside docker/'s own
INDEX, INDEX_PORT = "index", 8000
# Sooner than as delivered, so that a node that was started again is known to be well.
HEALTH = {"interval": "2s", "timeout": "4s", "start_period": "30s", "retries": 6}
ASK_MODE = "exec 3<>/dev/tcp/localhost/2181; echo srvr >&3; grep ^Mode: <&3"
ENVIRONMENTS = "/data/supervisor/environments"
COUNT_WORKERS = "grep -la 'storm[.]worker' /proc/[0-9]*/cmdline 2>/dev/null | wc -l"  # which is not in its own words


def why_not() -> str | None:
    """Why no cluster of containers can be had here; None if one can."""
    if (reason := engine.missing()) is not None:
        return reason
    if bootstraps() or (engine.answers() and images.is_there(images.PYTHON_IMAGE)):
        return None
    return f"there is no {images.PYTHON_IMAGE}, and to make one needs root and debootstrap: apt-get install debootstrap"


def bootstraps() -> bool:
    """Whether base images are made here; then no registry is asked."""
    return os.geteuid() == 0 and shutil.which("debootstrap") is not None


class ComposeSite:
    """A cluster whose supervisors see `directory` under its own name. `start` it, and `close` it whatever happens."""

    def __init__(self, directory: Path, project: str) -> None:
        self.directory = directory
        self.project = project
        self.timers = SHORT
        ports = free_ports()
        self._ports = [next(ports), next(ports)]
        self.seeds = [f"127.0.0.1:{port}" for port in self._ports]
        self.ui_port = next(ports)
        self._environment = {
            **environment(directory),
            "COMPOSE_PROJECT_NAME": project,
            "NIMBUS_1_PORT": str(self._ports[0]),
            "NIMBUS_2_PORT": str(self._ports[1]),
            "UI_PORT": str(self.ui_port),
            "STORM_VENV": sys.prefix,
            "STORM_CFLAGS": os.environ.get("STORM_CFLAGS", ""),
        }
        self._up: list[str] = []
        self._loads = 0

    # --- starting and ending

    def start(self, *, single: bool = False) -> None:
        self.directory.chmod(0o777)  # for the user of the containers
        file = self.directory / MORE
        file.write_text(json.dumps({"services": self._more(single)}))
        if single:
            self.seeds = self.seeds[:1]
        self._up = ["up", "--with", str(file), *(["--single"] if single else [])]
        self._up += ["--bootstrap"] if bootstraps() else []
        print(self.up())

    def by_compose(self, *words: str) -> str:
        """What docs/docker.md says of `up` without the script: with the names that docker/cluster tells a shell."""
        file = str(REPOSITORY / "docker" / "docker-compose.yml")
        project = ["-p", self.project, "-f", file, "-f", str(self.directory / MORE)]
        script = 'made=$("$0" images $1) && eval "$made" && shift && exec "$@"'
        bootstrap = "--bootstrap" if bootstraps() else ""
        cluster = str(REPOSITORY / "docker" / "cluster")
        return self._run(["sh", "-c", script, cluster, bootstrap, *engine.compose_command(), *project, *words], UP_SECS)

    def _more(self, single: bool) -> dict[str, Any]:
        """What is otherwise than in the compose file: short timers, what the ledger needs, an index of packages."""
        timers = {environment_names(key)[-1]: json.dumps(value) for key, value in self.timers.settings.items()}
        daemon = {
            "environment": timers,
            "volumes": [f"{self.directory}:{self.directory}"],
            "healthcheck": HEALTH,
        }
        if single:
            return {"dev": daemon}
        index = {"PIP_INDEX_URL": f"http://{INDEX}:{INDEX_PORT}/", "PIP_TRUSTED_HOST": INDEX, "PIP_RETRIES": "0"}
        supervisor = {**daemon, "environment": {**timers, **index}}
        others = {name: {"healthcheck": HEALTH} for name in ("ui", "zookeeper-1", "zookeeper-2", "zookeeper-3")}
        return {"nimbus-1": daemon, "nimbus-2": daemon, "supervisor": supervisor, **others}

    def up(self, *words: str) -> str:
        """Bring it up as it was, or to what is asked for; what was said."""
        return self.cluster(*self._up, *words, secs=UP_SECS)

    def close(self) -> None:
        """End everything that was started here, and nothing else."""
        self.cluster("down", "--data")

    def restore(self) -> None:
        """As it was at first: every node is well, and no topology runs."""
        self.cluster("heal")
        for node in self.nodes():
            if node.state == "paused":
                self.cluster("resume", node.name)
            elif node.state != "running":
                self.cluster("start", node.name)
        self.wait_well()
        for summary in self.call("getTopologySummaries"):
            if summary.status != "KILLED":
                self.storm("kill", summary.name, "-w", "0")
        self.wait(lambda: not self.call("getTopologySummaries"), "every topology is gone")

    def wait_well(self) -> None:
        """Until every node is, one Nimbus leads, and it knows the other and every supervisor."""

        def is_well() -> bool:
            present = self.nodes()
            if not all(node.is_well for node in present):
                return False
            info = self.call("getClusterInfo")
            nimbuses = sum(node.service.startswith("nimbus") for node in present)
            supervisors = sum(node.service == "supervisor" for node in present)
            return len(info.nimbuses) == nimbuses and len(info.supervisors) == supervisors

        self.wait(is_well, "every node is well", every=LOOK_SECS)

    @contextmanager
    def index(self, wheels: Path) -> Iterator[None]:
        """Meanwhile the hosts' index of packages has these wheels; else they reach none."""
        pages = self.directory / INDEX
        for wheel in wheels.glob("*.whl"):
            page = pages / wheel.name.split("-")[0]
            page.mkdir(parents=True, exist_ok=True)
            shutil.copy(wheel, page)
        network = ("--network", f"{self.project}_{nodes.NETWORK}", "--network-alias", INDEX)
        serves = ("-m", "http.server", "--directory", str(pages), str(INDEX_PORT))
        volume = f"{pages}:{pages}:ro"
        found = engine.docker(
            "run", "--detach", "--init", *network, "--volume", volume, "--entrypoint", "python3", images.CLUSTER_IMAGE,
            *serves,
        ).strip()  # fmt: skip
        try:
            yield
        finally:
            engine.docker("rm", "--force", "--volumes", found)

    # --- what people do

    def cluster(self, *words: str, secs: float = COMMAND_SECS) -> str:
        """Run docker/cluster; what it printed. Raises AssertionError if it fails."""
        return self._run([str(REPOSITORY / "docker" / "cluster"), *words], secs)

    def node_log(self, node: str) -> str:
        """What docker/cluster prints of a node's log, which daemons write to stderr."""
        return self._run(
            ["sh", "-c", '"$0" logs "$1" 2>&1', str(REPOSITORY / "docker" / "cluster"), node], COMMAND_SECS
        )

    def storm(self, *words: str, code: int = 0, secs: float = COMMAND_SECS) -> str:
        """Run storm on this machine; what it printed. Raises AssertionError if it ends with another exit code."""
        return self._run([*STORM, *words], secs, code, STORM_NIMBUS_SEEDS=json.dumps(self.seeds))

    def _run(self, words: list[str], secs: float, code: int = 0, **variables: str) -> str:
        done = subprocess.run(
            words, env={**self._environment, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=secs, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def submit(self, file: Path, name: str, conf: Mapping[str, Any]) -> str:
        """Submit a topology file from this machine; its id, once all its workers run."""
        words = [word for key, value in conf.items() for word in ("-c", f"{key}={json.dumps(value)}")]
        found: str = json.loads(self.cluster("submit", str(file), "--name", name, "--json", *words))["id"]
        return found

    def load(self, rate: float) -> LedgerLoad:
        """A topology under the ledger, whose numbers are coming until it is to finish."""
        self._loads += 1
        made = LedgerLoad(self, f"numbers-{self._loads}", Amount(MESSAGES_MAX, rate))
        made.start()
        made.begin()
        return made

    # --- what can be seen

    def nodes(self) -> list[Node]:
        return nodes.nodes(self.project)

    def supervisors(self) -> list[Node]:
        return [node for node in self.nodes() if node.service == "supervisor"]

    def call(self, method: str, *arguments: Any) -> Any:
        """Ask the leading Nimbus."""
        with NimbusClient(self.seeds, NIMBUS_PORT, 10.0) as nimbus:
            return nimbus.call(method, *arguments)

    def leader(self) -> str:
        """The node that leads; empty if there is none."""
        try:
            return str(self.call("getLeader").host)
        except StormError:
            return ""

    def zookeeper_leader(self) -> str:
        """The node that leads the ensemble."""

        def asked() -> str | None:
            for node in self.nodes():
                if node.service.startswith("zookeeper") and "leader" in self.within(node, "bash", "-c", ASK_MODE):
                    return node.name
            return None

        found: str = self.wait(asked, "a ZooKeeper leads", every=LOOK_SECS)
        return found

    def within(self, node: Node, *words: str) -> str:
        """What a command in the node's container prints; empty if it fails."""
        done = subprocess.run(["docker", "exec", node.id, *words], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def volumes(self) -> set[str]:
        """All that the engine has."""
        return set(engine.docker("volume", "ls", "--quiet").split())

    def kept(self) -> set[str]:
        """The volumes of this cluster that have names of their own, its containers running or not."""
        return {name for name in self.volumes() if name.startswith(f"{self.project}_")}

    def worker_processes(self, node: Node) -> int:
        return int(self.within(node, "sh", "-c", COUNT_WORKERS) or -1)

    def environments(self) -> list[set[str]]:
        """The names of those that each supervisor has built."""
        return [set(self.within(node, "ls", ENVIRONMENTS).split()) for node in self.supervisors()]

    def id_of(self, name: str) -> str:
        """The id of a topology that runs."""
        return next(str(summary.id) for summary in self.call("getTopologySummaries") if summary.name == name)

    def workers(self, topology_id: str) -> list[str]:
        """The host of each of its workers, if it is active and all of them are up; else nothing."""
        page = self.call("getTopologyPageInfo", topology_id, ":all-time", False)
        workers = page.workers or []
        is_up = page.status == "ACTIVE" and all(worker.uptime_secs is not None for worker in workers)
        return [worker.host for worker in workers] if is_up else []

    def hosts(self, topology_id: str) -> set[str]:
        """Where its workers run, if it is active and all of them are up; else nothing."""
        return set(self.workers(topology_id))

    def wait_hosts(self, topology_id: str, count: int) -> set[str]:
        """Until it runs on so many hosts."""

        def found() -> set[str]:
            hosts = self.hosts(topology_id)
            return hosts if len(hosts) == count else set()

        answer: set[str] = self.wait(found, f"{topology_id} runs on {count} hosts")
        return answer

    def wait(
        self, condition: Callable[[], Any], what: str, secs: float = WAIT_SECS, *, every: float = POLL_SECS
    ) -> Any:
        """As `cluster_site.wait_until`."""
        return wait_until(condition, what, secs, every)

    def log_tails(self) -> str:
        """The end of every node's log, for whoever reads of a failure."""
        tails = []
        for node in self.nodes():
            command = ["sh", "-c", 'docker logs --tail 40 "$1" 2>&1', "sh", node.id]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            tails.append(f"--- {node.name}, {node.id[:12]}\n{done.stdout}")
        return "\n".join(tails)


class LedgerLoad(Load):
    """A run of the harness's numbered source, whose files the containers' user may write, too."""

    def __init__(self, site: ComposeSite, name: str, amount: Amount, **conf: Any) -> None:
        super().__init__(site, name, amount, **conf)
        self.directory.chmod(0o777)

    def finish(self) -> None:
        """Let it work off all numbers that came: none may be lost, and none come that was not sent."""
        self.end()
        is_done = self.drain()
        run = self.read()
        wrong = [*checkers.lost(run), *checkers.unexpected(run)]
        again = len(checkers.duplicates(run.lines))
        print(f"{len(run.acks)} acks of {self.messages} numbers, {again} lines came again, {len(run.fails)} fails")
        assert is_done, f"nothing was acked for {self.site.timers.grace_secs:g} s: {wrong}"
        assert wrong == []
