"""Models of a supervisor's machine, without processes or downloads: for its tests and for simulations.

`ModelWorkers` passes the same contract as `storm.supervisor.worker_process.WorkerProcesses`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storm.errors import WorkerStartError
from storm.supervisor.slot import BlobsSeen, BlobsState, WorkerSeen
from storm.supervisor.slot_runner import WorkerHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.ids import TopologyId
    from storm.supervisor.assignment_sync import LocalAssignment


@dataclass
class ModelProcess:
    """A process of the model; `is_deaf` ones ignore a polite request to end."""

    handle: WorkerHandle
    seen: WorkerSeen
    is_deaf: bool = False


class ModelWorkers:
    """The processes of one machine: they outlive the supervisor, so a new supervisor is given the same model."""

    def __init__(self) -> None:
        self.processes: dict[str, ModelProcess] = {}
        self.launched: list[WorkerHandle] = []
        self.launch_failure: str | None = None
        self.are_deaf = False
        self.are_unkillable = False
        self._numbers = itertools.count(1)

    def alive(self, port: int | None = None) -> list[WorkerHandle]:
        """The workers that live, on this port or on all."""
        found = [each.handle for each in self.processes.values() if each.seen.exit_text is None]
        return [handle for handle in found if port is None or handle.port == port]

    def die(self, worker: WorkerHandle, seen: WorkerSeen | None = None) -> None:
        """The worker ends by itself; nothing happens if it is dead."""
        process = self.processes.get(worker.worker_id)
        if process is not None and process.seen.exit_text is None:
            process.seen = seen or WorkerSeen("exited with code 1 (an executor failed)")

    def adopt(self) -> list[WorkerHandle]:
        for worker_id in [each for each, process in self.processes.items() if process.seen.exit_text is not None]:
            del self.processes[worker_id]
        return self.alive()

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        if self.launch_failure is not None:
            raise WorkerStartError(self.launch_failure)
        handle = WorkerHandle(f"worker-{next(self._numbers)}", port, assignment)
        self.processes[handle.worker_id] = ModelProcess(handle, WorkerSeen(), self.are_deaf)
        self.launched.append(handle)
        return handle

    def look(self, worker: WorkerHandle) -> WorkerSeen:
        process = self.processes.get(worker.worker_id)
        return process.seen if process is not None else WorkerSeen("is gone")

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        process = self.processes.get(worker.worker_id)
        if process is None or process.seen.exit_text is not None or self.are_unkillable:
            return
        if force:
            process.seen = WorkerSeen("was killed by signal 9 (SIGKILL)")
        elif not process.is_deaf:
            process.seen = WorkerSeen("exited with code 0 (it ended in order)", orderly=True)

    def forget(self, worker: WorkerHandle) -> None:
        self.processes.pop(worker.worker_id, None)

    def log_tail(self, topology_id: TopologyId, port: int) -> str:
        return f"last words on {port}"


class ModelBlobs:
    """Code that is here at once, or when `states` says so; `named` blobs, of which `contents` were told.

    `outdated`: the ids of workers that want a restart.
    """

    def __init__(self) -> None:
        self.states: dict[TopologyId, BlobsSeen] = {}
        self.requests: list[LocalAssignment] = []
        self.kept: frozenset[TopologyId] | None = None
        self.timeouts: dict[TopologyId, float] = {}
        self.timeouts_asked: list[TopologyId] = []
        self.outdated: set[str] = set()
        self.named: frozenset[str] = frozenset()
        self.contents: dict[str, str] = {}
        self.make_room: Callable[[], bool] = lambda: False

    def request(self, assignment: LocalAssignment) -> None:
        self.requests.append(assignment)

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        return self.states.get(assignment.topology_id, BlobsSeen(BlobsState.READY))

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        self.kept = topology_ids

    def own_timeout(self, topology_id: TopologyId) -> float | None:
        self.timeouts_asked.append(topology_id)
        return self.timeouts.get(topology_id)

    def wants_restart(self, worker: WorkerHandle) -> bool:
        return worker.worker_id in self.outdated

    def keys(self) -> frozenset[str]:
        return self.named

    def learn(self, contents: Mapping[str, str]) -> dict[str, str]:
        self.contents |= contents
        return dict(contents)
