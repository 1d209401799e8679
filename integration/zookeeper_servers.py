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

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self.port = port
        self.hosts = f"127.0.0.1:{port}"
        self.log = log
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.restart()

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

    def restart(self) -> None:
        """Start it, after stopping it if it runs; returns when it answers."""
        self.stop()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=REPOSITORY
            )
        deadline = time.monotonic() + START_SECS
        while b"Mode:" not in four_letter_word(self.port, b"srvr"):  # Apache says imok before it serves
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
        try:
            return process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


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
    config = directory / "zoo.cfg"
    config.write_text(
        f"tickTime={tick_ms}\ndataDir={directory / 'data'}\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n"
    )
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    command = ["java", "-Xmx256m", "-cp", apache_class_path(), main, str(config)]
    return ZooKeeperProcess(command, port, directory / "zookeeper.log")


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


def four_letter_word(port: int, word: bytes) -> bytes:
    """The server's answer; empty if it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
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
