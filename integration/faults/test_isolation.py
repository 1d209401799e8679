"""A world of its own: its own process ids and network, and nothing of it is left when its work ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
WAIT_SECS = 30.0
PROGRAM = """
import os, socket, subprocess, sys
sys.path.insert(0, {here!r})
import isolation
if reason := isolation.why_not():
    print("cannot:", reason)
    sys.exit()
def work():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {mark!r}], start_new_session=True)
    names = [name for _, name in socket.if_nameindex()]
    print("process", os.getpid(), "interfaces", ",".join(names), flush=True)
    {then}
sys.exit(isolation.run(work))
"""


def run(mark: str, then: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(here=str(HERE), mark=mark, then=then)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if line.startswith("cannot:"):
        process.communicate()
        pytest.skip(line.strip())
    return line


def processes_with(mark: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in words:
                found.append(int(name))
    return found


def wait_gone(mark: str) -> None:
    deadline = time.monotonic() + WAIT_SECS
    while processes_with(mark):
        assert time.monotonic() < deadline, f"{processes_with(mark)} are left"
        time.sleep(0.02)


@pytest.mark.parametrize("code", [0, 7])
def test_its_exit_code_is_the_works_and_what_was_started_ends_with_it(code: int) -> None:
    mark = f"isolated-{os.getpid()}-{code}"
    process = run(mark, f"return {code}")
    words = first_line(process).split()
    assert int(words[1]) < 20
    assert words[3] == "lo"
    process.communicate(timeout=WAIT_SECS)
    assert process.returncode == code
    wait_gone(mark)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_it_is_ended_nothing_is_left(number: signal.Signals) -> None:
    mark = f"isolated-{os.getpid()}-{number}"
    process = run(mark, "import time; time.sleep(600)")
    first_line(process)
    assert processes_with(mark)
    process.send_signal(number)
    process.communicate(timeout=WAIT_SECS)
    wait_gone(mark)
