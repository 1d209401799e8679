from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from exchange_parts import StandingClock

from storm.errors import NotAuthorizedError, StormError, ThriftConnectionError
from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.insight_records import Usage, WorkerInsight
from storm.metrics.stats_records import ALL_TIME, BoltStats, ExecutorStats
from storm.thrift import convert
from storm.thrift.insight_convert import worker_insight_from_thrift
from storm.worker.heartbeats import BARE_SECS, STATS_EVERY_SECS, Heartbeats
from storm.worker.launch import Launch

LAUNCH = Launch(
    "wc-1-0", "a", "127.0.0.1", "127.0.0.1", 6700, "w", 3, (ExecutorId(1, 2),), 6628, Path("/dist"), Path("/logs")
)
STATS = {ExecutorId(1, 2): ExecutorStats({ALL_TIME: {"default": 5}}, {}, BoltStats())}


class Called:
    """A server that notes calls, and answers what it is told to."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.answer: StormError | None = None
        self.called = threading.Event()

    def call(self, method: str, *arguments: Any) -> None:
        assert method == "sendSupervisorWorkerHeartbeat"
        [message] = arguments
        self.messages.append(message)
        self.called.set()
        if self.answer is not None:
            raise self.answer

    def close(self) -> None:
        pass


class Story:
    def __init__(self) -> None:
        self.clock = StandingClock()
        self.supervisor, self.nimbus = Called(), Called()
        self.replaced: list[bool] = []
        self.heartbeats = Heartbeats(
            LAUNCH, self.clock, self.supervisor, lambda: self.nimbus, lambda: self.replaced.append(True)
        )


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_beat_says_who_and_where(story: Story) -> None:
    story.heartbeats.beat()
    [message] = story.supervisor.messages
    assert (message.storm_id, message.port, message.worker_id) == ("wc-1-0", 6700, "w")
    assert message.time_secs == story.clock.wall_secs()
    assert list(map(convert.executor_from_thrift, message.executors)) == [ExecutorId(1, 2)]
    assert message.executor_stats is None


def test_the_uptime_is_told_once_the_executors_run(story: Story) -> None:
    story.clock.sleep(5.5)
    story.heartbeats.beat()
    story.heartbeats.stats = lambda: STATS
    story.clock.sleep(2)
    story.heartbeats.beat()
    assert [message.uptime_secs for message in story.supervisor.messages] == [None, 7]


def test_stats_go_along_every_few_seconds_once_there_are_any(story: Story) -> None:
    story.heartbeats.beat()
    story.heartbeats.stats = lambda: STATS
    for _ in range(4):
        story.heartbeats.beat()
        story.clock.sleep(STATS_EVERY_SECS / 2)
    found = [convert.all_executor_stats_from_thrift(message.executor_stats) for message in story.supervisor.messages]
    assert found == [{}, STATS, {}, STATS, {}]


def test_more_figures_than_a_message_holds_are_told_in_turn(story: Story) -> None:
    inputs = {GlobalStreamId(f"component-{i}", "default"): 1 for i in range(450)}
    many = replace(STATS[ExecutorId(1, 2)], specific=BoltStats(*[{ALL_TIME: inputs}] * 5))
    every = {ExecutorId(task, task): many for task in range(1, 9)}
    story.heartbeats.stats = lambda: every
    found = []
    for _ in range(2):
        story.heartbeats.beat()
        story.clock.sleep(STATS_EVERY_SECS)
        found.append(set(convert.all_executor_stats_from_thrift(story.supervisor.messages[-1].executor_stats)))
    assert all(0 < len(each) < len(every) for each in found)
    assert found[0] | found[1] == every.keys()


def test_how_the_worker_gets_on_goes_with_every_beat(story: Story) -> None:
    story.heartbeats.beat()
    told = iter([WorkerInsight(peers=3, dropped={"why": 2}), None])
    story.heartbeats.insight = lambda: next(told)
    story.heartbeats.beat()
    story.heartbeats.beat()
    found = [worker_insight_from_thrift(message.insight) for message in story.supervisor.messages]
    assert found == [None, WorkerInsight(peers=3, dropped={"why": 2}), None]


def test_so_does_what_the_process_takes_of_its_host(story: Story) -> None:
    story.heartbeats.beat()
    story.heartbeats.usage = lambda: Usage(42.5, 99.0)
    story.heartbeats.beat()
    assert [(message.used_mem, message.used_cpu) for message in story.supervisor.messages] == [
        (None, None),
        (42.5, 99.0),
    ]


def test_nimbus_is_told_while_the_supervisor_is_away(story: Story) -> None:
    story.supervisor.answer = ThriftConnectionError("away")
    for _ in range(3):
        story.heartbeats.beat()
    assert len(story.nimbus.messages) == 3
    story.nimbus.answer = ThriftConnectionError("away too")
    story.heartbeats.beat()
    assert len(story.nimbus.messages) == 4
    story.supervisor.answer = story.nimbus.answer = None
    story.heartbeats.beat()
    assert len(story.nimbus.messages) == 4
    assert not story.replaced


def test_the_next_beat_is_due_however_long_one_waits_for_an_answer(story: Story) -> None:
    began = []

    def slow(method: str, *arguments: Any) -> None:
        began.append(story.clock.now())
        story.clock.sleep(7200)
        if len(began) == 3:
            story.heartbeats.stop()
            story.supervisor.called.set()

    story.supervisor.call = slow  # type: ignore[method-assign]
    story.heartbeats.start(every_secs=3600)
    assert story.supervisor.called.wait(10)
    assert began == [began[0], began[0] + 7200, began[0] + 14400]


def test_a_worker_whose_slot_is_another_workers_is_told_so_once(story: Story) -> None:
    story.supervisor.answer = NotAuthorizedError("another worker owns this slot")
    story.heartbeats.beat()
    assert story.replaced == [True]
    assert not story.nimbus.messages


def test_the_first_beat_comes_at_once_and_faults_end_nothing(story: Story) -> None:
    def fault() -> dict[ExecutorId, ExecutorStats]:
        raise RuntimeError("a fault")

    story.heartbeats.stats = fault
    story.heartbeats.beat()
    assert story.supervisor.messages == []
    story.heartbeats.stats = None
    story.heartbeats.start(every_secs=3600)
    assert story.supervisor.called.wait(10)
    story.heartbeats.stop()


def test_what_is_measured_is_told_once_and_again_where_nobody_took_it(story: Story) -> None:
    texts = ["own 1\ncomponents 1"]
    story.heartbeats.stats, story.heartbeats.metrics = (lambda: STATS), (lambda: texts[-1])

    def told() -> list[str | None]:
        story.heartbeats.beat()
        story.clock.sleep(STATS_EVERY_SECS)
        return [each.messages[-1].metrics for each in (story.supervisor, story.nimbus) if each.messages]

    assert told() == ["own 1\ncomponents 1"]
    assert told() == [None]
    texts.append("own 2\ncomponents 2")
    story.supervisor.answer = ThriftConnectionError("away")
    story.heartbeats.beat()
    assert story.nimbus.messages[-1].metrics == "components 2"
    story.clock.sleep(STATS_EVERY_SECS)
    story.supervisor.answer = None
    assert told()[0] == "own 2\ncomponents 2"


def test_before_anything_was_measured_nothing_is_told(story: Story) -> None:
    story.heartbeats.stats = lambda: STATS
    story.heartbeats.beat()
    assert story.supervisor.messages[-1].metrics is None


@pytest.mark.parametrize("to_nimbus", [False, True])
def test_what_cannot_be_told_of_a_worker_does_not_silence_it(story: Story, to_nimbus: bool) -> None:
    class Picky(Called):
        def call(self, method: str, *arguments: Any) -> None:
            arguments[0].insight and (arguments[0].insight.slow_peers or [""])[0].encode()
            super().call(method, *arguments)

    picky = Picky()
    story.heartbeats = Heartbeats(
        LAUNCH, story.clock, story.supervisor if to_nimbus else picky, lambda: picky, lambda: None
    )
    if to_nimbus:
        story.supervisor.answer = ThriftConnectionError("down")
    story.heartbeats.stats = lambda: STATS
    story.heartbeats.insight = lambda: WorkerInsight(slow_peers=("\ud800",))
    story.heartbeats.beat()
    assert picky.messages == []
    story.heartbeats.beat()
    [message] = picky.messages
    assert (message.uptime_secs, message.insight, message.executor_stats) == (0, None, None)


def test_a_beat_that_cannot_be_made_is_followed_by_one_that_says_less(story: Story) -> None:
    story.heartbeats.stats = lambda: {}[0]
    story.heartbeats.beat()
    story.heartbeats.beat()
    story.heartbeats.stats = lambda: STATS
    story.clock.sleep(BARE_SECS)
    story.heartbeats.beat()
    assert [message.executor_stats is None for message in story.supervisor.messages] == [True, False]
