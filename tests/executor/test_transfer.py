from __future__ import annotations

from storm.executor.transfer import Tracking


def test_the_numbers_in_frames_never_change() -> None:
    assert {kind.name: kind.value for kind in Tracking} == {
        "INIT": 1,
        "ACK": 2,
        "FAIL": 3,
        "RESET": 4,
        "ACKED": 5,
        "FAILED": 6,
        "RESET_DONE": 7,
    }
