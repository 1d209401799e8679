from __future__ import annotations

import logging

import pytest

from storm.cluster.records import LogConfig, LoggerLevel
from storm.worker.log_levels import LevelTimes, LogLevels

DAY = 86_400
CONFIG = LogConfig(
    {
        "quiet": LoggerLevel("warn"),
        "loud": LoggerLevel("DEBUG", until_wall_secs=100, reset_level="ERROR", lasting_secs=60),
        "once": LoggerLevel("DEBUG", until_wall_secs=100, lasting_secs=60),
        "former": LoggerLevel("INFO", until_wall_secs=100),  # set by a Nimbus of the former release
        "wrong": LoggerLevel("SHOUT"),
    }
)
FOR_A_WHILE = {"quiet": "WARN", "loud": "DEBUG", "once": "DEBUG", "former": "INFO"}
AFTER = {"quiet": "WARN", "loud": "ERROR"}


def seen(config: LogConfig | None, now: float, wall_secs: int) -> LevelTimes:
    """By a worker that runs already when the levels are set."""
    levels = LevelTimes()
    levels.see(None, now, wall_secs)
    levels.see(config, now, wall_secs)
    return levels


def test_levels_hold_until_their_time_is_over() -> None:
    levels = seen(CONFIG, 7.0, wall_secs=40)
    assert [levels.wanted(now) for now in (7.0, 66.9, 67.0)] == [FOR_A_WHILE, FOR_A_WHILE, AFTER]
    levels.see(None, 8.0, 41)
    assert levels.wanted(8.0) == LevelTimes().wanted(8.0) == {}


@pytest.mark.parametrize("wall_secs", [40 - DAY, 40, 40 + DAY])
def test_they_last_as_long_on_hosts_whose_wall_clocks_differ_or_jump(wall_secs: int) -> None:
    config = LogConfig({name: CONFIG.loggers[name] for name in ("quiet", "loud", "once")})
    levels = seen(config, 7.0, wall_secs)
    levels.see(config, 30.0, wall_secs + 10 * DAY)
    levels.see(LogConfig({**config.loggers, "later": LoggerLevel("INFO", 500, lasting_secs=60)}), 66.0, wall_secs - DAY)
    assert [len(levels.wanted(now)) for now in (66.9, 67.0, 125.9, 126.0)] == [4, 3, 3, 2]


def test_a_level_that_is_set_again_lasts_anew() -> None:
    levels = seen(LogConfig({"once": LoggerLevel("DEBUG", 100, lasting_secs=60)}), 7.0, 40)
    levels.see(LogConfig({"once": LoggerLevel("DEBUG", 130, lasting_secs=60)}), 37.0, 70)
    assert [levels.wanted(now) for now in (96.9, 97.0)] == [{"once": "DEBUG"}, {}]


@pytest.mark.parametrize(("wall_secs", "left"), [(40 - DAY, 60), (40, 60), (90, 10)])
def test_a_worker_that_starts_later_has_what_is_left(wall_secs: int, left: float) -> None:
    levels = LevelTimes()
    levels.see(LogConfig({"once": CONFIG.loggers["once"]}), 7.0, wall_secs)
    assert [levels.wanted(now) for now in (7.0 + left - 0.1, 7.0 + left)] == [{"once": "DEBUG"}, {}]


def test_a_worker_that_starts_when_the_time_is_over_has_nothing_of_it() -> None:
    levels = LevelTimes()
    levels.see(CONFIG, 7.0, wall_secs=100)
    assert levels.wanted(7.0) == AFTER


def test_off_lets_nothing_through_and_trace_more_than_debug() -> None:
    logger = logging.getLogger("storm.test.levels.ends")
    levels = LogLevels()
    levels.apply({logger.name: "OFF"})
    assert not logger.isEnabledFor(logging.CRITICAL)
    levels.apply({logger.name: "TRACE"})
    assert logger.isEnabledFor(logging.DEBUG - 1)
    levels.apply({})


def test_when_to_look_again_is_known() -> None:
    levels = seen(CONFIG, 0.0, wall_secs=40)
    assert [levels.secs_until_over(now) for now in (0.0, 59.0, 60.0)] == [60, 1, None]
    assert seen(LogConfig({"quiet": LoggerLevel("warn")}), 0.0, 0).secs_until_over(0.0) is None
    assert LevelTimes().secs_until_over(0.0) is None


def test_a_logger_gets_back_the_level_that_it_had() -> None:
    logger, root = logging.getLogger("storm.test.levels"), logging.getLogger()
    logger.setLevel(logging.ERROR)
    before = root.level
    levels = LogLevels()
    levels.apply({"storm.test.levels": "DEBUG", "ROOT": "FATAL"})
    assert (logger.level, root.level) == (logging.DEBUG, logging.CRITICAL)
    levels.apply({"storm.test.levels": "INFO"})
    assert (logger.level, root.level) == (logging.INFO, before)
    levels.apply({})
    assert logger.level == logging.ERROR
