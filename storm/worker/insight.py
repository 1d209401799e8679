"""What a worker tells of itself in heartbeats: figures, what its executors do, how it and its peers get on."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from storm.executor import insight_watch
from storm.executor.insight_watch import InsightWatch
from storm.metrics.insight_records import WorkerInsight
from storm.worker.exchange import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from storm.clock import Clock
    from storm.executor.lanes import Lanes
    from storm.ids import ComponentId, ExecutorId, TaskId
    from storm.metrics.insight_records import FailedTuple
    from storm.metrics.stats_records import ExecutorStats
    from storm.worker.exchange import Exchange
    from storm.worker.worker import Worker

logger = logging.getLogger(__name__)

FAILURES_MAX = 100  # of all executors together: a heartbeat has its limits
PEERS_MAX = 50  # that are named, of each kind, with each beat: Nimbus has as many beats as there are workers

T = TypeVar("T")


class Insights:
    """Belongs to the thread of heartbeats. `awaited`: the peers without which spouts do not begin yet, for people.

    `opening`: the components that are to be prepared, and are not yet.
    """

    def __init__(
        self,
        lanes: Lanes,
        exchange: Exchange,
        clock: Clock,
        awaited: Callable[[], Sequence[str]],
        opening: Callable[[], Sequence[ComponentId]],
    ) -> None:
        self._lanes = lanes
        self._exchange = exchange
        self._clock = clock
        self._awaited = awaited
        self._opening = opening
        self._watch = InsightWatch(lanes)
        self._fails = False

    def executor_stats(self) -> dict[ExecutorId, ExecutorStats]:
        """Figures of the executors of users' components, with what they do."""
        stats = self._lanes.stats()
        return self._unless_it_fails(lambda: self._with_insight(stats)) or stats

    def worker(self) -> WorkerInsight | None:
        """How the worker and its peers get on."""
        return self._unless_it_fails(self._worker)

    def _unless_it_fails(self, look: Callable[[], T]) -> T | None:
        """Without heartbeats the worker would be ended; without this people only see less."""
        if self._fails:
            return None
        try:
            return look()
        except Exception:
            logger.exception("What this worker does could not be looked at; heartbeats go on without it.")
            self._fails = True
            return None

    def _worker(self) -> WorkerInsight:
        exchange = self._exchange
        obstacles = exchange.obstacles()
        return WorkerInsight(
            full_components=self._components(self._lanes.full_tasks()),
            held_by={
                worker: self._components(tasks) for worker, tasks in sorted(obstacles.announced.items())[:PEERS_MAX]
            },
            slow_peers=tuple(sorted(obstacles.slow)[:PEERS_MAX]),
            missing_peers=tuple(name_of(peer) for peer in exchange.missing_peers()[:PEERS_MAX]),
            peers=exchange.peers(),
            reconnects=exchange.reconnects(),
            dropped=exchange.dropped(),
            opening_components=tuple(self._opening()),
        )

    def _with_insight(self, stats: dict[ExecutorId, ExecutorStats]) -> dict[ExecutorId, ExecutorStats]:
        now, wall_secs = self._clock.now(), self._clock.wall_secs()
        obstacles = self._exchange.obstacles()._replace(awaited=tuple(self._awaited()))
        found = self._watch.look(now, obstacles)
        failed = newest(
            (executor.id, failure)
            for executor in self._lanes.executors
            for failure in insight_watch.failures(executor, now, wall_secs)
        )
        return {
            executor: replace(one, insight=found.get(executor), failures=tuple(failed.get(executor, ())))
            for executor, one in stats.items()
        }

    def _components(self, tasks: Iterable[TaskId]) -> tuple[ComponentId, ...]:
        known = self._lanes.plan.task_components  # another worker may name any task
        return tuple(sorted({known[task] for task in tasks if task in known}))


def insights_of(worker: Worker, clock: Clock) -> Insights:
    """What this worker tells of what it does."""
    return Insights(worker.lanes, worker.exchange, clock, worker.awaited_peers, worker.opening)


def newest(failures: Iterable[tuple[ExecutorId, FailedTuple]]) -> dict[ExecutorId, list[FailedTuple]]:
    """{executor: those of its failures that are among the newest FAILURES_MAX of all}, in the order that they came."""
    found: dict[ExecutorId, list[FailedTuple]] = {}
    for executor, failure in sorted(failures, key=_failed_at)[-FAILURES_MAX:]:
        found.setdefault(executor, []).append(failure)
    return found


def _failed_at(failure: tuple[ExecutorId, FailedTuple]) -> int:
    return failure[1].wall_secs
