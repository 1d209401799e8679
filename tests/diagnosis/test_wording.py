from __future__ import annotations

import pytest

from storm.diagnosis.wording import ERROR_CHARS, clause, headline, percent, pretty_secs, sentence, tuples


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (None, "0s"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m 0s"),
        (115, "1m 55s"),
        (3_600, "1h 0m 0s"),
        (86_399, "23h 59m 59s"),
        (86_400, "1d 0h 0m 0s"),
        (93_784, "1d 2h 3m 4s"),
        (8_640_000, "100d 0h 0m 0s"),
    ],
)
def test_an_uptime_in_words(secs: int | None, text: str) -> None:
    assert pretty_secs(secs) == text


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        ("It exited with code 13.\nLast lines:\nx", "It exited with code 13."),
        ("", ""),
        ("x" * 1_000, "x" * ERROR_CHARS),
    ],
)
def test_one_line_tells_of_an_error(error: str, line: str) -> None:
    assert headline(error) == line


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.000_01, "0.1 %"),
        (0.042, "4.2 %"),
        (0.0997, "10 %"),
        (0.1, "10 %"),
        (0.424, "42 %"),
        (1.2, "120 %"),
    ],
)
def test_a_share_that_is_not_nothing_is_never_shown_as_nothing(share: float, text: str) -> None:
    assert percent(share) == text


def test_text_becomes_part_of_a_sentence() -> None:
    assert (clause(" a\nb. "), sentence("a")) == ("a b", "a.")
    assert [tuples(count) for count in (1, 2_000)] == ["1 tuple", "2,000 tuples"]
