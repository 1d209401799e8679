from __future__ import annotations

from storm.executor.blocking import BlockingGauge


def shares(wall_secs: float, busy_secs: float, every_secs: float) -> list[float]:
    gauge, now, found = BlockingGauge(), 100.0, []
    for _ in range(400):
        now += every_secs
        share = gauge.add(now, wall_secs, busy_secs)
        if share is not None:
            found.append(share)
    return found


def test_waiting_is_seen() -> None:
    found = shares(0.01, 0.0005, 0.01)
    assert len(found) >= 7
    assert all(0.94 < share < 0.96 for share in found)


def test_working_is_not() -> None:
    assert shares(0.01, 0.01, 0.01) == []


def test_waiting_half_of_the_time_is_not_enough() -> None:
    assert shares(0.01, 0.005, 0.01) == []


def test_now_and_then_harms_nobody() -> None:
    assert shares(0.01, 0.0, 1.0) == []
