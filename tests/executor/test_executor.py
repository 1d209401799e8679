from __future__ import annotations

import random

from several_workers import SeveralWorkers

from storm.config.topology_conf import TopologyOptions
from storm.executor.executor import QUOTA_MAX, QUOTA_START, TURN_SECS, Executor, Surroundings
from storm.ids import ExecutorId
from storm.testing.spouts_and_bolts import FeederSpout
from storm.topology.builder import TopologyBuilder


def executor() -> Executor:
    builder = TopologyBuilder()
    builder.set_spout("words", FeederSpout(["word"]))
    one = SeveralWorkers(builder.create_topology())
    plan = one.workers[0].plan
    [task] = plan.tasks_of("words")
    surroundings = Surroundings(plan, one.clock, one, random.Random(1))
    return Executor(ExecutorId(task, task), TopologyOptions.from_conf({}), surroundings)


def test_slow_turns_get_smaller_and_quick_ones_larger() -> None:
    one = executor()
    assert one.quota == QUOTA_START
    for _ in range(20):
        one.adapt(10 * TURN_SECS)
    assert one.quota == 1
    one.adapt(1.5 * TURN_SECS)
    assert one.quota == 1
    for _ in range(20):
        one.adapt(TURN_SECS / 10)
    assert one.quota == QUOTA_MAX


def test_knows_its_component_and_task() -> None:
    one = executor()
    assert one.component == "words"
    assert one.context(one.id.start_task).component_id == "words"
    assert one.totals() is None
    assert list(one.endings()) == []
