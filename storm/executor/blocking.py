"""Whether an executor's code blocks (waits for disks, networks, locks): its turns take time, but nobody is busy."""

from __future__ import annotations

WINDOW_SECS = 0.5  # of its own turns: as much is looked at together
STALE_SECS = 10.0  # turns that make up no window within this harm nobody
BLOCKED_SHARE = 0.75  # of the time of its turns; the clocks are coarse, and moving an executor is for good


class BlockingGauge:
    """Told of every turn; says when the executor should have a thread of its own."""

    __slots__ = ("busy_secs", "since", "wall_secs")

    def __init__(self) -> None:
        self.wall_secs = 0.0
        self.busy_secs = 0.0
        self.since: float | None = None

    def add(self, now: float, wall_secs: float, busy_secs: float) -> float | None:
        """The share of the last window that was spent blocked, where that is too much; else None."""
        if self.since is None or now - self.since > STALE_SECS:
            self.since = now
            self.wall_secs = self.busy_secs = 0.0
        self.wall_secs += wall_secs
        self.busy_secs += busy_secs
        if self.wall_secs < WINDOW_SECS:
            return None
        share = 1 - self.busy_secs / self.wall_secs
        self.since = None
        return share if share >= BLOCKED_SHARE else None
