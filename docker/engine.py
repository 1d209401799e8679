"""The Docker engine and its commands: asked, and started where it does not run and this is root."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

STATE = Path("/run/storm-cluster-dockerd")  # of the engine that was started here: its process id and when it began
LOCK = Path("/run/storm-cluster-dockerd.lock")  # who uses that engine shares it, who starts or ends it has it alone
LOG = Path("/var/log/storm-cluster-dockerd.log")
START_SECS, STOP_SECS, GIVE_UP_SECS = 60.0, 60.0, 10.0
POLL_SECS = 0.2
LOG_LINES = 15
INSTALL = "on Debian: apt-get install docker.io docker-compose"
NOT_RUNNING = "the Docker engine does not run, and so no cluster: docker/cluster up"


class Trouble(Exception):
    """What is wrong, and what to do, in one sentence or two."""

    exit_code = 1


class NoEngine(Trouble):
    """None answers here, and none can be started."""

    exit_code = 3


def run(words: Sequence[str], *, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    """The output of a command. Raises Trouble with what it said if it fails."""
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=env)
    except FileNotFoundError:
        raise Trouble(f"there is no {words[0]} command") from None
    if check and done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LOG_LINES:])
        raise Trouble(f"{' '.join(words[:3])} failed with exit code {done.returncode}: {said}")
    return done.stdout


def show(words: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
    """Run a command whose output is for the person. Raises Trouble if it fails."""
    code = subprocess.run(words, stdin=subprocess.DEVNULL, check=False, env=env).returncode
    if code != 0:
        raise Trouble(f"{' '.join(words[:3])} failed with exit code {code}; what it said is above")


def docker(*words: str) -> str:
    """The output of a docker command. Raises Trouble; where no engine answers NoEngine, which names what is missing."""
    try:
        return run(["docker", *words])
    except Trouble:
        if answers():
            raise
        raise NoEngine(missing() or NOT_RUNNING) from None


def inspect(*names: str) -> list[dict[str, Any]]:
    """What `docker inspect` tells of these. Raises Trouble if one is not there."""
    return list(json.loads(docker("inspect", *names))) if names else []


def answers() -> bool:
    """Whether an engine can be asked."""
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"])
    except Trouble:
        return False
    return True


def compose_command() -> list[str]:
    """`docker compose` or `docker-compose`, whichever is there. Raises Trouble."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) is None:
            continue
        done = subprocess.run([*words, "version"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0:
            return words
    raise Trouble(f"there is neither `docker compose` nor `docker-compose`; {INSTALL}")


def missing() -> str | None:
    """Why no engine can be used here; None if one answers or can be started."""
    if shutil.which("docker") is None:
        return f"there is no docker command; {INSTALL}"
    if not answers():
        if os.geteuid() != 0:
            return "the Docker engine does not answer: start it, and see that you may use it (group docker)"
        if shutil.which("dockerd") is None:
            return f"the Docker engine does not run and there is no dockerd to start; {INSTALL}"
    try:
        compose_command()
    except Trouble as trouble:
        return str(trouble)
    return None


def ensure() -> bool:
    """See that an engine answers; whether it was started for that. Raises NoEngine."""
    if (reason := missing()) is not None:
        raise NoEngine(reason)
    if answers():
        return False
    with _locked(fcntl.LOCK_EX):
        if answers():
            return False  # another process has started it
        _start()
    return True


@contextmanager
def in_use() -> Iterator[bool]:
    """An engine answers, and `stop_if_ours` of another process leaves it alone; whether it was started for that.

    Raises Trouble.
    """
    started = ensure()
    if os.geteuid() != 0:  # who may start and end engines is another
        yield started
        return
    while True:
        with _locked(fcntl.LOCK_SH):
            if answers():
                yield started
                return
        started = ensure() or started  # it was ended in between


@contextmanager
def _locked(how: int) -> Iterator[None]:
    """Raises BlockingIOError with LOCK_NB."""
    with LOCK.open("a") as file:
        fcntl.flock(file, how)
        yield


def _start() -> None:
    with LOG.open("ab") as log:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    STATE.write_text(f"{process.pid} {_began(process.pid)}\n")
    deadline = time.monotonic() + START_SECS
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            _give_up(process)
            lines = LOG.read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise NoEngine("dockerd does not start; the end of {}:\n{}".format(LOG, "\n".join(lines)))
        time.sleep(POLL_SECS)


def _give_up(process: subprocess.Popen[bytes]) -> None:
    """End an engine that does not begin to answer: else the next command would find it half started."""
    process.terminate()
    try:
        process.wait(GIVE_UP_SECS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    STATE.unlink(missing_ok=True)


def stop_if_ours() -> bool:
    """End the engine if it was started here and nobody uses it any more; whether it was. Raises Trouble."""
    if _ours() is None or os.geteuid() != 0:
        return False
    try:
        with _locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            return _stop()
    except BlockingIOError:
        return False


def _stop() -> bool:
    pid = _ours()
    if pid is None or not answers() or docker("ps", "--quiet").strip():
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECS
    while _ours() is not None:
        if time.monotonic() > deadline:
            raise Trouble(f"dockerd, process {pid}, does not end; see {LOG}")
        time.sleep(POLL_SECS)
    STATE.unlink(missing_ok=True)
    return True


def _ours() -> int | None:
    """The process of the engine that was started here, while it runs."""
    try:
        pid, began = STATE.read_text().split()
        return int(pid) if _began(int(pid)) == began else None
    except (OSError, ValueError):
        return None


def _began(pid: int) -> str:
    """When a process was started, in ticks since the machine was; empty if it does not run. Raises OSError."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if after_name[0] == "Z" else after_name[19]
