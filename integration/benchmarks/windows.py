"""What the workers reported (see counts.py), put together second by second."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

if TYPE_CHECKING:
    from pathlib import Path

DISTURBING_CORES = 0.2
LAST_LINE_SECS = 0.4  # after a second has ended, until the workers have written of it


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
    cpu_secs_of: tuple[float, ...]  # by second, of all workers
    rss_mb: list[float]  # by second, of the largest worker
    notes: str = ""

    @property
    def cpu_secs(self) -> float:
        return sum(self.cpu_secs_of)

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
        cpu_secs_of=tuple(sum(of[t].cpu_secs for of in kept.values()) for t in seconds),
        rss_mb=[max(of[t].rss_mb for of in kept.values()) for t in seconds],
    )


class Span(NamedTuple):
    """Seconds that were waited for: times of day, and how many cores all processes of the machine kept busy."""

    first: float
    last: float
    busy_cores: float

    def disturbance(self, cpu_secs: float) -> str:
        """A remark where others than the measured processes, which used so much, took more than a fifth of a core."""
        others = self.busy_cores - cpu_secs / (self.last - self.first)
        return f"other processes took {others:.1f} of {os.cpu_count()} cores" if others > DISTURBING_CORES else ""


def sleep_windows(warmup: float, seconds: int) -> Span:
    """Let the warm-up and then so many full seconds pass."""
    first = math.ceil(time.time() + warmup)
    last = first + seconds
    time.sleep(first - time.time())
    before = busy_secs()
    time.sleep(last - time.time())
    busy = busy_secs() - before
    time.sleep(LAST_LINE_SECS)
    return Span(first, last, busy / seconds)


def busy_secs() -> float:
    """CPU seconds that the machine has worked, or that a virtual machine was denied, since it was started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
