"""How a worker's executors reach tasks in other workers: the seam between `executor` and `worker`."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from storm.ids import TaskId
    from storm.tuples import Tuple


class Tracking(IntEnum):
    """What a tracking message says of its roots. The numbers stand in frames: they never change.

    To the holder of the tree's ledger: INIT (a spout emitted; the value is the XOR of the first edges), ACK (the value
    is folded in), FAIL (the value is the task that failed a tuple), RESET. The holder is an acker, or the spout's own
    task, which is never sent INIT.
    From an acker to the spout's task: ACKED, FAILED (the task again), RESET_DONE. Where there is no value it is 0.
    """

    INIT = 1
    ACK = 2
    FAIL = 3
    RESET = 4
    ACKED = 5
    FAILED = 6
    RESET_DONE = 7


class Transfer(Protocol):
    """Outgoing side of a worker. Called by lane threads, in batches; never blocks on the network."""

    def check(self, values: Sequence[Any]) -> None:
        """Raise SerializationError, naming position and type, if the values cannot travel.

        Called by emit for each tuple that has a target in another worker.
        """

    def send(self, target: TaskId, tuples: list[Tuple]) -> None:
        """Take a batch for one task in another worker. The list is the callee's from now on.

        The tuples may have several origins; tuples of one origin keep their order.
        """

    def send_tracking(self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int]) -> None:
        """Take tracking for an acker's or spout's task in another worker.

        `pairs` is an array("Q") of root, value, root, value, ... `source` is the spout's task for INIT, else the
        sender's.
        """

    def flush(self) -> None:
        """The lane has no more for now: what was taken should leave soon."""
