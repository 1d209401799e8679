"""What a supervisor asks of Nimbus and tells it: blobs, and the heartbeats of its workers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from storm.blobstore.blob_store import code_key
from storm.errors import StormError
from storm.metrics.series import components_part
from storm.thrift.interface import storm_thrift
from storm.thrift.nimbus_client import NimbusClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storm.clock import Clock
    from storm.ids import NodeId, TopologyId
    from storm.supervisor.worker_beats import WorkerBeat, WorkerBeats

log = logging.getLogger(__name__)

CALL_TIMEOUT_SECS = 10.0
LEADER_WAIT_SECS = 2.0  # the next beat asks again; a download is tried again by its slot


class Caller(Protocol):
    """A client of Nimbus."""

    def call(self, method: str, *arguments: Any) -> Any: ...


class HeartbeatForwarder:
    """Gives the workers' beats to Nimbus, those of all ports in one call. One thread uses it.

    `is_taken`: whether Nimbus took the last ones; any thread may read it.
    """

    def __init__(self, node_id: NodeId, beats: WorkerBeats, client: NimbusClient) -> None:
        self._node_id = node_id
        self._beats = beats
        self._client = client
        self._complained = False
        self.is_taken = True

    def forward(self) -> bool:
        """Send what has come since the last time, also if that is nothing: Nimbus learns that the node is there.

        False: Nimbus did not take it; figures that came with the beats go with the next.
        """
        beats = self._beats.take_for_nimbus()
        try:
            self._client.call("sendSupervisorWorkerHeartbeats", _to_thrift(self._node_id, beats))
        except StormError as error:
            self._beats.give_back(beats)
            self.is_taken = False
            if not self._complained:
                log.warning("Nimbus does not take heartbeats, workers run on: %s", error)
            self._complained = True
            return False
        if self._complained:
            log.info("Nimbus takes heartbeats again")
        self._complained = False
        self.is_taken = True
        return True

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def make_client(seeds: Sequence[str], port: int, clock: Clock) -> NimbusClient:
    """A client whose calls end within seconds, for one thread."""
    return NimbusClient(seeds, port, CALL_TIMEOUT_SECS, leader_wait_secs=LEADER_WAIT_SECS, clock=clock)


def blob_downloads(
    seeds: Sequence[str], port: int, clock: Clock
) -> Callable[[], Callable[[str, Callable[[bytes], object]], object]]:
    """What `Localizer` wants: a maker of `download(key, write)`, each with a connection of its own."""
    return lambda: make_client(seeds, port, clock).download_blob


def code_lookup(client: Caller) -> Callable[[TopologyId], bool]:
    """What `SupervisorCore.has_code` wants, for one thread."""
    return lambda topology_id: bool(client.call("isRemoteBlobExists", code_key(topology_id)))


def _to_thrift(node_id: NodeId, beats: Sequence[WorkerBeat]) -> Any:
    messages = []
    for beat in beats:
        if beat.message.executor_stats is None:
            beat.message.executor_stats = beat.stats
        beat.message.metrics = None if beat.metrics is None else components_part(beat.metrics) or None
        messages.append(beat.message)
    return storm_thrift().SupervisorWorkerHeartbeats(supervisor_id=node_id, worker_heartbeats=messages)
