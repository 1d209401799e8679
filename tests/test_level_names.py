from __future__ import annotations

import logging

import pytest

from storm.level_names import LOGGER_CHARS_MAX, NUMBERS, checked_logger, known_level


@pytest.mark.parametrize(
    "name", ["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF", "WARNING", "CRITICAL"]
)
def test_names_of_log4j_and_of_python_are_known_and_stay_what_they_are(name: str) -> None:
    assert known_level(name) == known_level(name.lower()) == name


def test_each_level_has_its_place_among_those_of_python() -> None:
    order = ["ALL", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"]
    assert sorted(order, key=NUMBERS.__getitem__) == order
    assert (NUMBERS["WARN"], NUMBERS["FATAL"]) == (NUMBERS["WARNING"], NUMBERS["CRITICAL"])
    assert NUMBERS["WARNING"] == logging.WARNING
    assert NUMBERS["OFF"] > logging.CRITICAL


@pytest.mark.parametrize("text", ["", "LOUD", "10", " INFO"])
def test_what_is_none_is_refused_with_all_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="ALL, TRACE, DEBUG, INFO, WARN, WARNING, ERROR, FATAL, CRITICAL, OFF, not"):
        known_level(text)


@pytest.mark.parametrize("name", ["ROOT", "app.orders", "größe", "a b", "x" * LOGGER_CHARS_MAX])
def test_what_may_be_a_loggers_name(name: str) -> None:
    assert checked_logger(name) == name


@pytest.mark.parametrize("name", ["x" * (LOGGER_CHARS_MAX + 1), "a\x1b[31m", "a\nb", "\u202e", "\ud800"])
def test_what_is_no_loggers_name_is_refused_and_shown_harmless(name: str) -> None:
    with pytest.raises(ValueError, match=f"at most {LOGGER_CHARS_MAX} printable characters, not") as refused:
        checked_logger(name)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200
