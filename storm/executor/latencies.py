"""How latencies of tuples are distributed: numbers of them between bounds that are the same everywhere.

Only what is timed anyway is counted, a sample for many tuples: so tuples pay next to nothing for it.
"""

from __future__ import annotations

from storm.metrics.distribution import LATENCY_BUCKETS


class Latencies:
    """`counts` are those of `LATENCY_BUCKETS`; any thread may read them."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * len(LATENCY_BUCKETS)

    def add(self, secs: float, number: int) -> None:
        """So many tuples took so long each."""
        bound = 0.25**9  # the first of `SECONDS_BOUNDS`; each is four times the one before
        last = len(self.counts) - 1
        i = 0
        while i < last and secs > bound:
            bound *= 4.0
            i += 1
        self.counts[i] += number

    def read(self) -> dict[int, int]:
        """{bucket of a `Distribution`: how many}, of those that are not empty."""
        counts = self.counts
        return {LATENCY_BUCKETS[i]: counts[i] for i in range(len(counts)) if counts[i]}
