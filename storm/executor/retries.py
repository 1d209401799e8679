"""When a spout is told of its failures, where it asked for delays and a last attempt (`Spout.retries`).

What a message did itself and what befell it are counted apart. Where a worker dies, all that was under way fails, and
nobody knows whether one of these messages was the cause: a kernel that kills says nothing. So whoever was there at
several deaths is sent again in ever smaller company, and in the end alone. A message that is the cause comes to its
last attempt by itself then; the others get through before, or wait.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.topology.failures import Failure, Retries

JITTER = 0.2  # of a delay, to either side: what failed together does not come back together
COUNTED_MAX = 100_000  # ids whose failures are remembered; more only if most are never emitted again
DEATHS_MORE = 5  # than `attempts`: so a message that is given up for deaths was alone at the last one, at least
DEATHS_FREE = 2  # who was there at so many may still be under way with all others: most deaths are nobody's fault
SUSPECTS_MAX = 256  # under way at once after one death more; a sixteenth after each further one: 256, 16, 1


class Told(NamedTuple):
    """A failure that is due, after so many attempts at its message. `given_up`: no other attempt follows."""

    message_id: Any
    failure: Failure
    attempts: int
    given_up: bool


class Count(NamedTuple):
    """How often a message failed: by itself, and because a worker died."""

    own: int = 0
    deaths: int = 0

    def after(self, failure: Failure) -> Count:
        """With this one."""
        if failure.kind == "worker-died":
            return self._replace(deaths=self.deaths + 1)
        return self._replace(own=self.own + 1)


class RetrySchedule:
    """The failures of one spout task that wait. Each is told once; what was acked or given up begins anew."""

    def __init__(self, retries: Retries, random: Callable[[], float], silent_secs: float) -> None:
        """`random` answers numbers from 0 to 1. A suspect of which nothing is heard for `silent_secs` is under way no
        more: its spout did not send it again."""
        self._retries = retries
        self._random = random
        self._silent_secs = silent_secs
        self._counts: dict[Any, Count] = {}
        self._waiting: list[tuple[float, int, Told]] = []
        self._suspects: list[tuple[float, int, Told, int]] = []  # the last: how many may be under way with it
        self._under_way: dict[Any, float] = {}  # suspect -> until when, the earliest first
        self._number = 0  # of failures so far: those that are due at one time keep their order

    def __len__(self) -> int:
        """How many failures wait."""
        return len(self._waiting) + len(self._suspects)

    def failed(self, message_id: Any, failure: Failure, now: float) -> None:
        """A message failed. Raises TypeError where its id is not hashable."""
        try:
            hash(message_id)
        except TypeError:
            what = f"message id {message_id!r:.100} is not hashable"
            raise TypeError(f"{what}: a spout with `retries` needs ids that can be keys of a dict") from None
        self._under_way.pop(message_id, None)
        count = self._counts.pop(message_id, Count()).after(failure)
        given_up = is_last(self._retries, count)
        if given_up and failure.kind == "worker-died":
            failure = failure._replace(text=f"{failure.text}; that was so {count.deaths} times")
        told = Told(message_id, failure, sum(count), given_up)
        due = now
        if not given_up:
            self._counts[message_id] = count
            if len(self._counts) > COUNTED_MAX:
                del self._counts[next(iter(self._counts))]
            due += delay_secs(self._retries, told.attempts) * (1 + JITTER * (2 * self._random() - 1))
        self._number += 1
        if given_up or count.deaths <= DEATHS_FREE:
            heapq.heappush(self._waiting, (due, self._number, told))
        else:
            heapq.heappush(self._suspects, (due, self._number, told, suspects_max(count.deaths)))

    def acked(self, message_ids: Iterable[Any]) -> None:
        """These messages have arrived: their failures do not count any more."""
        if self._counts:
            for message_id in message_ids:
                self._counts.pop(message_id, None)
                self._under_way.pop(message_id, None)

    def due(self, now: float) -> list[Told]:
        """What is to be told now."""
        found = []
        while self._waiting and self._waiting[0][0] <= now:
            found.append(heapq.heappop(self._waiting)[2])
        while self._under_way and next(iter(self._under_way.values())) <= now:
            del self._under_way[next(iter(self._under_way))]
        while self._suspects and self._suspects[0][0] <= now and self._has_room():
            told = heapq.heappop(self._suspects)[2]
            self._under_way.pop(told.message_id, None)  # one message, sent twice
            self._under_way[told.message_id] = now + self._silent_secs
            found.append(told)
        return found

    def next_due(self) -> float | None:
        """When something is to be told, unless one of `acked` and `failed` is called before; None: nothing waits."""
        dues = [self._waiting[0][0]] if self._waiting else []
        if self._suspects:
            due = self._suspects[0][0]
            dues.append(due if self._has_room() else max(due, next(iter(self._under_way.values()))))
        return min(dues, default=None)

    def _has_room(self) -> bool:
        """Whether the first of the suspects may be sent."""
        return len(self._under_way) < self._suspects[0][3]


def is_last(retries: Retries, count: Count) -> bool:
    """Whether a message that failed so often is given up."""
    most = retries.attempts
    return most is not None and (count.own >= most or count.deaths >= most + DEATHS_MORE)


def suspects_max(deaths: int) -> int:
    """How many suspects may be under way, one that was there at so many deaths (more than DEATHS_FREE) among them."""
    return max(1, SUSPECTS_MAX >> 4 * (deaths - DEATHS_FREE - 1))


def delay_secs(retries: Retries, count: int) -> float:
    """How long the `count`-th failure of a message waits."""
    try:
        return min(retries.first_secs * retries.factor ** (count - 1), retries.max_secs)
    except OverflowError:
        return retries.max_secs
