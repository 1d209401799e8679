"""The names that a log level may have: log4j's, which Storm's clients send, and Python's; and what they mean here."""

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


def known_level(text: str) -> str:
    """The name in upper case. Raises ValueError, which lists those there are."""
    name = text.upper()
    if name not in NUMBERS:
        raise ValueError(f"a log level is one of {', '.join(NUMBERS)}, not {text[:60]!r}")
    return name
