"""The acker's tasks: ledgers for the spouts of workers that have no acker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.executor.acker import AckLedger
from storm.executor.executor import Executor

if TYPE_CHECKING:
    from array import array

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.executor import Surroundings
    from storm.executor.lane import Lane
    from storm.executor.transfer import Tracking
    from storm.ids import ExecutorId


REMAINS_SECS = 3600  # an INIT that waits for a link that is cut comes earlier


class AckerExecutor(Executor):
    """Given tracking by its lane (`receive`); tells the spouts' tasks how their trees ended."""

    __slots__ = ("ledgers", "only_remains", "rotate_due", "timeout_secs")

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.prepared = True
        self.ledgers = {task: AckLedger(surroundings.rng.getrandbits(64)) for task in executor_id.tasks()}
        self.only_remains = not options.enable_message_timeouts
        self.timeout_secs = max(options.message_timeout_secs, REMAINS_SECS if self.only_remains else 0)
        self.rotate_due: float | None = None

    def enter(self, lane: Lane) -> None:
        super().enter(lane)
        lane.ackers.update(dict.fromkeys(self.ledgers, self))

    def receive(self, kind: Tracking, task: int, pairs: array[int]) -> None:
        """INIT, ACK, FAIL or RESET of these roots."""
        self.ledgers[task].receive(kind, pairs, self.tracking)

    def turn(self, now: float) -> bool:
        if self.rotate_due is None:
            self.rotate_due = now + self.timeout_secs
        elif now >= self.rotate_due:
            self.rotate_due = now + self.timeout_secs
            for ledger in self.ledgers.values():
                ledger.rotate(self.only_remains)
        return self.tracking.flush(self.id.start_task, self.lane.send_tracking)

    def next_due(self) -> float | None:
        return self.rotate_due
