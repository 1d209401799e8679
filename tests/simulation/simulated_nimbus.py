"""Nimbus as a process that can die at each line that others see, and how everybody else calls the one that leads."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

from direct_requests import DirectRequests
from event_loop import HostClock, Loop, Process
from simulated_stores import NimbusBlobs, NimbusDisk, NimbusFetcher

from storm.cluster.leader_election import LeaderElection
from storm.cluster.records import NimbusInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import (
    CoordinationError,
    NoPermissionError,
    StormError,
    ThriftConnectionError,
    ThriftTimeoutError,
)
from storm.nimbus.core import NimbusCore
from storm.nimbus.file_transfers import Downloads
from storm.nimbus.service import NimbusService
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from simulated_cluster import SimulatedCluster

    from storm.clock import Clock
    from storm.thrift.nimbus_client import Address

BeatKey = tuple[str, str, int, frozenset[tuple[int, int]]]  # topology, host, port, executors

PORT = 6627
RETRY_SECS_MAX = 10.0
BOOT_SECS = 0.2
UPLOADS: Any = None  # over Thrift they are not part of a simulation
DOWNLOAD_EXPIRY_SECS = 600.0


class NimbusProcess(Process):
    """One Nimbus: the real core and service, and the real fetcher of blobs."""

    def __init__(self, cluster: SimulatedCluster, place: NimbusPlace, number: int) -> None:
        super().__init__(cluster.events, f"{place.host}#{number}")
        self.cluster = cluster
        self.place = place
        self.session = cluster.zookeeper.session(self, place.host)
        info = NimbusInfo(place.host, PORT, place.clock.wall_secs(), "simulated")
        election = LeaderElection(self.session, info, random.Random(self.name), self.wake)
        state = StormClusterState(self.session, election.fence)
        self._failures = 0
        self._steps = Loop(self, "steps", self._step)
        blobs = NimbusBlobs(self, place.disk)
        self.core = NimbusCore(
            cluster.nimbus_options,
            clock=place.clock,
            cluster_state=state,
            blob_store=blobs,
            election=election,
            wake=self.wake,
        )
        self.core.replication.fetcher = NimbusFetcher(self, blobs, self._connection)
        self.core._scheduler = cluster.checks.watched(self, self.core._scheduler)
        downloads = Downloads(blobs, DOWNLOAD_EXPIRY_SECS, clock=place.clock, rng=random.Random(self.name))
        downloads.on_corrupt = self.core.distrust
        self.service = NimbusService(
            self.core, DirectRequests(), uploads=UPLOADS, downloads=downloads, blob_store=blobs
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

    def wake(self) -> None:
        """There is something to look at."""
        self._steps.wake()

    def _connection(self, address: Address) -> NimbusConnection:
        return NimbusConnection(self.cluster, self.place.host, address, self)

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
        self.disk = NimbusDisk()
        self._cluster = cluster
        self._starts = 0

    def start(self) -> None:
        """Unless it runs."""
        if self.process is None or not self.process.alive:
            self._starts += 1
            self.process = NimbusProcess(self._cluster, self, self._starts)

    def lose_disk(self) -> None:
        """Its process ends, and the next one finds an empty disk."""
        if self.process is not None:
            self.process.die("its disk is lost")
        self.disk = NimbusDisk(self._cluster.events.clock.now())


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

    def connection(self, address: Address) -> NimbusConnection:  # type: ignore[override]
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
        if method == "beginBlobDownload" and cluster.weather.strikes("download failed"):
            raise ThriftConnectionError(f"{self.address}: the connection broke")
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
        return _damaged(answers[0]) if self._is_damaged(method) else answers[0]

    def _is_damaged(self, method: str) -> bool:
        """Whether what a download brings is not what was sent."""
        return method == "downloadBlobChunk" and self._cluster.weather.strikes("download damaged")

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
            key = (beat.storm_id, self._near, beat.port, executors)
            now = self._cluster.told[key] = self._cluster.events.clock.now()
            if self._cluster.proved.get(key, (None, 0.0))[0] != beat.time_secs:
                self._cluster.proved[key] = beat.time_secs, now

    def close(self) -> None:
        """There is nothing to close."""


def _damaged(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes([chunk[-1] ^ 1]) if chunk else chunk
