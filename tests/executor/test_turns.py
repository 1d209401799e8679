from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import Faults, Network, NetworkTransfer, SeveralWorkers

from storm.clock import SystemClock
from storm.executor.lanes import Lanes
from storm.executor.turns import LastingTurns
from storm.topology.builder import TopologyBuilder

WAIT_SECS = 30


class Site:
    """A spout and a bolt on real threads; the script's calls of `hang` go on when the test lets them."""

    def __init__(self, script: Script, lane: str) -> None:
        builder = TopologyBuilder()
        builder.set_spout("spout", ScriptedSpout(script))
        builder.set_bolt("bolt", ScriptedBolt(script)).shuffle_grouping("spout")
        workers = SeveralWorkers(builder.create_topology(), {"topology.executor.lane": lane})
        transfer = NetworkTransfer(Network(workers.clock, random.Random(1), Faults()))
        self.lanes = Lanes(workers.workers[0].plan, transfer, SystemClock(), workers, random.Random(1))
        self.reached, self.opened = threading.Semaphore(0), threading.Semaphore(0)

    def hang(self, *_: Any) -> None:
        self.reached.release()
        self.opened.acquire(timeout=WAIT_SECS)

    def begin(self) -> None:
        self.lanes.set_active(True)
        self.lanes.start()

    def seen(self, turns: LastingTurns) -> dict[str, str]:
        """{component in a call: the method}."""
        found = turns.look(list(self.lanes.lanes))
        return {each.executor.component: each.first.f_code.co_name for each in found.values() if each.first is not None}


@pytest.mark.parametrize("lane", ["shared", "thread"])
def test_a_turn_is_seen_at_the_second_look_at_it_by_whoever_looks(lane: str) -> None:
    script = Script(next_tuple=emit_up_to(2))
    site = Site(script, lane)
    script.on["bolt", "execute"] = lambda bolt, tup: (site.hang(), ack_it(bolt, tup))
    turns, others = LastingTurns(), LastingTurns()
    try:
        site.begin()
        assert site.reached.acquire(timeout=WAIT_SECS)
        assert site.seen(turns) == {}
        assert site.seen(turns) == {"bolt": "execute"}
        assert site.seen(others) == {}
        assert site.seen(others) == {"bolt": "execute"}
    finally:
        script.on.clear()
        site.opened.release(10)
        assert site.lanes.stop(WAIT_SECS)
    assert site.seen(turns) == {}
