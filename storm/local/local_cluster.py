"""A whole cluster in one process: Nimbus, supervisors and workers over state in memory.

The parts are those of a real cluster, built by the same functions: only that ZooKeeper is a tree in memory, that
workers are threads, and that frames go through queues. It is for trying topologies out and for tests.
"""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from storm.blobstore.blob_store import code_key
from storm.blobstore.memory import MemoryBlobStore
from storm.clock import SystemClock
from storm.cluster.leader_election import LeaderElection
from storm.cluster.memory import MemoryTree
from storm.cluster.records import NimbusInfo, RebalanceRequest
from storm.cluster.storm_cluster_state import StormClusterState
from storm.config.blob_map import KEY as BLOB_MAP_KEY
from storm.config.settings import Settings
from storm.errors import StormError
from storm.local.worker_threads import HOST, LocalBlobs, WorkerThread, WorkerThreads
from storm.messaging.in_process import InProcessNetwork
from storm.metrics.series import components_part
from storm.nimbus.core import NimbusCore, SubmitRequest
from storm.nimbus.heartbeats import WorkerBeat as NimbusBeat
from storm.nimbus.options import NimbusOptions
from storm.nimbus.pending_submissions import COUNT_KEY as REPLICAS_KEY
from storm.nimbus.queries import NimbusQueries
from storm.supervisor.core import Shell, SupervisorCore
from storm.supervisor.local_state import MemoryState
from storm.supervisor.options import SupervisorOptions
from storm.supervisor.worker_beats import WorkerBeat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.clock import Clock
    from storm.ids import ComponentId, TopologyId
    from storm.topology.structure import StormTopology

FIRST_PORT = 6700
BEAT_SECS = 0.25
WAIT_SECS = 30.0
POLL_SECS = 0.01
DEFAULTS: dict[str, Any] = {"nimbus.monitor.freq.secs": 1, "topology.message.timeout.secs": 30}


class LocalCluster:
    """Runs topologies in this process; a context manager, which ends everything.

        with LocalCluster() as cluster:
            cluster.submit("words", topology)
            cluster.wait_for(lambda: counted == 3)

    `settings` are keys of storm.yaml and defaults of topologies. Its methods may be called by any thread.
    """

    def __init__(
        self,
        *,
        supervisors: int = 1,
        slots: int = 4,
        settings: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._settings = Settings.of({**DEFAULTS, **(settings or {})}, "LocalCluster")
        self._directory = tempfile.TemporaryDirectory(prefix="storm-local-")
        self._tree = MemoryTree()
        self._network = InProcessNetwork()
        self._blobs = MemoryBlobStore()
        self._lock = threading.RLock()  # Nimbus and the supervisors belong to who holds it
        self._wakes = threading.Event()
        self._stopped = False
        self._beat_at = 0.0
        self._failure: BaseException | None = None
        self._nimbus = self._build_nimbus()
        self._supervisors = [self._build_supervisor(i, slots) for i in range(supervisors)]
        self._thread = threading.Thread(target=self._run, name="local-cluster", daemon=True)
        self._thread.start()
        self.wait_for(lambda: self._nimbus.leads and len(self._nimbus.snapshot.supervisors) == supervisors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.shutdown()

    # What a client can do

    def submit(
        self, name: str, topology: StormTopology, conf: Mapping[str, Any] | None = None, *, active: bool = True
    ) -> TopologyId:
        """Run a topology; its id. Raises InvalidTopologyError, TopologyAlreadyAliveError.

        It fetches no blobs: its components find files of their local names in the current directory. It waits for no
        second Nimbus, whatever the conf says.
        """
        chosen = {**(conf or {}), BLOB_MAP_KEY: {}, REPLICAS_KEY: 1}
        request = SubmitRequest(name, json.dumps(chosen), topology, [b""], active=active, owner="local")
        with self._lock:
            return self._nimbus.submit(request)

    def kill(self, name: str, wait_secs: int = 0, *, wait: bool = True) -> None:
        """Stop its spouts, after `wait_secs` its workers, and remove it; with `wait`, return when it is gone."""
        with self._lock:
            topology_id = self._nimbus.snapshot.id_of(name)
            self._nimbus.kill(name, wait_secs)
        if wait:
            self.wait_for(lambda: self._is_gone(topology_id), WAIT_SECS + wait_secs)

    def activate(self, name: str) -> None:
        """Let its spouts emit again."""
        with self._lock:
            self._nimbus.activate(name)

    def deactivate(self, name: str) -> None:
        """Stop its spouts."""
        with self._lock:
            self._nimbus.deactivate(name)

    def rebalance(
        self,
        name: str,
        *,
        num_workers: int | None = None,
        executors: Mapping[str, int] | None = None,
        wait_secs: int = 0,
    ) -> None:
        """Change its workers and executors."""
        with self._lock:
            self._nimbus.rebalance(name, RebalanceRequest(num_workers, dict(executors or {})), wait_secs)

    def page(self, name: str, window: str = ":all-time", *, system: bool = False) -> Any:
        """Components, workers, figures, and why spouts do not emit, a TopologyPageInfo of Thrift.

        Raises TopologyNotAliveError.
        """
        with self._lock:
            self._beat()
            topology_id = self._queries().getTopologySummaryByName(name).id
            return self._queries().getTopologyPageInfo(topology_id, window, system)

    def component_page(self, name: str, component_id: ComponentId, window: str = ":all-time") -> Any:
        """Its streams and executors: figures, queues, what keeps each from working, a spout's last failures; a
        ComponentPageInfo of Thrift. Raises TopologyNotAliveError, for a component that is not there too.
        """
        with self._lock:
            self._beat()
            topology_id = self._queries().getTopologySummaryByName(name).id
            return self._queries().getComponentPageInfo(topology_id, component_id, window, False)

    def errors(self, name: str) -> dict[str, list[str]]:
        """{component: its last errors, newest first}."""
        with self._lock:
            info = self._queries().getTopologyInfoByName(name)
            return {component: [error.error for error in found] for component, found in info.errors.items() if found}

    def is_failing(self) -> bool:
        """Whether a worker has failed whose end, and what Nimbus knows of it, is still to come."""
        return any(
            thread.worker.lanes.failure is not None
            for _, workers in self._supervisors
            for thread in workers.running().values()
        )

    def wait_for(self, condition: Callable[[], object], timeout_secs: float = WAIT_SECS) -> None:
        """Return when `condition()` is true. Raises StormError after `timeout_secs`."""
        deadline = self._clock.now() + timeout_secs
        while not condition():
            if self._failure is not None:
                raise StormError("the local cluster has failed") from self._failure
            if self._clock.now() > deadline:
                raise StormError(f"what was waited for has not come within {timeout_secs:g} s")
            self._clock.sleep(POLL_SECS)

    def shutdown(self) -> None:
        """End all topologies and the cluster; a second call does nothing."""
        self._stopped = True
        self._wakes.set()
        self._thread.join(WAIT_SECS)
        for _, workers in self._supervisors:
            workers.stop()
        self._directory.cleanup()

    # How it is made

    def _build_nimbus(self) -> NimbusCore:
        options = replace(NimbusOptions.from_settings(self._settings), deletion_delay_secs=0)
        info = NimbusInfo(HOST, options.port, self._clock.wall_secs(), "local")
        storage = self._tree.session()
        election = LeaderElection(storage, info, random.Random(), self._wakes.set)
        state = StormClusterState(storage, election.fence)
        state.prepare()
        state.put_nimbus(info)
        return NimbusCore(
            options,
            clock=self._clock,
            cluster_state=state,
            blob_store=self._blobs,
            election=election,
            wake=self._wakes.set,
        )

    def _build_supervisor(self, i: int, slots: int) -> tuple[SupervisorCore, WorkerThreads]:
        directory = Path(self._directory.name)
        node_id = f"local-{i + 1}"
        ports = tuple(range(FIRST_PORT + i * slots, FIRST_PORT + (i + 1) * slots))
        options = replace(
            SupervisorOptions.from_settings(self._settings),
            node_id=node_id, host=HOST, bind_host=HOST, slot_ports=ports, local_dir=directory, log_dir=directory,
        )  # fmt: skip
        blobs = LocalBlobs(self._blobs, directory / "stormdist")
        state = StormClusterState(self._tree.session())
        workers = WorkerThreads(node_id, self._settings, blobs, state, self._network, self._clock)
        workers.wake = self._wakes.set

        def changed() -> None:
            core.wake()
            self._wakes.set()

        def has_code(topology_id: TopologyId) -> bool:
            return bool(self._blobs.keys(code_key(topology_id)))

        shell = Shell(self._wakes.set, self._wakes.set, changed, has_code)
        core = SupervisorCore(
            options, clock=self._clock, blobs=blobs, workers=workers, local_state=MemoryState(), shell=shell
        )
        core.attach(state)
        return core, workers

    def _queries(self) -> NimbusQueries:
        return NimbusQueries(self._nimbus)

    # How it runs

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._wakes.clear()
                with self._lock:
                    wait_secs = self._step()
                self._wakes.wait(max(0.0, wait_secs))
        except BaseException as error:
            self._failure = error
            raise

    def _step(self) -> float:
        nimbus_secs = self._nimbus.step()
        due = min(core.step() for core, _ in self._supervisors)
        now = self._clock.now()
        if now >= self._beat_at:
            self._beat_at = now + BEAT_SECS
            self._beat()
        return min(nimbus_secs, due - now, self._beat_at - now)

    def _beat(self) -> None:
        for core, workers in self._supervisors:
            for worker_id, thread in workers.running().items():
                launch = thread.worker.launch
                with contextlib.suppress(StormError):  # a worker that is being replaced beats no more
                    is_prepared = not thread.worker.opening()
                    core.receive_beat(
                        WorkerBeat(worker_id, launch.topology_id, launch.port, None, is_prepared=is_prepared)
                    )
                    self._nimbus.record([self._nimbus_beat(thread)])

    def _nimbus_beat(self, thread: WorkerThread) -> NimbusBeat:
        launch = thread.worker.launch
        return NimbusBeat(
            launch.topology_id,
            frozenset(launch.executors),
            self._clock.wall_secs(),
            launch.node_id,
            launch.port,
            int(self._clock.now() - thread.started_at),
            thread.stats(),
            thread.insights.worker(),
            metrics=components_part(thread.worker.metrics.text),
        )

    def _is_gone(self, topology_id: TopologyId | None) -> bool:
        held = (core.slots.running().values() for core, _ in self._supervisors)
        running = any(handle.assignment.topology_id == topology_id for handles in held for handle in handles)
        return topology_id not in self._nimbus.snapshot.bases and not running
