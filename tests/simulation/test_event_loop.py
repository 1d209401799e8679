"""What processes of a simulation are to each other while one of them stands."""

from __future__ import annotations

import random

from event_loop import EventLoop, Process


def test_who_waits_for_an_answer_stands_as_long_as_the_one_that_is_asked() -> None:
    events = EventLoop(random.Random(1))
    caller, asked, bystander = (Process(events, name) for name in ("caller", "asked", "bystander"))
    began_at, late = events.clock.now(), []
    events.after(1.0, "a loop of the caller", lambda: caller.run(lambda: late.append(events.clock.now())))
    events.after(1.0, "somebody else", lambda: bystander.run(lambda: None))

    caller.run(lambda: asked.run(lambda: asked.pause_here(5.0)))

    assert caller.stood_until == asked.stood_until == began_at + 5.0
    assert bystander.stood_until < began_at
    assert not late, "its loops wait as well"
    events.run_for(1.0)
    assert len(late) == 1


def test_where_no_time_can_pass_nobody_has_stood() -> None:
    events = EventLoop(random.Random(1))
    processes = [Process(events, f"process {number}") for number in range(4)]
    began_at = events.clock.now()
    for process in processes:
        events.after(1.0, "stands", lambda process=process: process.run(lambda: process.wait_here(2.0)))

    events.run_for(1.5)

    stood = [process for process in processes if process.stood_until > began_at]
    assert len(stood) == 3, "so many events may go on below one another"
