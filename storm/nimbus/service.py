"""The Thrift service Nimbus: decode, call, encode; one short method a call. Reads are in `queries`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from storm.cluster.records import DebugOptions, LogConfig
from storm.errors import CoordinationError, InvalidTopologyError, TopologyNotAliveError
from storm.hosts.report import host_report
from storm.metrics.insight_records import Usage
from storm.metrics.series import LINE_BYTES_MAX
from storm.nimbus import drains
from storm.nimbus.blob_service import WAIT_SECS_MAX, BlobService, using_up
from storm.nimbus.core import SubmitRequest
from storm.nimbus.heartbeats import WorkerBeat
from storm.nimbus.pending_submissions import COUNT_KEY, WAIT_KEY
from storm.nimbus.submission import checked_name, unknown
from storm.thrift import convert
from storm.thrift.host_convert import host_report_to_thrift
from storm.thrift.insight_convert import worker_insight_from_thrift
from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from storm.nimbus.pending_submissions import PendingSubmission
    from storm.thrift.interface import Struct


class NimbusService(BlobService):
    """Handler of `ThriftServer("Nimbus", ...)`: methods are named as in storm.thrift and may raise StormErrors.

    Methods of storm.thrift that are neither here nor in its bases are not served by this release.
    """

    submission_wait_secs = 20.0  # of a call that can be made again: its client would give it up after 30 s

    # Topologies

    def submitTopology(self, name: str, uploadedJarLocation: str, jsonConf: str, topology: Struct) -> None:
        self.submitTopologyWithOpts(name, uploadedJarLocation, jsonConf, topology, None)

    def submitTopologyWithOpts(
        self, name: str, uploadedJarLocation: str, jsonConf: str, topology: Struct, options: Struct | None
    ) -> None:
        active = options is None or options.initial_status == storm_thrift().TopologyInitialStatus.ACTIVE
        with using_up(uploadedJarLocation, self._uploads):
            if topology is None:
                raise InvalidTopologyError("The submission has no topology.")
            request = SubmitRequest(
                name,
                jsonConf,
                convert.topology_from_thrift(topology),
                self._uploads.package(uploadedJarLocation),
                active,
            )
            self._wait_for(self._requests.call(lambda: self._core.begin_submission(request)))

    def killTopology(self, name: str) -> None:
        self.killTopologyWithOpts(name, None)

    def killTopologyWithOpts(self, name: str, options: Struct | None) -> None:
        wait_secs = None if options is None else options.wait_secs
        self._requests.call(lambda: self._core.kill(name, wait_secs))

    def activate(self, name: str) -> None:
        self._requests.call(lambda: self._core.activate(name))

    def deactivate(self, name: str) -> None:
        self._requests.call(lambda: self._core.deactivate(name))

    def rebalance(self, name: str, options: Struct | None) -> None:
        options = storm_thrift().RebalanceOptions() if options is None else options
        request = convert.rebalance_from_thrift(options)
        self._requests.call(lambda: self._core.rebalance(name, request, options.wait_secs))

    def debug(self, name: str, component: str, enable: bool, samplingPercentage: float) -> None:
        if not 0 <= samplingPercentage <= 100:
            raise InvalidTopologyError(f"A sampling percentage is 0 to 100, not {samplingPercentage}.")
        options = DebugOptions(enable, samplingPercentage)
        self._requests.call(lambda: self._core.debug(name, component, options))

    def setLogConfig(self, name: str, config: Struct) -> None:
        """`name` is an id, as in Storm. Time-outs are counted from now."""
        wall_secs = self._clock.wall_secs()

        def change(present: LogConfig) -> LogConfig:
            return convert.updated_log_config(present, config, wall_secs)

        self._requests.call(lambda: self._core.set_log_config(name, change))

    def isTopologyNameAllowed(self, name: str) -> bool:
        """Whether a topology could be submitted under this name now."""
        try:
            checked_name(name)
        except InvalidTopologyError:
            return False
        return self._core.snapshot.taken_by(name) is None

    # Heartbeats

    def sendSupervisorWorkerHeartbeats(self, heartbeats: Struct) -> None:
        """Refused by a Nimbus that does not lead: the supervisor then finds the one that does."""
        self._core.require_leadership()
        self._hear([_beat(beat, heartbeats.supervisor_id) for beat in heartbeats.worker_heartbeats])

    def sendSupervisorWorkerHeartbeat(self, heatbeat: Struct) -> None:
        """Of a worker whose supervisor does not answer."""
        self._core.require_leadership()
        snapshot = self._core.snapshot
        if heatbeat.storm_id not in snapshot.bases and heatbeat.storm_id not in snapshot.unreadable:
            raise TopologyNotAliveError(unknown("topology", heatbeat.storm_id, snapshot.bases))
        self._hear([_beat(heatbeat, None)])

    # Hosts

    def drainHost(self, host: str, options: Struct | None) -> list[str]:
        wait_secs = None if options is None else options.wait_secs
        return self._requests.call(lambda: drains.drain(self._core, host, wait_secs))

    def undrainHost(self, host: str) -> list[str]:
        return self._requests.call(lambda: drains.undrain(self._core, host))

    def getHostReport(self, names: list[str]) -> Struct:
        """Of this host, whether or not this Nimbus leads."""
        options = self._options
        return host_report_to_thrift(
            host_report(options.advertised_host, (options.local_dir, options.blobstore_dir), names)
        )

    def _hear(self, beats: list[WorkerBeat]) -> None:
        self._core.hear(beats)
        self._requests.post(self._core.record)

    def _wait_for(self, submission: PendingSubmission) -> None:
        """Who can ask again is told to, and takes no thread meanwhile. Raises what became of the submission."""
        can_ask_again = bool(submission.base.submission_id)
        if not self._is_done_in(self.submission_wait_secs if can_ask_again else WAIT_SECS_MAX, submission.done):
            raise CoordinationError(
                f"{submission.base.name} is not on {submission.enough} Nimbuses yet ({COUNT_KEY}): it starts when it"
                f" is, or when its time for that is over ({WAIT_KEY})."
            )


def _beat(struct: Struct, node_id: str | None) -> WorkerBeat:
    return WorkerBeat(
        topology_id=struct.storm_id,
        executors=frozenset(convert.executor_from_thrift(executor) for executor in struct.executors),
        reported_secs=struct.time_secs,
        node_id=node_id,
        port=struct.port,
        uptime_secs=struct.uptime_secs,
        stats=convert.all_executor_stats_from_thrift(struct.executor_stats),
        insight=worker_insight_from_thrift(struct.insight),
        metrics=(struct.metrics or "")[:LINE_BYTES_MAX],
        usage=Usage(_known(struct.used_mem), _known(struct.used_cpu)),
    )


def _known(figure: float | None) -> float | None:
    """Whoever reaches the port may tell anything: what is no number would spoil sums, and JSON."""
    return figure if figure is not None and 0 <= figure < inf else None
