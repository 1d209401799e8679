from __future__ import annotations

import logging

import pytest

from storm.level_names import NUMBERS, known_level


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
