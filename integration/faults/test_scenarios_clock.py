"""What a faked clock shows."""

from __future__ import annotations

import time

import pytest
from scenarios_clock import FAR, JUMPS, SKEW, faked_time

NOW = 1_700_000_000.0


@pytest.mark.parametrize(("offset", "secs"), [("+1h", 3600), ("-1h", -3600), ("+0", 0), ("+10m", 600), ("-5", -5)])
def test_an_offset_is_added(offset: str, secs: int) -> None:
    assert faked_time(offset, NOW) == NOW + secs


def test_a_date_is_that_date_wherever_this_is() -> None:
    assert time.strftime("%Y-%m-%d", time.localtime(faked_time(FAR, NOW))) == "2039-06-01"


def test_every_offset_of_the_scenarios_is_understood() -> None:
    assert all(faked_time(offset, NOW) for offset in (*JUMPS, SKEW, FAR))
