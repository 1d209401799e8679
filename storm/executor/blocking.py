"""Whether an executor's code blocks (waits for disks, networks, locks): its turns take time, but nobody is busy."""

from __future__ import annotations

FAST_SECS = 0.0005  # a turn that takes less blocks nobody
SAMPLE_SECS = 0.004  # of slow turns, after which the next is sampled
SUSPECT_SECS = 0.25  # of its own slow turns: as much is looked at together before it is suspected
WINDOW_SECS = 0.5  # and as much from then on
STALE_SECS = 10.0  # turns that make up no window within this harm nobody
BLOCKED_SHARE = 0.75  # of the time of its turns; the clocks are coarse, and moving an executor is for good


class BlockingGauge:
    """Told of every turn that is not fast; says when the executor should have a thread of its own.

    Only some turns are sampled: those for which somebody asked before them how busy the thread was. That is the
    process's CPU time, and only where that is low also how long the thread stood in line for a core: dear, and where
    each sample asked for it a fifth of the time of a worker's lane went into it.
    """

    __slots__ = ("busy_secs", "is_sampling", "is_suspect", "sampled_secs", "since", "unsampled_secs", "wall_secs")

    def __init__(self) -> None:
        self.is_sampling = False  # whether the next turn is to be sampled
        self.is_suspect = False  # whether that takes in the time in line for a core
        self.wall_secs = 0.0
        self.unsampled_secs = 0.0  # since the last that was sampled
        self.sampled_secs = 0.0
        self.busy_secs = 0.0
        self.since: float | None = None

    def add(self, now: float, wall_secs: float, busy_secs: float | None) -> float | None:
        """The share of the last window that was spent blocked, where that is too much; else None.

        `busy_secs` None: this turn was not sampled.
        """
        if self.since is not None and now - self.since > STALE_SECS:
            self.since, self.is_suspect = None, False
        if self.since is None:
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
        if self.wall_secs < (WINDOW_SECS if self.is_suspect else SUSPECT_SECS) or not self.sampled_secs:
            return None
        share = 1 - self.busy_secs / self.sampled_secs
        self.since = None
        was_suspect, self.is_suspect = self.is_suspect, share >= BLOCKED_SHARE
        return share if was_suspect and self.is_suspect else None
