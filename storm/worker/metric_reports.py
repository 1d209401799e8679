"""A worker's metrics on their way: to the topology's consumers as tuples, to the supervisor with heartbeats.

A thread of its own reads, now and then, totals that executors keep anyway, and instruments of components. So tuples
pay nothing for it, and a gauge that waits for something holds up metrics only.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from storm.errors import SerializationError
from storm.executor.bolt_executor import BoltExecutor
from storm.executor.spout_executor import SpoutExecutor
from storm.ids import METRICS_STREAM, SYSTEM_COMPONENT, SYSTEM_TASK
from storm.metrics.data_points import DataPoint, Instruments, TaskInfo, executor_points
from storm.metrics.insight_records import Usage
from storm.metrics.measured import ExecutorReading, busy_secs, executor_series, instrument_series, reason_series
from storm.metrics.series import Series, encode
from storm.topology.consumer_registration import is_consumer
from storm.tuples import Tuple
from storm.worker.process_figures import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from storm.clock import Clock
    from storm.executor.executor import Executor
    from storm.executor.lanes import Lanes
    from storm.ids import ComponentId, ExecutorId, TaskId
    from storm.metrics.executor_stats import Totals
    from storm.metrics.instruments import Reading
    from storm.worker.exchange import ExchangeFigures
    from storm.worker.launch import Launch
    from storm.worker.process_figures import ProcessFigures

logger = logging.getLogger(__name__)

COLLECT_SECS = 10.0  # what Prometheus is shown is no older; it asks four times a minute by default
INTERVAL_KEY = "topology.builtin.metrics.bucket.size.secs"


class MetricReports:
    """`start` and `stop` for a thread of its own, or `step` by whoever owns the only thread.

    `text` is what the supervisor is told (`storm.metrics.series`); empty until something was collected. `usage`: what
    the process took of its host when it was.
    """

    def __init__(
        self,
        told: Launch,
        lanes: Lanes,
        exchange_figures: Callable[[], ExchangeFigures],
        figures: Callable[[], ProcessFigures],
        clock: Clock,
    ) -> None:
        """`figures` are those of the process."""
        self.text = ""
        self.usage = Usage()
        self._told = told
        self._lanes = lanes
        self._exchange_figures = exchange_figures
        self._figures = figures
        self._clock = clock
        self._interval_secs = int(lanes.plan.conf.get(INTERVAL_KEY) or 60)
        self._consumers = [
            tasks
            for component_id in sorted(lanes.plan.topology.bolts)
            if is_consumer(component_id) and (tasks := lanes.plan.tasks_of(component_id))
        ]
        self._started_at = self._sent_at = self._collected_at = clock.now()
        self._collect_due = clock.now()
        self._send_due = clock.now() + self._interval_secs
        self._busy_secs: dict[ExecutorId, float] = {}
        self._totals: dict[ExecutorId, Totals] = {}
        self._instruments: dict[TaskId, Instruments] = {}
        self._system_before: dict[str, Any] = {}
        self._figures_before: ProcessFigures | None = None
        self._reports = 0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing is read or sent after this, but for what is under way."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                due = self.step(self._clock.now())
            except BaseException:
                logger.exception("Metrics could not be collected; it is tried again.")
                due = self._clock.now() + COLLECT_SECS
            self._stopped.wait(max(0.0, due - self._clock.now()))

    def step(self, now: float) -> float:
        """Do what is due; when to call again."""
        if now >= self._collect_due:
            self._collect_due = now + COLLECT_SECS
            self.text = encode(self.own_series(now), list(instrument_series(self._read_instruments())))
        if not self._consumers:
            return self._collect_due
        if now >= self._send_due:
            self._send_due = now + self._interval_secs
            self.send(now)
        return min(self._collect_due, self._send_due)

    # For the supervisor

    def own_series(self, now: float) -> list[Series]:
        """What the worker and its executors count, the most important first."""
        secs, self._collected_at = now - self._collected_at, now
        return [*self._worker_series(now, secs), *executor_series(list(self._read_executors(secs)))]

    def _worker_series(self, now: float, secs: float) -> list[Series]:
        figures, exchange, lanes = self._figures(), self._exchange_figures(), self._lanes
        self.usage, self._figures_before = usage(self._figures_before, figures, secs), figures
        series = [
            Series("storm_worker_uptime_seconds", {}, now - self._started_at),
            Series("storm_worker_resident_bytes", {}, figures.resident_bytes),
            Series("storm_worker_cpu_seconds_total", {}, figures.cpu_secs),
            Series("storm_worker_full_tasks", {}, len(lanes.full | lanes.throttled)),
            Series("storm_worker_peers", {}, exchange.peers),
            Series("storm_worker_missing_peers", {}, exchange.missing_peers),
            Series("storm_worker_reconnects_total", {}, exchange.reconnects),
            Series("storm_worker_frames_sent_total", {}, exchange.frames_sent),
            Series("storm_worker_tuples_received_total", {}, exchange.tuples_received),
            Series("storm_worker_send_queue_length", {}, exchange.waiting),
        ]
        series += [
            Series("storm_worker_collections_total", {"generation": str(i)}, number)
            for i, number in enumerate(figures.collections)
        ]
        dropped = Counter(exchange.dropped_before_sending) + Counter(exchange.dropped_on_arrival)
        return series + reason_series(dropped)

    def _read_executors(self, secs: float) -> Iterator[ExecutorReading]:
        queues = self._lanes.queue_lengths()
        for executor in self._lanes.executors:
            totals = executor.totals()
            if totals is None:
                continue
            queue_length = sum(queues.get(task, 0) for task in executor.id.tasks())
            if isinstance(executor, SpoutExecutor):
                yield ExecutorReading(executor.component, totals, queue_length, pending=_pending(executor))
            elif isinstance(executor, BoltExecutor):
                busy = busy_secs(totals)
                since, self._busy_secs[executor.id] = self._busy_secs.get(executor.id, 0.0), busy
                capacity = (busy - since) / secs if secs > 0 else 0.0
                yield ExecutorReading(
                    executor.component, totals, queue_length, unsettled=executor.unsettled(), capacity=capacity
                )

    def _read_instruments(self) -> Iterator[tuple[ComponentId, TaskId, list[Reading]]]:
        plan = self._lanes.plan
        for task, metrics in sorted(plan.worker_context.metrics.copy().items()):
            component = plan.task_components[task]
            yield component, task, metrics.read(partial(self._lanes.reports.report_error, component))

    # For consumers

    def send(self, now: float) -> None:
        """Give every consumer what happened since the last time."""
        secs, self._sent_at = max(now - self._sent_at, 1e-9), now
        points: dict[tuple[ComponentId, TaskId], list[DataPoint]] = {
            (SYSTEM_COMPONENT, SYSTEM_TASK): list(self._system_points(now))
        }
        queues = self._lanes.queue_lengths()
        for executor in self._lanes.executors:
            totals = executor.totals()
            if totals is not None and not is_consumer(executor.component):
                first = executor.id.start_task
                points[executor.component, first] = [
                    *executor_points(self._totals.get(executor.id), totals),
                    *self._queue_points(executor, queues),
                ]
                self._totals[executor.id] = totals
        for component, task, readings in self._read_instruments():
            known = self._instruments.setdefault(task, Instruments())
            points.setdefault((component, task), []).extend(known.points(readings, secs))
        timestamp = self._clock.wall_secs()
        for (component, task), found in points.items():
            if found:
                info = TaskInfo(self._told.host, self._told.port, component, task, timestamp, self._interval_secs)
                self._emit(info, found)
        self._lanes.transfer.flush()

    def _emit(self, info: TaskInfo, points: list[DataPoint]) -> None:
        """To one task of each consumer, in turn."""
        self._reports += 1
        values = [list(info), [list(point) for point in points]]
        try:
            self._lanes.transfer.check(values)
        except SerializationError as error:
            logger.warning("Metrics of %s cannot travel: %s", info.component_id, error)
            return
        for tasks in self._consumers:
            target = tasks[self._reports % len(tasks)]
            tup = Tuple(values, self._lanes.plan.origin(info.task_id, METRICS_STREAM))
            tup.target = target
            if not self._lanes.deliver(target, [tup]):
                self._lanes.transfer.send(target, [tup])

    def _queue_points(self, executor: Executor, queues: Mapping[TaskId, int]) -> Iterator[DataPoint]:
        yield DataPoint("__sendqueue", {"population": sum([len(port.items) for port in executor.outgoing])})
        if isinstance(executor, SpoutExecutor):
            yield DataPoint("__pending", _pending(executor))
        else:
            population = sum(queues.get(task, 0) for task in executor.id.tasks())
            yield DataPoint("__receive", {"population": population, "capacity": self._lanes.high_mark})

    def _system_points(self, now: float) -> Iterator[DataPoint]:
        """Storm's names; what a JVM has and Python has not is left out."""
        figures = self._figures()
        uptime = now - self._started_at
        yield DataPoint("uptimeSecs", uptime)
        yield DataPoint("startTimeSecs", self._clock.wall_secs() - int(uptime))
        yield DataPoint("newWorkerEvent", 0 if self._system_before else 1)
        yield DataPoint("memory/heap", {"usedBytes": figures.resident_bytes})
        yield DataPoint("CPU", {"userAndSystemMs": figures.cpu_secs * 1000})
        yield DataPoint("__sendqueue", {"population": self._exchange_figures().waiting})
        before = self._system_before.get("collections", (0,) * len(figures.collections))
        for generation, (earlier, number) in enumerate(zip(before, figures.collections, strict=True)):
            yield DataPoint(f"GC/generation{generation}", {"count": number - earlier})
        self._system_before["collections"] = figures.collections


def _pending(executor: SpoutExecutor) -> int:
    return sum(task.pending.count for task in executor.tasks)
