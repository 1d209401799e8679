from __future__ import annotations

from typing import Any

from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import SeveralWorkers

from storm.metrics.stats_records import ALL_TIME, SpoutStats
from storm.topology.builder import TopologyBuilder

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
