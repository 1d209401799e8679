from __future__ import annotations

import threading
from itertools import count

from storm.clock import cpu_time_of
from storm.nimbus.hang_watch import HangWatch, watch


def test_whoever_stays_in_a_turn_for_so_many_looks_hangs() -> None:
    looks = HangWatch(3)
    assert [looks.hangs(turn) for turn in (1, 1, 2, 2, 3, 4, 4, 4)] == [False] * 7 + [True]


def test_a_thread_that_waits_makes_no_progress_and_one_that_does_anything_makes_some() -> None:
    waits, begun, goes_on = threading.Lock(), threading.Event(), threading.Event()
    waits.acquire()

    def work() -> None:
        begun.set()
        with waits:
            goes_on.set()
            waits_again.wait()

    waits_again = threading.Event()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(30)
    progress = cpu_time_of(thread)
    settled = -1
    while settled != (settled := progress()):  # it is on its way to the lock
        threading.Event().wait(0.01)
    assert progress() == settled
    waits.release()
    assert goes_on.wait(30)
    assert progress() > settled
    waits_again.set()
    thread.join(30)


def test_it_ends_who_hangs_and_nobody_else() -> None:
    turns = count()
    working = [True] * 3
    ended = threading.Event()

    def turn() -> int:
        return next(turns) if working and working.pop() else -2

    watch(turn, 0.0, ended.set)
    assert ended.wait(30)
    assert not working
