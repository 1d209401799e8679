"""Nimbus as a process that can die at each line that others see, and how everybody else calls the one that leads."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from event_loop import HostClock, Loop, Process

from storm.cluster.leader_election import LeaderElection
from storm.cluster.records import NimbusInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import BlobCorruptError, BlobStoreError, NimbusUnreachableError, StormError
from storm.nimbus.core import NimbusCore
from storm.nimbus.inbox import DirectRequests
from storm.nimbus.service import NimbusService

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from simulated_cluster import SimulatedCluster

    from storm.blobstore.blob_store import BlobMeta, BlobStore
    from storm.supervisor.assignment_sync import BlobHash

BeatKey = tuple[str, str, int, frozenset[tuple[int, int]]]  # topology, host, port, executors

RETRY_SECS_MAX = 10.0
BOOT_SECS = 0.2
FILES: Any = None  # uploads and downloads over Thrift are not part of a simulation


class NimbusBlobs:
    """The store that all Nimbuses share; whoever changes it may die before or after that."""

    def __init__(self, process: NimbusProcess, store: BlobStore) -> None:
        self._process = process
        self._store = store

    def create(self, key: str, chunks: Iterable[bytes]) -> BlobMeta:
        self._process.act(f"stores {key}")
        if self._process.place.disk_is_full:
            raise BlobStoreError(f"Cannot store {key}: no space is left on the disk.")
        meta = self._store.create(key, chunks)
        self._process.act(f"has stored {key}")
        return meta

    def read(self, key: str) -> Iterator[bytes]:
        return self._store.read(key)

    def meta(self, key: str) -> BlobMeta:
        return self._store.meta(key)

    def delete(self, key: str) -> None:
        self._process.act(f"deletes {key}")
        self._store.delete(key)

    def keys(self, prefix: str = "") -> list[str]:
        return self._store.keys(prefix)


class NimbusProcess(Process):
    """One Nimbus: the real core and service."""

    def __init__(self, cluster: SimulatedCluster, place: NimbusPlace, number: int) -> None:
        super().__init__(cluster.events, f"{place.host}#{number}")
        self.cluster = cluster
        self.place = place
        self.told: dict[BeatKey, float] = {}  # when it last heard of whom
        self.session = cluster.zookeeper.session(self, place.host)
        info = NimbusInfo(place.host, 6627, place.clock.wall_secs(), "simulated")
        election = LeaderElection(self.session, info, self._wake)
        state = StormClusterState(self.session, election.fence)
        self._failures = 0
        self._steps = Loop(self, "steps", self._step)
        self.core = NimbusCore(
            cluster.nimbus_options,
            clock=place.clock,
            cluster_state=state,
            blob_store=NimbusBlobs(self, cluster.blobs),
            election=election,
            wake=self._wake,
        )
        self.core._scheduler = cluster.checks.watched(self, self.core._scheduler)
        self.service = NimbusService(
            self.core, DirectRequests(), uploads=FILES, downloads=FILES, blob_store=cluster.blobs
        )
        self._steps.wake(self.events.soon(BOOT_SECS))

    def act(self, what: str) -> None:
        """It does something that others see."""
        self.require_alive()
        self.events.note(f"{self.name} {what}")
        self.cluster.weather.before_operation(self, what)

    @property
    def serves(self) -> bool:
        """Whether it leads and answers."""
        return self.alive and not self.paused and self.core.leads

    def on_death(self) -> None:
        self.session.part()

    def on_pause(self) -> None:
        self.session.part()

    def on_resume(self) -> None:
        self.session.reconnect()

    def _wake(self) -> None:
        self._steps.wake()

    def _step(self) -> float:
        try:
            secs = self.core.step()
        except StormError:
            self._failures += 1
            return min(0.5 * 2.0 ** min(self._failures, 10), RETRY_SECS_MAX)
        self._failures = 0
        if self.core.leads:
            self.cluster.checks.nimbus_stepped(self)
        return secs


class NimbusPlace:
    """A machine for one Nimbus."""

    def __init__(self, cluster: SimulatedCluster, number: int) -> None:
        self.host = f"nimbus{number}"
        self.clock = HostClock(cluster.events.clock, cluster.rng.uniform(0, 1e6), cluster.rng.randint(-2, 2))
        self.process: NimbusProcess | None = None
        self.disk_is_full = False
        self._cluster = cluster
        self._starts = 0

    def start(self) -> None:
        """Unless it runs."""
        if self.process is None or not self.process.alive:
            self._starts += 1
            self.process = NimbusProcess(self._cluster, self, self._starts)


class NimbusLink:
    """How a host's processes call the Nimbus that leads."""

    def __init__(self, cluster: SimulatedCluster, host: str) -> None:
        self._cluster = cluster
        self._host = host

    def call(self, method: str, *arguments: Any) -> Any:
        leader = self._leader()
        answer = getattr(leader.service, method)(*arguments)
        beats = arguments[0].worker_heartbeats if method == "sendSupervisorWorkerHeartbeats" else arguments
        for beat in beats:
            executors = frozenset((each.task_start, each.task_end) for each in beat.executors)
            leader.told[beat.storm_id, self._host, beat.port, executors] = leader.events.clock.now()
        return answer

    def download(self, wanted: Sequence[BlobHash]) -> dict[str, bytes]:
        """All blobs of a topology."""
        self._leader()
        found = {}
        for key, sha256 in wanted:
            data = b"".join(self._cluster.blobs.read(key))
            if self._cluster.weather.strikes("download damaged"):
                data = data[:-1]
            if hashlib.sha256(data).hexdigest() != sha256:
                raise BlobCorruptError(f"{key} is not what it should be")
            found[key] = data
        return found

    def close(self) -> None:
        """There is nothing to close."""

    def _leader(self) -> NimbusProcess:
        leader = self._cluster.leader()
        if leader is None or self._host in self._cluster.far_from_nimbus:
            raise NimbusUnreachableError("no Nimbus leads, or it cannot be reached")
        if self._cluster.weather.strikes("heartbeat lost"):
            raise NimbusUnreachableError("no answer came")
        return leader
