from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import SeveralWorkers

from storm.executor.sampling import watch_executor
from storm.metrics.stats_records import ALL_TIME
from storm.topology.builder import TopologyBuilder
from storm.topology.task_hooks import TaskHook

if TYPE_CHECKING:
    from storm.topology.structure import StormTopology


class Site:
    """A spout whose stream `default` two bolts take, of whose stream `pair` nobody hears, and one that is direct."""

    def __init__(self, script: Script, bolts: int = 1, topology: StormTopology | None = None) -> None:
        builder = TopologyBuilder()
        builder.set_spout("spout", ScriptedSpout(script))
        for number in range(bolts):
            builder.set_bolt(f"bolt-{number}", ScriptedBolt(script)).shuffle_grouping("spout").set_num_tasks(2)
        self.workers = SeveralWorkers(topology or builder.create_topology(), {"topology.message.timeout.secs": 5})
        [self.lanes] = self.workers.workers
        [self.spout] = [each for each in self.lanes.executors if each.component == "spout"]
        self.seen: list[tuple[str, list[Any]]] = []

    def watch(self, is_on: bool) -> None:
        observe = (lambda origin, values: self.seen.append((origin.stream, list(values)))) if is_on else None
        self.lanes.between_turns(self.spout, lambda: watch_executor(self.spout, observe))

    def counts(self) -> tuple[int, int]:
        """Emitted and transferred, on `default`."""
        stats = self.lanes.stats()[self.spout.id]
        return stats.emitted[ALL_TIME].get("default", 0), stats.transferred[ALL_TIME].get("default", 0)


@pytest.mark.parametrize("bolts", [0, 1, 2])
def test_every_tuple_is_seen_while_somebody_looks_and_all_is_as_before_and_after(bolts: int) -> None:
    script = Script(next_tuple=emit_up_to(3), execute=ack_it)
    site = Site(script, bolts)
    for upto, is_on in ((3, False), (6, True), (9, False), (12, True)):
        site.watch(is_on)
        site.workers.settle()
        script.on["next_tuple"] = emit_up_to(upto)
        site.workers.run_for(1)
        assert site.counts() == (upto, upto * bolts)
    assert site.seen == [("default", [n]) for n in (4, 5, 6, 10, 11, 12)]
    assert len(script.made("ack")) == 12
    assert script.made("fail") == []
    for name in (f"bolt-{number}" for number in range(bolts)):
        assert sorted(value for [value] in script.made("execute", name)) == list(range(1, 13))
    site.watch(False)
    site.workers.settle()
    assert [out for streams in site.spout.streams.values() for out in streams.values() if out.watchers] == []


def test_rows_are_seen_one_by_one_and_those_that_ask_for_tasks_are_told_true_ones() -> None:
    tasks: list[Any] = []

    def emit(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit_many([[1], [2]], [7, 8])
            tasks.extend(spout.collector.emit_and_get_tasks([3], 9))
            spout.collector.emit([4, 5], 10, "pair")

    script = Script(next_tuple=emit, execute=ack_it)
    site = Site(script)
    site.watch(True)
    site.workers.run_for(1)
    assert site.seen == [("default", [1]), ("default", [2]), ("default", [3]), ("pair", [4, 5])]
    assert len(tasks) == 1
    assert set(tasks) <= set(site.workers.tasks_of("bolt-0"))
    assert sorted(script.made("ack")) == [7, 8, 9, 10]


def test_direct_streams_are_seen_too() -> None:
    def emit(spout: Any, _: Any) -> None:
        spout.emitted += 1
        if spout.emitted <= 2:
            [task] = spout.context.tasks_of("named")
            spout.collector.emit_direct(task, [spout.emitted], spout.emitted, "direct")

    script = Script(next_tuple=emit, execute=ack_it)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("named", ScriptedBolt(script)).direct_grouping("spout", stream="direct")
    site = Site(script, topology=builder.create_topology())
    site.watch(True)
    site.workers.run_for(1)
    assert site.seen == [("direct", [1]), ("direct", [2])]
    assert sorted(script.made("ack")) == [1, 2]
    stats = site.lanes.stats()[site.spout.id]
    assert (stats.emitted[ALL_TIME]["direct"], stats.transferred[ALL_TIME]["direct"]) == (2, 2)


@pytest.mark.parametrize("hooks_first", [True, False])
def test_hooks_and_who_looks_do_not_see_of_one_another(hooks_first: bool) -> None:
    heard: list[Any] = []

    class Notes(TaskHook):
        def emit(self, info: Any) -> None:
            heard.append(list(info.values))

    script = Script(next_tuple=emit_up_to(1), execute=ack_it)
    site = Site(script)
    steps = [lambda: site.spout.begin_hooks(site.spout.tasks[0].id, [Notes()]), lambda: site.watch(True)]
    for step in steps if hooks_first else reversed(steps):
        step()
        site.workers.settle()
    script.on["next_tuple"] = emit_up_to(3)
    site.workers.run_for(1)
    site.watch(False)
    site.workers.settle()
    script.on["next_tuple"] = emit_up_to(4)
    site.workers.run_for(1)
    assert site.seen[-2:] == [("default", [2]), ("default", [3])]
    assert heard[-3:] == [[2], [3], [4]]
    assert site.counts() == (4, 4)


def test_an_executor_that_moves_to_another_lane_is_watched_there() -> None:
    script = Script(next_tuple=emit_up_to(2), execute=ack_it)
    site = Site(script)
    site.workers.settle()
    site.watch(True)
    other = site.spout.lane.move_out([site.spout], "other")  # before it had a turn
    site.lanes.lanes.append(other)
    site.workers.settle()
    script.on["next_tuple"] = emit_up_to(4)
    site.workers.run_for(1)
    assert site.seen == [("default", [3]), ("default", [4])]


def test_an_errand_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(Script())
    site.lanes.between_turns(site.spout, lambda: [][0])
    site.workers.settle()
    assert site.lanes.failure is None
    assert "between the turns of spout" in caplog.text
