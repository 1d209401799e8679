from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from scripted_components import Script, ScriptedBasicBolt, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import SeveralWorkers

from storm.errors import FailedError, ReportedFailedError
from storm.topology.builder import TopologyBuilder


class AsyncBolt(ScriptedBolt):
    """What the script answers is awaited."""

    async def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        await asyncio.sleep(0)
        super().prepare(conf, context, collector)

    async def execute(self, tup: Any) -> None:
        await super().execute(tup)


class AsyncBasicBolt(ScriptedBasicBolt):
    async def execute(self, tup: Any) -> None:
        await super().execute(tup)


class AsyncSpout(ScriptedSpout):
    async def open(self, conf: Any, context: Any, collector: Any) -> None:
        await asyncio.sleep(0)
        super().open(conf, context, collector)

    async def next_tuple(self) -> None:
        await asyncio.sleep(0)
        super().next_tuple()

    async def ack(self, message_id: Any) -> None:
        await asyncio.sleep(0)
        super().ack(message_id)

    async def close(self) -> None:
        await asyncio.sleep(0)
        super().close()


def cluster(script: Script, bolt: Any, spout: Any = None, tasks: int = 1, **conf: Any) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", spout or ScriptedSpout(script)).set_num_tasks(tasks)
    builder.set_bolt("bolt", bolt).shuffle_grouping("spout").set_num_tasks(tasks)
    builder.set_bolt("last", ScriptedBolt(script)).shuffle_grouping("bolt")
    script.on[("last", "execute")] = ack_it
    return SeveralWorkers(
        builder.create_topology(), {"topology." + key.replace("_", "."): value for key, value in conf.items()}
    )


def test_many_tuples_are_under_way_at_once_but_no_more_than_1000() -> None:
    under_way, most, released = [0], [0], [False]

    async def execute(bolt: Any, tup: Any) -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        while not released[0]:
            await asyncio.sleep(0)
        under_way[0] -= 1
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(3000))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    for _ in range(30):
        one.workers[0].step(one.clock.now())
    assert most == [1000]
    released[0] = True
    one.run_for(2)
    assert len(script.made("ack")) == 3000
    one.stop()


def test_tuples_do_not_see_each_others_context_variables() -> None:
    seen = ContextVar("seen", default=0)
    found = []

    async def execute(bolt: Any, tup: Any) -> None:
        found.append(seen.get())
        await asyncio.sleep(0)
        if tup[0] % 3 == 0:
            seen.set(tup[0])
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(2500))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    one.run_for(2)
    assert found == [0] * 2500
    assert len(script.made("ack")) == 2500
    one.stop()


def test_a_coroutine_executes_many_tuples() -> None:
    coroutines = set()

    async def execute(bolt: Any, tup: Any) -> None:
        coroutines.add(asyncio.current_task())
        await asyncio.sleep(0)
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(2000))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script), max_spout_pending=50)
    one.run_for(2)
    assert len(script.made("ack")) == 2000
    assert len(coroutines) <= 50
    one.stop()


def test_what_is_held_is_not_begun() -> None:
    """A bolt that has too much before it stops those that feed it, also with what is off their queue already."""
    released, held = [False], []

    async def execute(bolt: Any, tup: Any) -> None:
        while not released[0]:
            await asyncio.sleep(0)
        bolt.collector.emit([tup[0]], anchors=tup)
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(1200))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    script.on["last", "execute"] = lambda bolt, tup: held.append((bolt, tup))
    for _ in range(30):
        one.workers[0].step(one.clock.now())
    assert len(script.made("execute", "bolt")) == 1000
    [executor] = [each for each in one.workers[0].executors if each.component == "bolt"]
    executor.held = True
    released[0] = True
    one.run_for(1)
    assert len(script.made("execute", "bolt")) == 1000
    executor.held = False
    one.run_for(1)
    assert len(script.made("execute", "bolt")) == 1200
    one.stop()


def test_execute_waits_for_prepare() -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(5))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    one.run_for(1)
    assert script.methods("bolt") == ["prepare"] + ["execute"] * 5
    one.stop()


def test_a_basic_bolt_anchors_to_the_tuple_of_its_own_coroutine() -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        for _ in range(tup[0] % 3):
            await asyncio.sleep(0)
        if tup[0] == 4:
            raise FailedError
        bolt.collector.emit([tup[0]])

    script = Script(next_tuple=emit_up_to(6))
    one = cluster(script, AsyncBasicBolt(script))
    script.on["bolt", "execute"] = execute
    script.on["last", "execute"] = lambda bolt, tup: (bolt.collector.fail if tup[0] == 2 else bolt.collector.ack)(tup)
    one.run_for(1)
    assert sorted(number for _, number in script.made("ack")) == [1, 3, 5, 6]
    assert sorted(number for _, number in script.made("fail")) == [2, 4]
    one.stop()


def test_an_async_spout_keeps_the_limit_and_hears_of_its_tuples() -> None:
    script = Script(next_tuple=emit_up_to(300))
    held: list[Any] = []
    one = cluster(script, ScriptedBolt(script), AsyncSpout(script), tasks=3, max_spout_pending=7)
    script.on["bolt", "execute"] = lambda bolt, tup: held.append((bolt, tup))
    one.run_for(2)
    assert len(held) == 21
    script.on["bolt", "execute"] = ack_it
    for bolt, tup in held:
        bolt.collector.ack(tup)
    one.run_for(2)
    told = [(task, message_id) for _, task, method, message_id in script.calls if method == "ack"]
    assert len(told) == 900
    assert all(task == message_id[0] for task, message_id in told)
    assert one.errors == []
    one.stop()
    assert script.methods("spout").count("close") == 3


def test_deactivation_stops_an_async_spout() -> None:
    script = Script(next_tuple=emit_up_to(10_000), execute=ack_it)
    one = cluster(script, ScriptedBolt(script), AsyncSpout(script))
    one.workers[0].step(one.clock.now())
    one.workers[0].set_active(False)
    one.run_for(1)
    before = len(script.made("next_tuple"))
    one.run_for(5)
    assert len(script.made("next_tuple")) == before
    assert script.methods("spout").count("deactivate") == 1
    one.stop()


def test_an_exception_in_a_coroutine_ends_the_worker() -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    script = Script(next_tuple=emit_up_to(5))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    one.run_for(1)
    assert isinstance(one.workers[0].failure, RuntimeError)
    [(component, text)] = one.errors
    assert component == "bolt"
    assert text.endswith("RuntimeError: broken")
    assert "storm/executor" not in text
    assert "  Executing [1] from 'spout' (task " in text
    one.stop()


def test_a_bolt_fails_its_tuple_by_failed_error_and_the_worker_goes_on() -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        await asyncio.sleep(0)
        if tup[0] == 2:
            raise FailedError
        if tup[0] == 3:
            raise ReportedFailedError("three")
        bolt.collector.ack(tup)

    script = Script(next_tuple=emit_up_to(4))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    one.run_for(1)
    assert sorted(number for _, number in script.made("ack")) == [1, 4]
    assert sorted(number for _, number in script.made("fail")) == [2, 3]
    [(_, text)] = one.errors
    assert text.endswith("ReportedFailedError: three")
    assert "  Executing [3] from 'spout' (task " in text
    assert one.workers[0].failure is None
    one.stop()


class AsyncBatches(ScriptedBolt):
    """Acks the first of each batch, then raises what the script says."""

    async def execute_batch(self, tuples: list[Any]) -> None:  # type: ignore[override]
        self.collector.ack(tuples[0])
        await asyncio.sleep(0)
        self.script.call(self, "rest", len(tuples) - 1)


@pytest.mark.parametrize("error", [FailedError("rest"), RuntimeError("rest")])
def test_of_a_batch_what_is_not_settled_fails_or_is_counted(error: Exception) -> None:
    def fail(bolt: Any, count: int) -> None:
        if count:
            raise error

    script = Script(next_tuple=emit_up_to(5), rest=fail)
    one = cluster(script, AsyncBatches(script))
    one.run_for(1)
    assert max(script.made("rest")) > 0
    if isinstance(error, FailedError):
        assert sorted(number for _, number in script.made("ack") + script.made("fail")) == [1, 2, 3, 4, 5]
        assert (one.errors, one.workers[0].failure) == ([], None)
    else:
        assert one.workers[0].failure is error
        assert "not settled yet, the first of these: [" in one.errors[0][1]
    one.stop()


def test_so_does_what_is_cancelled_by_others() -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    script = Script(next_tuple=emit_up_to(1))
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script))
    one.run_for(1)
    assert isinstance(one.workers[0].failure, asyncio.CancelledError)
    assert [component for component, _ in one.errors] == ["bolt"]
    one.stop()


class HalfPatientSpout(AsyncSpout):
    """One of its tasks waits in `next_tuple` for ever."""

    async def next_tuple(self) -> None:
        if self.context.task_index:
            await asyncio.get_running_loop().create_future()
        await super().next_tuple()


def test_the_lane_comes_to_rest_while_one_task_waits_and_another_has_no_room() -> None:
    script = Script(next_tuple=emit_up_to(5))
    one = cluster(script, ScriptedBolt(script), HalfPatientSpout(script), tasks=2, max_spout_pending=1)
    one.settle()
    assert len(script.made("execute", "bolt")) == 1
    one.stop()


def test_a_spout_that_is_slow_to_hear_of_acks_emits_no_more_than_its_limit() -> None:
    told, released = [0], [False]

    async def ack(spout: Any, message_id: Any) -> None:
        while not released[0]:
            await asyncio.sleep(0)
        told[0] += 1

    class SlowToHear(AsyncSpout):
        async def ack(self, message_id: Any) -> None:
            await self.script.call(self, "ack", message_id)

    script = Script(next_tuple=emit_up_to(50), execute=ack_it)
    script.on["ack"] = ack
    one = cluster(script, ScriptedBolt(script), SlowToHear(script), max_spout_pending=5)
    one.run_for(1)
    assert len(script.made("execute", "bolt")) == 5
    released[0] = True
    one.run_for(2)
    assert told == [50]
    one.stop()


@pytest.mark.parametrize("bolt", [ScriptedBolt, ScriptedBasicBolt])
def test_a_coroutine_of_what_is_not_async_ends_the_worker_and_acks_nothing(bolt: Any) -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        pass

    script = Script(next_tuple=emit_up_to(1))
    script.on["bolt", "execute"] = execute
    one = cluster(script, bolt(script))
    one.run_for(1)
    assert isinstance(one.workers[0].failure, TypeError)
    assert script.made("ack") == []
    one.stop()


def test_a_coroutine_of_a_spout_that_is_not_async_ends_the_worker() -> None:
    async def next_tuple(spout: Any, argument: Any) -> None:
        pass

    script = Script(next_tuple=next_tuple)
    one = cluster(script, ScriptedBolt(script))
    one.run_for(1)
    assert "next_tuple answers a coroutine" in str(one.workers[0].failure)
    one.stop()


def test_ticks_reach_coroutines() -> None:
    async def execute(bolt: Any, tup: Any) -> None:
        assert tup.is_tick()

    script = Script()
    script.on["bolt", "execute"] = execute
    one = cluster(script, AsyncBolt(script), tick_tuple_freq_secs=1)
    script.on["last", "execute"] = lambda bolt, tup: None
    one.run_for(3.5)
    assert len(script.made("execute", "bolt")) == 3
    one.stop()
