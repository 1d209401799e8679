"""A cluster of containers, driven from outside by what people use: docker/cluster and storm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import checkers
import engine
import images
import yaml
from cluster_site import COMMAND_SECS, STORM, environment, free_ports, wait_until
from load import Amount, Load
from timers import SHORT
from zookeeper_servers import REPOSITORY

from storm.config.loading import environment_names
from storm.errors import StormError
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

WAIT_SECS = 90.0
UP_SECS = 1_500.0  # with all images to be made, on a machine that does other things, too
NIMBUS_PORT = 6627
SUPERVISORS = 3
ASK_MODE = "exec 3<>/dev/tcp/localhost/2181; echo srvr >&3; grep ^Mode: <&3"
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


class NodeState(NamedTuple):
    """What `docker/cluster nodes --json` tells of a node."""

    name: str
    service: str
    id: str
    state: str
    health: str
    is_cut: bool
    ports: Mapping[str, int]
    caches: list[str]

    @property
    def is_well(self) -> bool:
        return self.state == "running" and self.health == "healthy" and not self.is_cut


class ComposeSite:
    """A cluster whose supervisors see `directory` under its own name. `start` it, and `close` it whatever happens."""

    def __init__(self, directory: Path, project: str) -> None:
        self.directory = directory
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
        }
        self._up: list[str] = []
        self._loads = 0

    # --- starting and ending

    def start(self, *, single: bool = False) -> None:
        self.directory.chmod(0o777)  # for the user of the containers
        services = ["dev"] if single else ["nimbus-1", "nimbus-2", "supervisor"]
        more = {
            "environment": {
                environment_names(key)[-1]: json.dumps(value) for key, value in self.timers.settings.items()
            },
            "volumes": [f"{self.directory}:{self.directory}"],
        }
        file = self.directory / "ledger.yml"
        file.write_text(yaml.safe_dump({"services": dict.fromkeys(services, more)}))
        if single:
            self.seeds = self.seeds[:1]
        self._up = ["up", "--with", str(file), *(["--single"] if single else [])]
        self._up += ["--bootstrap"] if bootstraps() else []
        print(self.up())

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

        self.wait(is_well, "every node is well")

    # --- what people do

    def cluster(self, *words: str, secs: float = COMMAND_SECS) -> str:
        """Run docker/cluster; what it printed. Raises AssertionError if it fails."""
        return self._run([str(REPOSITORY / "docker" / "cluster"), *words], secs)

    def storm(self, *words: str) -> str:
        """Run storm on this machine; what it printed. Raises AssertionError if it fails."""
        return self._run([*STORM, *words], COMMAND_SECS, STORM_NIMBUS_SEEDS=json.dumps(self.seeds))

    def _run(self, words: list[str], secs: float, **variables: str) -> str:
        done = subprocess.run(
            words, env={**self._environment, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=secs, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def submit(self, file: Path, name: str, conf: Mapping[str, Any]) -> str:
        """Submit a topology file from this machine; its id, once all its workers run."""
        words = [word for key, value in conf.items() for word in ("-c", f"{key}={json.dumps(value)}")]
        found: str = json.loads(self.cluster("submit", str(file), "--name", name, "--json", *words))["id"]
        return found

    def load(self, messages: int, rate: float, **conf: Any) -> LedgerLoad:
        """A topology under the ledger, whose numbers are coming; dots in settings are two underscores."""
        self._loads += 1
        settings = {key.replace("__", "."): value for key, value in conf.items()}
        made = LedgerLoad(self, f"numbers-{self._loads}", Amount(messages, rate), **settings)
        made.start()
        made.begin()
        return made

    # --- what can be seen

    def nodes(self) -> list[NodeState]:
        return [NodeState(**found) for found in json.loads(self.cluster("nodes", "--json"))]

    def node_of(self, host: str) -> NodeState:
        """The node that calls itself so: by its container's id, or by its name."""
        return next(node for node in self.nodes() if node.name == host or node.id.startswith(host))

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

        found: str = self.wait(asked, "a ZooKeeper leads")
        return found

    def within(self, node: NodeState, *words: str) -> str:
        """What a command in the node's container prints; empty if it fails."""
        done = subprocess.run(["docker", "exec", node.id, *words], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def volumes(self) -> set[str]:
        """All that the engine has."""
        return set(engine.docker("volume", "ls", "--quiet").split())

    def worker_processes(self, node: NodeState) -> int:
        return int(self.within(node, "sh", "-c", COUNT_WORKERS) or -1)

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

    def wait(self, condition: Callable[[], Any], what: str, secs: float = WAIT_SECS) -> Any:
        """As `cluster_site.wait_until`."""
        return wait_until(condition, what, secs)

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
        """Let it work off all numbers: none may be lost, and none come that was not sent."""
        is_done = self.drain()
        run = self.read()
        wrong = [*checkers.lost(run), *checkers.unexpected(run)]
        again = len(checkers.duplicates(run.lines))
        print(f"{len(run.acks)} acks of {self.messages} numbers, {again} lines came again, {len(run.fails)} fails")
        assert is_done, f"nothing was acked for {self.site.timers.grace_secs:g} s: {wrong}"
        assert wrong == []
