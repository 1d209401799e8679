from __future__ import annotations

import logging

from storm.cluster.records import LogConfig, LoggerLevel
from storm.worker.log_levels import LogLevels, secs_until_over, wanted_levels

CONFIG = LogConfig(
    {
        "quiet": LoggerLevel("warn"),
        "loud": LoggerLevel("DEBUG", until_wall_secs=100, reset_level="ERROR"),
        "once": LoggerLevel("DEBUG", until_wall_secs=100),
        "wrong": LoggerLevel("SHOUT"),
    }
)


def test_levels_hold_until_their_time_is_over() -> None:
    assert wanted_levels(CONFIG, 99) == {"quiet": "WARN", "loud": "DEBUG", "once": "DEBUG"}
    assert wanted_levels(CONFIG, 100) == {"quiet": "WARN", "loud": "ERROR"}
    assert wanted_levels(None, 0) == {}


def test_off_lets_nothing_through_and_trace_more_than_debug() -> None:
    logger = logging.getLogger("storm.test.levels.ends")
    levels = LogLevels()
    levels.apply({logger.name: "OFF"})
    assert not logger.isEnabledFor(logging.CRITICAL)
    levels.apply({logger.name: "TRACE"})
    assert logger.isEnabledFor(logging.DEBUG - 1)
    levels.apply({})


def test_when_to_look_again_is_known() -> None:
    assert [secs_until_over(CONFIG, wall) for wall in (40, 99, 100)] == [60, 1, None]
    assert secs_until_over(LogConfig({"quiet": LoggerLevel("warn")}), 0) is None
    assert secs_until_over(None, 0) is None


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
