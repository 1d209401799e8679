"""The acker's tasks: ledgers for the spouts of workers that have no acker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.executor.acker import AckLedger
from storm.executor.executor import Executor
from storm.executor.transfer import Tracking

if TYPE_CHECKING:
    from array import array

    from storm.config.topology_conf import TopologyOptions
    from storm.executor.executor import Surroundings
    from storm.executor.lane import Lane
    from storm.ids import ExecutorId


class AckerExecutor(Executor):
    """Given tracking by its lane (`receive`); tells the spouts' tasks how their trees ended."""

    __slots__ = ("ledgers", "rotate_due", "timeout_secs")

    def __init__(self, executor_id: ExecutorId, options: TopologyOptions, surroundings: Surroundings) -> None:
        super().__init__(executor_id, options, surroundings)
        self.ledgers = {task: AckLedger() for task in executor_id.tasks()}
        self.timeout_secs = options.message_timeout_secs if options.enable_message_timeouts else None
        self.rotate_due: float | None = None

    def enter(self, lane: Lane) -> None:
        super().enter(lane)
        lane.ackers.update(dict.fromkeys(self.ledgers, self))

    def receive(self, kind: Tracking, task: int, pairs: array[int]) -> None:
        """INIT, ACK, FAIL or RESET of these roots."""
        ledger, note = self.ledgers[task], self.tracking.note
        for i in range(0, len(pairs), 2):
            root, value = pairs[i], pairs[i + 1]
            if kind is Tracking.ACK:
                verdict = ledger.ack(root, value)
            elif kind is Tracking.INIT:
                verdict = ledger.init(root, value)
            elif kind is Tracking.FAIL:
                verdict = ledger.fail(root)
            else:
                verdict = ledger.reset(root)
            if verdict is not None:
                note(verdict, root)

    def turn(self, now: float) -> bool:
        if self.timeout_secs is not None:
            if self.rotate_due is None:
                self.rotate_due = now + self.timeout_secs
            elif now >= self.rotate_due:
                self.rotate_due = now + self.timeout_secs
                for ledger in self.ledgers.values():
                    ledger.rotate()
        return self.tracking.flush(self.id.start_task, self.lane.send_tracking)

    def next_due(self) -> float | None:
        return self.rotate_due
