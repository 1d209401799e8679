"""What the log viewer shows to Prometheus, of itself, and whether it does its work."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from storm.metrics.instruments import Histogram
from storm.metrics.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Measures:
    """Belongs to the event loop that serves."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._secs = Histogram()

    def request(self, method: str, route: str, status: int, secs: float) -> None:
        """One was answered."""
        self._requests[status] += 1
        self._secs.update(secs)

    def series(self, searches: int) -> Iterator[Series]:
        """All of `storm.metrics.families.LOGVIEWER`; `searches`: that are under way."""
        for status, number in sorted(self._requests.items()):
            yield Series("storm_logviewer_requests_total", {"status": str(status)}, number)
        yield Series("storm_logviewer_request_seconds", {}, self._secs.read())
        yield Series("storm_logviewer_searches", {}, searches)


def problem(log_dir: Path) -> str:
    """What keeps the log viewer from its work, as a sentence; empty: nothing."""
    if os.access(log_dir, os.R_OK | os.X_OK):
        return ""
    return f"It cannot read {log_dir}: does the directory exist, and may its user read it?"
