"""Which executors' figures go with a heartbeat: all, or a part of them in turn where that is too much for a message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from storm.thrift.figures import stats_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import ExecutorId
    from storm.metrics.stats_records import ExecutorStats
    from storm.thrift.interface import Struct

logger = logging.getLogger(__name__)

# Those of 350 bolts with one input and one output, or of 100 with five and two. A supervisor takes more, but needs a
# quarter of a second of a core to read this, and a worker waits a second for its answer.
FIGURES_BYTES_MAX = 512 << 10


class ToldFigures:
    """Belongs to the thread of heartbeats."""

    def __init__(self) -> None:
        self._next: ExecutorId | None = None  # with whom the next heartbeat begins
        self._left_out: set[ExecutorId] = set()

    def take(self, stats: Mapping[ExecutorId, ExecutorStats]) -> dict[Struct, Struct]:
        """What `SupervisorWorkerHeartbeat.executor_stats` holds this time; who is left to tell comes first the next."""
        from storm.thrift import convert

        executors = sorted(stats)
        start = executors.index(self._next) if self._next is not None and self._next in stats else 0
        self._next = None
        told: dict[Struct, Struct] = {}
        size = 0
        for executor in executors[start:] + executors[:start]:
            struct = convert.executor_stats_to_thrift(stats[executor])
            its = stats_bytes(struct)
            if its > FIGURES_BYTES_MAX:
                self._leave_out(executor, its)
                continue
            size += its
            if size > FIGURES_BYTES_MAX:
                self._next = executor
                break
            told[convert.executor_to_thrift(executor)] = struct
        return told

    def _leave_out(self, executor: ExecutorId, size: int) -> None:
        if executor not in self._left_out:
            self._left_out.add(executor)
            logger.warning(
                "The figures of the executor of tasks %d to %d are not shown: they take %d bytes, and a heartbeat has"
                " room for %d. They grow with the streams that a component emits and takes: give it fewer.",
                *executor, size, FIGURES_BYTES_MAX,
            )  # fmt: skip
