"""Logs of many workers as one, in order of time. No I/O here."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from storm.level_names import NUMBERS

if TYPE_CHECKING:
    import re
    from collections.abc import Hashable, Iterable, Sequence

    from storm.log_lines import Record

# A later look may bring an earlier record of another worker: two looks at logs (`logs.FOLLOW_SECS`), and a little.
WAIT_SECS = 1.2
LEVELS = {name: number for name, number in NUMBERS.items() if name != "OFF"}  # which no record has


class Choice(NamedTuple):
    """Which records are shown. `level`: a name of LEVELS."""

    component: str | None = None
    level: str | None = None
    pattern: re.Pattern[str] | None = None

    def takes(self, record: Record) -> bool:
        if self.component is not None and record.component != self.component:
            return False
        if self.level is not None and _number(record.level) < LEVELS[self.level]:
            return False
        return self.pattern is None or any(self.pattern.search(line) for line in record.lines)


def _number(level: str | None) -> int:
    """A level that logging does not know counts as INFO; what has none, as nothing."""
    return 0 if level is None else LEVELS.get(level, LEVELS["INFO"])


def last_of(records: Sequence[Record], lines: int | None, since: str | None) -> list[Record]:
    """The last records with about so many lines (never a part of one); with `since`, those from that time on."""
    kept: list[Record] = []
    count = 0
    for record in reversed(records):
        count += len(record.lines)
        if kept and lines is not None and count > lines:
            break
        if since is not None and record.time < since:
            break
        kept.append(record)
    return kept[::-1]


class Merge:
    """Takes records of many logs in, and gives them out in order of time; those of one log stay in their order.

    A record waits until every log has a later one, or for WAIT_SECS: a silent log holds nobody up for longer. The last
    record of a log waits too, for lines that belong to it. None waits for more than twice as long, whatever its time:
    that may be of a clock that is wrong.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[tuple[Record, float]]] = {}

    def keep(self, logs: Iterable[Hashable]) -> None:
        """These are the logs that may still bring something."""
        wanted = set(logs)
        for log in wanted - self._waiting.keys():
            self._waiting[log] = deque()
        for log in self._waiting.keys() - wanted:
            if not self._waiting[log]:
                del self._waiting[log]

    def add(self, log: Hashable, records: Iterable[Record], now: float) -> None:
        """Records that were read at `now` (seconds)."""
        self._waiting.setdefault(log, deque()).extend((record, now) for record in records)

    def take(self, now: float) -> list[tuple[Hashable, Record]]:
        """What need not wait any longer."""
        found = []
        while (log := self._next(now)) is not None:
            found.append((log, self._waiting[log].popleft()[0]))
        return found

    def rest(self) -> list[tuple[Hashable, Record]]:
        """All that waits."""
        found = []
        while (log := self._earliest()) is not None:
            found.append((log, self._waiting[log].popleft()[0]))
        return found

    def _next(self, now: float) -> Hashable | None:
        """The log whose next record may go; None: all may wait."""
        heads = {log: queue[0] for log, queue in self._waiting.items() if queue}
        late = [log for log, (_, read_at) in heads.items() if read_at <= now - 2 * WAIT_SECS]
        if late:
            return min(late, key=lambda log: (heads[log][1], heads[log][0].time))
        first = self._earliest()
        if first is None:
            return None
        is_whole = len(self._waiting[first]) > 1 or heads[first][1] <= now - WAIT_SECS
        may_go = len(heads) == len(self._waiting) or any(read_at <= now - WAIT_SECS for _, read_at in heads.values())
        return first if is_whole and may_go else None

    def _earliest(self) -> Hashable | None:
        """The log whose next record is the earliest one."""
        logs = [log for log, queue in self._waiting.items() if queue]
        return min(logs, key=lambda log: self._waiting[log][0][0].time, default=None)
