from __future__ import annotations

from typing import Any

from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import SeveralWorkers

from storm.executor.groupings import OnlyChoice
from storm.executor.task import OutputStream, Port, Subscription
from storm.metrics.stats_records import ALL_TIME
from storm.topology.builder import TopologyBuilder
from storm.topology.component import CustomGrouping
from storm.tuples import Origin


class Odd(CustomGrouping):
    """Odd values go to the first task, threes to all, others nowhere."""

    def prepare(self, context: Any, stream: Any, target_tasks: Any) -> None:
        super().prepare(context, stream, target_tasks)
        self.sender = context.task_id
        self.stream = stream

    def choose_tasks(self, task_id: int, values: Any) -> list[int]:
        assert task_id == self.sender
        assert tuple(self.stream) == ("spout", "default")
        if values[0] % 3 == 0:
            return list(self.target_tasks)
        return [self.target_tasks[0]] if values[0] % 2 else []


def test_a_custom_grouping_is_prepared_and_followed() -> None:
    script = Script(next_tuple=emit_up_to(12), execute=ack_it)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script)).set_num_tasks(2)
    builder.set_bolt("bolt", ScriptedBolt(script)).custom_grouping("spout", Odd()).set_num_tasks(3)
    one = SeveralWorkers(builder.create_topology(), workers=2)
    one.run_for(1)
    assert one.errors == []
    got = [(task, tup[0]) for who, task, called, tup in script.calls if (who, called) == ("bolt", "execute")]
    tasks = one.tasks_of("bolt")
    expected = [(task, n) for n in (3, 6, 9, 12) for task in tasks] + [(tasks[0], n) for n in (1, 5, 7, 11)]
    assert sorted(got) == sorted(expected * 2)
    assert len(script.made("ack")) == 24
    transferred = sum(
        stats.transferred[ALL_TIME].get("default", 0) for worker in one.workers for stats in worker.stats().values()
    )
    assert transferred == len(got)


def test_several_subscribers_get_a_tuple_object_each() -> None:
    script, seen = Script(next_tuple=emit_up_to(5)), []
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    for name in ("one", "other"):
        builder.set_bolt(name, ScriptedBolt(script)).all_grouping("spout").set_num_tasks(2)
    script.on["execute"] = lambda bolt, tup: seen.append(tup) or bolt.collector.ack(tup)
    one = SeveralWorkers(builder.create_topology())
    one.run_for(1)
    assert len({id(tup) for tup in seen}) == len(seen) == 20
    assert len({tup.edge for tup in seen}) == 20
    assert len({tup.root for tup in seen}) == 5
    assert len(script.made("ack")) == 5


def test_connecting_anew_keeps_what_a_grouping_remembers() -> None:
    choice = OnlyChoice(0)
    out = OutputStream(Origin("words", "default", 1, ["word"]), direct=False)
    out.subscriptions.append(Subscription("count", choice, [Port(7)]))
    ports = {7: Port(7)}
    out.connect(ports.__getitem__, lambda task: None)
    assert out.single is choice
    assert out.targets(["x"]) == [ports[7]]
    assert out.every_port() == [ports[7]]
