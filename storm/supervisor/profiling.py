"""What a worker is doing: its threads' stacks, and where its time goes.

Stacks come from the worker itself, which answers a signal, so nothing has to be installed. A profile is taken from
outside by py-spy, which needs no word of the worker and costs it next to nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from storm.errors import StormError
from storm.supervisor import process_table
from storm.supervisor.worker_launch import STACKS_FILE

if TYPE_CHECKING:
    from storm.clock import Clock

PROFILE_SECS_MAX = 300
RATE_HZ = 100  # looks a second: py-spy's own default
END_SECS = 30.0  # that py-spy may take beyond the time that it was given
ANSWER_SECS, LOOK_SECS = 5.0, 0.05  # until a worker has written its stacks; it writes them in one go
STACKS_BYTES_MAX = 4 << 20
PROFILE_BYTES_MAX = 32 << 20
FORMATS = ("flamegraph", "speedscope", "raw")  # py-spy's names
PY_SPY = "py-spy"


class Profiler:
    """Looks at the workers whose directories are below `workers_dir`. Any thread may call it."""

    def __init__(self, workers_dir: Path, clock: Clock) -> None:
        self._workers_dir = workers_dir
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._stacks_lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._child_lock = threading.Lock()
        self._is_closed = False

    def children(self) -> set[int]:
        """Processes of ours that this waits for."""
        with self._child_lock:
            child = self._child
        return set() if child is None else {child.pid}

    def close(self) -> None:
        """End what is under way; its caller is told so. Nothing begins afterwards."""
        with self._child_lock:
            self._is_closed = True
            if self._child is not None:
                self._child.kill()

    def stacks(self, worker_id: str, pid: int) -> str:
        """Those of all threads, innermost frame first. Raises StormError."""
        file = self._workers_dir / worker_id / STACKS_FILE
        if not process_table.catches(pid, signal.SIGUSR1):
            raise StormError(f"worker {worker_id} does not tell its stacks: it is starting, or of an older release")
        if not self._stacks_lock.acquire(timeout=ANSWER_SECS):  # else a worker that hangs could take all threads
            raise StormError("other workers of this host are telling their stacks: ask again in a moment")
        try:
            os.truncate(file, 0)
            self._signal(worker_id, pid)
            return self._answer(file).decode("utf-8", "replace")
        except OSError as error:
            raise StormError(f"the stacks of worker {worker_id} cannot be read: {error}") from error
        finally:
            self._stacks_lock.release()

    def profile(self, pid: int, secs: int, form: str) -> bytes:
        """What py-spy makes of `secs` seconds of the process, in one of FORMATS. Raises StormError."""
        if not 1 <= secs <= PROFILE_SECS_MAX or form not in FORMATS:
            raise StormError(f"a profile is of 1 to {PROFILE_SECS_MAX} seconds, as one of {', '.join(FORMATS)}")
        program = found_py_spy()
        if program is None:
            raise StormError(
                "py-spy is not installed where the supervisor looks (beside its Python, and on its PATH): "
                f"`{sys.executable} -m pip install py-spy` on this host"
            )
        if not self._one_at_a_time.acquire(blocking=False):
            raise StormError("a worker of this host is being profiled already: ask again when that has ended")
        try:
            with tempfile.TemporaryDirectory(prefix="storm-profile-") as directory:
                return self._recorded(program, pid, secs, form, Path(directory) / "profile")
        finally:
            self._one_at_a_time.release()

    def _signal(self, worker_id: str, pid: int) -> None:
        pidfd = process_table.open_if(pid, lambda each: worker_id in process_table.command_line(each))
        if pidfd is None:
            raise StormError(f"worker {worker_id} has ended")
        try:
            process_table.send(pidfd, signal.SIGUSR1)
        finally:
            os.close(pidfd)

    def _answer(self, file: Path) -> bytes:
        """What is there once no more comes."""
        until = self._clock.now() + ANSWER_SECS
        size = 0
        while self._clock.now() < until:
            self._clock.sleep(LOOK_SECS)
            before, size = size, file.stat().st_size
            if size and size == before:
                break
        if not size:
            raise StormError(f"the worker has not told its stacks within {ANSWER_SECS:g} s: its code may use SIGUSR1")
        with file.open("rb") as opened:
            return opened.read(STACKS_BYTES_MAX)

    def _recorded(self, program: str, pid: int, secs: int, form: str, file: Path) -> bytes:
        command = [
            program, "record", "--pid", str(pid), "--duration", str(secs), "--rate", str(RATE_HZ), "--format", form,
            "--output", str(file), "--nonblocking", "--threads",
        ]  # fmt: skip
        try:
            with self._begun(command) as child:
                try:
                    _, said = child.communicate(timeout=secs + END_SECS)
                except subprocess.TimeoutExpired:
                    child.kill()
                    raise StormError(f"py-spy has not ended {END_SECS:g} s after its time") from None
            data = _read(file)
        except OSError as error:
            raise StormError(f"py-spy cannot be run: {error}") from error
        finally:
            self._child = None
        if data is None:
            why = said.decode("utf-8", "replace").partition("Stack backtrace:")[0]  # what follows is of py-spy itself
            raise StormError(f"py-spy made no profile: {' '.join(why.split())[-500:]}")
        return data

    def _begun(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Whoever closes this, or reaps processes, sees it as soon as it is there."""
        with self._child_lock:
            if self._is_closed:
                raise StormError("the supervisor is about to end")
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            return self._child


def found_py_spy() -> str | None:
    """Where it is: beside the Python that runs this, or on the PATH."""
    beside = os.path.dirname(sys.executable)
    return shutil.which(PY_SPY, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))


def _read(file: Path) -> bytes | None:
    """None where it is not there, or empty."""
    try:
        with file.open("rb") as opened:
            data = opened.read(PROFILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    if len(data) > PROFILE_BYTES_MAX:
        raise StormError(f"the profile has more than {PROFILE_BYTES_MAX >> 20} MB: take a shorter one")
    return data or None
