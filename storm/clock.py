"""Time as a dependency: the only module that reads a clock or sleeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class Clock(Protocol):
    """What a daemon knows of time."""

    def now(self) -> float:
        """Seconds on a monotonic clock: for timeouts and ages, never for display."""

    def wall_secs(self) -> int:
        """Seconds since the Unix epoch: for what other hosts or people read."""

    def process_secs(self) -> float:
        """CPU seconds that this process has used: all of its threads, which share one interpreter.

        What a stretch of wall time has more than this, the process was not served, or waited: for a disk, a network, a
        lock. Only differences mean anything.
        """

    def queued_secs(self) -> float:
        """Seconds in which the calling thread was ready to run and had no core; 0 where the kernel does not tell.

        It costs tens of microseconds, and lets other threads have the interpreter.
        """

    def sleep(self, secs: float) -> None:
        """Let `secs` seconds pass."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall_secs(self) -> int:
        return int(time.time())

    def process_secs(self) -> float:
        return time.process_time()

    def queued_secs(self) -> float:
        try:
            with open("/proc/thread-self/schedstat", "rb") as schedstat:
                return int(schedstat.read().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0

    def sleep(self, secs: float) -> None:
        time.sleep(secs)


def thread_cpu_secs() -> float:
    """CPU seconds that the calling thread has used."""
    return time.thread_time()


def wall_millis() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def format_wall(epoch_secs: float) -> str:
    """`epoch_secs` as local time, `YYYY-MM-DD HH:MM:SS`, for people at a terminal of this host."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_secs))


def format_wall_utc(epoch_secs: float) -> str:
    """`epoch_secs` as `YYYY-MM-DD HH:MM:SS UTC`, for people who look from anywhere, at logs beside it."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch_secs))


def format_utc(epoch_secs: float) -> str:
    """`epoch_secs` as `2026-01-31T23:59:59.123Z`: such texts are in order of time, whichever host wrote them."""
    millis = int(epoch_secs * 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(millis // 1000))}.{millis % 1000:03d}Z"


def cpu_time_of(thread: threading.Thread) -> Callable[[], int]:
    """What answers how many nanoseconds of CPU time this thread, which has begun, has used."""
    assert thread.ident is not None
    clock = time.pthread_getcpuclockid(thread.ident)
    return lambda: time.clock_gettime_ns(clock)
