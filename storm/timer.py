"""Calls in order of due time, over a clock. It owns no thread and never waits."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.clock import Clock


class Timer:
    """Pending calls. A daemon's loop sleeps until `next_due`, then asks for `run_due`; a simulation jumps there.

    Its owner is one thread. An exception of a call goes to the caller of `run_due`; calls that were due with
    it stay pending, and a recurring call that raised has ended.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()  # equal due times run in the order scheduled

    def schedule(self, delay_secs: float, call: Callable[[], None]) -> None:
        """Run `call` once, `delay_secs` from now; at the next `run_due` if that is 0. Raises ValueError."""
        if not delay_secs >= 0:
            raise ValueError(f"a call cannot be due {delay_secs} seconds from now")
        self._push(self._clock.now() + delay_secs, call)

    def schedule_recurring(self, period_secs: float, call: Callable[[], None]) -> None:
        """Run `call` every `period_secs`, first after one period. Raises ValueError.

        The period counts from the end of a run: after a long one the missed ones are not made up for.
        """
        if not period_secs > 0:
            raise ValueError(f"a call cannot recur every {period_secs} seconds")

        def again() -> None:
            call()
            self.schedule(period_secs, again)

        self.schedule(period_secs, again)

    def next_due(self) -> float | None:
        """When the first call is due, on the clock's `now`; None: nothing is pending."""
        return self._calls[0][0] if self._calls else None

    def run_due(self) -> int:
        """Run what is due at this moment; return how many. What becomes due meanwhile waits for the next run."""
        now = self._clock.now()
        count = 0
        last = next(self._order)
        while self._calls and self._calls[0][0] <= now and self._calls[0][1] < last:
            heapq.heappop(self._calls)[2]()
            count += 1
        return count

    def _push(self, due: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (due, next(self._order), call))
