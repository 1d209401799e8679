"""What a supervisor asks of Nimbus and tells it: blobs, and the heartbeats of its workers."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from storm.blobstore.blob_store import code_key
from storm.errors import (
    BlobStoreError,
    CoordinationError,
    NimbusUnreachableError,
    NotLeaderError,
    StormError,
    ThriftConnectionError,
)
from storm.log_repeats import is_logged
from storm.metrics.series import components_part
from storm.thrift.figures import EXECUTOR_BYTES, entry_bytes, insight_bytes
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient, blob_chunks, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from storm.clock import Clock
    from storm.cluster.records import BlobReplica
    from storm.ids import NodeId, TopologyId
    from storm.supervisor.blob_download import Download, Sources, Write
    from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats

    Replicas = Callable[[str], Sequence[BlobReplica]]  # key -> who holds it; raises CoordinationError

log = logging.getLogger(__name__)

CALL_TIMEOUT_SECS = 10.0
LEADER_WAIT_SECS = 2.0  # the next beat asks again; a download is tried again by its slot
# Of one message, unless a worker has more. Nimbus takes 16 MB, whatever is set, and 250,000 values: at 5 bytes a value,
# more than this. What a worker tells in one message it takes as well: supervisors take no longer ones.
LOT_BYTES_MAX = 1 << 20
BEAT_BYTES = 500  # what of a beat is always there
_AWAY = (NimbusUnreachableError, NotLeaderError, ThriftConnectionError, CoordinationError)  # another time it may go


class Caller(Protocol):
    """A client of Nimbus."""

    def call(self, method: str, *arguments: Any) -> Any: ...


class HeartbeatForwarder:
    """Gives the workers' beats to Nimbus, in as many calls as their figures need. One thread uses it.

    `is_taken`: whether Nimbus took the last ones; any thread may read it.
    """

    def __init__(self, node_id: NodeId, beats: WorkerBeats, client: NimbusClient) -> None:
        self._node_id = node_id
        self._beats = beats
        self._client = client
        self._refusals = 0
        self.is_taken = True

    def forward(self) -> bool:
        """Send what has come since the last time, also if that is nothing: Nimbus learns that the node is there.

        False: Nimbus did not take all of it, and what it lacks goes with the next, with the figures that came with it.
        Figures that it refuses are left out at once and not sent again: workers that live must be heard.
        """
        lots = deque(_lots(self._beats.take_for_nimbus()))
        left: list[WorkerBeat] = []
        failure: StormError | None = None
        while lots:
            lot = lots.popleft()
            try:
                self._client.call("sendSupervisorWorkerHeartbeats", _to_thrift(self._node_id, lot))
            except _AWAY as error:
                failure = error
                left += chain(lot, *lots)
                break
            except StormError as error:
                if any(beat.stats for beat in lot):
                    self._note_refusal(lot, error)
                    lots.appendleft([replace(beat, stats=None) for beat in lot])
                else:
                    failure = error
                    left += lot
        self._note_end(left, failure)
        return self.is_taken

    def _note_refusal(self, lot: Sequence[WorkerBeat], error: StormError) -> None:
        self._refusals += 1
        if is_logged(self._refusals):
            log.warning(
                "Nimbus refuses the figures of the executors on ports %s, which are not shown; it is told without them"
                " that they live (%d times so far; the limits of a message are in docs/thrift.md): %s",
                sorted(beat.port for beat in lot), self._refusals, error,
            )  # fmt: skip

    def _note_end(self, left: Sequence[WorkerBeat], failure: StormError | None) -> None:
        if failure is None:
            self._beats.delivered()
        else:
            self._beats.give_back(left)
        if failure is not None and self.is_taken:
            log.warning("Nimbus does not take heartbeats, workers run on: %s", failure)
        elif failure is None and not self.is_taken:
            log.info("Nimbus takes heartbeats again")
        self.is_taken = failure is None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def make_client(seeds: Sequence[str], port: int, clock: Clock) -> NimbusClient:
    """A client whose calls end within seconds, for one thread."""
    return NimbusClient(seeds, port, CALL_TIMEOUT_SECS, leader_wait_secs=LEADER_WAIT_SECS, clock=clock)


def blob_sources(seeds: Sequence[str], port: int, clock: Clock, replicas: Replicas) -> Callable[[], Sources]:
    """What `Localizer` wants: a maker of `sources(key, sha256)`, each with a client of its own for its thread.

    A blob comes from a Nimbus that holds this content as ZooKeeper knows, whether any leads or not. Where ZooKeeper
    cannot be asked, or knows of none, it comes from the leader, or another Nimbus that the leader knows.
    """

    return lambda: sources_of(make_client(seeds, port, clock), replicas)


def sources_of(client: NimbusClient, replicas: Replicas) -> Sources:
    """See `blob_sources`; for the thread that `client` belongs to."""

    def sources(key: str, sha256: str) -> Iterator[Download]:
        for address in _holders(replicas, key, sha256):
            yield _holder(client, address, key)
        yield lambda write: client.download_blob(key, write)

    return sources


def _holders(replicas: Replicas, key: str, sha256: str) -> list[str]:
    try:
        return [replica.nimbus_address for replica in replicas(key) if replica.sha256 == sha256]
    except CoordinationError as error:
        log.debug("Who holds the blob %s is not known: %s", key, error)
        return []


def _holder(client: NimbusClient, address: str, key: str) -> Download:
    def download(write: Write) -> None:
        try:
            with client.connection(parse_address(address, 0)) as connection:
                for chunk in blob_chunks(connection, key):
                    write(chunk)
        except StormError as error:
            raise BlobStoreError(f"from {address}: {error}") from error

    return download


def code_lookup(client: Caller, replicas: Replicas) -> Callable[[TopologyId], bool]:
    """What `SupervisorCore.has_code` wants, for one thread."""

    def has_code(topology_id: TopologyId) -> bool:
        key = code_key(topology_id)
        return bool(replicas(key)) or bool(client.call("isRemoteBlobExists", key))

    return has_code


def _lots(beats: Sequence[WorkerBeat]) -> list[list[WorkerBeat]]:
    """The beats of each message, at least one: LOT_BYTES_MAX at most, or one worker with more."""
    lots: list[list[WorkerBeat]] = [[]]
    size = 0
    for beat in beats:
        its = _beat_bytes(beat)
        if lots[-1] and size + its > LOT_BYTES_MAX:
            lots.append([])
            size = 0
        lots[-1].append(beat)
        size += its
    return lots


def _beat_bytes(beat: WorkerBeat) -> int:
    """About how much of a message it takes."""
    insight = insight_bytes(beat.message.insight)
    figures = sum(map(entry_bytes, (beat.stats or {}).values()))
    return BEAT_BYTES + EXECUTOR_BYTES * len(beat.message.executors) + figures + insight + len(beat.metrics or "")


def _to_thrift(node_id: NodeId, beats: Sequence[WorkerBeat]) -> Any:
    messages = []
    for beat in beats:
        beat.message.executor_stats = beat.stats
        beat.message.metrics = None if beat.metrics is None else components_part(beat.metrics) or None
        messages.append(beat.message)
    return storm_thrift().SupervisorWorkerHeartbeats(supervisor_id=node_id, worker_heartbeats=messages)
