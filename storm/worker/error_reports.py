"""Errors of components on their way to ZooKeeper: through a short queue, so that no lane waits for the network."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from storm.cluster.records import ErrorInfo
from storm.config.addresses import joined
from storm.errors import StormError
from storm.log_lines import Place
from storm.worker.log_records import attributes_of

if TYPE_CHECKING:
    from storm.clock import Clock
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import ComponentId
    from storm.worker.launch import Launch

logger = logging.getLogger(__name__)

QUEUED_MAX = 100  # errors are throttled where they arise; more than this are logged only


class ErrorReports:
    """See `Reports` of `storm.executor.lanes`."""

    def __init__(self, launch: Launch, state: StormClusterState, clock: Clock) -> None:
        self._launch = launch
        self._state = state
        self._clock = clock
        self._queue: queue.Queue[tuple[ComponentId, ErrorInfo] | None] = queue.Queue(QUEUED_MAX)
        self._thread: threading.Thread | None = None

    def report_error(self, component_id: ComponentId, exception_text: str) -> None:
        """From any thread; returns at once. The text is logged here too."""
        launch = self._launch
        place = Place(launch.topology_id, joined(launch.host, launch.port), component_id)
        logger.error("Error of component %s:\n%s", component_id, exception_text, extra=attributes_of(place))
        error = ErrorInfo(exception_text, self._clock.wall_secs(), launch.host, launch.port)
        try:
            self._queue.put_nowait((component_id, error))
        except queue.Full:
            logger.warning("Too many errors wait to be written to ZooKeeper; this one is only in the log.")

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="error-reports", daemon=True)
        self._thread.start()

    def stop(self, timeout_secs: float) -> None:
        """Write what waits, as far as it goes in that time."""
        if self._thread is None:
            self.write_queued()
            return
        try:
            self._queue.put(None, timeout=timeout_secs)
        except queue.Full:
            return
        self._thread.join(timeout_secs)

    def write_queued(self) -> None:
        """Write what waits now, in the calling thread."""
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None:
                self._write(*item)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self._write(*item)

    def _write(self, component_id: ComponentId, error: ErrorInfo) -> None:
        try:
            self._state.report_error(self._launch.topology_id, component_id, error)
        except StormError as failure:
            logger.warning("An error of %s could not be written to ZooKeeper: %s", component_id, failure)
