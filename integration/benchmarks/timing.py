"""Nanoseconds for each of many small things, in windows, of CPU time: what in-process cases measure with."""

from __future__ import annotations

import gc
import time
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
WINDOW_SECS = 0.02
WARMUP_SHARE = 0.2  # of the time, before the first window
_exhaust = deque(maxlen=0).extend


def call_for_each(call: Callable[[T], object], items: Iterable[T]) -> None:
    """Without a loop in Python, whose own cost would be measured too."""
    _exhaust(map(call, items))


def ns_each(work: Callable[[T], int], seconds: float, prepare: Callable[[], T]) -> tuple[float, ...]:
    """Windows of `work`, which answers how many things it did; what `prepare` does before each call is not counted."""
    windows: list[float] = []
    gc.collect()
    began = time.monotonic()
    warm_at, end_at = began + WARMUP_SHARE * seconds, began + seconds
    spent_ns, done = 0, 0
    for _ in repeat(None):
        prepared = prepare()
        before = time.thread_time_ns()
        done += work(prepared)
        spent_ns += time.thread_time_ns() - before
        now = time.monotonic()
        if spent_ns < WINDOW_SECS * 1e9 and now < end_at:
            continue
        if now >= warm_at:
            windows.append(spent_ns / done)
        spent_ns, done = 0, 0
        if now >= end_at:
            break
    return tuple(windows)
