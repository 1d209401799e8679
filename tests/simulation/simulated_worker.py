"""Worker processes: the real worker, whose threads are loops here; they outlive their supervisor."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from event_loop import Loop, Process
from simulated_network import WatchedLanes

from storm.cluster.records import TopologyStatus
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import PortTakenError, StormError, ThriftConnectionError, ThriftTimeoutError
from storm.metrics.insight_records import WorkerInsight
from storm.worker.heartbeats import Heartbeats
from storm.worker.launch import Launch
from storm.worker.worker import (
    EXIT_EXECUTOR_ERROR,
    EXIT_NOT_STARTED,
    EXIT_ORDERLY,
    EXIT_PORT_TAKEN,
    EXIT_STUCK,
    WorkerParts,
    build_worker,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from simulated_machines import Host
    from simulated_nimbus import BeatKey

    from storm.ids import ExecutorId, TopologyId
    from storm.metrics.stats_records import ExecutorStats
    from storm.supervisor.slot_runner import WorkerHandle
    from storm.worker.worker import Worker

NOWHERE = Path("/nowhere")
BOOT_SECS = 1.5
BEAT_SECS = 1.0
REFRESH_SECS = 5.0
EXCHANGE_SECS_MIN = 0.06  # between two turns that nobody woke: a busy machine's, and fewer events
LATE_BEAT_SECS = 5.0
FIGURES_SECS = 60.0  # nothing is decided by them: they need not be told every three seconds


class WorkerProcess(Process):
    """A worker: the real one, whose threads are loops here. `code` is how it ended, as a process does."""

    def __init__(self, host: Host, handle: WorkerHandle) -> None:
        super().__init__(host.cluster.events, handle.worker_id)
        self.host = host
        self.handle = handle
        self.code: int | None = None
        self.worker: Worker | None = None
        self.session = host.cluster.zookeeper.session(self, host.name)
        self.heard_at = 0.0  # when its supervisor last took a heartbeat
        self.untold_since = 0.0  # when the supervisor that runs took the first one of which it told no Nimbus
        executors = frozenset((first, last) for first, last in handle.assignment.executors)
        self.beat_key: BeatKey = (handle.assignment.topology_id, host.name, handle.port, executors)
        self.hung_until = 0.0
        self._figures_at = 0.0
        self._told = self._launch()
        self._heartbeats: Heartbeats | None = None
        self._ending: tuple[int, str] | None = None
        self._boot = Loop(self, "starts", self._start)
        self._main = Loop(self, "main", self._turn)
        self._lanes = Loop(self, "lanes", self._step_lanes)
        self._exchange = Loop(self, "exchange", self._step_exchange)
        self._beats = Loop(self, "heartbeat", self._beat)
        self._boot.wake(self.events.soon(BOOT_SECS))

    def _launch(self) -> Launch:
        host, assignment = self.host, self.handle.assignment
        known = None if host.supervisor is None else host.supervisor.core.known(assignment.topology_id)
        return Launch(
            topology_id=assignment.topology_id,
            node_id=host.node_id,
            host=host.name,
            bind_host=host.name,
            port=self.handle.port,
            worker_id=self.name,
            epoch=assignment.epoch,
            executors=assignment.executors,
            supervisor_port=0,
            dist_dir=NOWHERE,
            log_dir=NOWHERE,
            known=known,
        )

    def has_replaced(self, other: WorkerProcess) -> bool:
        """Whether the assignment that this worker goes by has another worker, or none, in the place of the other."""
        assert self.worker is not None
        view, theirs = self.worker.exchange.view, other.handle.assignment
        slot = (other.host.node_hash, other.handle.port)
        return self.handle.assignment.topology_id == theirs.topology_id and (
            view.version >= theirs.epoch and view.epochs.get(slot) != theirs.epoch
        )

    def is_forgotten(self, topology_ids: Collection[TopologyId]) -> bool:
        """Whether nobody can tell this worker to end: its supervisor is gone for good, and its topology was removed so
        soon after it was killed that the worker never read of it. To a worker this looks as if ZooKeeper lost its data,
        for which it does not end.
        """
        is_gone = self.handle.assignment.topology_id not in topology_ids
        was_told = self.worker is None or self.worker._status is TopologyStatus.KILLED
        return self.host.is_left and is_gone and not was_told

    def was_heard(self) -> None:
        """Its supervisor has taken a heartbeat."""
        supervisor = self.host.supervisor
        assert supervisor is not None
        self.heard_at = self.events.clock.now()
        if self.untold_since <= max(self.host.cluster.told.get(self.beat_key, 0.0), supervisor.began_at):
            self.untold_since = self.heard_at

    def terminate(self) -> None:
        """SIGTERM."""
        if self.worker is None:
            self._exit(EXIT_ORDERLY, "told to end while it started")
        else:
            self._end(EXIT_ORDERLY, "SIGTERM")

    def hang(self, secs: float) -> None:
        """Its components' code does not return for so long; the rest of it goes on."""
        self.hung_until = max(self.hung_until, self.events.clock.now() + secs)

    def is_stuck_for(self, secs: float) -> None:
        """Its components' code does not return, and after this time something in the worker sees it."""
        self.hang(secs + BEAT_SECS)
        self.events.after(secs, f"{self.name} is seen to be stuck", lambda: self.run(self._seen_stuck))

    def _seen_stuck(self) -> None:
        if self.worker is not None and self._is_hung():
            self._end(EXIT_STUCK, "a component is stuck")

    def on_death(self) -> None:
        if self.code is None:
            self.code = -9
        self._close()
        self.host.worker_ended()

    def on_pause(self) -> None:
        self.session.part()

    def on_resume(self) -> None:
        self.session.reconnect()

    # Its threads

    def _start(self) -> None:
        cluster = self.host.cluster
        if cluster.is_crashing(self.handle.assignment.topology_id):
            self._exit(EXIT_NOT_STARTED, "its topology cannot be loaded")
            return
        self._heartbeats = Heartbeats(
            self._told,
            self.host.clock,
            SupervisorLink(self),
            lambda: cluster.nimbus_link(self.host, self),
            lambda: self._end(EXIT_ORDERLY, "another worker owns this slot"),
        )
        self._beat()
        self._beats.wake(BEAT_SECS)
        if self._ending is not None:
            self._exit(*self._ending)
            return
        transport = cluster.network.transport_at(self, self._exchange.wake)
        rng = random.Random(self.events.rng.getrandbits(64))
        parts = WorkerParts(self.host.clock, StormClusterState(self.session), transport, rng)
        self._transport = transport
        try:
            plan = cluster.worker_plan(self._told, self.host.code)
            self.worker = build_worker(self._told, cluster.settings, parts, plan)
        except StormError as error:
            self._exit(EXIT_PORT_TAKEN if isinstance(error, PortTakenError) else EXIT_NOT_STARTED, str(error))
            return
        self.worker.exchange._transfer.wake = self._exchange_due
        self._exchange.wake()
        receive = self.worker.exchange._receive
        receive._lanes = WatchedLanes(receive._lanes, self._took)
        self._heartbeats.stats = self._figures
        self._heartbeats.insight = self._insight
        self._main.wake()

    def _insight(self) -> WorkerInsight:
        assert self.worker is not None
        return WorkerInsight(opening_components=tuple(self.worker.opening()))

    def _took(self) -> None:
        assert self._transport.taken is not None
        self.host.cluster.checks.worker_took(self, self._transport.taken)

    def _turn(self) -> float | None:
        worker = self.worker
        assert worker is not None
        if self._ended():
            return None
        secs = worker.turn(REFRESH_SECS)
        return None if self._ended() else secs

    def _ended(self) -> bool:
        assert self.worker is not None
        if self.worker.ending is None:
            return False
        self._exit(*self.worker.ending)
        return True

    def _step_lanes(self) -> float | None:
        worker, record = self.worker, self.host.cluster.record
        assert worker is not None
        if self._is_hung():
            return self.hung_until - self.events.clock.now()
        record.worker = self
        did = worker.lanes.step(self.host.clock.now())
        if worker.lanes.failure is not None:
            self._end(EXIT_EXECUTOR_ERROR, f"an executor failed: {worker.lanes.failure}")
            return None
        if did:
            return 0.0
        due = worker.lanes.next_due()
        return None if due is None else due - self.host.clock.now()

    def _exchange_due(self, due: float) -> None:
        """Something is to leave by then; what has to wait no longer is carried by the next turn."""
        self._exchange.wake(max(0.0, due - self.host.clock.now()))

    def _step_exchange(self) -> float | None:
        worker = self.worker
        if worker is None:
            return None
        due = worker.exchange.step()
        return max(EXCHANGE_SECS_MIN, due - self.host.clock.now())

    def _beat(self) -> float:
        assert self._heartbeats is not None
        self._heartbeats.beat()
        if self.worker is not None:
            self.host.cluster.checks.worker_beats(self)
            self.worker.lanes.reports.write_queued()
        return BEAT_SECS

    def _figures(self) -> Mapping[ExecutorId, ExecutorStats]:
        assert self.worker is not None
        now = self.events.clock.now()
        if now < self._figures_at:
            return {}
        self._figures_at = now + FIGURES_SECS
        return self.worker.lanes.stats()

    def _is_hung(self) -> bool:
        return self.hung_until > self.events.clock.now()

    def after_call(self) -> None:
        worker = self.worker
        if worker is None or not self.alive:
            return
        for lane in worker.lanes.lanes:
            if lane.woken and not self._is_hung():
                self._lanes.wake()
                break
        if worker.ending is not None:
            self._main.wake()

    def after_watch(self) -> None:
        self._main.wake()

    def _end(self, code: int, reason: str) -> None:
        if self.worker is None:
            self._ending = (code, reason)
        else:
            self.worker.end(code, reason)
            self._main.wake()

    def _exit(self, code: int, reason: str) -> None:
        """The orderly end of the process."""
        self.code = code
        if self.worker is not None and code != EXIT_STUCK:  # what hangs is not closed
            self.host.cluster.record.worker = self
            self.worker.shut_down(0.0)
        self.session.close()
        self.die(f"exit code {code}: {reason}")

    def _close(self) -> None:
        if self.worker is not None:
            self._transport.close()
        self.session.part()


class SupervisorLink:
    """How a worker calls its supervisor."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker

    def call(self, method: str, *arguments: Any) -> Any:
        host, events = self._worker.host, self._worker.events
        supervisor, weather = host.supervisor, host.cluster.weather
        if supervisor is None or not supervisor.alive:
            raise ThriftConnectionError("nobody listens there")
        if supervisor.paused or weather.strikes("heartbeat lost"):
            raise ThriftTimeoutError("no answer came", sent=True)

        def arrive() -> Any:
            answer = getattr(supervisor.service, method)(*arguments)
            self._worker.was_heard()
            return answer

        def late() -> None:
            with contextlib.suppress(StormError):
                arrive()

        if weather.strikes("heartbeat late"):
            events.after(
                events.soon(LATE_BEAT_SECS), f"late {method} for {supervisor.name}", lambda: supervisor.run(late)
            )
            raise ThriftTimeoutError("no answer came", sent=True)
        return arrive()

    def close(self) -> None:
        """There is nothing to close."""
