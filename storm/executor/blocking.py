"""Whether an executor's code blocks (waits for disks, networks, locks): its turns take time, but nobody is busy."""

from __future__ import annotations

FAST_SECS = 0.0005  # a turn that takes less blocks nobody
SAMPLE_SECS = 0.004  # of slow turns, after which the next is sampled: to tell who is busy takes some 20 microseconds
WINDOW_SECS = 0.5  # of its own slow turns: as much is looked at together
STALE_SECS = 10.0  # turns that make up no window within this harm nobody
BLOCKED_SHARE = 0.75  # of the time of its turns; the clocks are coarse, and moving an executor is for good


class BlockingGauge:
    """Told of every turn that is not fast; says when the executor should have a thread of its own.

    Only some turns are sampled: those for which somebody asked before them how busy the thread was.
    """

    __slots__ = ("busy_secs", "is_sampling", "sampled_secs", "since", "unsampled_secs", "wall_secs")

    def __init__(self) -> None:
        self.is_sampling = False  # whether the next turn is to be sampled
        self.wall_secs = 0.0
        self.unsampled_secs = 0.0  # since the last that was sampled
        self.sampled_secs = 0.0
        self.busy_secs = 0.0
        self.since: float | None = None

    def add(self, now: float, wall_secs: float, busy_secs: float | None) -> float | None:
        """The share of the last window that was spent blocked, where that is too much; else None.

        `busy_secs` None: this turn was not sampled.
        """
        if self.since is None or now - self.since > STALE_SECS:
            self.since = now
            self.wall_secs = self.sampled_secs = self.busy_secs = 0.0
        self.wall_secs += wall_secs
        if busy_secs is None:
            self.unsampled_secs += wall_secs
        else:
            self.unsampled_secs = 0.0
            self.sampled_secs += wall_secs
            self.busy_secs += busy_secs
        self.is_sampling = self.unsampled_secs + wall_secs >= SAMPLE_SECS
        if self.wall_secs < WINDOW_SECS or not self.sampled_secs:
            return None
        share = 1 - self.busy_secs / self.sampled_secs
        self.since = None
        return share if share >= BLOCKED_SHARE else None
