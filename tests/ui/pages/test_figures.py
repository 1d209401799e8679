from __future__ import annotations

from typing import Any

import pytest

from storm.ui.pages.figures import NOTHING, coarse, duration, latency, number, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (1234567, "1,234,567"), (0.25, "0.25"), (12.34, "12.3"), (1234.56, "1,235"), ("7", "7"),
        (None, NOTHING), ("", NOTHING), (2.0, "2"), (float("nan"), NOTHING), (float("inf"), NOTHING),
    ],
)  # fmt: skip
def test_a_number(value: Any, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0.000", "0"),
        ("0.042", "0.042"),
        ("12.345", "12.3"),
        (4321.4, "4,321"),
        (None, NOTHING),
        (float("nan"), NOTHING),
    ],
)
def test_a_latency(value: Any, shown: str) -> None:
    assert latency(value) == latency(value, 3) == shown
    assert latency(value, 0) == NOTHING


@pytest.mark.parametrize(
    ("secs", "shown", "same_until"),
    [(0, "0s", 1), (59, "59s", 60), (725, "12m 5s", 726), (3_600, "1h 0m", 3_660), (273_600, "3d 4h", 277_200)],
)
def test_a_time_has_two_units_and_what_looks_the_same_is_the_same(secs: int, shown: str, same_until: int) -> None:
    assert duration(secs) == duration(same_until - 1) == shown
    assert coarse(secs) == coarse(same_until - 1) == secs
    assert coarse(same_until) == same_until


def test_a_time_that_is_not_known() -> None:
    assert (duration(None), coarse(None)) == (NOTHING, None)


@pytest.mark.parametrize(("value", "shown"), [("0.042", "4.2 %"), ("0.000", "0 %"), (1.2, "120 %"), (None, NOTHING)])
def test_a_share(value: Any, shown: str) -> None:
    assert percent(value) == shown
