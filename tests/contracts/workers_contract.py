"""What a supervisor relies on in its workers, whether they are processes or a model of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from storm.ids import ExecutorId
from storm.supervisor.assignment_sync import BlobHash, LocalAssignment

if TYPE_CHECKING:
    from storm.supervisor.slot import WorkerSeen
    from storm.supervisor.slot_runner import WorkerHandle, Workers

PORT = 6700
ASSIGNMENT = LocalAssignment("words-1-1", (ExecutorId(1, 2),), 3, (BlobHash("words-1-1-stormconf.ser", "00"),))


class Machine(Protocol):
    """What the fixture `machine` gives: the workers, and how to wait for one that is to end."""

    workers: Workers

    def restarted(self) -> Workers:
        """The workers as the next supervisor on this machine sees them."""

    def ended(self, worker: WorkerHandle) -> WorkerSeen:
        """Wait until the worker has ended; how."""


class WorkersContract:
    """Derive from it and give a fixture `machine`."""

    def test_a_launched_worker_lives(self, machine: Machine) -> None:
        worker = machine.workers.launch(PORT, ASSIGNMENT)
        assert (worker.port, worker.assignment) == (PORT, ASSIGNMENT)
        assert machine.workers.look(worker).exit_text is None

    def test_a_polite_end_is_orderly(self, machine: Machine) -> None:
        worker = machine.workers.launch(PORT, ASSIGNMENT)
        machine.workers.kill(worker, force=False)
        seen = machine.ended(worker)
        assert seen.exit_text == "exited with code 0 (it ended in order)"
        assert seen.orderly

    def test_a_forced_end_is_not(self, machine: Machine) -> None:
        worker = machine.workers.launch(PORT, ASSIGNMENT)
        machine.workers.kill(worker, force=True)
        seen = machine.ended(worker)
        assert seen.exit_text is not None
        assert seen.exit_text.startswith("was killed by signal 9 (SIGKILL)")
        assert not seen.orderly

    def test_a_dead_worker_stays_dead_and_may_be_killed_and_forgotten_again(self, machine: Machine) -> None:
        worker = machine.workers.launch(PORT, ASSIGNMENT)
        machine.workers.kill(worker, force=True)
        machine.ended(worker)
        machine.workers.kill(worker, force=True)
        machine.workers.forget(worker)
        machine.workers.forget(worker)
        machine.workers.kill(worker, force=False)
        assert machine.workers.look(worker).exit_text is not None

    def test_what_lives_is_adopted_and_what_is_dead_is_not(self, machine: Machine) -> None:
        living = machine.workers.launch(PORT, ASSIGNMENT)
        dead = machine.workers.launch(PORT + 1, ASSIGNMENT)
        machine.workers.kill(dead, force=True)
        machine.ended(dead)
        assert machine.restarted().adopt() == [living]

    def test_an_adopted_worker_can_be_killed(self, machine: Machine) -> None:
        machine.workers.launch(PORT, ASSIGNMENT)
        machine.workers = machine.restarted()
        (worker,) = machine.workers.adopt()
        machine.workers.kill(worker, force=True)
        assert machine.ended(worker).exit_text is not None
        machine.workers.forget(worker)
        assert machine.restarted().adopt() == []
