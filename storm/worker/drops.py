"""What a worker drops between itself and others, counted by reason."""

from __future__ import annotations

import logging
from collections import Counter

from storm.log_repeats import is_logged

logger = logging.getLogger(__name__)


class Drops(Counter[str]):
    """{reason: how many}. `what` happens to them, for people."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def note(self, reason: str, count: int = 1) -> None:
        """Count, and log now and then. What follows a colon is logged only."""
        kind = reason.partition(":")[0]
        self[kind] += count
        if is_logged(self[kind], count):
            logger.warning("%d %s so far: %s", self[kind], self._what, reason)
