from __future__ import annotations

from storm.executor.error_report import ErrorThrottle


def test_five_in_ten_seconds() -> None:
    throttle = ErrorThrottle()
    assert [throttle.allows(100 + i) for i in range(9)] == [True] * 5 + [False] * 4
    assert not throttle.allows(109.9)
    assert [throttle.allows(110) for _ in range(6)] == [True] * 5 + [False]


def test_zero_lets_nothing_through() -> None:
    assert not ErrorThrottle(0, 10).allows(5)
