"""When a spout is told of its failures, where it asked for delays and a last attempt (`Spout.retries`)."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.executor.shown_values import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.topology.failures import Failure, Retries

JITTER = 0.2  # of a delay, to either side: what failed together does not come back together
COUNTED_MAX = 100_000  # ids whose failures are remembered; more only if most are never emitted again


class Told(NamedTuple):
    """A failure that is due, after so many attempts at its message. `given_up`: no other attempt follows."""

    message_id: Any
    failure: Failure
    attempts: int
    given_up: bool


class RetrySchedule:
    """The failures of one spout task that wait. Each is told once; what was acked or given up begins anew."""

    def __init__(self, retries: Retries, random: Callable[[], float]) -> None:
        """`random` answers numbers from 0 to 1."""
        self._retries = retries
        self._random = random
        self._counts: dict[Any, int] = {}
        self._waiting: list[tuple[float, int, Told]] = []
        self._number = 0  # of failures so far: those that are due at one time keep their order

    def __len__(self) -> int:
        """How many failures wait."""
        return len(self._waiting)

    def failed(self, message_id: Any, failure: Failure, now: float) -> None:
        """A message failed. Raises TypeError where its id is not hashable."""
        retries = self._retries
        try:
            hash(message_id)
        except TypeError:
            what = f"message id {shown(message_id, 100)} is not hashable"
            raise TypeError(f"{what}: a spout with `retries` needs ids that can be keys of a dict") from None
        count = self._counts.pop(message_id, 0) + 1
        given_up = retries.attempts is not None and count >= retries.attempts
        due = now
        if not given_up:
            self._counts[message_id] = count
            if len(self._counts) > COUNTED_MAX:
                del self._counts[next(iter(self._counts))]
            due += delay_secs(retries, count) * (1 + JITTER * (2 * self._random() - 1))
        self._number += 1
        heapq.heappush(self._waiting, (due, self._number, Told(message_id, failure, count, given_up)))

    def give_up(self, message_id: Any, failure: Failure, attempts: int, now: float) -> None:
        """A message of which somebody else counted the attempts."""
        self._counts.pop(message_id, None)
        self._number += 1
        heapq.heappush(self._waiting, (now, self._number, Told(message_id, failure, attempts, True)))

    def acked(self, message_ids: Iterable[Any]) -> None:
        """These messages have arrived: their failures do not count any more."""
        if self._counts:
            for message_id in message_ids:
                self._counts.pop(message_id, None)

    def due(self, now: float) -> list[Told]:
        """What is to be told now."""
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            found.append(heapq.heappop(self._waiting)[2])
        return found

    def next_due(self) -> float | None:
        """When something is to be told; None: nothing waits."""
        return self._waiting[0][0] if self._waiting else None


def delay_secs(retries: Retries, count: int) -> float:
    """How long the `count`-th failure of a message waits."""
    try:
        return min(retries.first_secs * retries.factor ** (count - 1), retries.max_secs)
    except OverflowError:
        return retries.max_secs
