from __future__ import annotations

from typing import Any

import pytest
from scripted_components import Script, ScriptedBasicBolt, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import SeveralWorkers

from storm.errors import FailedError, ReportedFailedError
from storm.executor.executor import QUOTA_MAX
from storm.ids import GlobalStreamId
from storm.metrics.stats_records import ALL_TIME, BoltStats
from storm.topology.builder import TopologyBuilder
from storm.tuples import Tuple

T = 30
SOURCE = GlobalStreamId("spout", "default")


def cluster(
    script: Script, bolt: Any = None, conf: dict[str, Any] | None = None, workers: int = 1, tasks: int = 1
) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("bolt", bolt or ScriptedBolt(script)).shuffle_grouping("spout").set_num_tasks(tasks)
    return SeveralWorkers(builder.create_topology(), conf, workers=workers)


def test_ticks_come_every_period_to_every_task_and_belong_to_no_tree() -> None:
    ticks: list[Any] = []
    script = Script(execute=lambda bolt, tup: ticks.append((one.clock.now() - began, tup)))
    one = cluster(script, conf={"topology.tick.tuple.freq.secs": 2}, tasks=2)
    began = one.clock.now()
    one.run_for(7)
    assert [secs for secs, _ in ticks] == pytest.approx([2, 2, 4, 4, 6, 6])
    tick = ticks[0][1]
    assert tick.is_tick()
    assert (tick.component, tick.stream, tick.task, tick["rate_secs"], tick.root) == ("__system", "__tick", -1, 2, 0)


def test_a_tick_may_be_acked() -> None:
    script = Script(execute=ack_it)
    one = cluster(script, conf={"topology.tick.tuple.freq.secs": 1})
    one.run_for(3.5)
    assert one.errors == []
    assert len(script.made("execute")) == 3


def test_fail_fails_the_tree_at_once() -> None:
    script = Script(next_tuple=emit_up_to(3), execute=lambda bolt, tup: bolt.collector.fail(tup))
    one = cluster(script)
    one.settle()
    assert len(script.made("fail", "spout")) == 3


def test_the_first_of_ack_and_fail_counts() -> None:
    def both(bolt: Any, tup: Any) -> None:
        bolt.collector.ack(tup)
        bolt.collector.fail(tup)

    script = Script(next_tuple=emit_up_to(3), execute=both)
    one = cluster(script)
    one.run_for(3 * T)
    assert (len(script.made("ack")), len(script.made("fail"))) == (3, 0)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_reset_timeout_keeps_a_tree(workers: int) -> None:
    """With three workers the spout's has no acker: the reset goes by way of one elsewhere."""
    held: list[Any] = []

    def hold(bolt: Any, tup: Any) -> None:
        if tup.is_tick():
            for each in held:
                bolt.collector.reset_timeout(each)
        else:
            held.append(tup)

    script = Script(next_tuple=emit_up_to(2), execute=hold)
    conf = {"topology.tick.tuple.freq.secs": 10, "topology.message.timeout.secs": T, "topology.acker.executors": 1}
    one = cluster(script, conf=conf, workers=workers)
    one.run_for(5 * T)
    assert len(held) == 2
    assert script.made("fail") == []
    script.on["execute"] = ack_it
    one.run_for(3 * T)
    assert len(script.made("fail")) == 2


def test_a_basic_bolt_anchors_and_acks_by_itself() -> None:
    script = Script(next_tuple=emit_up_to(3))
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("basic", ScriptedBasicBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("last", ScriptedBolt(script)).shuffle_grouping("basic")
    script.on["basic", "execute"] = lambda bolt, tup: bolt.collector.emit([tup[0]])
    one = SeveralWorkers(builder.create_topology())
    held: list[Any] = []
    script.on["last", "execute"] = lambda bolt, tup: held.append((bolt, tup))
    one.settle()
    assert len(held) == 3
    assert script.made("ack") == []  # the last bolt's tuples are part of the trees
    for bolt, tup in held:
        bolt.collector.ack(tup)
    one.settle()
    assert len(script.made("ack")) == 3


def test_a_basic_bolt_fails_its_tuple_by_failed_error() -> None:
    def execute(bolt: Any, tup: Any) -> None:
        if tup[0] == 1:
            raise FailedError("try again")
        if tup[0] == 2:
            raise ReportedFailedError("look at this")

    script = Script(next_tuple=emit_up_to(3), execute=execute)
    one = cluster(script, ScriptedBasicBolt(script))
    one.settle()
    assert [number for _, number in script.made("fail")] == [1, 2]
    assert [number for _, number in script.made("ack")] == [3]
    assert [component for component, _ in one.errors] == ["bolt"]
    assert one.errors[0][1].endswith("ReportedFailedError: look at this")


def test_a_bolt_fails_its_tuple_by_failed_error_and_the_worker_goes_on() -> None:
    def execute(bolt: Any, tup: Any) -> None:
        if tup[0] == 1:
            raise FailedError("try again")
        if tup[0] == 2:
            raise ReportedFailedError("look at this")
        bolt.collector.ack(tup)
        if tup[0] == 3:
            raise FailedError("too late: it is acked")

    script = Script(next_tuple=emit_up_to(4), execute=execute)
    one = cluster(script)
    one.settle()
    assert [number for _, number in script.made("fail")] == [1, 2]
    assert [number for _, number in script.made("ack")] == [3, 4]
    assert one.workers[0].failure is None
    [(component, text)] = one.errors
    assert component == "bolt"
    assert text.endswith("ReportedFailedError: look at this")
    assert "  Executing [2] from 'spout' (task " in text


def test_a_tick_may_be_failed_by_failed_error() -> None:
    def execute(bolt: Any, tup: Any) -> None:
        raise FailedError

    script = Script(execute=execute)
    one = cluster(script, conf={"topology.tick.tuple.freq.secs": 1})
    one.run_for(3.5)
    assert (len(script.made("execute")), one.errors, one.workers[0].failure) == (3, [], None)


class FailsTheRest(ScriptedBolt):
    """Of each batch, but for its first tuple."""

    def execute_batch(self, tuples: list[Any]) -> Any:
        self.collector.ack(tuples[0])
        raise ReportedFailedError("the rest")


def test_failed_error_fails_what_is_not_settled_of_a_batch() -> None:
    script = Script(next_tuple=emit_up_to(5))
    one = cluster(script, FailsTheRest(script))
    one.settle()
    acked, failed = script.made("ack"), script.made("fail")
    assert acked
    assert failed
    assert sorted(number for _, number in acked + failed) == [1, 2, 3, 4, 5]
    assert one.workers[0].failure is None
    assert "tuples at once, " in one.errors[0][1]


class BreaksInABatch(ScriptedBolt):
    def execute_batch(self, tuples: list[Any]) -> Any:
        for tup in tuples:
            if tup[0] == 3:
                raise RuntimeError("broken")
            self.collector.ack(tup)


@pytest.mark.parametrize("bolt", [ScriptedBolt, ScriptedBasicBolt])
def test_an_error_that_ends_the_worker_names_the_tuple(bolt: Any) -> None:
    def execute(bolt: Any, tup: Any) -> None:
        if tup[0] == 2:
            raise KeyError("colour")

    script = Script(next_tuple=emit_up_to(3), execute=execute)
    one = cluster(script, bolt(script))
    one.run_for(1)
    [(_, text)] = one.errors
    [spout] = one.tasks_of("spout")
    assert f"\n  Executing [2] from 'spout' (task {spout}), stream 'default'\n" in text
    assert text.endswith("KeyError: 'colour'")


def test_of_a_batch_it_names_the_first_that_was_not_settled() -> None:
    script = Script(next_tuple=emit_up_to(9))
    one = cluster(script, BreaksInABatch(script))
    one.run_for(1)
    [(_, text)] = one.errors
    assert "  Executing 9 tuples at once, 7 not settled yet, the first of these: [3] from 'spout'" in text
    assert isinstance(one.workers[0].failure, RuntimeError)


def test_an_error_elsewhere_than_in_execute_names_no_tuple() -> None:
    def prepare(bolt: Any, _: Any) -> None:
        raise OSError("no database")

    one = cluster(Script(prepare=prepare))
    one.settle()
    assert "Executing" not in one.errors[0][1]


class Batches(ScriptedBolt):
    def execute_batch(self, tuples: list[Any]) -> Any:
        self.script.call(self, "execute_batch", [tup[0] for tup in tuples])
        for tup in tuples:
            self.collector.ack(tup)


def test_execute_batch_gets_what_is_queued() -> None:
    script = Script(next_tuple=emit_up_to(300))
    one = cluster(script, Batches(script))
    one.settle()
    batches = script.made("execute_batch")
    assert [number for batch in batches for number in batch] == list(range(1, 301))
    assert len(batches) < 10
    assert script.made("execute") == []
    assert len(script.made("ack")) == 300


def test_an_exception_ends_the_worker_and_is_told_without_our_frames() -> None:
    def execute(bolt: Any, tup: Any) -> None:
        raise KeyError("colour")

    script = Script(next_tuple=emit_up_to(3), execute=execute)
    one = cluster(script)
    one.run_for(1)
    worker = one.workers[0]
    assert isinstance(worker.failure, KeyError)
    assert worker.wait_failed(0)
    [(component, text)] = one.errors
    assert component == "bolt"
    assert text.endswith("KeyError: 'colour'")
    assert "storm/executor" not in text
    assert len(script.made("execute")) == 1
    assert not worker.step(one.clock.now() + 100)
    one.stop()
    assert script.made("cleanup") == []


def test_an_exception_in_prepare_does_too() -> None:
    def prepare(bolt: Any, _: Any) -> None:
        raise OSError("no database")

    one = cluster(Script(prepare=prepare))
    one.settle()
    assert [component for component, _ in one.errors] == ["bolt"]
    assert isinstance(one.workers[0].failure, OSError)


def test_sys_exit_in_a_component_is_a_failure_too() -> None:
    def execute(bolt: Any, tup: Any) -> None:
        raise SystemExit(3)

    one = cluster(Script(next_tuple=emit_up_to(1), execute=execute))
    one.settle()
    assert isinstance(one.workers[0].failure, SystemExit)


def test_reported_errors_are_throttled() -> None:
    script = Script(
        next_tuple=emit_up_to(20), execute=lambda bolt, tup: bolt.collector.report_error(ValueError(tup[0]))
    )
    one = cluster(script)
    one.settle()
    assert [text for _, text in one.errors] == [f"ValueError: {number}" for number in range(1, 6)]
    assert one.workers[0].failure is None


def test_a_bolt_of_an_inactive_topology_is_prepared_by_its_first_tuple() -> None:
    script = Script()
    one = cluster(script)
    worker = one.workers[0]
    worker.set_active(False)
    one.settle()
    assert script.calls == []
    [task] = one.tasks_of("bolt")
    [spout] = one.tasks_of("spout")
    assert worker.deliver(task, [Tuple([5], worker.origin(spout, "default"))])
    one.settle()
    assert script.methods("bolt") == ["prepare", "execute"]


def none_grouped(script: Script) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("fused", ScriptedBolt(script)).none_grouping("first")
    return SeveralWorkers(builder.create_topology())


def test_none_grouping_calls_the_subscriber_within_emit() -> None:
    def emit(bolt: Any, tup: Any) -> None:
        pass_on(bolt, tup)
        script.calls.append(("first", 0, "emitted", tup[0]))

    script = Script(next_tuple=emit_up_to(2))
    script.on["first", "execute"] = emit
    script.on["fused", "execute"] = ack_it
    one = none_grouped(script)
    one.run_for(1)
    order = [(who, what) for who, _, what, _ in script.calls if what in ("execute", "emitted")]
    assert order == [("first", "execute"), ("fused", "execute"), ("first", "emitted")] * 2
    assert len(script.made("ack")) == 2


def test_none_grouping_has_the_same_trees() -> None:
    script = Script(next_tuple=emit_up_to(2))
    script.on["first", "execute"] = pass_on
    script.on["fused", "execute"] = lambda bolt, tup: bolt.collector.fail(tup)
    one = none_grouped(script)
    one.run_for(1)
    assert (len(script.made("ack")), len(script.made("fail"))) == (0, 2)


def test_the_emitter_cannot_swallow_what_a_fused_bolt_raised() -> None:
    def emit(bolt: Any, tup: Any) -> None:
        try:
            pass_on(bolt, tup)
        except Exception:  # noqa: BLE001
            script.calls.append(("first", 0, "swallowed", None))

    def fail(bolt: Any, tup: Any) -> None:
        raise RuntimeError("broken")

    script = Script(next_tuple=emit_up_to(2))
    script.on["first", "execute"] = emit
    script.on["fused", "execute"] = fail
    one = none_grouped(script)
    one.run_for(1)
    [(component, text)] = one.errors
    assert component == "fused"
    assert "  Executing [1] from 'first' (task " in text
    assert isinstance(one.workers[0].failure, RuntimeError)
    assert script.made("swallowed") == []


def test_what_a_fused_bolt_fails_is_its_own() -> None:
    def fail(bolt: Any, tup: Any) -> None:
        raise FailedError

    script = Script(next_tuple=emit_up_to(2))
    script.on["first", "execute"] = pass_on
    script.on["fused", "execute"] = fail
    one = none_grouped(script)
    one.run_for(1)
    assert (script.made("execute", "first"), len(script.made("fail"))) == ([[1], [2]], 2)
    assert (one.errors, one.workers[0].failure) == ([], None)


def test_a_fused_bolt_that_cannot_be_prepared_is_not_its_emitters_trouble() -> None:
    def fail(bolt: Any, _: Any) -> None:
        raise FailedError("no database")

    script = Script(next_tuple=emit_up_to(2))
    script.on["first", "execute"] = pass_on
    script.on["fused", "prepare"] = fail
    one = none_grouped(script)
    one.run_for(1)
    assert [component for component, _ in one.errors] == ["fused"]
    assert isinstance(one.workers[0].failure, FailedError)
    assert script.made("execute", "fused") == []


def test_counts_are_exact_per_input_stream() -> None:
    builder = TopologyBuilder()
    script = Script(next_tuple=emit_up_to(40))
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("both", ScriptedBolt(script)).shuffle_grouping("spout").all_grouping("first")
    script.on["first", "execute"] = pass_on
    script.on["both", "execute"] = lambda bolt, tup: (bolt.collector.fail if tup[0] % 4 == 0 else bolt.collector.ack)(
        tup
    )
    one = SeveralWorkers(builder.create_topology())
    one.run_for(1)
    stats = one.workers[0].stats()
    [both] = [found for executor, found in stats.items() if executor.start_task in one.tasks_of("both")]
    [first] = [found for executor, found in stats.items() if executor.start_task in one.tasks_of("first")]
    assert first.emitted[ALL_TIME] == {"default": 40}
    assert first.transferred[ALL_TIME] == {"default": 40}
    assert isinstance(both.specific, BoltStats)
    inputs = (SOURCE, GlobalStreamId("first", "default"))
    assert both.specific.executed[ALL_TIME] == dict.fromkeys(inputs, 40)
    assert both.specific.acked[ALL_TIME] == dict.fromkeys(inputs, 30)
    assert both.specific.failed[ALL_TIME] == dict.fromkeys(inputs, 10)


def test_latencies_are_taken() -> None:
    held: list[Any] = []

    def execute(bolt: Any, tup: Any) -> None:
        one.clock.work(0.004)
        held.append((bolt, tup))

    script = Script(next_tuple=emit_up_to(5), execute=execute)
    one = cluster(script)
    one.settle()
    one.run_for(3)
    for bolt, tup in held:
        bolt.collector.ack(tup)
    script.on["next_tuple"] = emit_up_to(6)
    one.run_for(1)
    [bolt] = [found for found in one.workers[0].stats().values() if isinstance(found.specific, BoltStats)]
    assert isinstance(bolt.specific, BoltStats)
    assert bolt.specific.execute_ms_avg[ALL_TIME][SOURCE] == pytest.approx(4)
    assert bolt.specific.process_ms_avg[ALL_TIME][SOURCE] == pytest.approx(3000, rel=0.1)


def test_streams_whose_tuples_come_in_turn_are_timed_alike() -> None:
    def emit_in_turn(spout: Any, _: Any) -> None:
        while spout.emitted < 600:
            spout.emitted += 1
            spout.collector.emit([0], spout.emitted)
            spout.collector.emit([0, 0], -spout.emitted, stream="pair")

    def execute(bolt: Any, tup: Any) -> None:
        one.clock.work(0.004)
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_in_turn, execute=execute)
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    bolt = builder.set_bolt("bolt", ScriptedBolt(script))
    bolt.shuffle_grouping("spout").shuffle_grouping("spout", stream="pair")
    one = SeveralWorkers(builder.create_topology())
    one.settle()
    [stats] = [found.specific for found in one.workers[0].stats().values() if isinstance(found.specific, BoltStats)]
    both = dict.fromkeys((SOURCE, GlobalStreamId("spout", "pair")), pytest.approx(4))
    assert stats.execute_ms_avg[ALL_TIME] == both
    assert stats.process_ms_avg[ALL_TIME] == both


def test_what_a_bolt_emits_is_executed_before_it_goes_on() -> None:
    """Many tuples of one: what waits between two bolts stays in the cache."""
    waiting, most = 0, 0

    def emit_eight(bolt: Any, tup: Any) -> None:
        nonlocal waiting, most
        for i in range(8):
            bolt.collector.emit([i], anchors=tup)
        bolt.collector.ack(tup)
        waiting += 8
        most = max(most, waiting)

    def take(bolt: Any, tup: Any) -> None:
        nonlocal waiting
        waiting -= 1
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(3000))
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("eight", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("last", ScriptedBolt(script)).shuffle_grouping("eight")
    script.on["eight", "execute"] = emit_eight
    script.on["last", "execute"] = take
    one = SeveralWorkers(builder.create_topology())
    one.settle()
    assert len(script.made("ack")) == 3000
    assert most <= 2 * QUOTA_MAX
