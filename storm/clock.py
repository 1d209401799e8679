"""Time as a dependency: the only module that reads a clock or sleeps."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a daemon knows of time."""

    def now(self) -> float:
        """Seconds on a monotonic clock: for timeouts and ages, never for display."""

    def wall_secs(self) -> int:
        """Seconds since the Unix epoch: for what other hosts or people read."""

    def thread_cpu_secs(self) -> float:
        """CPU seconds that the calling thread has used."""

    def sleep(self, secs: float) -> None:
        """Let `secs` seconds pass."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall_secs(self) -> int:
        return int(time.time())

    def thread_cpu_secs(self) -> float:
        return time.thread_time()

    def sleep(self, secs: float) -> None:
        time.sleep(secs)


def wall_millis() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def format_wall(epoch_secs: float) -> str:
    """`epoch_secs` as local time, `YYYY-MM-DD HH:MM:SS`, for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_secs))
