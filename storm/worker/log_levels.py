"""Levels of loggers that are set at run time, for a while or for good."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from storm.level_names import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import LogConfig

logger = logging.getLogger(__name__)

ROOT = "ROOT"


def wanted_levels(config: LogConfig | None, wall_secs: int) -> dict[str, str]:
    """{logger: level} by the config at this time; one whose time is over has its reset level, if it says one."""
    found = {}
    for name, wanted in (config.loggers if config is not None else {}).items():
        over = wanted.until_wall_secs is not None and wanted.until_wall_secs <= wall_secs
        level = wanted.reset_level if over else wanted.level
        if level is not None and level.upper() in NUMBERS:  # a Nimbus of the former release stores any text
            found[name] = level.upper()
    return found


def secs_until_over(config: LogConfig | None, wall_secs: int) -> int | None:
    """How long until the time of the next level is over; None: all there are stay."""
    found = [wanted.until_wall_secs for wanted in (config.loggers.values() if config is not None else ())]
    return min([until - wall_secs for until in found if until is not None and until > wall_secs], default=None)


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
