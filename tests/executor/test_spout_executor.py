from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import NetworkTransfer, SeveralWorkers

from storm.executor.collectors import SpoutCollector
from storm.executor.inquiry import ANSWERS_WITHIN_SECS, Holding, How
from storm.executor.pending import Pending
from storm.executor.spout_executor import SpoutTask, letter_id
from storm.executor.tracking import TrackingOut
from storm.messaging import tuple_codec
from storm.metrics.stats_records import ALL_TIME, SpoutStats
from storm.topology.builder import TopologyBuilder
from storm.topology.failures import Failure, Retries

T = 30


def cluster(script: Script, tasks: int = 1, subscribed: bool = True, **conf: Any) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script)).set_num_tasks(tasks)
    builder.set_bolt("bolt", ScriptedBolt(script)).shuffle_grouping("spout", stream="default" if subscribed else "pair")
    settings = {"topology." + key.replace("_", "."): value for key, value in conf.items()}
    return SeveralWorkers(builder.create_topology(), settings)


def test_opened_and_activated_when_the_topology_is_first_active() -> None:
    script = Script()
    one = cluster(script)
    one.workers[0].set_active(False)
    one.run_for(1)
    assert script.calls == []
    one.workers[0].set_active(True)
    one.settle()
    assert script.methods("spout")[:3] == ["open", "activate", "next_tuple"]


def test_an_inactive_spout_hears_of_it_once_and_emits_nothing() -> None:
    script = Script(next_tuple=emit_up_to(1000))
    one = cluster(script, max_spout_pending=5)
    one.settle()
    one.workers[0].set_active(False)
    one.settle()
    before = len(script.made("next_tuple"))
    one.run_for(5)
    assert len(script.made("next_tuple")) == before
    assert script.methods("spout").count("deactivate") == 1
    one.workers[0].set_active(True)
    one.settle()
    assert script.methods("spout").count("activate") == 2
    assert script.methods("spout").count("open") == 1


def test_every_task_hears_of_its_own_tuples_only() -> None:
    script = Script(next_tuple=emit_up_to(20), execute=ack_it)
    one = cluster(script, tasks=3)
    one.run_for(1)
    told = [(task, message_id) for _, task, method, message_id in script.calls if method == "ack"]
    assert len(told) == 60
    assert all(task == message_id[0] for task, message_id in told)
    assert script.made("fail") == []


def test_without_a_message_id_nothing_is_told_and_nothing_is_pending() -> None:
    def emit(spout: Any, _: Any) -> None:
        if spout.emitted < 100:
            spout.emitted += 1
            spout.collector.emit([1])

    script = Script(next_tuple=emit)
    one = cluster(script, max_spout_pending=5)
    one.run_for(3 * T)
    assert len(script.made("execute")) == 100
    assert script.made("ack") == script.made("fail") == []


def test_what_goes_to_nobody_is_acked() -> None:
    script = Script(next_tuple=emit_up_to(7))
    one = cluster(script, subscribed=False)
    one.run_for(1)
    assert [number for _, number in script.made("ack")] == [1, 2, 3, 4, 5, 6, 7]


def test_without_ackers_tuples_are_acked_at_once() -> None:
    script = Script(next_tuple=emit_up_to(7))
    one = cluster(script, acker_executors=0)
    one.settle()
    assert [number for _, number in script.made("ack")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_tree_times_out_between_one_and_two_timeouts() -> None:
    script = Script(next_tuple=emit_up_to(3))
    one = cluster(script, message_timeout_secs=T)
    one.run_for(T - 1)
    assert script.made("fail") == []
    one.run_for(T + 2)
    assert sorted(number for _, number in script.made("fail")) == [1, 2, 3]
    assert script.made("ack") == []


def test_timeouts_can_be_switched_off() -> None:
    script = Script(next_tuple=emit_up_to(3))
    one = cluster(script, message_timeout_secs=T, enable_message_timeouts=False)
    one.run_for(5 * T)
    assert script.made("fail") == []


def test_the_limit_of_pending_tuples_is_shared_by_the_executors_tasks() -> None:
    script = Script(next_tuple=emit_up_to(1000))
    one = cluster(script, tasks=3, max_spout_pending=4)
    one.run_for(5)
    assert len(script.made("execute")) == 12
    script.on["execute"] = ack_it
    one.run_for(2 * T + 2)  # the first ones time out
    assert len(script.made("execute")) == 3000


def test_a_spout_that_emits_nothing_is_asked_again_after_a_pause() -> None:
    script = Script()
    one = cluster(script, sleep_spout_wait_strategy_time_ms=1)
    one.settle()
    assert len(script.made("next_tuple")) == 1
    one.run_for(0.0505)
    assert 45 <= len(script.made("next_tuple")) <= 51
    one.run_for(2)
    before = len(script.made("next_tuple"))
    one.run_for(1)
    assert 38 <= len(script.made("next_tuple")) - before <= 41  # idle for long: 25 times the pause


def test_an_orderly_end_deactivates_and_closes() -> None:
    script = Script()
    one = cluster(script)
    one.settle()
    one.stop()
    assert script.methods("spout")[-2:] == ["deactivate", "close"]
    assert script.methods("bolt") == ["prepare", "cleanup"]


def test_what_never_opened_is_not_closed() -> None:
    script = Script()
    one = cluster(script)
    one.workers[0].set_active(False)
    one.settle()
    one.stop()
    assert script.calls == []


def test_counts_and_complete_latency() -> None:
    script = Script(next_tuple=emit_up_to(10))
    one = cluster(script, tasks=2)
    held: list[Any] = []
    script.on["execute"] = lambda bolt, tup: held.append((bolt, tup))
    one.settle()
    one.run_for(2)
    for bolt, tup in held:
        (bolt.collector.fail if tup[0] == 1 else bolt.collector.ack)(tup)
    one.settle()
    spout = next(stats for stats in one.workers[0].stats().values() if isinstance(stats.specific, SpoutStats))
    assert spout.emitted[ALL_TIME] == spout.transferred[ALL_TIME] == {"default": 20}
    assert isinstance(spout.specific, SpoutStats)
    assert spout.specific.acked[ALL_TIME] == {"default": 18}
    assert spout.specific.failed[ALL_TIME] == {"default": 2}
    assert round(spout.specific.complete_ms_avg["600"]["default"]) == 2000


class Hearing(ScriptedSpout):
    """Hears why something failed."""

    def failed(self, message_id: Any, failure: Any) -> Any:
        return self.script.call(self, "failed", (message_id[1], failure))

    def give_up(self, message_id: Any, failure: Any) -> Any:
        return self.script.call(self, "give_up", (message_id[1], failure))


class AsyncHearing(ScriptedSpout):
    async def failed(self, message_id: Any, failure: Any) -> None:
        self.script.call(self, "failed", (message_id[1], failure))

    async def give_up(self, message_id: Any, failure: Any) -> None:
        self.script.call(self, "give_up", (message_id[1], failure))


def hearing(script: Script, spout: Any = Hearing, bolt: Any = None, **conf: Any) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", spout(script))
    builder.set_bolt("bolt", (bolt or ScriptedBolt)(script)).shuffle_grouping("spout")
    builder.set_bolt("letters", ScriptedBolt(script)).shuffle_grouping("spout", stream="dead-letter")
    settings = {"topology." + key.replace("_", "."): value for key, value in conf.items()}
    return SeveralWorkers(builder.create_topology(), {"topology.message.timeout.secs": T, **settings})


def fail_it(bolt: Any, tup: Any) -> None:
    bolt.collector.fail(tup)


WITH_LETTERS = {"default": ["value"], "dead-letter": ["id", "attempts", "reason"]}
Hearing.outputs = AsyncHearing.outputs = WITH_LETTERS  # type: ignore[assignment]
both = pytest.mark.parametrize("spout", [Hearing, AsyncHearing])


@both
def test_a_spout_hears_which_bolt_failed_a_tuple(spout: Any) -> None:
    script = Script(next_tuple=emit_up_to(2))
    script.on["bolt", "execute"] = fail_it
    one = hearing(script, spout)
    one.run_for(1)
    [bolt] = one.tasks_of("bolt")
    why = Failure("failed", "bolt", f"'bolt' (task {bolt}) failed it")
    assert script.made("failed") == [(1, why), (2, why)]
    assert script.made("fail") == []
    one.stop()


@both
def test_a_spout_hears_that_a_worker_died(spout: Any) -> None:
    script = Script(next_tuple=emit_up_to(2))
    one = hearing(script, spout)
    one.settle()
    one.workers[0].fail_pending("the worker at b:6700 died")
    one.settle()
    why = Failure("worker-died", None, "the worker at b:6700 died")
    assert sorted(script.made("failed")) == [(1, why), (2, why)]
    one.run_for(T + 1)
    assert len(script.made("failed")) == 2
    one.stop()


@both
def test_a_spout_hears_who_held_a_tuple_that_timed_out(spout: Any) -> None:
    script = Script(next_tuple=emit_up_to(1))
    one = hearing(script, spout)
    one.workers[0].ask_peers = lambda number, roots: []
    one.run_for(2 * T + 1)
    [bolt] = one.tasks_of("bolt")
    [(number, (kind, component, text))] = script.made("failed")
    assert (number, kind, component) == (1, "timeout", "bolt")
    assert f"'bolt' (task {bolt}) was given it" in text
    assert [(name, text.partition(":")[0]) for name, text in one.errors] == [
        ("bolt", f"1 tuple of spout 'spout' timed out, with id ({one.tasks_of('spout')[0]}, 1)")
    ]
    one.stop()


def test_what_timed_out_is_told_when_the_others_have_answered_or_soon_after() -> None:
    script = Script(next_tuple=emit_up_to(1))
    one = hearing(script)
    [worker], asked = one.workers, []

    def ask(number: int, roots: Any) -> list[str]:
        asked.append((number, list(roots)))
        return ["b:6700"]

    worker.ask_peers = ask
    one.run_for(2 * T + 0.1)
    [(number, roots)] = asked
    assert script.made("failed") == []
    worker.answered(number + 1, "b:6700", [Holding(roots[0], 1, How.TAKEN)])  # of another inquiry
    one.settle()
    assert script.made("failed") == []
    script.calls.clear()  # the tuple is nowhere here any more
    worker.answered(number, "b:6700", [])
    one.settle()
    assert len(script.made("failed")) == 1
    script.on["next_tuple"] = emit_up_to(2)
    one.run_for(2 * T)
    assert len(asked) == 2
    assert len(script.made("failed")) == 1
    one.run_for(ANSWERS_WITHIN_SECS)
    assert len(script.made("failed")) == 2
    one.stop()


def test_a_spout_with_a_list_of_failures_is_told_by_fail() -> None:
    class Listing(ScriptedSpout):
        outputs = WITH_LETTERS  # type: ignore[assignment]

        def open(self, conf: Any, context: Any, collector: Any) -> Any:
            self.failed = []  # type: ignore[assignment,method-assign]
            return super().open(conf, context, collector)

    script = Script(next_tuple=emit_up_to(2))
    script.on["bolt", "execute"] = fail_it
    one = hearing(script, Listing)
    one.run_for(1)
    assert [number for _, number in script.made("fail")] == [1, 2]
    assert one.errors == []


def test_an_object_that_is_no_spout_but_has_its_methods_is_told_too() -> None:
    class Plain:
        def ack(self, message_id: Any) -> Any:
            return ("ack", message_id)

        def fail(self, message_id: Any) -> Any:
            return ("fail", message_id)

    task = SpoutTask(1, Plain(), SpoutCollector("spout", {}, Pending(), TrackingOut(), print))
    why = Failure("failed", None, "a bolt failed it")
    assert task.tell_failure(7, why) == ("fail", 7)
    assert task.tell_given_up(7, why) == ("ack", 7)


class Retrying(Hearing):
    retries = Retries(first_secs=1, factor=2, max_secs=60, attempts=3)


class AsyncRetrying(AsyncHearing):
    retries = Retrying.retries


def emit_again(spout: Any, told: Any) -> None:
    number, _ = told
    spout.collector.emit([number], (spout.context.task_id, number))


@pytest.mark.parametrize("spout", [Retrying, AsyncRetrying])
def test_what_is_under_way_at_each_death_of_another_worker_is_given_up(spout: Any) -> None:
    script = Script(next_tuple=emit_up_to(3), failed=emit_again)
    deadly = 2

    def execute(bolt: Any, tup: Any) -> None:
        if tup.value != deadly and len(script.made("failed")) >= 3:
            ack_it(bolt, tup)

    script.on["bolt", "execute"] = execute
    one = hearing(script, spout, sleep_spout_wait_strategy_time_ms=100)
    for _ in range(3):
        one.run_for(5)
        one.workers[0].fail_pending("the worker at b:6700 died")
    one.run_for(5)
    why = Failure("worker-died", None, "the worker at b:6700 died")
    assert script.made("give_up") == [(deadly, why)]
    assert sorted(number for _, number in script.made("ack")) == [1, 3]
    one.stop()


@pytest.mark.parametrize("spout", [Retrying, AsyncRetrying])
def test_a_spout_with_retries_hears_of_failures_later_and_later_and_then_gives_up(spout: Any) -> None:
    script = Script(next_tuple=emit_up_to(1), failed=emit_again)
    script.on["bolt", "execute"] = fail_it
    one = hearing(script, spout)
    one.run_for(0.7)
    assert len(script.made("execute", "bolt")) == 1
    one.run_for(0.6)
    assert len(script.made("execute", "bolt")) == 2
    one.run_for(1.2)
    assert len(script.made("execute", "bolt")) == 2
    one.run_for(1.3)
    assert len(script.made("execute", "bolt")) == 3
    [bolt], [task] = one.tasks_of("bolt"), one.tasks_of("spout")
    why = Failure("failed", "bolt", f"'bolt' (task {bolt}) failed it")
    assert script.made("failed") == [(1, why), (1, why)]
    assert script.made("give_up") == [(1, why)]
    assert script.made("execute", "letters") == [[(task, 1), 3, why.text]]
    one.run_for(10)
    assert len(script.made("execute", "bolt")) == 3
    assert script.made("ack") == script.made("fail") == []
    one.stop()


def test_what_is_given_up_is_acked_where_a_spout_says_nothing_else() -> None:
    class Plain(ScriptedSpout):
        outputs = WITH_LETTERS  # type: ignore[assignment]
        retries = Retries(attempts=1)

    script = Script(next_tuple=emit_up_to(2))
    script.on["bolt", "execute"] = fail_it
    one = hearing(script, Plain)
    one.settle()
    assert [number for _, number in script.made("ack")] == [1, 2]
    assert script.made("fail") == []
    assert len(script.made("execute", "letters")) == 2


@pytest.mark.parametrize("spout", [Retrying, AsyncRetrying])
def test_failures_that_wait_count_as_under_way_so_that_a_failing_bolt_is_not_flooded(spout: Any) -> None:
    script = Script(next_tuple=emit_up_to(200), failed=emit_again)
    script.on["bolt", "execute"] = fail_it
    one = hearing(script, spout, max_spout_pending=10)
    one.run_for(0.7)
    assert len(script.made("execute", "bolt")) == 10
    one.run_for(7)
    numbers = [number for [number] in script.made("execute", "bolt")]
    assert 20 < max(numbers) < 10 + 10 * (7.7 / 2.4 + 1)  # 3 attempts take at least 0.8 + 1.6 s, ten at a time
    script.on["bolt", "execute"] = ack_it
    one.run_for(3)
    assert len(script.made("ack")) + len(script.made("give_up")) == 200
    one.stop()


def test_an_ack_ends_the_count_of_failures() -> None:
    script = Script(next_tuple=emit_up_to(1), failed=emit_again)
    script.on["bolt", "execute"] = fail_it
    one = hearing(script, Retrying)
    one.settle()
    script.on["bolt", "execute"] = ack_it
    one.run_for(2)
    assert len(script.made("ack")) == 1
    [executor] = [each for each in one.workers[0].executors if each.component == "spout"]
    [task] = executor.tasks
    script.on["bolt", "execute"] = fail_it
    task.spout.emitted = 0
    one.run_for(1.3)
    assert script.made("give_up") == []
    assert len(script.made("failed")) == 2


def test_an_id_as_text_is_whole_up_to_1000_characters() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    path = Path("/srv/data") / "/".join(["customer-of-this-name"] * 6) / "part-00017-of-00400.jsonl"
    assert letter_id((path, 12)) == repr((path, 12))
    assert len(letter_id("x" * 5_000)) == 1_000
    assert letter_id("\ud800") == repr("\ud800")
    assert "Broken" in letter_id(Broken())


def test_an_id_that_cannot_travel_is_a_dead_letter_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(Retrying):
        retries = Retries(attempts=1)

        def give_up(self, message_id: Any, failure: Any) -> Any:
            return self.script.call(self, "give_up")

    def emit(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit([1], print)

    script = Script(next_tuple=emit)
    script.on["bolt", "execute"] = fail_it
    monkeypatch.setattr(NetworkTransfer, "check", lambda self, values: tuple_codec.check(values, 1 << 20))
    one = hearing(script, Once, testing_always_try_serialize=True)
    one.settle()
    [(letter, attempts, _)] = script.made("execute", "letters")
    assert (letter, attempts) == (repr(print), 1)
    assert len(script.made("give_up")) == 1
    assert one.errors == []


def spout_totals(one: SeveralWorkers) -> Any:
    [executor] = [each for each in one.workers[0].executors if each.component == "spout"]
    return executor.totals()


def test_failures_are_counted_by_their_kind() -> None:
    def settle(bolt: Any, tup: Any) -> None:
        if tup.value == 1:
            bolt.collector.fail(tup)

    one = cluster(Script(next_tuple=emit_up_to(3), execute=settle), message_timeout_secs=T)
    one.settle()
    failures = spout_totals(one).failures
    assert {stream: kinds for stream, kinds in failures.items() if kinds} == {"default": {"failed": 1}}
    one.run_for(3 * T)
    assert spout_totals(one).failures["default"] == {"failed": 1, "timeout": 2}


def test_what_a_dead_worker_took_with_it_is_counted_so() -> None:
    one = cluster(Script(next_tuple=emit_up_to(3)))
    one.settle()
    one.workers[0].fail_pending("host:6700 died")
    one.settle()
    totals = spout_totals(one)
    assert (totals.failures["default"], totals.counts["failed"]["default"]) == ({"worker-died": 3}, 3)


def test_the_time_in_which_it_is_not_asked_is_counted_by_its_reason() -> None:
    held: list[Any] = []
    script = Script(next_tuple=emit_up_to(1000), execute=lambda bolt, tup: held.append((bolt, tup)))
    one = cluster(script, max_spout_pending=5, message_timeout_secs=1000)
    one.workers[0].set_active(False)
    one.run_for(2)
    assert spout_totals(one).skipped_secs == {"inactive": 2.0}
    one.workers[0].set_active(True)
    one.run_for(3)
    assert spout_totals(one).skipped_secs == {"inactive": 2.0, "max-pending": pytest.approx(3.0)}
    one.workers[0].throttle(frozenset(one.tasks_of("bolt")))
    one.run_for(4)
    totals = spout_totals(one).skipped_secs
    assert totals == {"inactive": 2.0, "max-pending": pytest.approx(3.0), "back-pressure": pytest.approx(4.0)}
    assert len(script.made("execute")) == 5
    script.on["execute"] = ack_it
    for bolt, tup in held:
        bolt.collector.ack(tup)
    one.workers[0].throttle(frozenset())
    one.run_for(5)
    assert sum(spout_totals(one).skipped_secs.values()) == pytest.approx(9.0)
    assert len(script.made("ack")) == 1000
