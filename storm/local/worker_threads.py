"""Workers as threads of this process: a supervisor's `Workers` and `Blobs` without processes and downloads."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from storm.blobstore.blob_store import code_key, conf_key
from storm.errors import StormError, WorkerStartError
from storm.executor.user_traceback import user_traceback
from storm.host_paths import CONF, TOPOLOGY
from storm.supervisor.slot import BlobsSeen, BlobsState, WorkerSeen
from storm.supervisor.slot_runner import OnlyCode, WorkerHandle
from storm.worker.insight import insights_of
from storm.worker.launch import Launch
from storm.worker.worker import EXIT_ORDERLY, Worker, WorkerParts, build_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storm.blobstore.blob_store import BlobStore
    from storm.clock import Clock
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.config.settings import Settings
    from storm.ids import ExecutorId, NodeId, TopologyId
    from storm.messaging.in_process import InProcessNetwork
    from storm.metrics.stats_records import ExecutorStats
    from storm.supervisor.assignment_sync import LocalAssignment

HOST = "local"
SHUTDOWN_SECS = 5.0
LOOK_SECS = 1.0  # a spout that emitted nothing for so long is silent
REFRESH_SECS = 1.0  # a watch wakes a worker; this is for the case that one is lost


class LocalBlobs(OnlyCode):
    """Topologies' code is in this process already; what workers read of a topology is written to a directory. Blobs
    that topologies name are not for workers of this process.
    """

    def __init__(self, blob_store: BlobStore, directory: Path) -> None:
        self._store = blob_store
        self._directory = directory

    def dist_dir(self, topology_id: TopologyId) -> Path:
        """Where a worker finds its topology."""
        return self._directory / topology_id

    def request(self, assignment: LocalAssignment) -> None:
        topology_id = assignment.topology_id
        directory = self.dist_dir(topology_id)
        directory.mkdir(parents=True, exist_ok=True)
        for key, name in ((code_key(topology_id), TOPOLOGY), (conf_key(topology_id), CONF)):
            (directory / name).write_bytes(b"".join(self._store.read(key)))

    def look(self, assignment: LocalAssignment) -> BlobsSeen:
        return BlobsSeen(BlobsState.READY)

    def keep(self, topology_ids: frozenset[TopologyId]) -> None:
        """What is there stays until the cluster ends."""


class WorkerThread:
    """One worker: its thread, and how it ended."""

    def __init__(self, worker: Worker, name: str, clock: Clock, on_end: Callable[[], None]) -> None:
        self.worker = worker
        self.started_at = clock.now()
        self.insights = insights_of(worker, clock)
        self._clock = clock
        self._seen: dict[ExecutorId, ExecutorStats] = {}
        self._look_due = self.started_at
        self.code: int | None = None
        self.failure = ""
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.start()
            code = self.worker.run(REFRESH_SECS, SHUTDOWN_SECS)
            failure = self.worker.lanes.failure
            self.failure = "" if failure is None else user_traceback(failure)
            self.code = code  # last: whoever sees it looks at the failure
        except Exception as error:  # noqa: BLE001 - what a process would end with, its supervisor is told
            self.failure, self.code = user_traceback(error), 1
        self._on_end()

    def stats(self) -> dict[ExecutorId, ExecutorStats]:
        """Figures as of now, and what executors did when they were last looked at. One thread at a time may call it."""
        now = self._clock.now()
        if now >= self._look_due:
            self._look_due = now + LOOK_SECS
            self._seen = self.insights.executor_stats()
        found = self.worker.lanes.stats()
        for executor, seen in self._seen.items():
            found[executor] = replace(found[executor], insight=seen.insight, failures=seen.failures)
        return found

    def join(self, timeout_secs: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_secs)


class WorkerThreads:
    """A supervisor's `Workers`: each a thread with its lanes, all on one in-process network."""

    def __init__(
        self,
        node_id: NodeId,
        settings: Settings,
        blobs: LocalBlobs,
        state: StormClusterState,
        network: InProcessNetwork,
        clock: Clock,
    ) -> None:
        self.wake: Callable[[], None] = _nothing
        self._node_id = node_id
        self._settings = settings
        self._blobs = blobs
        self._state = state
        self._network = network
        self._clock = clock
        self._threads: dict[str, WorkerThread] = {}
        self._last_words: dict[tuple[TopologyId, int], str] = {}  # of workers that are forgotten
        self._launched = 0

    def adopt(self) -> list[WorkerHandle]:
        return []

    def launch(self, port: int, assignment: LocalAssignment) -> WorkerHandle:
        self._launched += 1
        self._last_words.pop((assignment.topology_id, port), None)
        worker_id = f"{self._node_id}-worker-{self._launched}"
        dist_dir = self._blobs.dist_dir(assignment.topology_id)
        told = Launch(
            topology_id=assignment.topology_id,
            node_id=self._node_id,
            host=HOST,
            bind_host=HOST,
            port=port,
            worker_id=worker_id,
            epoch=assignment.epoch,
            executors=assignment.executors,
            supervisor_port=0,
            dist_dir=dist_dir,
            log_dir=dist_dir,
        )
        transport = self._network.transport()
        try:
            parts = WorkerParts(self._clock, self._state, transport, random.Random(random.SystemRandom().random()))
            worker = build_worker(told, self._settings, parts)
        except StormError as error:
            transport.close()
            raise WorkerStartError(str(error)) from error
        except Exception as error:  # what the user's code raises while it is loaded
            transport.close()
            raise WorkerStartError(user_traceback(error)) from error
        self._threads[worker_id] = WorkerThread(worker, f"worker-{port}", self._clock, self._ended)
        return WorkerHandle(worker_id, port, assignment)

    def _ended(self) -> None:
        self.wake()

    def running(self) -> dict[str, WorkerThread]:
        """{worker id: worker}, of those that have not ended."""
        return {worker_id: thread for worker_id, thread in self._threads.items() if thread.code is None}

    def look(self, worker: WorkerHandle) -> WorkerSeen:
        thread = self._threads[worker.worker_id]
        if thread.code is None:
            return WorkerSeen()
        return WorkerSeen(f"ended with code {thread.code}", orderly=thread.code == EXIT_ORDERLY)

    def kill(self, worker: WorkerHandle, *, force: bool) -> None:
        """A thread cannot be ended by force: it is asked again."""
        self._threads[worker.worker_id].worker.end(EXIT_ORDERLY, "told by its supervisor")

    def forget(self, worker: WorkerHandle) -> None:
        thread = self._threads.pop(worker.worker_id, None)
        if thread is not None and thread.failure:
            self._last_words[worker.assignment.topology_id, worker.port] = thread.failure

    def log_tail(self, topology_id: TopologyId, port: int) -> str:
        """What ended the port's last worker, once it is forgotten: its log is this process's."""
        return self._last_words.get((topology_id, port), "")

    def stop(self) -> None:
        """End all and wait for them."""
        for thread in list(self._threads.values()):
            thread.worker.end(EXIT_ORDERLY, "the local cluster ends")
        for thread in list(self._threads.values()):
            thread.join(SHUTDOWN_SECS)


def _nothing() -> None:
    pass
