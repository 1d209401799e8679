"""What this process uses of its machine, from /proc and the interpreter."""

from __future__ import annotations

import gc
import os
from typing import NamedTuple

from storm.metrics.insight_records import Usage

MB = 1 << 20


class ProcessFigures(NamedTuple):
    """`collections` are the runs of the garbage collector, by generation; 0 where the kernel does not tell."""

    resident_bytes: int
    cpu_secs: float
    collections: tuple[int, ...]


def process_figures() -> ProcessFigures:
    """As of now."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            resident_bytes = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        resident_bytes = 0
    times = os.times()
    collections = tuple(each["collections"] for each in gc.get_stats())
    return ProcessFigures(resident_bytes, times.user + times.system, collections)


def usage(before: ProcessFigures | None, now: ProcessFigures, secs: float) -> Usage:
    """Its memory, and its CPU time in the `secs` since `before`."""
    cpu_percent = None if before is None or secs <= 0 else 100 * (now.cpu_secs - before.cpu_secs) / secs
    return Usage(now.resident_bytes / MB if now.resident_bytes else None, cpu_percent)
