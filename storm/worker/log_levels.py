"""Levels of loggers that are set at run time, for a while or for good."""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING

from storm.level_names import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import LogConfig, LoggerLevel

logger = logging.getLogger(__name__)

ROOT = "ROOT"


class LevelTimes:
    """Which levels are wanted, and until when: by the worker's monotonic clock, from when it first saw a level.

    Only of what is there already when it starts it cannot know how long ago that was set, but by wall clocks, its own
    and Nimbus's: then at most the whole time is left.
    """

    def __init__(self) -> None:
        self._until: dict[tuple[str, LoggerLevel], float] | None = None

    def see(self, config: LogConfig | None, now: float, wall_secs: int) -> None:
        """What the cluster says now; `now` in monotonic seconds."""
        before = self._until or {}
        found = {}
        for name, level in (config.loggers if config is not None else {}).items():
            until = before.get((name, level))
            if until is None:
                until = now + _secs_left(level, wall_secs, is_new=self._until is not None)
            found[name, level] = until
        self._until = found

    def wanted(self, now: float) -> dict[str, str]:
        """{logger: level}; one whose time is over has its reset level, if it says one."""
        found = {}
        for (name, wanted), until in (self._until or {}).items():
            level = wanted.level if now < until else wanted.reset_level
            if level is not None and level.upper() in NUMBERS:  # a Nimbus of the former release stores any text
                found[name] = level.upper()
        return found

    def secs_until_over(self, now: float) -> float | None:
        """How long until the time of the next level is over; None: all there are stay."""
        return min((until - now for until in (self._until or {}).values() if now < until < inf), default=None)


def _secs_left(level: LoggerLevel, wall_secs: int, *, is_new: bool) -> float:
    if level.until_wall_secs is None:
        return inf
    by_wall = level.until_wall_secs - wall_secs
    if level.lasting_secs is None:  # of a Nimbus of the former release
        return by_wall
    return level.lasting_secs if is_new else min(by_wall, level.lasting_secs)


class LogLevels:
    """Sets loggers to what is wanted; those that are no longer named get back the level that they had before."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._applied: dict[str, str] = {}

    def apply(self, wanted: Mapping[str, str]) -> None:
        if wanted == self._applied:
            return
        for name in self._applied.keys() - wanted.keys():
            _logger(name).setLevel(self._before.pop(name))
        for name, level in wanted.items():
            self._before.setdefault(name, _logger(name).level)
            _logger(name).setLevel(NUMBERS[level])
        logger.info("Log levels are now: %s", dict(wanted) or "as at the start")
        self._applied = dict(wanted)


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name.upper() == ROOT else name)
