"""Log levels that are set at run time: the names that a level may have, log4j's, which Storm's clients send, and
Python's, what they mean here, and which loggers may have one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBERS: Mapping[str, int] = {
    "ALL": 1,
    "TRACE": 5,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "CRITICAL": logging.CRITICAL,
    "OFF": logging.CRITICAL + 10,
}
LOGGERS_MAX = 100  # of a topology: each is made in every worker, and all of them travel with every change
LOGGER_CHARS_MAX = 256


def known_level(text: str) -> str:
    """The name in upper case. Raises ValueError, which lists those there are."""
    name = text.upper()
    if name not in NUMBERS:
        raise ValueError(f"a log level is one of {', '.join(NUMBERS)}, not {text[:60]!r}")
    return name


def checked_logger(name: str) -> str:
    """The name. Raises ValueError for one that is too long, or would do something to a terminal."""
    if len(name) > LOGGER_CHARS_MAX or not name.isprintable():
        raise ValueError(f"a logger's name has at most {LOGGER_CHARS_MAX} printable characters, not {name[:60]!a}")
    return name
