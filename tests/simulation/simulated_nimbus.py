"""Nimbus as a process that can die at each line that others see, and how everybody else calls the one that leads."""

from __future__ import annotations

import contextlib
import hashlib
import random
from typing import TYPE_CHECKING, Any

from direct_requests import DirectRequests
from event_loop import HostClock, Loop, Process

from storm.cluster.leader_election import LeaderElection
from storm.cluster.records import NimbusInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import (
    BlobCorruptError,
    BlobStoreError,
    CoordinationError,
    NoPermissionError,
    StormError,
    ThriftConnectionError,
    ThriftTimeoutError,
)
from storm.nimbus.core import NimbusCore
from storm.nimbus.service import NimbusService
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from simulated_cluster import SimulatedCluster

    from storm.blobstore.blob_store import BlobMeta, BlobStore
    from storm.clock import Clock
    from storm.supervisor.assignment_sync import BlobHash
    from storm.thrift.nimbus_client import Address

BeatKey = tuple[str, str, int, frozenset[tuple[int, int]]]  # topology, host, port, executors

PORT = 6627
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
        place = self._process.place
        if place.disk_is_full or place.disk_is_read_only:
            raise BlobStoreError(f"Cannot store {key}: the disk takes nothing.")
        meta = self._store.create(key, chunks)
        self._process.act(f"has stored {key}")
        return meta

    def read(self, key: str) -> Iterator[bytes]:
        return self._store.read(key)

    def meta(self, key: str) -> BlobMeta:
        return self._store.meta(key)

    def delete(self, key: str) -> None:
        self._process.act(f"deletes {key}")
        if self._process.place.disk_is_read_only:
            raise BlobStoreError(f"Cannot delete {key}: the file system is read-only.")
        self._store.delete(key)

    def keys(self, prefix: str = "") -> list[str]:
        return self._store.keys(prefix)


class NimbusProcess(Process):
    """One Nimbus: the real core and service."""

    def __init__(self, cluster: SimulatedCluster, place: NimbusPlace, number: int) -> None:
        super().__init__(cluster.events, f"{place.host}#{number}")
        self.cluster = cluster
        self.place = place
        self.session = cluster.zookeeper.session(self, place.host)
        info = NimbusInfo(place.host, PORT, place.clock.wall_secs(), "simulated")
        election = LeaderElection(self.session, info, random.Random(self.name), self._wake)
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

    def _step(self) -> float | None:
        try:
            secs = self.core.step()
        except NoPermissionError as error:
            self.core.abandon()
            with contextlib.suppress(CoordinationError):
                self.core.election.leave()
            self.die(f"refused: {error}")
            return None
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
        self.disk_is_read_only = False
        self._cluster = cluster
        self._starts = 0

    def start(self) -> None:
        """Unless it runs."""
        if self.process is None or not self.process.alive:
            self._starts += 1
            self.process = NimbusProcess(self._cluster, self, self._starts)


class CallersClock:
    """A host's clock for who calls Nimbus: a pause between two attempts takes no time."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self.wall_secs = clock.wall_secs

    def sleep(self, secs: float) -> None:
        pass

    def process_secs(self) -> float:
        return 0.0

    def queued_secs(self) -> float:
        return 0.0


class NimbusLink(NimbusClient):
    """How a host's processes call the Nimbus that leads: the real client, which holds on to the one that it found.
    `caller` may die while Nimbus stands in the midst of its answer; None: what calls is no process.
    """

    def __init__(self, cluster: SimulatedCluster, host: str, clock: Clock, caller: Process | None = None) -> None:
        seeds = [place.host for place in cluster.nimbuses]
        super().__init__(seeds, PORT, timeout_secs=1.0, leader_wait_secs=0.0, clock=CallersClock(clock))
        self._cluster = cluster
        self._host = host
        self._caller = caller

    def download(self, wanted: Sequence[BlobHash]) -> dict[str, bytes]:
        """All blobs of a topology."""
        self.call("getLeader")
        found = {}
        for key, sha256 in wanted:
            data = b"".join(self._cluster.blobs.read(key))
            if self._cluster.weather.strikes("download damaged"):
                data = data[:-1]
            if hashlib.sha256(data).hexdigest() != sha256:
                raise BlobCorruptError(f"{key} is not what it should be")
            found[key] = data
        return found

    def _client(self, address: Address) -> NimbusConnection:  # type: ignore[override]
        return NimbusConnection(self._cluster, self._host, address, self._caller)


class NimbusConnection:
    """Stands for a `ThriftClient` of one Nimbus, until that Nimbus ends."""

    def __init__(self, cluster: SimulatedCluster, near: str, address: Address, caller: Process | None) -> None:
        self.host, self.port = address
        self.address = f"{address.host}:{address.port}"
        self._cluster = cluster
        self._near = near
        self._caller = caller
        self._process = next(place.process for place in cluster.nimbuses if place.host == address.host)

    def __enter__(self) -> NimbusConnection:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def call(self, method: str, *arguments: Any) -> Any:
        process, cluster = self._process, self._cluster
        if process is None or not process.alive:
            raise ThriftConnectionError(f"{self.address}: nobody listens there")
        is_far = self._near in cluster.far_from_nimbus
        if is_far or process.paused or cluster.weather.strikes("heartbeat lost"):
            raise ThriftTimeoutError(f"{self.address}: no answer came", sent=True)
        answers: list[Any] = []
        refusals: list[StormError] = []

        def asked() -> None:
            try:
                answers.append(getattr(process.service, method)(*arguments))
                self._note_beats(method, arguments)
            except StormError as error:
                refusals.append(error)

        process.run(asked)
        if self._caller is not None:
            self._caller.require_alive()
        if cluster.weather.strikes("answer of Nimbus lost"):
            raise ThriftTimeoutError(f"{self.address}: no answer came", sent=True)
        if refusals:
            raise refusals[0]
        if not answers:
            raise ThriftTimeoutError(f"{self.address}: no answer came", sent=True)
        return answers[0]

    def _note_beats(self, method: str, arguments: tuple[Any, ...]) -> None:
        """Remember of whom a Nimbus heard, if that is what was called."""
        if method == "sendSupervisorWorkerHeartbeats":
            beats = arguments[0].worker_heartbeats
        elif method == "sendSupervisorWorkerHeartbeat":
            beats = arguments
        else:
            return
        for beat in beats:
            executors = frozenset((each.task_start, each.task_end) for each in beat.executors)
            self._cluster.told[beat.storm_id, self._near, beat.port, executors] = self._cluster.events.clock.now()

    def close(self) -> None:
        """There is nothing to close."""
