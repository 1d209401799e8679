"""Lines of daemons' and workers' logs with the times that stand before them."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator  # noqa: TC003
from pathlib import Path  # noqa: TC003
from typing import NamedTuple

TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[.,](\d{3})(Z?)")
SLACK_SECS = 0.002  # a log's times are cut to milliseconds


class LogLine(NamedTuple):
    """`at`: on the monotonic clock."""

    at: float
    text: str


def monotonic_offset() -> float:
    """What to add to a wall time (seconds since 1970) for the monotonic one."""
    return time.monotonic() - time.time()


def parse(text: str, offset: float) -> list[LogLine]:
    """Its lines that begin with a time: local, as logging writes it, or UTC with a Z, as workers write it."""
    found = []
    for line in text.splitlines():
        if match := TIME.match(line):
            day, clock, millis, utc = match.groups()
            parts = time.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S")
            wall = calendar.timegm(parts) if utc else time.mktime(parts)
            found.append(LogLine(wall + int(millis) / 1000 + offset, line))
    return found


class Logs:
    """Logs that were read once."""

    def __init__(self, offset: float) -> None:
        self._offset = offset
        self._parsed: dict[Path, list[LogLine]] = {}

    def first(self, path: Path, pattern: str, after: float, until: float = float("inf")) -> float | None:
        """When the first line that matches was written within these times."""
        return next(self._all(path, pattern, after, until), None)

    def last(self, path: Path, pattern: str, after: float, until: float = float("inf")) -> float | None:
        """When the last line that matches was written within these times."""
        return max(self._all(path, pattern, after, until), default=None)

    def _all(self, path: Path, pattern: str, after: float, until: float) -> Iterator[float]:
        if path not in self._parsed:
            self._parsed[path] = parse(path.read_text(errors="replace"), self._offset)
        expression = re.compile(pattern)
        for line in self._parsed[path]:
            if after - SLACK_SECS <= line.at < until and expression.search(line.text):
                yield line.at
