"""`/topology/ID/logconfig`, from and to Nimbus's LogConfig."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storm.thrift.interface import storm_thrift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.thrift.interface import Struct
    from storm.ui.rest.requests import Level


def log_config(config: Struct) -> dict[str, Any]:
    """Times of 0: the level is set for good."""
    return {
        "namedLoggerLevels": {
            logger: {
                "target_level": level.target_log_level,
                "reset_level": level.reset_log_level,
                "timeout": level.reset_log_level_timeout_secs or 0,
                "timeout_epoch": level.reset_log_level_timeout_epoch or 0,
            }
            for logger, level in (config.named_logger_level or {}).items()
        }
    }


def log_config_change(levels: Mapping[str, Level]) -> Struct:
    """The LogConfig that `setLogConfig` takes: loggers that it does not name stay as they are."""
    t = storm_thrift()

    def changed(level: Level) -> Struct:
        if level.level is None:
            return t.LogLevel(action=t.LogLevelAction.REMOVE)
        return t.LogLevel(
            action=t.LogLevelAction.UPDATE,
            target_log_level=level.level,
            reset_log_level=level.reset_level,
            reset_log_level_timeout_secs=level.secs or None,
        )

    return t.LogConfig(named_logger_level={logger: changed(level) for logger, level in levels.items()})
