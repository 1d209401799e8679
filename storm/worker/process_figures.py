"""What this process uses of its machine, from /proc and the interpreter."""

from __future__ import annotations

import gc
import os
from typing import NamedTuple


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
