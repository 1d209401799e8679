"""What the workers reported (see counts.py), put together second by second."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Line(NamedTuple):
    """What one worker did in the `secs` before `t`."""

    t: float
    secs: float
    counts: dict[str, int]
    latencies: dict[int, int]
    cpu_secs: float
    rss_mb: float


class Windows(NamedTuple):
    """The seconds in which every worker reported, and what all of them did together."""

    rates: dict[str, tuple[float, ...]]  # by the name of a count; per second
    totals: dict[str, int]
    latencies: Counter[int]
    cpu_secs: float
    rss_mb: list[float]  # by second, of the largest worker

    def cost(self, counted: str) -> float | None:
        """CPU seconds per million of what is counted."""
        total = self.totals.get(counted, 0)
        return round(self.cpu_secs * 1e6 / total, 4) if total else None


def reported(directory: Path) -> dict[int, list[Line]]:
    """{process: its lines}"""
    found = {}
    for file in directory.glob("*.rates"):
        complete = [text for text in file.read_text().splitlines(keepends=True) if text.endswith("\n")]
        found[int(file.stem)] = [_line(json.loads(text)) for text in complete]
    return found


def _line(record: dict[str, Any]) -> Line:
    latencies = {int(bucket): count for bucket, count in record.pop("latencies").items()}
    return Line(latencies=latencies, **record)


def between(lines: dict[int, list[Line]], first: float, last: float) -> Windows:
    """What was done after `first` and until `last`, both times of day.

    A second in which some worker wrote no line counts for none: its thread came too late, and its next line has both.
    """
    kept = {pid: {line.t: line for line in of if first < line.t <= last} for pid, of in lines.items()}
    seconds = sorted(set.intersection(*(set(of) for of in kept.values()))) if kept else []
    names = {name for of in kept.values() for line in of.values() for name in line.counts}
    used = [of[t] for of in kept.values() for t in seconds]
    return Windows(
        rates={
            name: tuple(sum(of[t].counts.get(name, 0) / of[t].secs for of in kept.values()) for t in seconds)
            for name in names
        },
        totals={name: sum(line.counts.get(name, 0) for line in used) for name in names},
        latencies=sum((Counter(line.latencies) for line in used), Counter()),
        cpu_secs=sum(line.cpu_secs for line in used),
        rss_mb=[max(of[t].rss_mb for of in kept.values()) for t in seconds],
    )


def sleep_windows(warmup: float, seconds: int) -> tuple[float, float]:
    """Let the warm-up and then so many full seconds pass; the times of their beginning and end."""
    first = math.ceil(time.time() + warmup)
    last = first + seconds
    time.sleep(last + 0.4 - time.time())  # the workers write their last lines
    return first, last
