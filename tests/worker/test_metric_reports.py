"""A worker with real executors and a consumer, in virtual time."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.executor.lanes import Lanes
from storm.executor.plan import WorkerPlan
from storm.metrics.data_points import TaskInfo
from storm.metrics.distribution import LATENCY_BUCKETS, Distribution
from storm.metrics.series import Series, decode
from storm.testing.simulated_clock import SimulatedClock
from storm.topology.builder import TopologyBuilder
from storm.topology.component import BasicBolt, Bolt, Spout
from storm.topology.consumer_registration import with_consumers
from storm.topology.parallelism import component_executors, component_tasks, executors, task_components
from storm.topology.system_topology import system_topology
from storm.worker.exchange import ExchangeFigures
from storm.worker.launch import Launch
from storm.worker.metric_reports import COLLECT_SECS, MetricReports
from storm.worker.process_figures import ProcessFigures

CONSUMER = "__metrics_log"
EXCHANGE = ExchangeFigures(1, 0, 2, 3, 7, 4, {"no worker has the task": 1}, {"no worker has the task": 2}, 0, 0)


class Numbers(Spout):
    outputs = ["number"]
    last = 0

    def next_tuple(self) -> None:
        if self.last < 10:
            self.last += 1
            self.collector.emit([self.last], message_id=self.last)


class Adds(BasicBolt):
    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        self.seen = context.metrics.counter("seen")
        self.values = context.metrics.histogram("values")
        context.metrics.gauge("index", lambda: context.task_index)
        if conf.get("broken"):
            context.metrics.gauge("broken", lambda: 1 / 0)

    def execute(self, tup: Any) -> None:
        self.seen.inc()
        self.values.update(tup.number)


class Awaits(Bolt):
    """Acks each tuple when it is `released`."""

    released = False

    async def execute(self, tup: Any) -> None:
        while not self.released:
            await asyncio.sleep(0)
        self.collector.ack(tup)


class Elsewhere:
    """A `Transfer` that notes what leaves this worker."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, Any]] = []

    def check(self, values: Any) -> None:
        pass

    def send(self, target: int, tuples: Any) -> None:
        self.sent += [(target, tup) for tup in tuples]

    def send_tracking(self, kind: Any, target: int, source: int, pairs: Any) -> None:
        raise AssertionError("all trees stay here")

    def flush(self) -> None:
        pass


class Story:
    """All tasks in one worker, but for the consumers': what these are given leaves the worker and is noted."""

    def __init__(self, adds: Bolt | None = None, **conf: Any) -> None:
        builder = TopologyBuilder()
        builder.set_spout("numbers", Numbers())
        builder.set_bolt("adds", adds or Adds(), 2).shuffle_grouping("numbers")
        full = effective_conf(Settings.of(), {"topology.builtin.metrics.bucket.size.secs": 60, **conf})
        system = system_topology(with_consumers(builder.create_topology(), full), full)
        self.tasks = component_tasks(system, full)
        every = executors(component_executors(system, full), self.tasks)
        mine = [each for component, some in every.items() if component != CONSUMER for each in some]
        plan = WorkerPlan(system, full, "test-1-1", mine, task_components(system, full))
        self.errors: list[tuple[str, str]] = []
        self.clock, self.transfer = SimulatedClock(), Elsewhere()
        self.lanes = Lanes(plan, self.transfer, self.clock, self, random.Random(1))
        told = Launch("t", "n", "host", "host", 6700, "w", 1, tuple(mine), 1, Path(), Path())
        self.figures = ProcessFigures(1000, 2.0, (3, 2, 1))
        self.reports = MetricReports(told, self.lanes, lambda: EXCHANGE, lambda: self.figures, self.clock)

    def report_error(self, component_id: str, exception_text: str) -> None:
        self.errors.append((component_id, exception_text))

    def run(self) -> None:
        self.lanes.set_active(True)
        while self.lanes.step(self.clock.now()):
            pass

    def step_at(self, secs: float) -> float:
        self.clock.jump_to(secs)
        return self.reports.step(self.clock.now())

    def given(self) -> dict[tuple[str, int], dict[str, Any]]:
        """{(component, task): {name: value}} of what the consumers were given since the last call."""
        sent, self.transfer.sent = self.transfer.sent, []
        found = {}
        for _, tup in sent:
            info = TaskInfo(*tup.values[0])
            assert (tup.origin.component, tup.origin.task, tup.stream) == (info.component_id, info.task_id, "__metrics")
            assert (info.worker_host, info.worker_port, info.interval_secs) == ("host", 6700, 60)
            found[info.component_id, info.task_id] = dict(tup.values[1])
        return found


@pytest.fixture
def story() -> Story:
    return Story(**{"topology.metrics.consumer.register": [{"class": "log", "parallelism.hint": 2}]})


def test_the_supervisor_is_told_of_all_that_is_counted(story: Story) -> None:
    start = story.clock.now()
    story.run()
    assert story.reports.text == ""
    story.step_at(start + 5)
    found = decode(story.reports.text)
    assert Series("storm_worker_uptime_seconds", {}, 5.0) in found
    assert Series("storm_worker_resident_bytes", {}, 1000.0) in found
    assert Series("storm_worker_collections_total", {"generation": "0"}, 3.0) in found
    assert Series("storm_worker_reconnects_total", {}, 2.0) in found
    assert Series("storm_worker_dropped_total", {"reason": "no worker has the task"}, 3.0) in found
    assert Series("storm_component_emitted_total", {"component": "numbers", "stream": "default"}, 10.0) in found
    taken = {"component": "adds", "source": "numbers", "stream": "default"}
    assert Series("storm_bolt_executed_total", taken, 10.0) in found
    timed = Distribution(10, 0.0, buckets={LATENCY_BUCKETS[0]: 10})
    assert Series("storm_bolt_execute_seconds", taken, timed) in found
    assert Series("storm_spout_complete_seconds", {"component": "numbers", "stream": "default"}, timed) in found
    assert Series("storm_worker_send_queue_length", {}, 7.0) in found
    assert Series("storm_component_executors", {"component": "adds"}, 2.0) in found
    assert Series("storm_spout_pending", {"component": "numbers"}, 0.0) in found
    assert Series("storm_metric_count_total", {"component": "adds", "name": "seen"}, 10.0) in found
    gauges = [(each.labels["task"], each.value) for each in found if each.name == "storm_metric_value"]
    assert gauges == [(str(task), float(i)) for i, task in enumerate(story.tasks["adds"])]
    [values] = [each.value for each in found if each.name == "storm_metric_distribution"]
    assert (values.count, values.total, values.least, values.most) == (10, 55.0, 1.0, 10.0)  # type: ignore[union-attr]


def test_what_an_async_bolt_awaits_is_not_settled_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(Awaits())

    def unsettled() -> list[Any]:
        story.run()
        found = story.reports.own_series(story.clock.now())
        return [each.value for each in found if each.name == "storm_bolt_unsettled"]

    try:
        assert unsettled() == [10]
        monkeypatch.setattr(Awaits, "released", True)
        assert unsettled() == [0]
    finally:
        story.lanes.stop(0)


def test_what_the_process_takes_is_known_from_the_same_looks(story: Story) -> None:
    start = story.clock.now()
    assert story.reports.usage == (None, None)
    story.figures = ProcessFigures(1 << 20, 2.0, ())
    story.step_at(start)
    assert story.reports.usage == (1.0, None)
    story.figures = ProcessFigures(3 << 20, 7.0, ())
    story.step_at(start + COLLECT_SECS)
    assert story.reports.usage == (3.0, 50.0)


def test_consumers_are_given_storms_names_and_the_components_own(story: Story) -> None:
    start = story.clock.now()
    story.run()
    story.step_at(start + 59)
    assert story.given() == {}
    story.step_at(start + 60)
    given = story.given()
    spout, first = given["numbers", story.tasks["numbers"][0]], given["adds", story.tasks["adds"][0]]
    assert spout["__emit-count"] == {"default": 10}
    assert spout["__ack-count"] == {"default": 10}
    assert (spout["__complete-latency"], spout["__pending"]) == ({"default": 0.0}, 0)
    assert [spout[f"__skipped-{why}-ms"] for why in ("max-spout", "backpressure", "inactive")] == [0.0] * 3
    assert (spout["__sendqueue"], first["__sendqueue"]) == ({"population": 0}, {"population": 0})
    executed = [given["adds", task]["__execute-count"] for task in story.tasks["adds"]]
    assert executed == [{"numbers:default": 5}, {"numbers:default": 5}]
    assert first["__receive"] == {"population": 0, "capacity": 32_768}
    assert (first["seen"], first["values.count"], first["index"]) == (5, 5, 0)
    system = given["__system", -1]
    assert (system["uptimeSecs"], system["newWorkerEvent"]) == (60.0, 1)
    assert system["__sendqueue"] == {"population": 7}
    assert system["memory/heap"] == {"usedBytes": 1000}
    assert system["GC/generation0"] == {"count": 3}


def test_built_in_counts_are_those_of_the_interval_and_a_components_are_totals(story: Story) -> None:
    start = story.clock.now()
    story.run()
    story.step_at(start + 60)
    story.given()
    story.step_at(start + 120)
    given = story.given()
    first = given["adds", story.tasks["adds"][0]]
    assert "__execute-count" not in first
    assert first["seen"] == 5
    assert given["__system", -1]["newWorkerEvent"] == 0
    assert given["__system", -1]["GC/generation0"] == {"count": 0}


def test_the_tasks_of_a_consumer_take_turns(story: Story) -> None:
    story.run()
    story.step_at(story.clock.now() + 60)
    targets = [target for target, _ in story.transfer.sent]
    assert set(targets) == set(story.tasks[CONSUMER])
    assert abs(targets.count(targets[0]) - targets.count(targets[1])) <= 1


def test_metrics_reach_no_executors_streams(story: Story) -> None:
    plan = story.lanes.plan
    assert [list(plan.subscriptions(each, "__metrics")) for each in ("numbers", "adds")] == [[], []]
    assert not plan.must_wait("numbers", list(story.tasks[CONSUMER]))


def test_without_consumers_nothing_is_sent() -> None:
    story = Story()
    start = story.clock.now()
    story.run()
    assert story.step_at(start + 60) == start + 60 + COLLECT_SECS
    assert story.given() == {}


def test_a_gauge_that_cannot_be_read_is_an_error_of_its_component() -> None:
    story = Story(broken=True)
    story.run()
    for _ in range(2):
        story.step_at(story.clock.now() + COLLECT_SECS)
    assert [component for component, _ in story.errors] == ["adds", "adds"]  # its two tasks, once each
    assert "metric 'broken': the gauge cannot be read: ZeroDivisionError" in story.errors[0][1]
