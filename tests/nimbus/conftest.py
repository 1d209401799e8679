"""A cluster's state in memory, with as many Nimbuses and supervisors as a story needs, and a clock that it moves."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from storm.blobstore.blob_store import verified
from storm.blobstore.memory import MemoryBlobStore
from storm.cluster.leader_election import LeaderElection
from storm.cluster.memory import MemoryTree
from storm.cluster.records import NimbusInfo, SupervisorInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.config.settings import Settings
from storm.errors import StormError
from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.insight_records import NOT_TOLD, Usage
from storm.nimbus.core import NimbusCore, SubmitRequest
from storm.nimbus.heartbeats import WorkerBeat
from storm.nimbus.options import NimbusOptions
from storm.topology.structure import (
    ComponentSpec,
    Grouping,
    GroupingKind,
    PythonObject,
    StormTopology,
    StreamInfo,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storm.cluster.memory import MemoryStorage
    from storm.cluster.records import Assignment
    from storm.metrics.insight_records import WorkerInsight
    from storm.metrics.stats_records import ExecutorStats
    from storm.nimbus.pending_submissions import PendingSubmission


class MovedClock:
    """Time goes on when a test says so."""

    def __init__(self) -> None:
        self.secs = 1000.0
        self.wall_offset = 1_700_000_000

    def now(self) -> float:
        return self.secs

    def wall_secs(self) -> int:
        return int(self.secs) + self.wall_offset

    def process_secs(self) -> float:
        return 0.0

    def queued_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        self.secs += secs


def word_count(words: int = 2, counts: int = 3, count_tasks: int | None = None) -> StormTopology:
    conf = {} if count_tasks is None else {"topology.tasks": count_tasks}
    fields = StreamInfo(("word",))
    return StormTopology(
        {"words": ComponentSpec(PythonObject(b"spout"), {}, {"default": fields}, words)},
        {
            "count": ComponentSpec(
                PythonObject(b"bolt"),
                {GlobalStreamId("words", "default"): Grouping(GroupingKind.FIELDS, ("word",))},
                {},
                counts,
                conf,
            )
        },
    )


class Peers:
    """Fetches blobs from the other Nimbuses' stores, at once; what fails is in `failures`."""

    def __init__(self, cluster: Cluster, nimbus: Nimbus) -> None:
        self.failures: list[str] = []
        self.fetched: list[tuple[str, str]] = []  # key, from whom
        self._cluster = cluster
        self._nimbus = nimbus

    def fetch(self, key: str, sha256: str, nimbuses: tuple[str, ...]) -> None:
        for address in nimbuses:
            peer = self._cluster.reachable.get(address)
            try:
                if peer is None:
                    raise StormError(f"{address} does not answer")
                self._nimbus.blob_store.create(key, verified(peer.blob_store.read(key), key, sha256))
            except StormError as error:
                self.failures.append(str(error))
                continue
            self.fetched.append((key, address))
            self._nimbus.core.wake()
            return


class Nimbus:
    """One Nimbus: its session, election and core. `woken` counts how often it was told to look."""

    def __init__(self, cluster: Cluster, host: str, options: NimbusOptions, blob_store: MemoryBlobStore) -> None:
        self.blob_store = blob_store
        self.storage: MemoryStorage = cluster.tree.session()
        self.info = NimbusInfo(host, 6627, cluster.clock.wall_secs(), "0.1.0")
        self.election = LeaderElection(self.storage, self.info, cluster.rng)
        self.state = StormClusterState(self.storage, self.election.fence)
        self.woken = 0
        self.state.prepare()
        self.state.put_nimbus(self.info)
        self.core = NimbusCore(
            options,
            clock=cluster.clock,
            cluster_state=self.state,
            blob_store=blob_store,
            election=self.election,
            wake=self._wake,
        )
        self.peers = Peers(cluster, self)
        self.core.replication.fetcher = self.peers
        cluster.reachable[self.info.address] = self

    def _wake(self) -> None:
        self.woken += 1


class Cluster:
    word_count = staticmethod(word_count)

    def __init__(self, blob_store: MemoryBlobStore | None = None) -> None:
        self.clock = MovedClock()
        self.rng = random.Random(1)
        self.tree = MemoryTree()
        self.blob_store = blob_store or MemoryBlobStore()
        self.options = replace(NimbusOptions.from_settings(Settings.of({})), monitor_freq_secs=10)
        self.reachable: dict[str, Nimbus] = {}  # the Nimbuses that answer others, by address
        self.nimbus = self.start_nimbus("nimbus-1")
        self.core = self.nimbus.core
        self.state = self.nimbus.state
        self.supervisors: dict[str, StormClusterState] = {}
        self.core.step()

    def start_nimbus(self, host: str, blob_store: MemoryBlobStore | None = None) -> Nimbus:
        """With the first one's blobs, unless it is given others."""
        return Nimbus(self, host, self.options, self.blob_store if blob_store is None else blob_store)

    def kill_nimbus(self, nimbus: Nimbus) -> None:
        """As its host would end: its session expires, and it answers nobody."""
        self.tree.expire(nimbus.storage)
        self.reachable.pop(nimbus.info.address, None)

    def settle(self, *nimbuses: Nimbus, rounds: int = 4) -> None:
        """Let each take some steps in turn, as they wake one another."""
        for _ in range(rounds):
            for nimbus in nimbuses:
                nimbus.core.step()

    def start_supervisor(self, node_id: str, ports: Iterable[int] = range(6700, 6704), **meta: str) -> None:
        storage = self.tree.session()
        state = StormClusterState(storage)
        start = self.clock.wall_secs()
        info = SupervisorInfo(node_id, f"host-{node_id}", tuple(ports), (), 6628, start, "0.1.0", meta)
        state.put_supervisor(info)
        self.supervisors[node_id] = state

    def stop_supervisor(self, node_id: str) -> None:
        self.supervisors.pop(node_id).remove_supervisor(node_id)

    def submit(
        self,
        name: str = "wc",
        topology: StormTopology | None = None,
        conf: Mapping[str, Any] | None = None,
        active: bool = True,
    ) -> str:
        text = json.dumps({"topology.workers": 2, **(conf or {})})
        topology_id = self.core.submit(SubmitRequest(name, text, topology or word_count(), [b"zip"], active))
        self.core.step()
        return topology_id

    def begin(self, nimbus: Nimbus, submission_id: str = "", count: int = 1, **conf: Any) -> PendingSubmission:
        """Submit "wc" to this Nimbus, for so many of them to hold."""
        mine = {"topology.submission.id": submission_id or None, "topology.min.replication.count": count}
        text = json.dumps({"topology.workers": 2, **mine, **conf})
        return nimbus.core.begin_submission(SubmitRequest("wc", text, word_count(), [b"zip"]))

    def assignment(self, topology_id: str) -> Assignment:
        found = self.state.assignment(topology_id)
        assert found is not None
        return found

    def beat(
        self,
        topology_id: str,
        stats: Mapping[ExecutorId, ExecutorStats] | None = None,
        insight: WorkerInsight | None = None,
        usage: Usage = NOT_TOLD,
    ) -> None:
        """Every worker that should run tells that it does; those of missing supervisors tell nothing."""
        for slot, executors in self.assignment(topology_id).slot_executors().items():
            if slot.node_id in self.supervisors:
                own = {executor: one for executor, one in (stats or {}).items() if executor in executors}
                beat = WorkerBeat(
                    topology_id, frozenset(executors), self.clock.wall_secs(), slot.node_id, slot.port, 60, own,
                    insight, usage=usage,
                )  # fmt: skip
                self.core.record([beat])

    def pass_time(self, secs: int, beating: Iterable[str] = ()) -> None:
        """Second by second, with a step each."""
        for _ in range(secs):
            self.clock.secs += 1
            for topology_id in beating:
                self.beat(topology_id)
            self.core.step()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def new_cluster() -> type[Cluster]:
    """For tests that need many."""
    return Cluster


@pytest.fixture
def two_nodes(cluster: Cluster) -> Cluster:
    """A cluster with two supervisors of four slots each."""
    for node in ("a", "b"):
        cluster.start_supervisor(node)
    cluster.core.step()
    return cluster


@pytest.fixture
def follower(two_nodes: Cluster) -> Nimbus:
    """A second Nimbus, with a disk of its own."""
    follower = two_nodes.start_nimbus("nimbus-2", MemoryBlobStore())
    follower.core.step()
    return follower
