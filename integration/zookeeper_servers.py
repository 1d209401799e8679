"""Starts ZooKeeper servers as processes of their own: the one of this project, and Apache's from Debian.

`python3 integration/zookeeper_servers.py` prints the class path of Apache ZooKeeper.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

JARS = Path("/usr/share/java")
REPOSITORY = Path(__file__).parent.parent  # `python -m storm.…` works from here without an installation
START_SECS = 30.0
STOP_SECS = 15.0


class ZooKeeperProcess:
    """A running server. After `stop` or `kill`, `restart` starts it again: same port, same data directory."""

    def __init__(
        self, command: list[str], port: int, log: Path, *, alone: bool = True, host: str = "127.0.0.1"
    ) -> None:
        """`alone` False: it serves only with others, so it is started without waiting for that."""
        self.port = port
        self.host = host
        self.hosts = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.log = log
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        if alone:
            self.wait_serving()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """Ask it to end and wait; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it without warning, as a crash does."""
        return self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it as it is: its connections stay, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def mode(self) -> str:
        """ "standalone", "leader" or "follower"; empty while it does not serve."""
        found = re.search(rb"^Mode: (\w+)", four_letter_word(self.port, b"srvr", self.host), re.MULTILINE)
        return "" if found is None else found[1].decode()

    def restart(self) -> None:
        """Start it, after stopping it if it runs; returns when it answers."""
        self.stop()
        self.start()
        self.wait_serving()

    def start(self) -> None:
        """Start its process."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=REPOSITORY
            )

    def wait_serving(self) -> None:
        """Until it answers requests."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECS
        while not self.mode:  # Apache says imok before it serves
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self._command} does not serve:\n{self.log.read_text()}")
            time.sleep(0.02)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # or one that is paused would not hear of it
        try:
            return process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.wait(STOP_SECS)


class Ensemble:
    """Three Apache servers that are one ZooKeeper. `hosts` is "host:port" of each, to connect to."""

    def __init__(self, servers: list[ZooKeeperProcess]) -> None:
        self.servers = servers
        self.hosts = [server.hosts for server in servers]
        for server in servers:
            server.wait_serving()

    def leader(self) -> ZooKeeperProcess:
        """The server that leads, once there is one; one that is paused does not count."""
        deadline = time.monotonic() + START_SECS
        while time.monotonic() < deadline:
            for server in self.servers:
                if server.mode == "leader":
                    return server
            time.sleep(0.05)
        raise AssertionError("no server of the ensemble leads")

    def stop(self) -> None:
        """Kill all; a server without the others may take long to end in order."""
        for server in self.servers:
            server.kill()


def start_embedded(directory: Path, *, tick_ms: int = 2000, volatile: bool = False) -> ZooKeeperProcess:
    """This project's development server, with its data in `directory`/data unless it is volatile."""
    port = free_port()
    command = [sys.executable, "-m", "storm.dev_zookeeper", "--port", str(port), "--tick-ms", str(tick_ms)]
    if not volatile:
        command += ["--data-dir", str(directory / "data")]
    return ZooKeeperProcess(command, port, directory / "zookeeper.log")


def start_apache(directory: Path, *, tick_ms: int = 2000) -> ZooKeeperProcess:
    """Apache ZooKeeper, standalone, with its data in `directory`/data. Ask `apache_missing` first."""
    port = free_port()
    command = _apache_command(directory, port, f"tickTime={tick_ms}\n")
    return ZooKeeperProcess(command, port, directory / "zookeeper.log")


def start_ensemble(directory: Path, *, tick_ms: int = 500) -> Ensemble:
    """Three Apache servers, each with its data in a directory below; sessions last from 2 to 20 ticks.

    Ask `apache_missing` first.
    """
    ports = [(free_port(), free_port(), free_port()) for _ in range(3)]  # for clients, followers, elections
    members = "".join(f"server.{i}=127.0.0.1:{ports[i][1]}:{ports[i][2]}\n" for i in range(3))
    started = []
    for i in range(3):
        home = directory / f"server-{i}"
        (home / "data").mkdir(parents=True)
        (home / "data" / "myid").write_text(str(i))
        command = _apache_command(home, ports[i][0], f"tickTime={tick_ms}\ninitLimit=20\nsyncLimit=5\n{members}")
        started.append(ZooKeeperProcess(command, ports[i][0], home / "zookeeper.log", alone=False))
    try:
        return Ensemble(started)
    except BaseException:
        for server in started:
            server.kill()
        raise


def _apache_command(home: Path, port: int, more: str) -> list[str]:
    """How to start an Apache server with its data in `home`/data; its configuration is written there."""
    config = home / "zoo.cfg"
    config.write_text(
        f"dataDir={home / 'data'}\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"
        f"admin.enableServer=false\n4lw.commands.whitelist=*\n{more}"
    )
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return ["java", "-Xmx256m", "-cp", apache_class_path(), main, str(config)]


def apache_missing() -> str | None:
    """Why Apache ZooKeeper cannot be started here; None if it can."""
    if shutil.which("java") is None:
        return "there is no java"
    if not (JARS / "zookeeper.jar").exists():
        return f"{JARS}/zookeeper.jar is missing: apt-get install zookeeper"
    return None


def apache_class_path() -> str:
    # The manifest of zookeeper.jar names only some of the netty jars that it needs.
    jars = [JARS / "zookeeper.jar", JARS / "slf4j-nop.jar", *sorted(JARS.glob("netty-*.jar"))]
    return os.pathsep.join(str(jar) for jar in jars if not re.search(r"-\d", jar.stem))


def give_to_another(hosts: str, path: str, owner: str = "", *, readable: bool) -> None:
    """Make a node that of the user another:secret alone; whether others may still read it.

    `owner`: whose it is, as user:password; it is created where it is missing.
    """
    from kazoo.client import KazooClient  # not needed to print a class path
    from kazoo.security import make_acl, make_digest_acl

    client = KazooClient(hosts, auth_data=[("digest", owner)] if owner else [])
    client.start(START_SECS)
    acl = [make_digest_acl("another", "secret", all=True)]
    if readable:
        acl.append(make_acl("world", "anyone", read=True))
    try:
        if client.exists(path) is None:
            client.create(path, b"", acl=acl)
        else:
            client.set_acls(path, acl)
    finally:
        client.stop()
        client.close()


def four_letter_word(port: int, word: bytes, host: str = "127.0.0.1") -> bytes:
    """The server's answer; empty if it does not answer."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            connection.sendall(word)
            return b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return b""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    print(apache_class_path())
