"""Health scripts, as Storm has them: the files of `storm.health.check.dir` that can be executed.

A host is ill if one of them prints a line that begins with ERROR, whatever its exit code (as Storm's documentation
says; its code heeds the line only beside an exit code other than 0), or takes longer than its time, unless
`storm.health.check.fail.on.timeouts` is false. Another exit code than 0 alone, or a script that cannot be started,
tells of a broken script and not of an ill host, as in Hadoop and Storm: it is shown, and nothing is ended for it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

OUTPUT_BYTES_MAX = 65_536  # of a script, that are looked at
PIPE_BYTES = 65_536  # that a pipe holds
SAID_CHARS_MAX = 300  # of a line that is shown
AT_ONCE = 8
FAILED = "ERROR"
KILL_WAIT_SECS = 5.0  # a process that waits for a disk, or for a file server that is gone, does not even die


_CLOCK = SystemClock()

Stuck = dict["Path", "subprocess.Popen[bytes]"]  # {script: its process, which could not be ended}


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """How one script ended. `error`: its first line that begins with ERROR.

    `exit_code` None: it took longer than `timeout_secs`, or could not be started, `why_not` says why. `said`: its last
    line on standard error, for people.
    """

    name: str
    exit_code: int | None = None
    error: str = ""
    timeout_secs: float = 0.0
    why_not: str = ""
    said: str = ""

    @property
    def timed_out(self) -> bool:
        return self.exit_code is None and not self.why_not


def illness(results: Iterable[ScriptResult], fail_on_timeouts: bool) -> str:
    """Why the host is ill, for people; empty: it is well."""
    found = []
    for result in results:
        if result.error:
            found.append(f"{result.name} says {result.error}")
        elif result.timed_out and fail_on_timeouts:
            found.append(f"{result.name} took longer than {result.timeout_secs:g} s")
    return "; ".join(found)


def verdict(result: ScriptResult, fail_on_timeouts: bool) -> str:
    """One script's result in words."""
    if ill := illness([result], fail_on_timeouts):
        return f"ill: {ill.removeprefix(result.name).strip()}"
    if result.timed_out:
        return f"took longer than {result.timeout_secs:g} s, which counts for nothing here"
    if result.why_not:
        return f"cannot be started: {result.why_not}"
    said = f": {result.said}" if result.said else ""
    return "well" if result.exit_code == 0 else f"exit code {result.exit_code} without a line ERROR{said}"


def run_scripts(directory: Path, timeout_secs: float, stuck: Stuck | None = None) -> list[ScriptResult]:
    """Run all of them, several at once, in `/`; their results by name. A directory that is not there has none.

    One that takes longer is killed, with what it started. Where even that does not end it, it is noted in `stuck`, and
    not started again as long as it is there.
    """
    unended: Stuck = {} if stuck is None else stuck
    try:
        scripts = sorted(path for path in directory.absolute().iterdir() if path.is_file() and os.access(path, os.X_OK))
    except OSError:
        return []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda script: _run(script, timeout_secs, unended), scripts))


def _run(script: Path, timeout_secs: float, stuck: Stuck) -> ScriptResult:
    former = stuck.get(script)
    if former is not None and former.poll() is None:
        return ScriptResult(script.name, timeout_secs=timeout_secs)
    stuck.pop(script, None)
    try:
        return _ended(script, timeout_secs, stuck)
    except OSError as error:
        return ScriptResult(script.name, why_not=error.strerror or str(error))


def _ended(script: Path, timeout_secs: float, stuck: Stuck) -> ScriptResult:
    process = subprocess.Popen(
        [script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
        start_new_session=True,
    )  # fmt: skip
    in_time, out, err = _heard(process, timeout_secs)
    if not in_time:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    exit_code: int | None = None
    try:
        exit_code = process.wait(KILL_WAIT_SECS)
    except subprocess.TimeoutExpired:
        stuck[script] = process
    said = _lines(err)
    return ScriptResult(
        script.name,
        exit_code if in_time else None,
        next((line for line in _lines(out) if line.startswith(FAILED)), ""),
        timeout_secs,
        said=said[-1] if said else "",
    )


def _heard(process: subprocess.Popen[bytes], timeout_secs: float) -> tuple[bool, bytes, bytes]:
    """Whether it ended in time, and the beginnings of what it said on its two outputs.

    Its end counts and not that of its outputs, which what it started in the background may hold for ever.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    heard = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    until = _CLOCK.now() + timeout_secs
    has_ended = False
    with process.stdout, process.stderr, selectors.DefaultSelector() as waiting, contextlib.ExitStack() as stack:
        end = os.pidfd_open(process.pid)
        stack.callback(os.close, end)
        for descriptor in (end, *heard):
            os.set_blocking(descriptor, False)
            waiting.register(descriptor, selectors.EVENT_READ)
        while not has_ended and (left_secs := until - _CLOCK.now()) > 0:
            ready = {key.fd for key, _ in waiting.select(left_secs)}
            has_ended = end in ready
            for descriptor in heard.keys() & ready:
                if not _hear(descriptor, heard[descriptor]):
                    waiting.unregister(descriptor)
        for descriptor, text in heard.items():  # what it said at the very end
            _hear(descriptor, text)
    out, err = heard.values()
    return has_ended, bytes(out), bytes(err)


def _hear(descriptor: int, text: bytearray) -> bool:
    """Add what has come, as far as there is room; False: no more will come."""
    try:
        more = os.read(descriptor, PIPE_BYTES)
    except BlockingIOError:
        return True
    text += more[: OUTPUT_BYTES_MAX - len(text)]
    return bool(more)


def _lines(said: bytes) -> list[str]:
    return [line[:SAID_CHARS_MAX].rstrip() for line in said.decode(errors="replace").splitlines()]
