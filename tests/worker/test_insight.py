from __future__ import annotations

import logging
from typing import Any

import pytest
from exchange_parts import LEFT, RIGHT, Side, assignment, turns
from one_worker import OneWorker
from scripted_components import Script, ScriptedBolt, ScriptedSpout, emit_up_to

from storm.ids import ExecutorId
from storm.messaging.in_process import InProcessNetwork
from storm.metrics.insight_records import (
    BACK_PRESSURE,
    MAX_PENDING,
    MISSING_PEERS,
    FailedTuple,
    Obstacles,
    WorkerInsight,
)
from storm.topology.builder import TopologyBuilder
from storm.worker.backpressure import EXPIRY_SECS
from storm.worker.insight import PEERS_MAX, Insights, newest

PEER = f"127.0.0.1:{RIGHT.port}"


class Story:
    """A worker's executors, stepped by the test, and its exchange with one peer."""

    def __init__(self) -> None:
        self.script = Script(next_tuple=emit_up_to(100))
        builder = TopologyBuilder()
        builder.set_spout("spout", ScriptedSpout(self.script))
        builder.set_bolt("bolt", ScriptedBolt(self.script)).shuffle_grouping("spout")
        self.worker = OneWorker(builder.create_topology(), {"topology.max.spout.pending": 7})
        self.lanes = self.worker.lanes
        self.left, self.right = (
            Side(network, slot, tasks)
            for network in [InProcessNetwork()]
            for slot, tasks in ((LEFT, {1}), (RIGHT, {2, 3}))
        )
        self.awaited: list[str] = []
        self.opening: list[str] = []
        self.insights = Insights(
            self.lanes, self.left.exchange, self.left.clock, lambda: self.awaited, lambda: self.opening
        )

    def connect(self) -> None:
        for side in (self.left, self.right):
            side.sees(assignment())
        turns(self.left, self.right)

    def stats_of(self, component: str) -> Any:
        executor = next(each for each in self.lanes.executors if each.component == component)
        return self.insights.executor_stats()[executor.id]


@pytest.fixture
def story() -> Story:
    return Story()


def test_figures_go_with_what_executors_do_and_their_failures(story: Story) -> None:
    story.worker.run(lambda: len(story.script.made("execute")) == 7)
    spout = story.stats_of("spout")
    assert (spout.insight.hindrance.reason, spout.insight.pending, spout.insight.pending_max) == (MAX_PENDING, 7, 7)
    assert spout.failures == ()
    assert story.stats_of("bolt").insight.unsettled == 7
    story.lanes.fail_pending("a peer died")
    story.worker.run(lambda: len(story.script.made("fail")) == 7)
    told = story.stats_of("spout").failures
    assert [(one.kind, one.text) for one in told] == [("worker-died", "a peer died")] * 7
    assert story.stats_of("bolt").failures == ()


def test_what_is_not_prepared_is_told(story: Story) -> None:
    story.connect()
    story.opening = ["bolt"]
    assert story.insights.worker() == WorkerInsight(peers=1, opening_components=("bolt",))


def test_spouts_say_which_peers_they_wait_for(story: Story) -> None:
    story.lanes.set_active(False)
    story.awaited = [PEER]
    found = story.stats_of("spout").insight.hindrance
    assert (found.reason, found.held_by_workers) == (MISSING_PEERS, (PEER,))


def test_a_worker_tells_whom_it_holds_back_and_who_it_is_held_back_by(story: Story) -> None:
    assert story.insights.worker() == WorkerInsight()
    story.left.sees(assignment())
    turns(story.left)
    found = story.insights.worker()
    assert found is not None
    assert (found.peers, found.missing_peers) == (1, (PEER,))
    story.connect()
    story.worker.run(lambda: len(story.script.made("execute")) == 7)
    [bolt] = story.lanes.plan.tasks_of("bolt")
    story.lanes.note_full(bolt)
    story.right.lanes.lengths = {bolt: 1_000, 999: 1_000}  # one of them is a task that nobody knows
    story.right.receive.delivered += 1
    turns(story.left, story.right, count=12)
    assert story.insights.worker() == WorkerInsight(full_components=("bolt",), held_by={PEER: ("bolt",)}, peers=1)
    assert story.stats_of("spout").insight.hindrance.held_by == ("bolt",)
    story.lanes.note_eased(bolt)
    story.lanes.throttle(frozenset({bolt}))
    found_of_spout = story.stats_of("spout").insight.hindrance
    assert (found_of_spout.reason, found_of_spout.held_by_workers) == ((BACK_PRESSURE), (PEER,))
    story.left.clock.sleep(EXPIRY_SECS + 1)
    assert story.insights.worker() == WorkerInsight(peers=1)


def test_a_fault_costs_what_people_see_and_no_heartbeat(
    story: Story, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story.lanes, "full_tasks", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert story.stats_of("spout").insight is None
            assert story.insights.worker() is None
    assert len(caplog.records) == 1
    assert "heartbeats go on without it" in caplog.text


def test_of_very_many_peers_some_are_named(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    [bolt] = story.lanes.plan.tasks_of("bolt")
    many = {f"host-{number}:6700": frozenset({bolt}) for number in range(2 * PEERS_MAX)}
    monkeypatch.setattr(story.left.exchange, "obstacles", lambda: Obstacles(many, many))
    found = story.insights.worker()
    assert found is not None
    assert (len(found.held_by), len(found.slow_peers)) == (PEERS_MAX, PEERS_MAX)


def test_of_very_many_failures_the_newest_are_told() -> None:
    one, other = ExecutorId(1, 1), ExecutorId(2, 2)
    told = [(each, FailedTuple(1, "", "failed", None, "", 0.0, secs)) for secs in range(60) for each in (one, other)]
    found = newest(told)
    assert [len(found[each]) for each in (one, other)] == [50, 50]
    assert [failure.wall_secs for failure in found[one]] == list(range(10, 60))
