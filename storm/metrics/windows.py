"""Sums over the last 10 minutes, 3 hours, 1 day and all time (Storm's windows), in buckets of a twentieth of each."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from storm.metrics.stats_records import ALL_TIME, WINDOWS, Window

BUCKETS = 20

K = TypeVar("K")


class RollingSums(Generic[K]):
    """Amounts per key. Of the bucket in which a window begins, the share counts that is in the window, so that a
    constant rate is the sum divided by the window at every moment; what comes at once leaves the window bit by bit.

    `now` is seconds on a monotonic clock and never goes back.
    """

    def __init__(self) -> None:
        self._all_time: dict[K, float] = {}
        self._windows: dict[Window, _Buckets[K]] = {}  # made for the first amount: most of what is counted never occurs

    def add(self, now: float, key: K, amount: float) -> None:
        if not self._windows:
            self._windows = {window: _Buckets(int(window) / BUCKETS) for window in WINDOWS if window != ALL_TIME}
        self._all_time[key] = self._all_time.get(key, 0) + amount
        for buckets in self._windows.values():
            buckets.add(now, key, amount)

    def sums(self, now: float) -> dict[Window, dict[K, float]]:
        """{window: {key: sum}}; a key that has nothing in a window is not in it."""
        if not self._all_time:
            return {window: {} for window in WINDOWS}
        found = {window: buckets.sums(now) for window, buckets in self._windows.items()}
        found[ALL_TIME] = dict(self._all_time)
        return found


class _Buckets(Generic[K]):
    def __init__(self, bucket_secs: float) -> None:
        self.bucket_secs = bucket_secs
        self.buckets: deque[tuple[int, dict[K, float]]] = deque()  # number of the bucket, amounts; oldest first

    def add(self, now: float, key: K, amount: float) -> None:
        number = int(now // self.bucket_secs)
        self.forget(number)
        if not self.buckets or self.buckets[-1][0] != number:
            self.buckets.append((number, {}))
        amounts = self.buckets[-1][1]
        amounts[key] = amounts.get(key, 0) + amount

    def forget(self, number: int) -> None:
        while self.buckets and self.buckets[0][0] < number - BUCKETS:
            self.buckets.popleft()

    def sums(self, now: float) -> dict[K, float]:
        number = int(now // self.bucket_secs)
        self.forget(number)
        share = 1 - (now / self.bucket_secs - number)
        found: dict[K, float] = {}
        for one, amounts in self.buckets:
            for key, amount in amounts.items():
                found[key] = found.get(key, 0) + (amount if one > number - BUCKETS else amount * share)
        return found
