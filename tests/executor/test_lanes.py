from __future__ import annotations

from typing import Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import SeveralWorkers

from storm.executor.lanes import LOOKS_MAX, LOOKS_SECS
from storm.topology.builder import TopologyBuilder


class AsyncBolt(ScriptedBolt):
    async def execute(self, tup: Any) -> None:
        super().execute(tup)


def lanes_of(one: SeveralWorkers) -> dict[str, set[str]]:
    return {lane.name.split("[")[0]: {e.component for e in lane.executors} for lane in one.workers[0].lanes}


def build(script: Script, conf: dict[str, Any] | None = None, **lanes: str) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("fused", ScriptedBolt(script)).none_grouping("first")
    builder.set_bolt("later", AsyncBolt(script)).shuffle_grouping("first")
    topology = builder.create_topology()
    for name, lane in lanes.items():
        topology.component(name).conf["topology.executor.lane"] = lane  # type: ignore[index]
    script.on.setdefault(("first", "execute"), pass_on)
    script.on.setdefault("execute", ack_it)
    return SeveralWorkers(topology, conf)


@pytest.mark.parametrize("lane", ["auto", "shared"])
def test_executors_share_a_lane_but_async_ones(lane: str) -> None:
    one = build(Script(), {"topology.executor.lane": lane})
    assert lanes_of(one) == {"shared": {"spout", "first", "fused", "__acker"}, "async": {"later"}}
    one.stop()


def test_a_fused_executor_shares_the_lane_of_its_source() -> None:
    one = build(Script(), first="thread")
    assert lanes_of(one) == {"shared": {"spout", "__acker"}, "first": {"first", "fused"}, "async": {"later"}}
    one.stop()


@pytest.mark.parametrize("lane", ["auto", "shared", "thread", "async"])
def test_the_lane_changes_nothing_of_what_happens(lane: str) -> None:
    script = Script(next_tuple=emit_up_to(700))
    one = build(script, {"topology.executor.lane": lane, "topology.max.spout.pending": 50})
    one.run_for(5)
    assert one.errors == []
    assert len(script.made("ack")) == 700
    for name in ("first", "fused", "later"):
        assert sorted(script.made("execute", name)) == [[n] for n in range(1, 701)]
    one.stop()
    assert script.methods("spout")[-2:] == ["deactivate", "close"]
    assert len(script.made("cleanup")) == 3


@pytest.mark.parametrize("lane", ["shared", "async"])
def test_components_are_opening_until_open_and_prepare_are_over(lane: str) -> None:
    script = Script()
    one = build(script, {"topology.executor.lane": lane})
    [worker] = one.workers
    assert worker.opening() == ["first", "fused", "later", "spout"]
    seen = []
    script.on["prepare"] = script.on["open"] = lambda component, argument: seen.append(
        (component.context.component_id, worker.opening())
    )
    one.settle()
    assert len(seen) == 4
    assert all(component in opening for component, opening in seen), "none is over before it is"
    assert worker.opening() == []
    one.stop()


def test_unknown_tasks_are_refused() -> None:
    one = build(Script())
    worker = one.workers[0]
    assert not worker.deliver(999, [])
    with pytest.raises(KeyError):
        worker.origin(999, "default")
    [spout] = one.tasks_of("spout")
    assert worker.origin(spout, "default") is worker.origin(spout, "default")
    one.stop()


def test_after_the_end_nothing_happens() -> None:
    script = Script(next_tuple=emit_up_to(100))
    one = build(script)
    one.stop()
    assert not one.workers[0].step(one.clock.now())
    assert one.workers[0].next_due() is None
    assert script.made("next_tuple") == []


def test_next_due_is_when_a_step_does_something() -> None:
    script = Script()
    one = build(script, {"topology.sleep.spout.wait.strategy.time.ms": 250})
    one.settle()
    calls = len(script.made("next_tuple"))
    due = one.workers[0].next_due()
    assert due == pytest.approx(one.clock.now() + 0.25)
    one.clock.jump_to(due)
    one.settle()
    assert len(script.made("next_tuple")) == calls + 1
    one.stop()


def test_who_holds_what_is_looked_for_only_so_often() -> None:
    one = build(Script())
    [worker] = one.workers
    assert worker.inquire([1]) is None  # nobody asks peers: nobody is asked at all
    worker.ask_peers = lambda number, roots: []
    for ask in (lambda: worker.inquire([1]), lambda: worker.held([1])):
        answers = [ask() for _ in range(LOOKS_MAX + 2)]
        assert [answer is None for answer in answers] == [False] * LOOKS_MAX + [True] * 2
        one.clock.jump_to(one.clock.now() + LOOKS_SECS)
        assert ask() is not None
    one.stop()
