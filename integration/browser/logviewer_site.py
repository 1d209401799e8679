"""A log viewer over logs of each kind, without a cluster, and the addresses of its pages."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import httpx
from cluster_site import WAIT_SECS, Daemon, free_ports, wait_until

if TYPE_CHECKING:
    from pathlib import Path

WORDS, OTHER = "words-1-1795424420", "a-topology-whose-name-is-rather-long-as-names-of-topologies-may-be-2-1795424421"
PORT = 6700
LOG = f"{WORDS}/{PORT}/worker.log"
LINES = 3_000
MARKUP = '<script>hacked = 1</script><img src=x onerror="hacked = 2">'
PROFILE, STACKS = "profile-20260131T235959123Z.svg", "stacks-20260131T235959124Z.txt"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="20"><text y="15">a frame</text></svg>'
NOWHERE = "what nobody logs"


class LogviewerSite:
    """`address`: where it answers. `pages`: {what it shows: its path}."""

    def __init__(self, directory: Path) -> None:
        self.changed_secs = 1_795_000_000
        self.log_dir = directory / "logs"
        self.artifacts = self.log_dir / "workers-artifacts"
        self.port = next(free_ports())
        self.address = f"http://127.0.0.1:{self.port}"
        settings = {
            "logviewer.port": self.port,
            "storm.log.dir": str(self.log_dir),
            "logviewer.cleanup.interval.secs": None,
        }
        self.daemon = Daemon("logviewer", "logviewer", directory / "daemon", settings)
        log = {"file": LOG}
        worker = {"topoId": WORDS, "port": PORT}
        self.pages = {
            "list": "/",
            "list-of-topology": f"/?topoId={WORDS}",
            "list-of-worker": f"/?{urlencode(worker)}",
            "list-of-none": "/?topoId=gone-1-1",
            "log": f"/api/v1/log?{urlencode(log)}",
            "log-in-the-middle": f"/api/v1/log?{urlencode({**log, 'start': 60_000, 'length': 51_200})}",
            "log-some-lines": f"/api/v1/log?{urlencode({**log, 'grep': 'ERROR'})}",
            "log-empty": f"/api/v1/log?{urlencode({'file': f'{WORDS}/6701/worker.log'})}",
            "log-packed": f"/api/v1/log?{urlencode({'file': f'{LOG}.2.gz', 'start': 0})}",
            "log-of-daemon": "/api/v1/daemonlog?file=supervisor.log",
            "found": self.search("a bad line 2"),
            "found-nothing": self.search(NOWHERE),
            "found-in-daemon": "/find?file=supervisor.log&is-daemon=yes&search-string=worker",
            "found-deep": f"/find?topoId={WORDS}&search-string=a+bad+line+29&num-matches=20&search-archived=yes",
            "dumps": f"/api/v1/dumps/{WORDS}/127.0.0.1:{PORT}",
            "dumps-none": f"/api/v1/dumps/{WORDS}/127.0.0.1:6701",
        }

    def search(self, text: str, file: str = LOG, matches: int = 20) -> str:
        return f"/find?{urlencode({'file': file, 'search-string': text, 'num-matches': matches})}"

    def write(self) -> None:
        self.put(f"{LOG}.2.gz", gzip.compress(record(2_996).encode()))
        self.put(f"{LOG}.1", record(2_995) + "put aside\n")
        self.put(LOG, "".join(record(number) for number in range(LINES)) + f"the last line {MARKUP}\n")
        self.put(f"{WORDS}/6701/worker.log", "")
        self.put(f"{OTHER}/{PORT}/worker.log", "x" * 5_000 + "\n")
        self.put(f"{WORDS}/{PORT}/{PROFILE}", SVG)
        self.put(f"{WORDS}/{PORT}/{STACKS}", "Thread 1 (most recent call first)\n")
        for name in ("supervisor.log", "nimbus.log"):
            (self.log_dir / name).write_text(f"2026-01-31T23:59:59.123Z INFO {name}: a worker was started\n" * 3)

    def put(self, file: str, data: str | bytes) -> None:
        """Each file is older than those that are put after it."""
        path = self.artifacts / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        self.changed_secs += 1
        os.utime(path, (self.changed_secs, self.changed_secs))

    def append(self, text: str) -> None:
        """To the log that a worker writes to."""
        with (self.artifacts / LOG).open("a") as file:
            file.write(text)

    def put_aside(self, text: str) -> None:
        """The log goes, and another one with that text takes its place."""
        (self.artifacts / LOG).rename(self.artifacts / f"{LOG}.3")
        self.put(LOG, text)

    def start(self) -> None:
        self.daemon.start()
        wait_until(self._answers, "the log viewer answers", WAIT_SECS)

    def _answers(self) -> bool:
        assert self.daemon.is_running, self.daemon.log.read_text()
        try:
            return httpx.get(f"{self.address}/live").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        if self.daemon.is_running:
            self.daemon.stop()


def record(number: int) -> str:
    """A line of a log, of every hundredth a traceback with it."""
    head = f"2026-01-31T23:59:{number % 60:02}.123Z"
    if number % 100 == 0:
        return (
            f"{head} ERROR [split:4] words: a bad line {number}\nTraceback (most recent call last):\n"
            f'  File "words.py", line 47, in execute\nValueError: a bad line {number}\n'
        )
    return (
        f"{head} INFO [split:4] words: line {number} – of words that follow one another {'and again ' * (number % 9)}\n"
    )


def log_address(file: str) -> str:
    return f"/api/v1/log?file={quote(file, safe='')}"


def start(directory: Path) -> LogviewerSite:
    site = LogviewerSite(directory)
    site.write()
    try:
        site.start()
    except BaseException:
        site.close()
        raise
    return site
