from __future__ import annotations

import pytest

from storm.testing.simulated_clock import SimulatedClock


def test_time_moves_only_when_told() -> None:
    clock = SimulatedClock()
    assert (clock.now(), clock.now()) == (0.0, 0.0)
    clock.advance(1.5)
    clock.sleep(1.0)
    clock.jump_to(4.0)
    assert clock.now() == 4.0
    assert clock.wall_secs() == SimulatedClock().wall_secs() + 4


def test_work_uses_the_cpu_and_waiting_does_not() -> None:
    clock = SimulatedClock()
    clock.sleep(2.0)
    clock.work(1.0)
    assert (clock.now(), clock.process_secs()) == (3.0, 1.0)


def test_time_does_not_go_back() -> None:
    clock = SimulatedClock(5.0)
    with pytest.raises(ValueError, match="cannot go back"):
        clock.jump_to(4.0)
