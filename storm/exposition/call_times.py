"""How long a daemon's calls to ZooKeeper take."""

from __future__ import annotations

from storm.metrics.instruments import Histogram
from storm.metrics.series import Series


class CallTimes:
    """How long calls took, and how many failed. Any thread may call it."""

    def __init__(self) -> None:
        self._secs = Histogram()
        self._failures = 0

    def note(self, secs: float, is_ok: bool) -> None:
        """A call that took so long. What two threads note in the same instant may count as one."""
        self._secs.update(secs)
        if not is_ok:
            self._failures += 1

    def series(self) -> list[Series]:
        """Of calls to ZooKeeper."""
        return [
            Series("storm_zookeeper_call_seconds", {}, self._secs.read()),
            Series("storm_zookeeper_failures_total", {}, self._failures),
        ]
