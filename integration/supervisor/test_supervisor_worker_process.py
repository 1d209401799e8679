"""Worker processes as the supervisor's core sees them: the contract, and what only real processes can show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from supervisor_site import is_alive, wait_until
from workers_contract import ASSIGNMENT, PORT, WorkersContract

from storm.errors import WorkerStartError
from storm.supervisor import process_table
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.wakeup import Wakeup
from storm.supervisor.worker_launch import launched_with
from storm.supervisor.worker_process import Surroundings, WorkerProcesses, exit_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm.supervisor.assignment_sync import LocalAssignment
    from storm.supervisor.slot import WorkerSeen
    from storm.supervisor.slot_runner import WorkerHandle

POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
print("up", flush=True)
time.sleep(600)
"""
LEAVES_A_CHILD = """
import subprocess, time
print("child", subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
print("up", flush=True)
time.sleep(600)
"""
WAIT_SECS = 30.0


class ProcessMachine:
    """A directory with workers that run `program`, which prints "up" when signals find it ready."""

    def __init__(self, directory: Path, program: str = POLITE) -> None:
        self.options = SupervisorOptions(directory, directory / "logs", node_id="n1")
        self.command = lambda record, file: [sys.executable, "-c", program, record["worker_id"], str(file)]
        dist = self.options.supervisor_dir / "stormdist" / ASSIGNMENT.topology_id
        dist.mkdir(parents=True)
        (dist / "stormconf.ser").write_text("{}")
        self.made: list[WorkerProcesses] = []
        self.workers = self.restarted()

    def restarted(self) -> WorkerProcesses:
        machine = self

        class ReadyWorkers(WorkerProcesses):
            def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
                handle = super().launch(port, assignment)
                wait_until(lambda: b"up" in machine.log(port).read_bytes(), "the program is up")
                return handle

        self.made.append(ReadyWorkers(self.options, {}, lambda: str(uuid.uuid4()), self.command))
        return self.made[-1]

    def ended(self, worker: WorkerHandle) -> WorkerSeen:
        deadline = time.monotonic() + WAIT_SECS
        while self.workers.look(worker).exit_text is None:
            assert time.monotonic() < deadline, "the worker does not end"
            self.workers.wait(1.0)
        return self.workers.look(worker)

    def log(self, port: int) -> Path:
        return self.options.artifacts_dir / ASSIGNMENT.topology_id / str(port) / "worker.log"

    def close(self) -> None:
        last = self.restarted()
        for worker in last.adopt():
            last.kill(worker, force=True)
        for workers in self.made:
            workers.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[ProcessMachine]:
    found = ProcessMachine(tmp_path)
    yield found
    found.close()


class TestWorkerProcesses(WorkersContract):
    pass


def test_a_worker_is_a_session_of_its_own_with_its_output_in_its_log(machine: ProcessMachine) -> None:
    worker = machine.workers.launch(PORT, ASSIGNMENT)
    assert os.getsid(worker.pid) == worker.pid
    assert machine.workers.log_tail(ASSIGNMENT.topology_id, PORT) == "up"
    assert Path(f"/proc/{worker.pid}/cwd").resolve() == machine.options.workers_dir / worker.worker_id
    assert machine.workers.resident_bytes(worker) > 1 << 20


def test_a_worker_is_told_how_often_those_before_it_died(machine: ProcessMachine) -> None:
    surroundings = Surroundings(deaths_of={PORT: 2}.__getitem__)
    workers = WorkerProcesses(machine.options, {}, lambda: str(uuid.uuid4()), machine.command, surroundings)
    machine.made.append(workers)
    workers.launch(PORT, ASSIGNMENT)
    assert launched_with(machine.options.workers_dir, "deaths") == [2]


def test_a_process_with_the_same_arguments_elsewhere_is_not_adopted_and_not_killed(machine: ProcessMachine) -> None:
    worker = machine.workers.launch(PORT, ASSIGNMENT)
    foreign = "/elsewhere/workers/" + worker.worker_id + "/launch.json"
    bystander = subprocess.Popen(
        ["sleep", "600"], executable="/bin/sleep", start_new_session=True, env={"STORM_WORKER_ID": "another"}
    )
    named = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)", worker.worker_id, foreign], start_new_session=True
    )
    successor = machine.restarted()
    assert successor.adopt() == [worker]
    successor.kill(worker, force=True)
    successor.forget(worker)
    assert (bystander.poll(), named.poll()) == (None, None)
    for process in (bystander, named):
        process.kill()
        process.wait()


def test_what_a_dead_worker_left_behind_is_ended_also_if_it_died_unseen(tmp_path: Path) -> None:
    machine = ProcessMachine(tmp_path, LEAVES_A_CHILD)
    worker = machine.workers.launch(PORT, ASSIGNMENT)
    child = int(machine.log(PORT).read_text().split()[1])
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(child)
    assert machine.restarted().adopt() == []
    wait_until(lambda: not is_alive(child), "the child has ended")
    assert list(machine.options.workers_dir.iterdir()) == []
    machine.close()


def test_a_worker_that_is_told_to_end_before_it_can_hear_of_it_ends_in_order_too(machine: ProcessMachine) -> None:
    no_zookeeper = {"storm.zookeeper.servers": ["127.0.0.1:1"]}
    machine.workers = WorkerProcesses(machine.options, no_zookeeper, lambda: str(uuid.uuid4()))  # of real workers
    machine.workers.supervisor_port = 1
    machine.made.append(machine.workers)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    worker = machine.workers.launch(PORT, ASSIGNMENT)
    machine.workers.kill(worker, force=False)
    seen = machine.ended(worker)
    log = machine.log(PORT).read_text()
    assert (seen.exit_text, seen.orderly) == ("exited with code 0 (it ended in order)", True), log
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == before


def test_an_own_dead_worker_is_reaped(machine: ProcessMachine) -> None:
    worker = machine.workers.launch(PORT, ASSIGNMENT)
    machine.workers.kill(worker, force=True)
    machine.ended(worker)
    machine.workers.forget(worker)
    assert not Path(f"/proc/{worker.pid}").exists()
    assert not (machine.options.workers_dir / worker.worker_id).exists()


def test_a_command_that_is_not_there_is_said_and_leaves_nothing(machine: ProcessMachine) -> None:
    machine.command = lambda record, file: ["/no/such/python"]
    with pytest.raises(WorkerStartError, match="/no/such/python"):
        machine.restarted().launch(PORT, ASSIGNMENT)
    assert list(machine.options.workers_dir.iterdir()) == []


def test_a_directory_that_cannot_be_removed_with_its_worker_is_removed_before_the_next_one(
    machine: ProcessMachine,
) -> None:
    worker = machine.workers.launch(PORT, ASSIGNMENT)
    directory = machine.options.workers_dir / worker.worker_id
    elsewhere = machine.options.local_dir / "elsewhere"
    directory.rename(elsewhere)
    directory.symlink_to(elsewhere)  # which is not removed, whoever asks
    machine.workers.kill(worker, force=True)
    machine.ended(worker)
    machine.workers.forget(worker)
    assert directory.exists()
    directory.unlink()
    elsewhere.rename(directory)
    successor = machine.workers.launch(PORT, ASSIGNMENT)
    assert [path.name for path in machine.options.workers_dir.iterdir()] == [successor.worker_id]


def test_a_wakeup_ends_a_wait(machine: ProcessMachine) -> None:
    wakeup = Wakeup()
    workers = WorkerProcesses(machine.options, {}, lambda: "none", wakeup=wakeup)
    machine.made.append(workers)
    wakeup.wake()
    workers.wait(None)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exited with code 0 (it ended in order)"),
        (13, "exited with code 13 (it could not start)"),
        (14, "exited with code 14 (somebody else listens on its port)"),
        (7, "exited with code 7"),
        (-11, "was killed by signal 11 (SIGSEGV)"),
        (-9, "was killed by signal 9 (SIGKILL), perhaps because the machine was out of memory"),
        (-100, "was killed by signal 100 (unknown)"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, text: str) -> None:
    assert exit_text(code) == text


def test_a_kill_that_the_kernel_did_not_count_came_from_outside(
    machine: ProcessMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for counted, from_outside, said in (
        (5, True, "from outside"), (6, False, "while it ran the kernel"), (None, False, "perhaps because"),
    ):  # fmt: skip
        monkeypatch.setattr(process_table, "memory_kills", lambda: 5)
        worker = machine.workers.launch(PORT, ASSIGNMENT)
        monkeypatch.setattr(process_table, "memory_kills", lambda counted=counted: counted)
        os.kill(worker.pid, signal.SIGKILL)
        seen = machine.ended(worker)
        assert seen.from_outside == from_outside
        assert seen.exit_text is not None
        assert said in seen.exit_text
