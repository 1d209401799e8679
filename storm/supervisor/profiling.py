"""What a worker is doing: its threads' stacks, what is on its heap, and where its time goes.

Stacks and heap come from the worker itself, which answers signals, so nothing has to be installed. A profile is taken
from outside by py-spy, which needs no word of the worker and costs it next to nothing: for some seconds while a caller
waits, or beside everything else. Either is a recording, and goes on until its time is over or somebody stops it.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storm.cluster.records import Recording
from storm.errors import InvalidTransitionError, NotServedError, StormError
from storm.supervisor import process_table
from storm.supervisor.worker_launch import HEAP_FILE, STACKS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.clock import Clock
    from storm.supervisor.slot_runner import WorkerHandle

log = logging.getLogger(__name__)

PROFILE_SECS_MAX = 300
RECORDING_SECS_MAX = 24 * 3_600
RATE_HZ = 100  # looks a second: py-spy's own default
END_SECS = 30.0  # that py-spy may take beyond the time that it was given
ANSWER_SECS, LOOK_SECS = 5.0, 0.05  # until a worker has written its stacks; it writes them in one go
HEAP_SECS = 30.0  # until it has counted its heap: it ends after 15, and may have to wait for its interpreter
REFUSAL_SECS = 1.0  # py-spy that may not look at a process says so within this
ASK_AGAIN_SECS = 0.5  # a py-spy that has just started may not have heard that it should end
STACKS_BYTES_MAX = HEAP_BYTES_MAX = 4 << 20
PROFILE_BYTES_MAX = 32 << 20
FORMATS = ("flamegraph", "speedscope", "raw")  # py-spy's names
PY_SPY = "py-spy"
FLAME_GRAPH = "flamegraph"
# What py-spy carries in its environment, with the directory of workers that it is of: a killed supervisor leaves it.
PROFILER_OF = "STORM_PROFILER_OF"


@dataclass(slots=True)
class _Recording:
    """A profile that goes on until `until` or until somebody stops it. `part`: the name of the file that comes next.

    `is_asked`: somebody wants what there is so far; `is_over`: and no more, or it has ended by itself. `is_whole`:
    there is one part only, since a caller waits for it.
    """

    worker_id: str
    pid: int
    until: float
    keep: Callable[[bytes], str]
    is_whole: bool = False
    part: Future[str] = field(default_factory=Future)
    is_asked: bool = False
    is_over: bool = False


class Profiler:
    """Looks at the workers whose directories are below `workers_dir`. Any thread may call it."""

    def __init__(self, workers_dir: Path, clock: Clock) -> None:
        self._workers_dir = workers_dir
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._stacks_lock = threading.Lock()
        self._heap_lock = threading.Lock()
        self._recording: _Recording | None = None  # the last one, also after its end
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

    def end_remains(self) -> None:
        """End what a supervisor of this directory left that was killed."""
        process_table.kill_all_with_environment(f"{PROFILER_OF}={self._workers_dir}")

    def stacks(self, worker_id: str, pid: int) -> str:
        """Those of all threads, innermost frame first. Raises StormError."""
        file = self._workers_dir / worker_id / STACKS_FILE
        if not process_table.catches(pid, signal.SIGUSR1):
            raise StormError(f"worker {worker_id} does not tell its stacks: it is starting, or of an older release")
        if not self._stacks_lock.acquire(timeout=ANSWER_SECS):  # else a worker that hangs could take all threads
            raise StormError("other workers of this host are telling their stacks: ask again in a moment")
        try:
            os.truncate(file, 0)
            self._signal(worker_id, pid, signal.SIGUSR1)
            return self._answer(file).decode("utf-8", "replace")
        except OSError as error:
            raise StormError(f"the stacks of worker {worker_id} cannot be read: {error}") from error
        finally:
            self._stacks_lock.release()

    def heap(self, worker_id: str, pid: int) -> str:
        """How many objects of which types it has, and how large they are. Raises StormError."""
        file = self._workers_dir / worker_id / HEAP_FILE
        if not process_table.catches(pid, signal.SIGUSR2):
            raise StormError(f"worker {worker_id} does not tell of its heap: it is starting, or of an older release")
        if not self._heap_lock.acquire(blocking=False):
            raise InvalidTransitionError("a worker of this host is counting its heap: ask again in a moment")
        try:
            file.unlink(missing_ok=True)
            self._signal(worker_id, pid, signal.SIGUSR2)
            until = self._clock.now() + HEAP_SECS
            while not file.exists():
                if self._clock.now() >= until:
                    raise StormError(
                        f"the worker has not told of its heap within {HEAP_SECS:g} s: its code may use SIGUSR2, or "
                        "keep its interpreter to itself"
                    )
                self._clock.sleep(LOOK_SECS)
            with file.open("rb") as opened:
                return opened.read(HEAP_BYTES_MAX).decode("utf-8", "replace")
        except OSError as error:
            raise StormError(f"the heap of worker {worker_id} cannot be read: {error}") from error
        finally:
            self._heap_lock.release()

    def profile(self, worker_id: str, pid: int, secs: int, form: str, keep: Callable[[bytes], str]) -> bytes:
        """What py-spy makes of `secs` seconds of the worker, or of the time until somebody stops it, in one of FORMATS;
        it goes to `keep`, too, which names it. Raises StormError, but not where it is only not kept.
        """
        if not 1 <= secs <= PROFILE_SECS_MAX or form not in FORMATS:
            raise StormError(f"a profile is of 1 to {PROFILE_SECS_MAX} seconds, as one of {', '.join(FORMATS)}")
        program = _needed_py_spy()
        self._take_turn()
        recording = self._recording = _Recording(worker_id, pid, self._clock.now() + secs, keep, is_whole=True)
        try:
            data = self._made(program, pid, secs, form)
            try:
                recording.part.set_result(keep(data))
            except StormError as error:
                log.warning("%s", error)
                recording.part.set_exception(error)
            return data
        except StormError as error:
            recording.part.set_exception(error)
            raise
        finally:
            recording.is_over = True
            self._one_at_a_time.release()

    def start(self, worker_id: str, pid: int, secs: int, keep: Callable[[bytes], str]) -> None:
        """Record a worker for so long, beside everything else; flame graphs of it go to `keep`, which names them.

        Raises StormError, also where py-spy refuses at once.
        """
        if not 1 <= secs <= RECORDING_SECS_MAX:
            raise StormError(f"a profile is of 1 to {RECORDING_SECS_MAX} seconds")
        program = _needed_py_spy()
        self._take_turn()
        recording = self._recording = _Recording(worker_id, pid, self._clock.now() + secs, keep)
        first = recording.part
        threading.Thread(target=self._record, args=(program, recording), name="profile", daemon=True).start()
        try:
            first.result(min(secs, REFUSAL_SECS))
        except TimeoutError:
            return

    def recordings(self, running: Mapping[int, WorkerHandle]) -> tuple[Recording, ...]:
        """What is being recorded of those workers that run, {port: worker}: of one at most."""
        found = self._recording
        if found is None or found.is_over:
            return ()
        until = self._clock.wall_secs() + round(found.until - self._clock.now())
        return tuple(
            Recording(worker.port, worker.assignment.topology_id, until)
            for worker in running.values()
            if worker.worker_id == found.worker_id
        )

    def dump(self, worker_id: str) -> str:
        """The name of a flame graph of what was recorded since the last one; it goes on. Raises StormError."""
        recording = self._recording
        if recording is not None and recording.worker_id == worker_id and recording.is_whole and not recording.is_over:
            raise InvalidTransitionError("somebody waits for this profile: it can only be stopped")
        return self._part(worker_id, is_over=False)

    def stop(self, worker_id: str) -> str:
        """End a recording; the name of its last picture, also where it has ended by itself. Raises StormError."""
        return self._part(worker_id, is_over=True)

    def _part(self, worker_id: str, *, is_over: bool) -> str:
        recording = self._recording
        if recording is None or recording.worker_id != worker_id:
            raise InvalidTransitionError("this worker is not being profiled: start a profile of it first")
        part = recording.part
        recording.is_asked, recording.is_over = True, recording.is_over or is_over
        until = self._clock.now() + END_SECS
        while True:
            with self._child_lock:
                if self._child is not None and not part.done():
                    self._child.send_signal(signal.SIGINT)
            try:
                return part.result(ASK_AGAIN_SECS)
            except TimeoutError:
                if self._clock.now() >= until:
                    raise StormError(f"py-spy has not ended within {END_SECS:g} s") from None

    def _record(self, program: str, recording: _Recording) -> None:
        """A part after the other: each ends when somebody asks for it, the last one with the time."""
        try:
            goes_on = True
            while goes_on:
                part, error, name = recording.part, None, ""
                secs = max(1, math.ceil(recording.until - self._clock.now()))
                try:
                    name = recording.keep(self._made(program, recording.pid, secs, FLAME_GRAPH))
                except StormError as refused:
                    error = refused
                is_time_left = self._clock.now() + 1.0 < recording.until
                goes_on = recording.is_asked and not recording.is_over and is_time_left
                if goes_on:
                    recording.is_asked, recording.part = False, Future()
                if error is None:
                    part.set_result(name)
                else:
                    part.set_exception(error)
        finally:
            recording.is_over = True
            self._one_at_a_time.release()

    def _take_turn(self) -> None:
        if not self._one_at_a_time.acquire(blocking=False):
            raise InvalidTransitionError(
                "a worker of this host is being profiled already: ask again when that has ended"
            )

    def _signal(self, worker_id: str, pid: int, number: signal.Signals) -> None:
        pidfd = process_table.open_if(pid, lambda each: worker_id in process_table.command_line(each))
        if pidfd is None:
            raise StormError(f"worker {worker_id} has ended")
        try:
            process_table.send(pidfd, number)
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

    def _made(self, program: str, pid: int, secs: int, form: str) -> bytes:
        try:
            with tempfile.TemporaryDirectory(prefix="storm-profile-") as directory:
                return self._recorded(program, pid, secs, form, Path(directory) / "profile")
        except OSError as error:
            raise StormError(f"a profile cannot be taken: {error}") from error

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
            if not why.strip():
                why = "it has seen nothing of the worker at work yet"
            raise StormError(f"py-spy made no profile: {' '.join(why.split())[-500:]}")
        return data

    def _begun(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Whoever closes this, or reaps processes, sees it as soon as it is there."""
        with self._child_lock:
            if self._is_closed:
                raise StormError("the supervisor is about to end")
            self._child = subprocess.Popen(
                command,
                env={**os.environ, PROFILER_OF: str(self._workers_dir)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            return self._child


def found_py_spy() -> str | None:
    """Where it is: beside the Python that runs this, or on the PATH."""
    beside = os.path.dirname(sys.executable)
    return shutil.which(PY_SPY, path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))


def _needed_py_spy() -> str:
    program = found_py_spy()
    if program is None:
        raise NotServedError(
            "py-spy is not installed where the supervisor looks (beside its Python, and on its PATH): "
            f"`{sys.executable} -m pip install py-spy` on this host"
        )
    return program


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
