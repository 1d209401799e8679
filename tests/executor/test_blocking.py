from __future__ import annotations

from storm.executor.blocking import BlockingGauge


def shares(wall_secs: float, busy_secs: float, every_secs: float) -> tuple[list[float], int]:
    """What the gauge found in 400 turns, sampled when it wants; and how many were sampled."""
    gauge, now, found, sampled = BlockingGauge(), 100.0, [], 0
    for _ in range(400):
        now += every_secs
        sampled += gauge.is_sampling
        share = gauge.add(now, wall_secs, busy_secs if gauge.is_sampling else None)
        if share is not None:
            found.append(share)
    return found, sampled


def test_waiting_is_seen() -> None:
    found, sampled = shares(0.01, 0.0005, 0.01)
    assert sampled == 399  # all but the first
    assert len(found) >= 7
    assert all(0.94 < share < 0.96 for share in found)


def test_of_shorter_turns_only_some_are_sampled() -> None:
    found, sampled = shares(0.002, 0.0, 0.002)
    assert found == [1.0]
    assert sampled == 200  # every other


def test_working_is_not() -> None:
    assert shares(0.01, 0.01, 0.01)[0] == []


def test_waiting_half_of_the_time_is_not_enough() -> None:
    assert shares(0.01, 0.005, 0.01)[0] == []


def test_now_and_then_harms_nobody() -> None:
    assert shares(0.01, 0.0, 1.0)[0] == []


def test_a_thread_that_waits_for_a_core_is_suspected_and_found_to_be_busy() -> None:
    gauge, now, suspected = BlockingGauge(), 100.0, 0
    for _ in range(400):
        now += 0.01
        suspected += gauge.is_suspect
        busy_secs = 0.01 if gauge.is_suspect else 0.001  # a suspect's time in line for a core is counted
        assert gauge.add(now, 0.01, busy_secs if gauge.is_sampling else None) is None
    assert 0 < suspected < 300


def test_a_suspicion_does_not_last_over_a_pause() -> None:
    gauge = BlockingGauge()
    for turn in range(30):
        gauge.add(100 + 0.01 * turn, 0.01, 0.0 if gauge.is_sampling else None)
    assert gauge.is_suspect
    gauge.add(200.0, 0.01, 0.0)
    assert not gauge.is_suspect
