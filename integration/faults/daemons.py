"""The daemons of a cluster as processes on hosts of the harness's network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from cluster_site import STORM, environment
from network import four_letters, listens
from zookeeper_servers import REPOSITORY, apache_class_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from network import Place

STOP_SECS = 20.0
ZOOKEEPER_PORT, QUORUM_PORT, ELECTION_PORT = 2181, 2888, 3888
TICK_MS = 2000
PORT_SETTINGS = {
    "nimbus": "nimbus.thrift.port",
    "supervisor": "supervisor.thrift.port",
    "ui": "ui.port",
    "logviewer": "logviewer.port",
}


class Ending(NamedTuple):
    """A daemon ended. `code`: as subprocess has it, negative for a signal. `asked`: the harness wanted that."""

    name: str
    code: int
    at: float
    asked: bool


class Daemon:
    """One daemon, its place, its directory, its log. It leads a process group, which is what is signalled.

    Any thread may start it, end it and look at it. `endings`: those that were noticed.
    """

    def __init__(self, name: str, place: Place, command: Sequence[str], directory: Path, port: int) -> None:
        self.name = name
        self.place = place
        self.port = port
        self.directory = directory
        self.log = directory / "daemon.log"
        self.environment: dict[str, str] = {}
        self.endings: list[Ending] = []
        self.is_ready: Callable[[], object] = lambda: listens(place, port)
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._looked_at: subprocess.Popen[bytes] | None = None
        self._asked_of: subprocess.Popen[bytes] | None = None  # the process that the harness wanted to end
        self._lock = threading.RLock()
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs; it is not ready yet."""
        with self._lock:
            if self.is_running:
                return
            self._notice()
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*self.place.prefix, *self._command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self.environment},
                    cwd=REPOSITORY,
                    start_new_session=True,
                )

    def send(self, number: signal.Signals) -> None:
        """To the daemon, and to nothing that it started: workers lead groups of their own."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it because the harness wants so; its exit code. A daemon that does not end is killed."""
        with self._lock:
            process = self._process
            if process is None:
                return 0
            self._notice()  # one that had ended by itself was not asked to
            self._asked_of = process
        self.send(number)
        if number != signal.SIGKILL:
            self.send(signal.SIGCONT)
        try:
            code = process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            code = process.wait()
        return code

    def keep_running(self) -> None:
        """Notice that it has ended, and start it again where nobody asked for that."""
        with self._lock:
            ending = self._notice()
            if ending is not None and not ending.asked:
                self.start()

    def _notice(self) -> Ending | None:
        """How its process ended; each ending is told once."""
        process = self._process
        if process is None or process is self._looked_at or process.poll() is None:
            return None
        self._looked_at = process
        ending = Ending(self.name, process.returncode, time.monotonic(), process is self._asked_of)
        self.endings.append(ending)
        return ending


class StormDaemon(Daemon):
    """A daemon with a configuration of its own."""

    def __init__(self, command: str, name: str, place: Place, directory: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(name, place, [*STORM, command], directory, settings[PORT_SETTINGS[command]])
        self.settings = {**settings, "storm.local.dir": str(directory / "local")}
        self._conf_dir = directory / "conf"
        self._conf_dir.mkdir(exist_ok=True)
        self._write_conf()
        self.environment = environment(self._conf_dir)

    @property
    def local_dir(self) -> Path:
        return Path(self.settings["storm.local.dir"])

    def set(self, key: str, value: object) -> None:
        """Another setting, from its next start on."""
        self.settings[key] = value
        self._write_conf()

    def _write_conf(self) -> None:
        (self._conf_dir / "storm.yaml").write_text(yaml.safe_dump(self.settings))


def embedded_zookeeper(name: str, place: Place, directory: Path, port: int) -> Daemon:
    """This project's server."""
    command = [
        sys.executable, "-m", "storm.dev_zookeeper", "--host", place.address, "--port", str(port),
        "--tick-ms", str(TICK_MS), "--data-dir", str(directory / "data"), "--insecure",
    ]  # fmt: skip
    return Daemon(name, place, command, directory, port)  # it tells its mode only on its own host


def apache_zookeepers(places: Sequence[Place], directory: Path, ports: Mapping[str, int]) -> list[Daemon]:
    """Apache's server on each place; several make an ensemble."""
    quorum = [
        f"server.{number}={place.address}:{QUORUM_PORT}:{ELECTION_PORT}\n"
        for number, place in enumerate(places, 1)
        if len(places) > 1
    ]
    found = []
    for number, place in enumerate(places, 1):
        home = directory / place.name
        (home / "data").mkdir(parents=True)
        (home / "data" / "myid").write_text(f"{number}\n")
        config = home / "zoo.cfg"
        config.write_text(
            f"tickTime={TICK_MS}\ninitLimit=5\nsyncLimit=2\ndataDir={home / 'data'}\nclientPort={ports[place.name]}\n"
            f"clientPortAddress={place.address}\nmaxClientCnxns=0\nadmin.enableServer=false\n"
            f"4lw.commands.whitelist=*\n{''.join(quorum)}"
        )
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = ["java", "-Xmx128m", "-cp", apache_class_path(), main, str(config)]
        daemon = Daemon(place.name, place, command, home, ports[place.name])
        daemon.is_ready = partial(mode_of, daemon)  # it listens long before it serves
        found.append(daemon)
    return found


def mode_of(daemon: Daemon) -> str:
    """What a ZooKeeper server says it is: `leader`, `follower`, `standalone`; empty if it does not serve."""
    for line in four_letters(daemon.place, daemon.port, b"srvr").decode("ascii", "replace").splitlines():
        if line.startswith("Mode: "):
            return line.removeprefix("Mode: ")
    return ""
