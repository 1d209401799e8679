"""A clock that moves only when a test says so."""

from __future__ import annotations

EPOCH_SECS = 1_700_000_000


class SimulatedClock:
    """A `storm.clock.Clock`; `sleep` moves it, and so do `advance` and `jump_to`. Not for several threads."""

    def __init__(self, now: float = 0.0, epoch_secs: int = EPOCH_SECS) -> None:
        self._now = now
        self._cpu_secs = 0.0
        self._epoch_secs = epoch_secs

    def now(self) -> float:
        return self._now

    def wall_secs(self) -> int:
        return self._epoch_secs + int(self._now)

    def process_secs(self) -> float:
        return self._cpu_secs

    def queued_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        self.advance(secs)

    def advance(self, secs: float) -> None:
        """Let `secs` pass without work. Raises ValueError where they are negative."""
        self.jump_to(self._now + secs)

    def work(self, secs: float) -> None:
        """Let `secs` pass in which the thread uses its CPU."""
        self.advance(secs)
        self._cpu_secs += secs

    def jump_to(self, now: float) -> None:
        """Raises ValueError where this would turn time back."""
        if now < self._now:
            raise ValueError(f"time cannot go back from {self._now} to {now}")
        self._now = now
