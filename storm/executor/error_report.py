"""How often errors of a component are reported: `topology.max.error.report.per.interval` in each interval."""

from __future__ import annotations


class ErrorThrottle:
    """Lets through the first `count_max` errors of each interval (Storm: 5 in 10 seconds)."""

    __slots__ = ("count", "count_max", "interval_secs", "since")

    def __init__(self, count_max: int = 5, interval_secs: float = 10.0) -> None:
        self.count_max = count_max
        self.interval_secs = interval_secs
        self.count = 0
        self.since: float | None = None

    def allows(self, now: float) -> bool:
        """Whether an error that happens now may be reported."""
        if self.since is None or now - self.since >= self.interval_secs:
            self.since = now
            self.count = 0
        if self.count >= self.count_max:
            return False
        self.count += 1
        return True
