from __future__ import annotations

import threading
from itertools import count

from storm.nimbus.hang_watch import HangWatch, watch


def test_whoever_stays_in_a_turn_for_so_many_looks_hangs() -> None:
    looks = HangWatch(3)
    assert [looks.hangs(turn) for turn in (1, 1, 2, 2, 3, 4, 4, 4)] == [False] * 7 + [True]


def test_it_ends_who_hangs_and_nobody_else() -> None:
    turns = count()
    working = [True] * 3
    ended = threading.Event()

    def turn() -> int:
        return next(turns) if working and working.pop() else -2

    watch(turn, 0.0, ended.set)
    assert ended.wait(30)
    assert not working
