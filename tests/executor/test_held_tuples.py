from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import SeveralWorkers

from storm.executor import held_tuples
from storm.executor.held_tuples import find
from storm.executor.inquiry import Holding, How
from storm.topology.builder import TopologyBuilder

if TYPE_CHECKING:
    import pytest


def cluster(script: Script, **options: Any) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("last", ScriptedBolt(script)).shuffle_grouping("first")
    script.on.setdefault(("first", "execute"), pass_on)
    script.on.setdefault(("last", "execute"), ack_it)
    return SeveralWorkers(builder.create_topology(), {"topology.executor.lane": "shared"}, **options)


def roots(one: SeveralWorkers) -> list[int]:
    """Of everything that the spout has under way."""
    [executor] = [each for worker in one.workers for each in worker.executors if each.component == "spout"]
    [task] = executor.tasks
    base, counter = task.collector.base, task.collector.counter
    return [base | (counter - i) & 0xFFFFFFFF for i in range(task.pending.count)]


def test_what_a_bolt_keeps_it_was_given() -> None:
    kept: list[Any] = []
    script = Script(next_tuple=emit_up_to(3))
    script.on["last", "execute"] = lambda bolt, tup: kept.append(tup)
    one = cluster(script)
    one.settle()
    [last] = one.tasks_of("last")
    assert find(one.workers[0], roots(one)) == [Holding(root, last, How.TAKEN) for root in sorted(roots(one))]
    assert find(one.workers[0], [1]) == []


def test_what_waits_for_a_bolt_is_in_its_queue() -> None:
    one = cluster(Script(next_tuple=emit_up_to(2)))
    [worker] = one.workers
    [first] = one.tasks_of("first")
    for executor in worker.executors:
        executor.held = executor.component == "first"
    one.settle()
    assert len(roots(one)) == 2
    assert find(worker, roots(one)) == [Holding(root, first, How.QUEUED) for root in sorted(roots(one))]


def test_a_bolt_that_forgets_tuples_has_dropped_them() -> None:
    script = Script(next_tuple=emit_up_to(3))
    script.on["first", "execute"] = lambda bolt, tup: bolt.collector.emit(list(tup.values))
    one = cluster(script)
    one.settle()
    [first], wanted = one.tasks_of("first"), sorted(roots(one))
    script.calls.clear()
    # One of a batch is kept for its process latency.
    dropped, taken = find(one.workers[0], wanted)
    assert dropped == Holding(0, first, How.DROPPED)
    assert taken in [Holding(root, first, How.TAKEN) for root in wanted]


def test_what_was_settled_is_held_by_nobody_though_the_bolt_keeps_it() -> None:
    kept: list[Any] = []
    script = Script(next_tuple=emit_up_to(3))

    def keep(bolt: Any, tup: Any) -> None:
        kept.append(tup)
        bolt.collector.ack(tup)

    script.on["last", "execute"] = keep
    one = cluster(script)
    one.settle()
    assert find(one.workers[0], [tup.root for tup in kept]) == []


def test_each_worker_answers_for_its_own_tasks() -> None:
    kept: list[Any] = []
    script = Script(next_tuple=emit_up_to(1))
    script.on["last", "execute"] = lambda bolt, tup: kept.append(tup)
    one = cluster(script, workers=2, place=lambda component, executor: component == "last")
    one.run_for(1)
    [last], [root] = one.tasks_of("last"), roots(one)
    assert [find(worker, [root]) for worker in one.workers] == [[], [Holding(root, last, How.TAKEN)]]


def test_a_tuple_of_several_trees_is_a_part_of_each() -> None:
    kept: list[Any] = []

    def join(bolt: Any, tup: Any) -> None:
        kept.append(tup)
        if len(kept) == 2:
            bolt.collector.emit([0], list(kept))
            for each in kept:
                bolt.collector.ack(each)

    script = Script(next_tuple=emit_up_to(2))
    script.on["first", "execute"] = join
    script.on["last", "execute"] = lambda bolt, tup: kept.append(tup)
    one = cluster(script)
    one.settle()
    [last] = one.tasks_of("last")
    assert find(one.workers[0], roots(one)) == [Holding(root, last, How.TAKEN) for root in sorted(roots(one))]
    assert len(kept) == 3


def test_what_a_bolt_settles_and_takes_during_the_look_it_has_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    script = Script(next_tuple=emit_up_to(3))
    script.on["last", "execute"] = lambda bolt, tup: kept.append((bolt, tup))
    one = cluster(script)
    one.settle()
    wanted = roots(one)

    def look_long() -> list[Any]:
        found = gc.get_objects()
        for bolt, tup in kept[:2]:
            bolt.collector.ack(tup)
        script.on["next_tuple"] = emit_up_to(6)
        one.run_for(1)
        bolt, tup = kept[2]
        bolt.collector.ack(tup)  # its batch is not over
        return found

    monkeypatch.setattr(held_tuples, "gc", SimpleNamespace(get_objects=look_long))
    assert find(one.workers[0], wanted) == []
    assert len(kept) == 6


def test_what_an_async_bolt_awaits_it_was_given_and_a_tick_is_no_part_of_a_tree() -> None:
    class Awaiting(ScriptedBolt):
        async def execute(self, tup: Any) -> None:
            await super().execute(tup)

    async def wait(bolt: Any, tup: Any) -> None:
        await asyncio.get_running_loop().create_future()

    script = Script(next_tuple=emit_up_to(2), execute=wait)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("bolt", Awaiting(script)).shuffle_grouping("spout")
    one = SeveralWorkers(builder.create_topology(), {"topology.tick.tuple.freq.secs": 1})
    one.run_for(1.5)
    [bolt] = one.tasks_of("bolt")
    assert len(script.made("execute")) == 3
    assert find(one.workers[0], roots(one)) == [Holding(root, bolt, How.TAKEN) for root in sorted(roots(one))]
    one.stop()
