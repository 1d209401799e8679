"""A worker tells that it lives: to its supervisor on the same host, or to Nimbus while the supervisor is away.

The supervisor may answer that another worker owns the slot: then this one ends. A supervisor that is down, or stopped
and says nothing, harms no worker: each beat that it does not take goes to Nimbus. Neither is waited for longer than
ANSWER_SECS, for Nimbus takes executors for dead after a third of `nimbus.task.timeout.secs` if their supervisor's
session is over.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from storm.errors import NotAuthorizedError, StormError
from storm.log_repeats import is_logged
from storm.metrics.insight_records import Usage
from storm.metrics.series import components_part
from storm.worker.told_figures import ToldFigures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.clock import Clock
    from storm.ids import ExecutorId
    from storm.metrics.insight_records import WorkerInsight
    from storm.metrics.stats_records import ExecutorStats
    from storm.worker.launch import Launch

logger = logging.getLogger(__name__)

STATS_EVERY_SECS = 3.0
BARE_SECS = 60.0
ANSWER_SECS = 1.0


class Caller(Protocol):
    """A Thrift client: `storm.thrift.client.ThriftClient` or `nimbus_client.NimbusClient`."""

    def call(self, method: str, *arguments: Any) -> Any: ...

    def close(self) -> None: ...


class Heartbeats:
    """`beat` is one heartbeat; `start` sends them on a thread of its own, the first one at once.

    `stats` is to be set once the executors run: from then on beats tell figures and the uptime. So is `metrics`, what
    the supervisor shows to Prometheus, `insight`, how the worker and its peers get on, and `usage`, what the process
    takes of its host. `on_replaced` is called when another worker owns the slot.
    """

    def __init__(
        self,
        launch: Launch,
        clock: Clock,
        supervisor: Caller,
        nimbus: Callable[[], Caller],
        on_replaced: Callable[[], None],
    ) -> None:
        """`nimbus` makes a client of Nimbus; it is called when the supervisor is away for the first time."""
        self._launch = launch
        self._clock = clock
        self._supervisor = supervisor
        self._make_nimbus = nimbus
        self._nimbus: Caller | None = None
        self._on_replaced = on_replaced
        self._started_at = clock.now()
        self._stats_at = float("-inf")
        self._misses = 0
        self._stopped = threading.Event()
        self.stats: Callable[[], Mapping[ExecutorId, ExecutorStats]] | None = None
        self.insight: Callable[[], WorkerInsight | None] | None = None
        self.metrics: Callable[[], str] = str
        self.usage: Callable[[], Usage] = Usage
        self._executors: list[Any] | None = None  # as beats tell them, which is always the same
        self._figures = ToldFigures()
        self._metrics_told = ""  # each text is told once
        self._bare_until = float("-inf")  # until then beats say that the worker lives and nothing more

    def start(self, every_secs: float) -> None:
        """A beat each `every_secs`, however long the one before had to wait for answers."""

        def run() -> None:
            began = self._clock.now()
            self.beat()
            while not self._stopped.wait(began + every_secs - self._clock.now()):
                began = self._clock.now()
                self.beat()

        threading.Thread(target=run, name="heartbeats", daemon=True).start()

    def stop(self) -> None:
        """No heartbeat begins after this."""
        self._stopped.set()

    def beat(self) -> None:
        """One heartbeat. It does not raise: what is wrong is logged when it begins and when it ends."""
        try:
            message = self._message()
        except Exception:  # noqa: BLE001
            self._go_bare("A heartbeat could not be made.")
            return
        try:
            self._supervisor.call("sendSupervisorWorkerHeartbeat", message)
        except NotAuthorizedError as error:
            logger.warning("The supervisor says that this worker was replaced: %s", error)
            self.stop()
            self._on_replaced()
        except StormError as error:
            if self._misses == 0:
                logger.warning("The supervisor does not take the heartbeat: %s", error)
            self._misses += 1
            self._beat_nimbus(message)
        except Exception:  # noqa: BLE001
            self._go_bare("A heartbeat could not be sent.")
        else:
            if self._misses:
                logger.info("The supervisor takes heartbeats again, after %d misses.", self._misses)
            self._misses = 0
            self._metrics_told = message.metrics or self._metrics_told

    def _go_bare(self, what: str) -> None:
        """A worker that is not heard is ended: what cannot be told of it must not silence it."""
        logger.exception("%s For %d s they tell nothing but that the worker lives.", what, BARE_SECS)
        self._bare_until = self._clock.now() + BARE_SECS

    def _beat_nimbus(self, message: Any) -> None:
        try:
            if self._nimbus is None:
                self._nimbus = self._make_nimbus()
            message.metrics = components_part(message.metrics or "") or None
            self._nimbus.call("sendSupervisorWorkerHeartbeat", message)
        except StormError as error:
            if is_logged(self._misses):
                logger.warning("Nor does Nimbus: %s", error)
        except Exception:  # noqa: BLE001
            self._go_bare("A heartbeat could not be sent to Nimbus.")

    def _message(self) -> Any:
        from storm.thrift import convert
        from storm.thrift.insight_convert import worker_insight_to_thrift
        from storm.thrift.interface import storm_thrift

        now = self._clock.now()
        if self._executors is None:
            self._executors = [convert.executor_to_thrift(executor) for executor in self._launch.executors]
        message = storm_thrift().SupervisorWorkerHeartbeat(
            storm_id=self._launch.topology_id,
            executors=self._executors,
            time_secs=self._clock.wall_secs(),
            port=self._launch.port,
            uptime_secs=None if self.stats is None else int(now - self._started_at),
            worker_id=self._launch.worker_id,
        )
        if now < self._bare_until:
            return message
        if self.stats is not None and now - self._stats_at >= STATS_EVERY_SECS:
            self._stats_at = now
            message.executor_stats = self._figures.take(self.stats())
            text = self.metrics()
            message.metrics = text if text is not self._metrics_told else None
        if self.insight is not None:  # with each beat: a supervisor passes on the newest only
            message.insight = worker_insight_to_thrift(self.insight())
        message.used_mem, message.used_cpu = self.usage()
        return message
