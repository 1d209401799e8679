"""Which logs of workers are removed: by age and by size, never what a living worker writes to; pure."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

from storm.logviewer.logs import CURRENT_LOG

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Set

    from storm.logviewer.logs import LogFile, Worker


class Limits(NamedTuple):
    """How old logs of dead workers may be, and how large the logs of one worker and of all. Storm's defaults."""

    age_secs: float = 10_080 * 60.0
    worker_bytes: int = 2_048 << 20
    sum_bytes: int = 4_096 << 20


class AgeClock:
    """The time by which ages count: the wall clock, less what it was set forward within the last `age_secs`.

    What was written before such a jump is not older by it; and by the time that the jump counts, it has become as old.
    """

    def __init__(self, age_secs: float) -> None:
        self._age_secs = age_secs
        self._rising: deque[tuple[float, float]] = deque()  # (monotonic time, wall minus monotonic time then)

    def now_secs(self, now: float, wall_secs: float) -> float:
        """Seconds since the epoch; `now` in monotonic seconds. It is asked at each pass."""
        offset = wall_secs - now
        while self._rising and self._rising[-1][1] >= offset:
            self._rising.pop()
        self._rising.append((now, offset))
        while self._rising[0][0] < now - self._age_secs:
            self._rising.popleft()
        return now + self._rising[0][1]


def to_remove(files: Iterable[LogFile], alive: Set[Worker], limits: Limits, now_secs: float) -> list[LogFile]:
    """What is to be removed, oldest first; `now_secs` since the epoch.

    Dead workers' files go by their age; then the oldest of each worker that has too much, and the oldest of all where
    all have too much. What living workers write to stays and counts: they may hold more than the limits by that.
    """
    left = sorted(files, key=_age_order)
    removed = [file for file in left if file.worker not in alive and now_secs - file.changed_secs > limits.age_secs]
    left = _without(left, removed)
    by_worker: dict[Worker, list[LogFile]] = defaultdict(list)
    for file in left:
        by_worker[file.worker].append(file)
    for of_one in by_worker.values():
        removed += _beyond(of_one, alive, limits.worker_bytes)
    left = _without(left, removed)
    removed += _beyond(left, alive, limits.sum_bytes)
    return sorted(removed, key=_age_order)


def _is_written_to(file: LogFile, alive: Set[Worker]) -> bool:
    """Whether a living worker may have it open."""
    return file.name == CURRENT_LOG and file.worker in alive


def _beyond(files: Sequence[LogFile], alive: Set[Worker], bytes_max: int) -> list[LogFile]:
    """The oldest of `files`, which are in that order, without which the others fit."""
    found = []
    excess = sum(file.size for file in files) - bytes_max
    for file in files:
        if excess <= 0:
            break
        if not _is_written_to(file, alive):
            found.append(file)
            excess -= file.size
    return found


def _without(files: Sequence[LogFile], removed: Iterable[LogFile]) -> list[LogFile]:
    gone = set(removed)
    return [file for file in files if file not in gone]


def _age_order(file: LogFile) -> tuple[float, str]:
    return file.changed_secs, file.path
