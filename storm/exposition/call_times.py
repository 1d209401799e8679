"""How a daemon gets on with ZooKeeper."""

from __future__ import annotations

from storm.metrics.instruments import Histogram
from storm.metrics.series import Series


class CallTimes:
    """How long calls took, how many failed, and how many sessions were lost. Any thread may call it."""

    def __init__(self) -> None:
        self._secs = Histogram()
        self._failures = 0
        self._sessions_lost = 0

    def note(self, secs: float, is_ok: bool) -> None:
        """A call that took so long. What two threads note in the same instant may count as one."""
        self._secs.update(secs)
        if not is_ok:
            self._failures += 1

    def session_lost(self) -> None:
        """It is over, with its ephemeral nodes, and another one begins."""
        self._sessions_lost += 1

    def series(self) -> list[Series]:
        """Of calls to ZooKeeper, and of sessions."""
        return [
            Series("storm_zookeeper_call_seconds", {}, self._secs.read()),
            Series("storm_zookeeper_failures_total", {}, self._failures),
            Series("storm_zookeeper_sessions_lost_total", {}, self._sessions_lost),
        ]
