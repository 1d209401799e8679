"""What clients ask for, read from path, query and body; what is wrong in it is a Problem of status 400. Pure."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from storm.http.problems import Problem
from storm.level_names import LOGGERS_MAX, NUMBERS, checked_logger, known_level
from storm.metrics.stats_records import ALL_TIME, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping

SECS_MAX = 2**31 - 1
COUNT_MAX = 2**31 - 1
DIGITS_MAX = 12  # of a number as text: more are no number that anything here takes
SHOWN_CHARS = 60
TEXT_BYTES_MAX = 1_024  # that supervisors look for
TRUE, FALSE = {"true", "1"}, {"false", "0", ""}


class Rebalance(NamedTuple):
    """What a rebalance asks for; None and empty: as it is."""

    num_workers: int | None = None
    executors: Mapping[str, int] = {}


class Level(NamedTuple):
    """Of one logger: None removes what was set. `secs` 0: for good."""

    level: str | None
    secs: int = 0
    reset_level: str | None = None


def window(query: Mapping[str, str]) -> str:
    found = query.get("window", ALL_TIME)
    if found not in WINDOWS:
        raise Problem(400, f"window is one of {', '.join(WINDOWS)}, not {_shown(found)}.")
    return found


def include_system(query: Mapping[str, str]) -> bool:
    found = query.get("sys", "").lower()
    if found not in TRUE | FALSE:
        raise Problem(400, f"sys is true or false, not {_shown(found)}.")
    return found in TRUE


def search_text(query: Mapping[str, str]) -> str:
    """Empty: none is given."""
    text = query.get("text", "")
    if len(text.encode(errors="replace")) > TEXT_BYTES_MAX:
        raise Problem(400, f"A text to look for has {TEXT_BYTES_MAX:,} bytes at most.")
    return text if text.strip() else ""


def wait_secs(text: str) -> int:
    """How long spouts stand still before a kill or a rebalance."""
    return _whole(text, "The wait", 0, SECS_MAX)


def minutes(text: str) -> int:
    return _whole(text, "The time of profiling, in minutes,", 1, 24 * 60)


def percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise Problem(400, f"The share of tuples is a number from 0 to 100, not {_shown(text)}.")
    return value


def is_enabled(action: str) -> bool:
    if action not in {"enable", "disable"}:
        raise Problem(400, f"The action is enable or disable, not {_shown(action)}.")
    return action == "enable"


def rebalance(body: bytes) -> Rebalance:
    """`{"rebalanceOptions": {"numWorkers": 2, "executors": {"split": 4}}}`, each part optional; so is the body."""
    options = _object(_json_object(body).get("rebalanceOptions", {}) if body.strip() else {}, "rebalanceOptions")
    workers = options.get("numWorkers")
    executors = _object(options.get("executors") or {}, "executors")
    return Rebalance(
        None if workers is None else _whole(workers, "numWorkers", 1, COUNT_MAX),
        {name: _whole(count, f"The number of executors of {_shown(name)}", 1, COUNT_MAX)
         for name, count in executors.items()},
    )  # fmt: skip


def log_levels(body: bytes) -> dict[str, Level]:
    """{logger: Level} of `{"namedLoggerLevels": {"ROOT": {"target_level": "DEBUG", "timeout": 60}}}`."""
    named = _json_object(body).get("namedLoggerLevels")
    if not isinstance(named, dict) or not named:
        raise Problem(400, "The body lacks namedLoggerLevels: a JSON object of loggers, each with its target_level.")
    if len(named) > LOGGERS_MAX:
        raise Problem(400, f"At most {LOGGERS_MAX} loggers of a topology have a level, not {len(named):,}.")
    return {logger: _level(logger, _object(value, f"namedLoggerLevels[{_shown(logger)}]"))
            for logger, value in named.items()}  # fmt: skip


def _level(logger: str, wanted: Mapping[str, Any]) -> Level:
    if wanted.get("target_level") is None:
        return Level(None)
    secs = _whole(wanted.get("timeout") or 0, f"The timeout of logger {_shown(logger)}, in seconds,", 0, SECS_MAX)
    try:
        checked_logger(logger)
    except ValueError as error:
        raise Problem(400, f"What has a level is a logger: {error}.") from None
    reset = wanted.get("reset_level")
    return Level(_known_level(wanted["target_level"]), secs, None if reset is None else _known_level(reset))


def _known_level(value: Any) -> str:
    try:
        return known_level(value if isinstance(value, str) else "")
    except ValueError:
        raise Problem(400, f"A log level is one of {', '.join(NUMBERS)}, not {_shown(value)}.") from None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "The body is not JSON.") from None
    return _object(found, "The body")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Problem(400, f"{what} is a JSON object, not {_shown(value)}.")
    return value


def _whole(value: Any, what: str, least: int, most: int) -> int:
    """Of a JSON number, or of text, as Storm's clients send both."""
    found = None
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX:
        found = int(value)
    if found is None or not least <= found <= most:
        raise Problem(400, f"{what} is a whole number of at least {least}, not {_shown(value)}.")
    return found


def _shown(value: Any) -> str:
    shown = json.dumps(value) if isinstance(value, str) else type(value).__name__
    if isinstance(value, int | float):
        shown = repr(value) if abs(value) < 10**DIGITS_MAX else "so large a number"
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[: SHOWN_CHARS - 4]} ..."
