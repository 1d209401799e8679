"""Tuples that came whole, with values that cannot be decoded here: people are told, and their trees fail at once.

Nobody else would settle them: their spouts would wait for the message timeout, and be told that they were lost on the
way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm.errors import SerializationError
from storm.executor.tracking import TrackingOut
from storm.executor.transfer import Tracking

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from storm.executor.lanes import Lanes
    from storm.ids import TaskId
    from storm.tuples import Tuple


class Refusals:
    """Owned by the thread of the worker's `Receive`."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._executors = {task: executor for executor in lanes.executors for task in executor.id.tasks()}
        self._tracking = TrackingOut()

    def refuse(self, target: TaskId, refused: Iterable[tuple[Tuple, str]]) -> None:
        """Fail every tree of these tuples as `target`, a task of this worker, would.

        Why, which stands beside each of them, is an error of the target's component: as many of them are reported as
        of those that the component raises.
        """
        executor = self._executors[target]
        for tup, why in refused:
            executor.report(SerializationError(why))
            for root in (tup.root, *(tup.more or ())):
                if root:
                    self._tracking.note(Tracking.FAIL, root, target)
        self._tracking.flush(target, self._send)

    def _send(self, kind: Tracking, task: TaskId, source: TaskId, pairs: array[int]) -> None:
        if not self._lanes.deliver_tracking(kind, task, source, pairs):
            self._lanes.transfer.send_tracking(kind, task, source, pairs)
