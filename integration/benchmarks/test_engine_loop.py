"""The loop cases do the work that they are said to do, in the engine and in the bare loop."""

from __future__ import annotations

from collections import Counter

import engine_loop
import pytest
from engine_loop import SHAPES, BareLoop, EngineLoop, Measured
from loop_components import WORDS_A_LINE, sentences

from storm.testing.simulated_clock import SimulatedClock


@pytest.mark.parametrize("name", SHAPES)
def test_both_loops_do_all_the_work(name: str) -> None:
    shape = SHAPES[name]
    for loop in (EngineLoop(shape, SimulatedClock()), BareLoop(shape)):
        done = loop.run(5000)
        assert done >= 5000
        assert bool(loop.spout.done) is shape.is_acked


@pytest.mark.parametrize(("name", "first"), [("words-acked", 1), ("batch-words-unacked", 0)])
@pytest.mark.parametrize("is_engine", [True, False])
def test_words_are_counted_as_the_spout_emits_them(name: str, first: int, is_engine: bool) -> None:
    loop = EngineLoop(SHAPES[name], SimulatedClock()) if is_engine else BareLoop(SHAPES[name])
    loop.run(4000)
    words = [word for line in sentences() for word in line.split()]
    begin = first * WORDS_A_LINE
    assert loop.last.counts == Counter(words[begin : begin + loop.last.done])


def test_a_loop_that_stands_still_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_loop, "IDLE_STEPS_MAX", 50)
    loop = EngineLoop(SHAPES["hop-acked"], SimulatedClock(), {"topology.max.spout.pending": 5})
    loop.lanes.set_active(False)
    with pytest.raises(RuntimeError, match="stands still"):
        loop.run(1000)


def test_the_ratio_is_taken_between_neighbouring_windows() -> None:
    assert Measured([100.0, 600.0, 300.0], [50.0, 200.0, 150.0]).ratio == 2.0
