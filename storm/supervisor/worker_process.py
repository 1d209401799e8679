"""The worker processes of a supervisor: started, watched, signalled, adopted.

A process is held by a pidfd from its launch or adoption on. It is signalled through it only, and its death makes it
readable, so neither a reused process id nor a poll interval matters, and a process that a former supervisor started
is watched like one's own. Which process is a worker of ours is told by its command line, which names its worker id and
its launch file in our directory: there is no file of process ids that could be stale.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from storm.errors import NotAuthorizedError, StormError, WorkerStartError
from storm.host_paths import CONF, topology_dir
from storm.supervisor import process_table, worker_logs
from storm.supervisor.slot import WorkerSeen
from storm.supervisor.slot_runner import WorkerHandle
from storm.supervisor.wakeup import Wakeup
from storm.supervisor.worker_launch import (
    HEAP_FILE,
    LAUNCH_FILE,
    STACKS_FILE,
    WORKER_DIRECTORY_VARIABLE,
    WORKER_ID_VARIABLE,
    launch_record,
    read_handle,
    topology_environment,
    worker_command,
    worker_environment,
    write_launch_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from storm.cluster.records import KnownTopology
    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.options import SupervisorOptions

log = logging.getLogger(__name__)

FIRST_PROCESS = 1  # it is handed all orphans
NOT_STARTED, PORT_TAKEN = 13, 14  # exit codes of a worker that could not start, and why
CommandBuilder: TypeAlias = "Callable[[Mapping[str, Any], Path], list[str]]"  # (launch record, launch file) -> command


@dataclass(slots=True)
class _Held:
    """A process under watch. `popen` is None for one that is not our child. `seen` is set once it has ended.

    `memory_kills`: how many processes the kernel had ended for want of memory when the watch began.
    """

    pidfd: int
    popen: subprocess.Popen[bytes] | None
    memory_kills: int | None = None
    seen: WorkerSeen | None = None


def _own_python(topology_id: TopologyId) -> None:
    return None


def _nothing(assignment: LocalAssignment, directory: Path) -> None:
    pass


def _none(port: int) -> int:
    return 0


def _unknown(topology_id: TopologyId) -> None:
    return None


class Surroundings(NamedTuple):
    """What workers find on this host, and who else is there.

    `python_of` says which Python a topology's workers run on, None: this one, and raises WorkerStartError; `link_blobs`
    puts a topology's blobs into a worker's directory, or raises that; `other_children` are processes of ours that
    somebody else waits for; `deaths_of` says how often in a row the workers of a port died; `known_of` what the cluster
    last told of a topology, None: nothing yet.
    """

    python_of: Callable[[TopologyId], Path | None] = _own_python
    link_blobs: Callable[[LocalAssignment, Path], None] = _nothing
    other_children: Callable[[], set[int]] = set
    deaths_of: Callable[[int], int] = _none
    known_of: Callable[[TopologyId], KnownTopology | None] = _unknown


class WorkerProcesses:
    """Implements `slot_runner.Workers` with real processes. One thread uses it.

    `supervisor_port` is where workers that are launched from now on find the supervisor.
    """

    def __init__(
        self,
        options: SupervisorOptions,
        settings: Mapping[str, Any],
        new_worker_id: Callable[[], str],
        command: CommandBuilder = worker_command,
        surroundings: Surroundings = Surroundings(),  # noqa: B008  it has no state
        wakeup: Wakeup | None = None,
    ) -> None:
        """`settings`: the daemon settings that a worker must know, as JSON can hold them. `wakeup` ends a `wait`; None:
        nobody does.
        """
        self._options = options
        self._settings = settings
        self._new_worker_id = new_worker_id
        self._command = command
        self._surroundings = surroundings
        self.supervisor_port = options.thrift_port
        self._held: dict[str, _Held] = {}
        self._undeleted: set[str] = set()  # ids of dead workers whose directories a disk did not let go
        self._selector = selectors.DefaultSelector()
        self._wakeup = wakeup or Wakeup()
        self._selector.register(self._wakeup, selectors.EVENT_READ)

    def wait(self, timeout_secs: float | None) -> None:
        """Return when a worker ends, somebody wakes this thread, or the time is over; None: no limit."""
        self._selector.select(timeout_secs)
        self._wakeup.clear()

    def close(self) -> None:
        """Let go of all processes; they run on."""
        for held in self._held.values():
            if held.seen is None:
                os.close(held.pidfd)
            if held.popen is not None:
                held.popen.returncode = 0  # else its end, without us, would be warned of
        self._held.clear()
        self._selector.close()

    def adopt(self) -> list[WorkerHandle]:
        """The workers of this directory that run, each taken under watch; remains of dead ones are removed."""
        found: list[WorkerHandle] = []
        for pid in process_table.own_pids():
            launch_file = self._launch_file_of(pid)
            if launch_file is None or not process_table.leads_session(pid):
                continue  # a process that a worker forked has its command line too
            pidfd = process_table.open_if(pid, self._is_launched_with(launch_file))
            if pidfd is None:
                continue
            try:
                handle = read_handle(launch_file, pid)
            except (ValueError, OSError) as error:
                log.error("%s is not readable (%s): its worker, process %d, is killed", launch_file, error, pid)
                process_table.send(pidfd, signal.SIGKILL)
                os.close(pidfd)
                continue
            self._hold(handle.worker_id, _Held(pidfd, None))
            found.append(handle)
        self._remove_remains()
        return found

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        """Start a worker in a session of its own. Raises WorkerStartError."""
        options = self._options
        worker_id = self._new_worker_id()
        dist_dir = topology_dir(options.supervisor_dir, assignment.topology_id)
        directory = options.workers_dir / worker_id
        python = self._surroundings.python_of(assignment.topology_id)
        try:
            log_file = worker_logs.log_path(options.artifacts_dir, assignment.topology_id, port)
        except NotAuthorizedError as error:
            raise WorkerStartError(str(error)) from error
        record = launch_record(
            assignment,
            node_id=options.node_id,
            host=options.host,
            bind_host=options.bind_host,
            port=port,
            worker_id=worker_id,
            supervisor_port=self.supervisor_port,
            dist_dir=str(dist_dir),
            log_dir=str(log_file.parent),
            stacks_file=str(directory / STACKS_FILE),
            heap_file=str(directory / HEAP_FILE),
            settings=dict(self._settings),
            python=None if python is None else str(python),
            deaths=self._surroundings.deaths_of(port),
        )
        conf = topology_environment(dist_dir / CONF)
        environment = worker_environment(os.environ, conf, directory, python)
        self._remove_dead()
        try:
            known = self._surroundings.known_of(assignment.topology_id)
            launch_file = write_launch_file(directory, record, known)
            self._surroundings.link_blobs(assignment, directory)
            popen = self._start(self._command(record, launch_file), environment, log_file, directory)
            pidfd = _watched(popen)
        except (OSError, ValueError, StormError) as error:  # Popen raises ValueError for a text it cannot pass on
            self._undeleted.add(worker_id)
            self._remove_dead()
            raise WorkerStartError(_why_not_started(error)) from error
        self._hold(worker_id, _Held(pidfd, popen, process_table.memory_kills()))
        return WorkerHandle(worker_id, port, assignment, popen.pid)

    def look(self, worker: WorkerHandle) -> WorkerSeen:
        """Whether it lives, or how it ended."""
        held = self._held.get(worker.worker_id)
        if held is None:
            return WorkerSeen("is gone")
        if held.seen is None and process_table.has_exited(held.pidfd):
            held.seen = self._end(worker, held)
        return held.seen or WorkerSeen(from_outside=process_table.is_stopped(worker.pid))

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        """SIGTERM to the worker, or SIGKILL to it and all that it started."""
        held = self._held.get(worker.worker_id)
        if held is None or held.seen is not None:
            return
        process_table.send(held.pidfd, signal.SIGKILL if force else signal.SIGTERM)
        if force:
            _end_all_of(worker.worker_id)

    def forget(self, worker: WorkerHandle) -> None:
        """End what the dead worker left behind and remove its directory."""
        held = self._held.pop(worker.worker_id, None)
        if held is not None and held.seen is None:
            self._release(held)
        _end_all_of(worker.worker_id)
        self._undeleted.add(worker.worker_id)
        self._remove_dead()
        if os.getpid() == FIRST_PROCESS:
            own = {each.popen.pid for each in self._held.values() if each.popen is not None}
            process_table.reap_orphans(own | self._surroundings.other_children())

    def log_tail(self, topology_id: TopologyId, port: int) -> str:
        """The last lines of its log."""
        try:
            return worker_logs.tail(worker_logs.log_path(self._options.artifacts_dir, topology_id, port))
        except NotAuthorizedError:
            return ""

    def resident_bytes(self, worker: WorkerHandle) -> int:
        """The memory that the worker has in RAM; 0 if it is gone."""
        return process_table.resident_bytes(worker.pid)

    def _start(
        self, command: list[str], environment: dict[str, str], log_file: Path, directory: Path
    ) -> subprocess.Popen[bytes]:
        """SIGTERM is blocked in the new process until it lets it through: one that is told to end before it can handle
        that ends in order as soon as it can.
        """
        log_fd = worker_logs.open_log(log_file, self._options.worker_log_max_bytes)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # of this thread, and what it starts
        try:
            return subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(log_fd)

    def _hold(self, worker_id: str, held: _Held) -> None:
        self._held[worker_id] = held
        self._selector.register(held.pidfd, selectors.EVENT_READ)

    def _release(self, held: _Held) -> None:
        self._selector.unregister(held.pidfd)
        os.close(held.pidfd)

    def _end(self, worker: WorkerHandle, held: _Held) -> WorkerSeen:
        """The worker has ended: how. Its group is killed before it is reaped, while its id is still its own."""
        self._release(held)
        if held.popen is None:
            return WorkerSeen("ended (its exit code went to the supervisor that started it)")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        code, now = held.popen.wait(), process_table.memory_kills()
        kills = None if now is None or held.memory_kills is None else now - held.memory_kills
        from_outside = -code in _SIGNALS_OF_PEOPLE and kills == 0
        text = exit_text(code, kills)
        if code == PORT_TAKEN and (holder := process_table.port_holder(worker.port)):
            text += f": port {worker.port} is taken by {holder}"
        return WorkerSeen(text, orderly=code == 0, from_outside=from_outside, port_taken=code == PORT_TAKEN)

    def _launch_file_of(self, pid: int) -> Path | None:
        """The launch file in our directory that the process was started with; None if it is no worker of ours."""
        workers_dir = self._options.workers_dir
        arguments = process_table.command_line(pid)
        for argument in arguments:
            directory, _, name = argument.rpartition("/")
            parent, _, worker_id = directory.rpartition("/")
            if name == LAUNCH_FILE and parent == str(workers_dir) and worker_id in arguments:
                return workers_dir / worker_id / LAUNCH_FILE
        return None

    def _is_launched_with(self, launch_file: Path) -> Callable[[int], bool]:
        return lambda pid: self._launch_file_of(pid) == launch_file

    def _remove_dead(self) -> None:
        """The directories of dead workers; those that a read-only disk keeps are tried again the next time."""
        for worker_id in list(self._undeleted):
            directory = self._options.workers_dir / worker_id
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():
                self._undeleted.discard(worker_id)

    def _remove_remains(self) -> None:
        """Directories of workers that died while no supervisor was there, and what those workers had started."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._options.workers_dir):
                if name not in self._held:
                    directory = self._options.workers_dir / name
                    process_table.kill_all_with_environment(f"{WORKER_DIRECTORY_VARIABLE}={directory}")
                    shutil.rmtree(directory, ignore_errors=True)


def exit_text(return_code: int, memory_kills: int | None = None) -> str:
    """How a process ended, in words. `return_code` is subprocess's: negative for a signal; `memory_kills`: how many
    processes of this machine the kernel ended for want of memory while it ran, None: not known.
    """
    if return_code >= 0:
        return f"exited with code {return_code}{_MEANINGS.get(return_code, '')}"
    number = -return_code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    hint = ""
    if number in _SIGNALS_OF_PEOPLE and memory_kills == 0:
        hint = ", from outside: the machine was not out of memory"
    elif number == signal.SIGKILL:
        hint = _KILLED_FOR_MEMORY if memory_kills else ", perhaps because the machine was out of memory"
    return f"was killed by signal {number} ({name}){hint}"


def _end_all_of(worker_id: str) -> None:
    """Kill all that the worker started and that lives."""
    try:
        process_table.kill_all_with_environment(f"{WORKER_ID_VARIABLE}={worker_id}")
    except OSError as error:  # this process may open no more files
        log.error("what worker %s started cannot be looked for: %s", worker_id, error)


def _watched(popen: subprocess.Popen[bytes]) -> int:
    """A pidfd of it. Raises OSError, and ends it, where this process may open no more files."""
    try:
        return os.pidfd_open(popen.pid)
    except OSError:
        popen.kill()
        popen.wait()
        raise


def _why_not_started(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return f"{error.filename or 'its disk'} is on a file system that is read-only: let this user write there"
    return str(error)


_KILLED_FOR_MEMORY = (
    ", perhaps out of memory: while it ran the kernel ended a process for want of it, of the machine or a control group"
)
_SIGNALS_OF_PEOPLE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}

_MEANINGS = {
    0: " (it ended in order)",
    1: " (an executor failed)",
    NOT_STARTED: " (it could not start)",
    PORT_TAKEN: " (somebody else listens on its port)",
    20: " (an internal error)",
    21: " (an executor was stuck)",
}
