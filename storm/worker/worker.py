"""A worker: one supervisor's slot, running some executors of one topology.

Spouts become active once every peer was heard of (or PEERS_WAIT_SECS have passed) and the topology is active. A peer
that dies again and again, or whose supervisor is gone, is not waited for: one that cannot live must not hold up those
that are started anew. Nor do they become active again, after a rebalance, before all send by the new assignment (or
SETTLE_SECS have passed): a tuple to a worker that is about to end would fail. Then one loop compares wanted with
actual, on a period and when a watch wakes it. An unreachable ZooKeeper stops nothing: a worker that starts meanwhile
goes by what its supervisor knew. Exit codes: 0 told to end, or replaced; 1 an exception in a component; 13 could not
start; 14 could not, since somebody else listens on its port; 20 a fault of the worker itself; 21 an executor was stuck,
and the topology wants a new worker then.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

from storm.cluster.records import TopologyStatus
from storm.errors import CoordinationError, WorkerStartError
from storm.host_paths import CONF, EVENT_LOG, TOPOLOGY
from storm.worker import connections, launch, log_levels
from storm.worker.backpressure import Marks
from storm.worker.error_reports import ErrorReports
from storm.worker.exchange import Exchange, ExchangeOptions, name_of
from storm.worker.metric_reports import MetricReports
from storm.worker.process_figures import process_figures
from storm.worker.receive import Receive
from storm.worker.refusals import Refusals
from storm.worker.transfer import TransferOptions, WorkerTransfer

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from storm.clock import Clock
    from storm.cluster.records import Assignment
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.config.settings import Settings
    from storm.executor.caution import Caution
    from storm.executor.lanes import Lanes
    from storm.executor.plan import WorkerPlan
    from storm.ids import ComponentId
    from storm.messaging.transport import Transport
    from storm.worker.connections import Peer
    from storm.worker.launch import Launch
    from storm.worker.sampling import Sampling

logger = logging.getLogger(__name__)

EXIT_ORDERLY, EXIT_EXECUTOR_ERROR, EXIT_NOT_STARTED, EXIT_PORT_TAKEN = 0, 1, 13, 14
EXIT_INTERNAL_ERROR, EXIT_STUCK = 20, 21

PEERS_WAIT_SECS = 30.0
PEERS_POLL_SECS = 0.05
SETTLE_SECS = 5.0  # a worker that cannot read ZooKeeper goes on with what it knows, and holds up nobody for longer
SUPERVISORS_POLL_SECS = 1.0  # who is up is heard of before: their records are read for the others only
LOW_MARK = 0.5  # of the high one, as for tasks within a worker
SHUTDOWN_MARGIN_SECS = 0.5  # of the time that the supervisor gives, for sockets and ZooKeeper


def _always() -> bool:
    return True


class WorkerParts(NamedTuple):
    """What a worker is made of and does not make itself. `is_connected`: whether asking `state` has any point now."""

    clock: Clock
    state: StormClusterState
    transport: Transport
    rng: random.Random
    caution: Caution | None = None
    is_connected: Callable[[], bool] = _always


class Worker:
    """`run` until told to end. `start`, `turn` and `shut_down` are its parts, for whoever owns the only thread."""

    def __init__(
        self,
        told: Launch,
        parts: WorkerParts,
        lanes: Lanes,
        exchange: Exchange,
        reports: ErrorReports,
        sampling: Sampling,
    ) -> None:
        self.launch = told
        self.lanes = lanes
        self.exchange = exchange
        self.metrics = MetricReports(told, lanes, exchange.figures, process_figures, parts.clock)
        self._clock = parts.clock
        self._state = parts.state
        self._is_connected = parts.is_connected
        self._reports = reports
        self._log_levels = log_levels.LogLevels()
        self.sampling = sampling
        self._level_times = log_levels.LevelTimes()
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()  # its put may run in a signal handler
        self.ending: tuple[int, str] | None = None
        self._read_at = float("-inf")
        self._has_read = False
        self._started_at = parts.clock.now()
        self._ask_at = self._started_at + SUPERVISORS_POLL_SECS
        self._assignment: Assignment | None = None
        self._status = None if told.known is None else told.known.status
        self._peers_ready = False
        self._settling_until: float | None = None
        self.active = False
        self._reachable = True
        self.on_switch: Callable[[], None] = _nothing  # called before spouts become active or inactive
        self._see(None if told.known is None else told.known.assignment)

    # From any thread

    def wake(self) -> None:
        """Read the cluster's state soon."""
        self._read_at = float("-inf")
        self._wakes.put(None)

    def end(self, code: int, reason: str) -> None:
        """End the worker; the first reason counts."""
        if self.ending is None:
            self.ending = (code, reason)
        self._wakes.put(None)

    def awaited_peers(self) -> list[str]:
        """Without whom the spouts of a topology that is active do not begin yet, for people."""
        if self._peers_ready or self._status is not TopologyStatus.ACTIVE:
            return []
        return [name_of(peer) for peer in self.exchange.missing_peers()]

    def opening(self) -> list[ComponentId]:
        """The components that are not prepared here yet, and will be: the topology is active, or may be."""
        is_active = self._status is TopologyStatus.ACTIVE and self._assignment is not None
        is_unknown = self._status in (None, TopologyStatus.ACTIVE) and not self._has_read
        return self.lanes.opening() if is_active or is_unknown else []

    # Its own thread

    def run(self, refresh_secs: float, shutdown_secs: float) -> int:
        """The loop, after `start`; the exit code."""
        while self.ending is None:
            timeout_secs = self.turn(refresh_secs)
            try:
                self._wakes.get(timeout=timeout_secs)
                while True:
                    self._wakes.get_nowait()
            except queue.Empty:
                continue
        code, reason = self.ending
        logger.info("Ending (exit code %d): %s", code, reason)
        self.shut_down(shutdown_secs)
        return code

    def start(self) -> None:
        """Start the threads. Raises what the user's code raises while it is loaded."""
        self._reports.start()
        self.exchange.start(lambda: self.end(EXIT_INTERNAL_ERROR, "the exchange with other workers failed"))
        self.lanes.ask_peers = self.exchange.ask
        self.lanes.start()
        self.metrics.start()
        threading.Thread(target=self._watch_lanes, name="executor-watch", daemon=True).start()

    def turn(self, refresh_secs: float) -> float:
        """Compare wanted with actual once; for how many seconds nothing is due."""
        now = self._clock.now()
        self._note_failure()  # whoever watches lanes may hang in a `__repr__` of what he tells people
        if self.exchange.take_unheard_of():
            self._read_at = float("-inf")
        if now - self._read_at >= refresh_secs:
            self._read_at = now
            self._read()
        self._log_levels.apply(self._level_times.wanted(now))
        if not self._peers_ready:
            self._peers_ready = self._look_for_peers(now)
        wanted = self._peers_ready and self._status is TopologyStatus.ACTIVE and self.ending is None
        if not wanted:
            self._settling_until = None
        active = wanted and (self.active or self._is_settled(now))
        if active != self.active:
            self.active = active
            self.on_switch()
            logger.info("Spouts are %s now.", "active" if active else "inactive")
            self.lanes.set_active(active)
        if not self._peers_ready or active != wanted:
            return PEERS_POLL_SECS
        level_secs = self._level_times.secs_until_over(now)
        return refresh_secs if level_secs is None else min(refresh_secs, level_secs)

    def shut_down(self, timeout_secs: float) -> None:
        """End executors and close sockets, within about this time."""
        until = self._clock.now() + timeout_secs
        self.sampling.stop()
        self.metrics.stop()
        self.lanes.set_active(False)
        self.lanes.stop(max(0.0, timeout_secs - SHUTDOWN_MARGIN_SECS))
        self.exchange.stop(max(SHUTDOWN_MARGIN_SECS, until - self._clock.now()))
        self._reports.stop(SHUTDOWN_MARGIN_SECS)
        logger.info("Ended: %s", self.exchange.figures())

    def _watch_lanes(self) -> None:
        """Until an executor fails or the worker ends: look for those that hang."""
        from storm.executor.stuck_watch import StuckWatch

        watch = StuckWatch(self.lanes)
        while not self.lanes.wait_failed(watch.pause_secs):
            if self.lanes.stopping:
                return
            try:
                reason = watch.look(self._clock.now())
            except BaseException:
                logger.exception("Executors could not be watched; if one hangs, nobody will tell.")
                watch.pause_secs = None
                continue
            if reason is not None:
                self.end(EXIT_STUCK, reason)
        self._note_failure()

    def _note_failure(self) -> None:
        failure = self.lanes.failure
        if failure is not None:
            self.end(EXIT_EXECUTOR_ERROR, f"an executor failed: {type(failure).__name__}: {failure}")

    def _read(self) -> None:
        topology_id = self.launch.topology_id
        try:
            self._look_for_connection()
            # Opposite to the order of Nimbus's writes: who sees it active again sees its new assignment too.
            base = self._state.storm_base(topology_id, self.wake)
            assignment = self._state.assignment(topology_id, self.wake)
            log_config = self._state.log_config(topology_id, self.wake)
        except CoordinationError as error:
            if self._reachable:
                logger.warning("ZooKeeper cannot be read; going on with what is known: %s", error)
            self._reachable = False
            return
        self._reachable = True
        self._level_times.see(log_config, self._clock.now(), self._clock.wall_secs())
        if base is not None:
            self._status = base.status
            self.sampling.want(base.component_debug, topology_id)
        elif assignment is None and self._status is TopologyStatus.KILLED:
            # Its supervisor ends it, if there is one. Of a topology that was not being killed this may be a ZooKeeper
            # that lost its data: then what runs well goes on.
            self.end(EXIT_ORDERLY, "its topology was killed and is gone")
            return
        self._see(assignment)
        self._has_read = True

    def _look_for_connection(self) -> None:
        """Raises CoordinationError where there is none: calls would wait for one, and this thread with them."""
        if not self._is_connected():
            raise CoordinationError("there is no connection")

    def _see(self, assignment: Assignment | None) -> None:
        """Go by this assignment from now on, unless it is the known one, or older than this worker."""
        if assignment is None or assignment == self._assignment or assignment.version < self.launch.epoch:
            return
        self._assignment = assignment
        reason = launch.why_replaced(self.launch, assignment)
        if reason is not None:
            self.end(EXIT_ORDERLY, reason)
            return
        self.exchange.update(connections.view(assignment, self.launch.slot))

    def _look_for_peers(self, now: float) -> bool:
        if self._assignment is None:
            return False
        missing = self.exchange.missing_peers()
        if not missing:
            logger.info("Every peer was heard of after %.2f s.", now - self._started_at)
            return True
        waited_secs = now - self._started_at
        if waited_secs < PEERS_WAIT_SECS:
            if now < self._ask_at:
                return False
            self._ask_at = now + SUPERVISORS_POLL_SECS
            if self._is_any_awaited(missing):
                return False
        names = ", ".join(map(name_of, missing))
        logger.warning("Going on without peers that were not heard of in %.0f s: %s", waited_secs, names)
        return True

    def _is_settled(self, now: float) -> bool:
        if self._settling_until is None:
            self._settling_until = now + SETTLE_SECS
        is_settled = self.exchange.is_settled()
        if not is_settled and now < self._settling_until:
            return False
        if not is_settled:
            logger.warning("Going on, though a peer did not say in %.0f s that it knows the assignment.", SETTLE_SECS)
        self._settling_until = None
        return True

    def _is_any_awaited(self, missing: Sequence[Peer]) -> bool:
        try:
            self._look_for_connection()
            found = {node_id: self._state.supervisor(node_id) for node_id in sorted({p.slot.node_id for p in missing})}
        except CoordinationError:
            return True
        supervisors = {node_id: there[0] for node_id, there in found.items() if there is not None}
        return bool(connections.awaited(missing, supervisors, self.launch.topology_id))


def build_worker(told: Launch, settings: Settings, parts: WorkerParts, plan: WorkerPlan | None = None) -> Worker:
    """A worker with its executors and its port. Raises StormError, or what the user's code raises at import.

    `plan` None: what the supervisor's disk says.
    """
    from storm.config.topology_conf import TopologyOptions
    from storm.executor.lanes import Lanes
    from storm.worker.sampling import EventLog, Samples, Sampling

    plan = plan or load_plan(told, settings)
    options = TopologyOptions.from_conf(plan.conf)
    alone = connections.alone(told.topology_id, told.slot, told.epoch)
    own = connections.own_address(alone, told.slot, told.epoch)
    flush_secs = options.batch_flush_interval_millis / 1000
    reports = ErrorReports(told, parts.state, parts.clock)
    transfer_options = TransferOptions(
        flush_secs, options.transfer_buffer_size, settings["storm.messaging.max.message.bytes"]
    )
    transfer = WorkerTransfer(own, transfer_options, parts.clock)
    lanes = Lanes(plan, transfer, parts.clock, reports, parts.rng, parts.caution)
    high = options.executor_receive_buffer_size
    exchange_options = ExchangeOptions(
        own, parts.rng.getrandbits(64), Marks(high, int(high * LOW_MARK)), options.backpressure_check_millis / 1000
    )
    receive = Receive(lanes, told.tasks(), alone, Refusals(lanes).refuse)
    exchange = Exchange(parts.transport, transfer, receive, lanes, parts.clock, exchange_options)
    parts.transport.bind(told.bind_host, told.port)
    sampling = Sampling(lanes, Samples(parts.clock, parts.rng), EventLog(told.log_dir / EVENT_LOG))
    return Worker(told, parts, lanes, exchange, reports, sampling)


def load_plan(told: Launch, settings: Settings) -> WorkerPlan:
    """What this worker runs, from the supervisor's disk. Raises WorkerStartError."""
    from storm.config.topology_conf import effective_conf
    from storm.executor.plan import WorkerPlan
    from storm.thrift.topology_convert import topology_from_bytes
    from storm.topology.parallelism import task_components
    from storm.topology.system_topology import system_topology

    try:
        conf = effective_conf(settings, json.loads((told.dist_dir / CONF).read_bytes()))
        topology = system_topology(topology_from_bytes((told.dist_dir / TOPOLOGY).read_bytes()), conf)
    except (OSError, ValueError) as error:
        raise WorkerStartError(f"the topology in {told.dist_dir} cannot be read: {error}") from error
    return WorkerPlan(
        topology=topology,
        conf=conf,
        topology_id=told.topology_id,
        executors=told.executors,
        task_components=task_components(topology, conf),
        port=told.port,
        code_dir=told.code_dir,
        work_dir=told.work_dir,
    )


def _nothing() -> None:
    pass
