"""Rivals in Python, as processes that count as our workers do: a bare loop, and Bytewax."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from case import Result
from windows import between, reported, sleep_windows
from zookeeper_servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from case import Options

HERE = Path(__file__).resolve().parent
BYTEWAX = "bytewax==0.21.1"
START_SECS = 60.0


@contextmanager
def processes(commands: list[list[str]], directory: Path) -> Iterator[None]:
    """Run them all; in the end they are killed, and nothing else."""
    environment = {**os.environ, "BENCH_DIR": str(directory), "PYTHONPATH": str(HERE)}
    started = []
    try:
        with (directory / "log").open("ab") as log:
            for command in commands:
                process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                started.append(process)  # one by one: what has started is killed even if the next cannot start
        yield
        if ended := [process.args for process in started if process.poll() is not None]:
            raise RuntimeError(f"{ended} ended by itself:\n{(directory / 'log').read_text()}")
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(case: str, commands: list[list[str]], options: Options) -> Result:
    directory = Path(tempfile.mkdtemp(prefix="storm-bench-rival-"))
    try:
        with processes(commands, directory):
            deadline = time.monotonic() + START_SECS
            while not any(line.counts.get("executed") for of in reported(directory).values() for line in of):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{case}: nothing in {START_SECS:.0f} s:\n{(directory / 'log').read_text()}")
                time.sleep(0.1)
            span = sleep_windows(options.warmup, options.seconds)
            found = between(reported(directory), span.first, span.last)
        unit = "words/s" if case.startswith("words") else "tuples/s"
        return Result(
            case,
            unit,
            found.rates.get("executed", ()),
            found.cost("executed"),
            {"worker": max(found.rss_mb, default=0.0)},
            notes=span.disturbance(found.cpu_secs),
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# --- the bare loop


def run_bare_loop(load: str, options: Options) -> Result:
    """ "hop", "words", "words8"; "-2w": two such processes; "hop-2w-wire": one sends to the other over ZeroMQ."""
    program = [sys.executable, str(HERE / "bare_loop.py")]
    if load.endswith("-wire"):
        port = str(free_port())
        return measure(load, [[*program, "receive", port], [*program, "send", port]], options)
    name, _, two = load.partition("-")
    return measure(load, [[*program, name]] * (2 if two else 1), options)


# --- Bytewax


def bytewax_home() -> Path:
    """A virtual environment of its own, kept outside of the checkout."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "storm-benchmarks" / "bytewax"


def bytewax_missing() -> str:
    """Why it cannot be run, after trying to install it; empty if it can."""
    home = bytewax_home()
    if (home / ".complete").exists():
        return ""
    print(f"installing {BYTEWAX} into {home}", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", "--disable-pip-version-check", BYTEWAX], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{BYTEWAX} could not be installed: {error}"
    (home / ".complete").touch()
    return ""


def run_bytewax(load: str, options: Options) -> Result:
    """ "words" or "words8", "-2w": two processes."""
    name, _, two = load.partition("-")
    flow = f"{HERE / 'bytewax_words.py'}:flow({5003 if name == 'words' else 8})"
    program = [str(bytewax_home() / "bin" / "python"), "-m", "bytewax.run", flow]
    if not two:
        return measure(load, [program], options)
    addresses = ";".join(f"127.0.0.1:{free_port()}" for _ in range(2))
    return measure(load, [[*program, "-i", str(i), "-a", addresses] for i in range(2)], options)
