"""What a benchmark case is, what it is asked for, and what it finds.

A module of cases exposes `CASES: list[Case]`; `run` collects them from its list of modules.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
BUCKETS_PER_E = 20  # a bucket of a histogram begins at exp(i / 20) microseconds: 5 % wide


class Options(NamedTuple):
    """What every case is asked for. A case that measures something else than a rate may do with some of them."""

    seconds: int = 12  # windows of one second that are kept
    warmup: int = 5  # seconds before the first of them, from the first tuple on
    repeat: int = 1  # whole runs; `run` calls the case so often
    conf: Mapping[str, str] = {}  # topology settings that win over those of the case
    profile: Path | None = None  # where flame graphs go; None: no profile is taken
    seconds_given: bool = False  # whether whoever runs it said how many; else a case may take the number that suits it


class Result(NamedTuple):
    """What one run of one case found."""

    case: str
    unit: str  # "tuples/s", "words/s", "ns", "s", "MB"
    rates: tuple[float, ...]  # one for each window, or for each repetition, in `unit`
    cpu_secs_per_million: float | None = None  # of the worker processes, per million tuples or words
    rss_mb: dict[str, float] = {}  # by the role of a process: "worker", "nimbus", ...; the largest where several
    latency_ms: dict[str, float] = {}  # complete latency: "p50", "p99", "p99.9"
    failed: int = 0
    notes: str = ""
    others: dict[str, float] = {}  # other figures that a bar is about, by what they are

    @property
    def median(self) -> float:
        return statistics.median(self.rates) if self.rates else math.nan

    @property
    def minimum(self) -> float:
        return min(self.rates, default=math.nan)

    @property
    def maximum(self) -> float:
        return max(self.rates, default=math.nan)


class Case(NamedTuple):
    name: str
    about: str  # one line
    run: Callable[[Options], Result]


def percentiles_ms(buckets: Mapping[int, int]) -> dict[str, float]:
    """p50, p99 and p99.9 in milliseconds of a histogram {bucket: count}; empty where nothing was counted."""
    total = sum(buckets.values())
    if not total:
        return {}
    found = {}
    for name, share in SHARES.items():
        left = share * total
        for bucket, count in sorted(buckets.items()):
            left -= count
            if left <= 0:
                found[name] = round(math.exp((bucket + 0.5) / BUCKETS_PER_E) / 1000, 3)
                break
    return found


def median_of(results: list[Result]) -> Result:
    """One result for several whole runs of a case: its rates are the medians of the runs."""
    first = results[0]
    if len(results) == 1:
        return first
    costs = [result.cpu_secs_per_million for result in results if result.cpu_secs_per_million is not None]
    return first._replace(
        rates=tuple(result.median for result in results),
        cpu_secs_per_million=statistics.median(costs) if costs else None,
        rss_mb={role: max(result.rss_mb.get(role, 0.0) for result in results) for role in first.rss_mb},
        latency_ms={
            share: statistics.median(result.latency_ms[share] for result in results if share in result.latency_ms)
            for share in first.latency_ms
        },
        failed=sum(result.failed for result in results),
        notes="; ".join(dict.fromkeys(result.notes for result in results if result.notes)),
        others={
            name: statistics.median(result.others[name] for result in results if name in result.others)
            for name in first.others
        },
    )
