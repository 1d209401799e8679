from __future__ import annotations

from array import array
from typing import Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to, pass_on
from several_workers import SeveralWorkers

from storm.executor.lane import IDLE_SHARE, POLL_PAUSE_MAX_SECS, poll_pause_secs
from storm.executor.transfer import Tracking
from storm.topology.builder import TopologyBuilder
from storm.tuples import Tuple


def cluster(script: Script, **conf: Any) -> SeveralWorkers:
    builder = TopologyBuilder()
    builder.set_spout("spout", ScriptedSpout(script))
    builder.set_bolt("first", ScriptedBolt(script)).shuffle_grouping("spout")
    builder.set_bolt("last", ScriptedBolt(script)).shuffle_grouping("first")
    script.on.setdefault(("first", "execute"), pass_on)
    script.on.setdefault(("last", "execute"), ack_it)
    return SeveralWorkers(
        builder.create_topology(), {"topology." + key.replace("_", "."): value for key, value in conf.items()}
    )


def first_tuples(one: SeveralWorkers, numbers: range) -> tuple[int, list[Tuple]]:
    [task], [spout] = one.tasks_of("first"), one.tasks_of("spout")
    tuples = [Tuple([n], one.workers[0].origin(spout, "default")) for n in numbers]
    for tup in tuples:
        tup.target = task
    return task, tuples


def test_an_executor_moves_with_all_that_waits_for_it_in_order() -> None:
    script = Script()
    one = cluster(script)
    worker = one.workers[0]
    one.settle()
    shared = worker.lane_of[one.tasks_of("first")[0]]
    [executor] = [each for each in shared.executors if each.component == "first"]
    assert worker.deliver(*first_tuples(one, range(5)))
    shared.take_mail()
    assert worker.deliver(*first_tuples(one, range(5, 10)))
    task = executor.id.start_task
    assert worker.queue_lengths()[task] == 10
    other = shared.move_out([executor], "other")
    worker.lanes.append(other)
    assert worker.queue_lengths()[task] == 10
    assert not shared.post(task, [])
    assert worker.deliver(*first_tuples(one, range(10, 15)))
    one.run_for(1)
    assert script.made("execute", "first") == script.made("execute", "last") == [[n] for n in range(15)]
    assert worker.queue_lengths() == dict.fromkeys(worker.plan.local_tasks, 0)


def test_trees_survive_the_moves_of_their_spout_and_bolts() -> None:
    script = Script(next_tuple=emit_up_to(2000))
    one = cluster(script, max_spout_pending=50)
    worker = one.workers[0]
    for name in ("first", "spout", "last"):
        one.workers[0].step(one.clock.now())
        shared = worker.lane_of[one.tasks_of(name)[0]]
        [executor] = [each for each in shared.executors if each.component == name]
        worker.lanes.append(shared.move_out([executor], name))
    one.run_for(1)
    assert len(script.made("ack")) == 2000
    assert script.made("fail") == []
    assert one.errors == []


def test_a_full_task_stops_its_feeders_and_the_spouts_until_it_is_half_empty() -> None:
    script = Script(next_tuple=emit_up_to(5000))
    one = cluster(script, executor_receive_buffer_size=100, max_spout_pending=100_000)
    worker = one.workers[0]
    most = 0
    script.on["last", "execute"] = lambda bolt, tup: one.clock.work(0.02)  # so that its turns get short
    for _ in range(3000):
        worker.step(one.clock.now())
        most = max(most, *worker.queue_lengths().values())
    assert most <= 100 + 2 * 512  # one turn of its feeder, and one of the spout
    assert len(script.made("execute", "last")) > 1000
    script.on["last", "execute"] = ack_it
    one.run_for(1)
    assert len(script.made("execute", "last")) == 5000
    assert worker.full == set()


def test_tasks_of_other_workers_may_throttle() -> None:
    script = Script(next_tuple=emit_up_to(100))
    one = cluster(script)
    worker = one.workers[0]
    worker.throttle(frozenset(one.tasks_of("last")))
    one.settle()
    assert script.made("next_tuple") == []
    worker.throttle(frozenset())
    one.run_for(1)
    assert len(script.made("ack")) == 100


def test_a_long_queue_is_worked_off_in_turns_with_others() -> None:
    """A turn ends when it has taken long, whatever is queued."""

    def slowly(bolt: Any, tup: Any) -> None:
        one.clock.work(0.0001)
        pass_on(bolt, tup)

    script = Script()
    script.on["first", "execute"] = slowly
    one = cluster(script)
    worker = one.workers[0]
    one.settle()
    assert worker.deliver(*first_tuples(one, range(2000)))
    worker.step(one.clock.now())
    done = len(script.made("execute", "first"))
    assert 0 < done < 500
    assert len(script.made("execute", "last")) == done


def test_polls_of_a_silent_spout_cost_no_more_than_their_share_unless_they_are_very_dear() -> None:
    for turn_cpu_secs in (1e-6, 5e-6, 3e-5):
        assert turn_cpu_secs / poll_pause_secs(turn_cpu_secs) <= IDLE_SHARE * 1.001
    assert poll_pause_secs(4e-6) < 0.001  # of no effect: the setting is longer
    assert poll_pause_secs(1.0) == POLL_PAUSE_MAX_SECS


@pytest.mark.parametrize("kind", Tracking)
def test_tracking_for_a_task_that_has_no_trees_changes_nothing(kind: Tracking) -> None:
    one = cluster(Script(next_tuple=emit_up_to(1)))
    one.settle()
    [worker] = one.workers
    [task], [spout] = one.tasks_of("last"), one.tasks_of("spout")
    assert worker.deliver_tracking(kind, task, spout, array("Q", [1, 2]))
    one.settle()
    assert worker.failure is None
    assert one.errors == []
