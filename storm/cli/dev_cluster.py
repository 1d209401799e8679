"""A whole cluster on this machine, as child processes: what `storm dev` and the quickstart run.

Every daemon has its own directory and log below one directory, and all read one `storm.yaml` that is written there. A
daemon that ends is started again, as a process supervisor would in production; one that keeps ending
ends the whole, with the last lines of its log. Only without the UI the cluster goes on.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from storm.cli.interrupts import ENDING_SIGNALS
from storm.config.addresses import joined
from storm.config.loading import keys_by_variable
from storm.config.settings import EVERY_ADDRESS, EVERY_IPV4_ADDRESS
from storm.errors import AlreadyRunningError, StormError
from storm.file_lock import lock_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storm.clock import Clock
    from storm.thrift.nimbus_client import NimbusClient

READY_SECS = 30.0
STOP_SECS = 10.0
RESTARTS_MAX = 5  # in a row, each within a minute of its start
LOG_LINES = 15
PORT_MAX = 65_535
EVERYWHERE = (EVERY_ADDRESS, EVERY_IPV4_ADDRESS)
UI_HINT = "`storm dev --ui-port N` gives the UI another port, `storm dev --no-ui` does without it"


@dataclass(frozen=True, slots=True)
class DevPlan:
    """What to start, and where: ports are taken as given, `slots` for each supervisor; no `ui_port`, no UI."""

    directory: Path
    zookeeper_port: int = 2181
    nimbus_port: int = 6627
    supervisor_port: int = 6628
    first_slot: int = 6700
    supervisors: int = 1
    slots: int = 4
    logviewer_port: int = 8000  # of the first supervisor, the others' follow; one that is taken is done without
    ui_port: int | None = None
    volatile: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    def ports(self) -> dict[int, str]:
        """{port: who needs it}."""
        found = {self.zookeeper_port: "the embedded ZooKeeper", self.nimbus_port: "Nimbus"}
        for i in range(self.supervisors):
            found[self.supervisor_port + i] = f"supervisor {i + 1}"
            found.update(dict.fromkeys(self.slot_ports(i), f"a worker of supervisor {i + 1}"))
        if self.ui_port is not None:
            found[self.ui_port] = "the UI"
        return found

    def ui_address(self) -> str | None:
        """For a browser on this machine; None: there is no UI."""
        if self.ui_port is None:
            return None
        host = self.settings.get("ui.host", "127.0.0.1")
        return f"http://{joined('127.0.0.1' if host in EVERYWHERE else host, self.ui_port)}/"

    def taken(self) -> dict[int, str]:
        """Those of its ports that are in use, and who needs them."""
        return {port: who for port, who in self.ports().items() if not _is_free(port)}

    def slot_ports(self, supervisor: int) -> list[int]:
        """The worker ports of the i-th supervisor, from 0."""
        first = self.first_slot + supervisor * self.slots
        return list(range(first, first + self.slots))

    def log_dir(self, supervisor: int) -> Path:
        """Of the i-th supervisor, from 0: its workers' logs."""
        return self.directory / f"supervisor-{supervisor + 1}" / "logs"

    def shared_settings(self) -> dict[str, Any]:
        """What every daemon and every command is told."""
        return {
            **self.settings,
            "storm.zookeeper.servers": ["127.0.0.1"],
            "storm.zookeeper.port": self.zookeeper_port,
            "nimbus.seeds": ["127.0.0.1"],
            "nimbus.thrift.port": self.nimbus_port,
            "logviewer.port": self.logviewer_port,
        }


class Daemon:
    """One child process, its log, and how often it was started."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._quick_ends = 0

    @property
    def pid(self) -> int | None:
        """None before it was started."""
        return self._process.pid if self._process else None

    def start(self, now: float) -> None:
        self._started = now
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=daemon_environment(os.environ),
            )

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll() if self._process else None

    def restart_if_ended(self, now: float) -> int | None:
        """Start it again if it ended; return its exit code then. Raises StormError if that happens too often."""
        code = self.ended()
        if code is None:
            return None
        self._quick_ends = self._quick_ends + 1 if now - self._started < 60 else 1
        if self._quick_ends > RESTARTS_MAX:
            raise StormError(
                f"{self.name} keeps ending (exit code {code}). The end of {self.log}:\n{self.last_lines()}"
            )
        self.start(now)
        return code

    def ask_to_end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ask it to end; after ten seconds end it."""
        self.ask_to_end()
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_lines(self) -> str:
        """The end of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:] if self.log.exists() else []
        return "\n".join(f"  {line}" for line in lines)


class DevCluster:
    """Starts, watches and ends the daemons of a plan."""

    def __init__(self, plan: DevPlan, clock: Clock) -> None:
        self.plan = plan
        self.config_file = plan.directory / "conf" / "storm.yaml"
        self._clock = clock
        self._lock: int | None = None
        self.zookeeper = self._daemon("dev-zookeeper", {"storm.local.dir": str(plan.directory / "zookeeper")})
        self.nimbus = self._daemon("nimbus", {"storm.local.dir": str(plan.directory / "nimbus")})
        self.supervisors = [
            self._daemon("supervisor", self._supervisor_settings(i), f"supervisor-{i + 1}")
            for i in range(plan.supervisors)
        ]
        self.ui = None if plan.ui_port is None else self._daemon("ui", self._ui_settings(plan.ui_port))

    @property
    def daemons(self) -> list[Daemon]:
        """In the order of their start."""
        return [self.zookeeper, self.nimbus, *self.supervisors, *([] if self.ui is None else [self.ui])]

    def _ui_settings(self, port: int) -> dict[str, Any]:
        return {"storm.local.dir": str(self.plan.directory / "ui"), "ui.port": port}

    def _supervisor_settings(self, i: int) -> dict[str, Any]:
        directory = self.plan.directory / f"supervisor-{i + 1}"
        return {
            "storm.local.dir": str(directory),
            "storm.log.dir": str(self.plan.log_dir(i)),
            "supervisor.thrift.port": self.plan.supervisor_port + i,
            "supervisor.slots.ports": self.plan.slot_ports(i),
            "logviewer.port": self.plan.logviewer_port + i,
        }

    def _daemon(self, command: str, settings: dict[str, Any], name: str | None = None) -> Daemon:
        words = [
            sys.executable,
            "-m",
            "storm.cli",
            command,
            "--config",
            str(self.config_file),
        ]
        if command == "dev-zookeeper" and self.plan.volatile:
            words.append("--volatile")
        for override in overrides(settings):
            words += ["-c", override]
        return Daemon(name or command, words, self.plan.directory / "logs" / f"{name or command}.log")

    def start(self) -> None:
        """Write the configuration and start everything.

        Raises AlreadyRunningError where a port or the directory is taken, StormError where there is no such port or the
        directory is no good.
        """
        last = max(*self.plan.ports(), self.plan.logviewer_port + self.plan.supervisors - 1)
        if last > PORT_MAX:
            raise StormError(f"it needs ports up to {last}, and {PORT_MAX} is the last one: take a lower --port-base")
        if self.plan.ui_port in replace(self.plan, ui_port=None).ports():
            raise StormError(f"the UI's port, {self.plan.ui_port}, is that of another daemon; {UI_HINT}")
        for port, who in self.plan.taken().items():
            hint = "does another cluster run? `storm dev --dir OTHER --port-base N` starts one beside it"
            if port == self.plan.ui_port:
                hint = UI_HINT
            raise AlreadyRunningError(f"port {port}, for {who}, is in use: {hint}")
        try:
            self.config_file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock_directory(self.plan.directory)
            self.config_file.write_text(yaml.safe_dump(self.plan.shared_settings(), sort_keys=True))
        except OSError as error:
            raise StormError(f"cannot write {self.config_file}: {error.strerror}") from None
        for daemon in self.daemons:
            daemon.start(self._clock.now())
        self._show_logs()

    def _show_logs(self) -> None:
        """Log viewers read the directory of their own supervisor: there the daemons' logs get a second name, in that of
        the first one also Nimbus's and others'. Where the file system allows none, they are not seen in a browser.
        """
        for i, supervisor in enumerate(self.supervisors):
            shown = {"supervisor": supervisor}
            if i == 0:
                shown |= {daemon.name: daemon for daemon in self.daemons if daemon not in self.supervisors}
            directory = self.plan.log_dir(i)
            for name, daemon in shown.items():
                with contextlib.suppress(OSError):
                    directory.mkdir(parents=True, exist_ok=True)
                    (directory / f"{name}.log").unlink(missing_ok=True)
                    (directory / f"{name}.log").hardlink_to(daemon.log)

    def wait_ready(self) -> None:
        """Return when Nimbus leads, every supervisor is registered and the UI answers, or has ended.

        Raises StormError after 30 s.
        """
        deadline = self._clock.now() + READY_SECS
        while not self._is_ready():
            for daemon in self.daemons:
                code = daemon.ended()
                if code is not None and daemon is not self.ui:
                    raise StormError(
                        f"{daemon.name} ended with exit code {code}. The end of {daemon.log}:\n{daemon.last_lines()}"
                    )
            if self._clock.now() > deadline:
                logs = ", ".join(str(daemon.log) for daemon in self.daemons)
                raise StormError(f"the cluster is not up after {READY_SECS:.0f} s; see {logs}")
            self._clock.sleep(0.05)

    def connect_nimbus(self, timeout_secs: float) -> NimbusClient:
        """By the plan, whatever is configured on this machine."""
        from storm.thrift.nimbus_client import NimbusClient

        return NimbusClient(["127.0.0.1"], self.plan.nimbus_port, timeout_secs)

    def _is_ready(self) -> bool:
        if _is_free(self.plan.nimbus_port):
            return False
        if self.ui is not None and self.ui.ended() is None and _is_free(self.plan.ui_port or 0):
            return False
        try:
            with self.connect_nimbus(2.0) as nimbus:
                return len(nimbus.call("getClusterInfo").supervisors) == len(self.supervisors)
        except StormError:
            return False

    def restart_ended(self) -> list[str]:
        """Start again what ended; what that was, for people. A UI that keeps ending is given up.

        Raises StormError where another daemon keeps ending.
        """
        told = []
        for daemon in self.daemons:
            try:
                code = daemon.restart_if_ended(self._clock.now())
            except StormError as error:
                if daemon is not self.ui:
                    raise
                self.ui = None
                told.append(f"{error}\nthe cluster goes on without the UI; {UI_HINT}")
                continue
            if code is not None:
                told.append(f"{daemon.name} ended with exit code {code}; started again (its log: {daemon.log})")
        return told

    def stop(self) -> None:
        """End the UI, the supervisors, their workers, Nimbus and ZooKeeper; what was never started is left alone.

        A second Ctrl-C or signal does not cut it short: the daemons, in sessions of their own, would run on. Main
        thread only. Raises StormError where workers cannot be ended, once all daemons have.
        """
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        with contextlib.ExitStack() as last_first:  # whatever one of them raises, the others end
            last_first.callback(self._unlock)
            for daemon in (self.zookeeper, self.nimbus, *([] if self.ui is None else [self.ui])):
                last_first.callback(daemon.stop)
            for i, daemon in enumerate(self.supervisors):
                if daemon.pid is not None:
                    last_first.callback(self._kill_workers, i)
            if self.ui is not None:
                self.ui.ask_to_end()  # answers that are under way may take their time, beside what else ends
            for daemon in self.supervisors:
                daemon.stop()

    def _kill_workers(self, i: int) -> None:
        from storm.config.loading import load_settings
        from storm.supervisor.daemon import kill_all_workers

        overriding = overrides(self._supervisor_settings(i))
        kill_all_workers(load_settings(self.config_file, overriding, without_settings(os.environ)))

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def terminal_lines(self, environ: Mapping[str, str]) -> list[str]:
        """What another terminal types first, so that its commands reach this cluster whatever is configured there."""
        written = self.plan.shared_settings()
        winning = sorted(name for name, key in setting_variables(environ).items() if key in written)
        export = f"export STORM_CONF_DIR={shlex.quote(str(self.config_file.parent))}"
        return [f"  unset {' '.join(winning)}", f"  {export}"] if winning else [f"  {export}"]


def lock_directory(directory: Path) -> int:
    """A descriptor that owns the directory until it is closed or this process ends. Raises AlreadyRunningError."""
    lock = lock_file(directory / "dev.lock")
    if lock is None:
        raise AlreadyRunningError(f"another storm dev uses {directory}: give this one --dir OTHER --port-base N")
    return lock


def setting_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """{variable of the environment: the key that it sets}."""
    return {name: key for name, key in keys_by_variable().items() if name in environ}


def daemon_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """As below; and what pip and uv keep for their user is there for topologies, too."""
    cache = os.path.expanduser("~/.cache")
    caches = {"XDG_CACHE_HOME": cache} if os.path.isabs(cache) else {}  # a container's user may have no home
    return caches | without_settings(environ)


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """For daemons: what was set for this machine's commands is in the plan, and would win over the cluster's file."""
    found = setting_variables(environ)
    return {name: value for name, value in environ.items() if name not in found}


def overrides(settings: Mapping[str, Any]) -> list[str]:
    """`key=value` for each, as `-c` takes them."""
    return [
        f"{key}={yaml.safe_dump(value, default_flow_style=True).strip().removesuffix('...').strip()}"
        for key, value in settings.items()
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(first: int) -> int:
    """The first that is free from `first` on. Raises StormError where there is none."""
    for port in range(first, PORT_MAX + 1):
        if _is_free(port):
            return port
    raise StormError(f"no port from {first} on is free")


def free_port_base(count: int) -> int:
    """The first of `count` free ports in a row, from 20,000 on. Raises StormError where there are none."""
    base = 20_000 + os.getpid() % 200 * 100
    for first in range(base, 60_000, 100):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise StormError(f"no {count} free ports in a row")
