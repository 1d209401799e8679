from __future__ import annotations

from typing import TYPE_CHECKING

from storm.ids import ExecutorId, GlobalStreamId
from storm.metrics.stats_records import WINDOWS, BoltStats, ExecutorStats
from storm.thrift.binary_protocol import serialize
from storm.thrift.connection import ServerLimits
from storm.thrift.convert import all_executor_stats_from_thrift, executor_to_thrift
from storm.thrift.interface import storm_thrift
from storm.thrift.prescan import ScanLimits, scan_struct
from storm.worker.told_figures import FIGURES_BYTES_MAX, ToldFigures

if TYPE_CHECKING:
    import pytest


def figures(inputs: int = 1) -> ExecutorStats:
    streams = {GlobalStreamId(f"component-{i}", "default"): i for i in range(inputs)}
    taken = dict.fromkeys(WINDOWS, streams)
    return ExecutorStats({}, {}, BoltStats(*[taken] * 5))


def executors(count: int) -> list[ExecutorId]:
    return [ExecutorId(task, task) for task in range(1, count + 1)]


def test_figures_that_fit_are_told_each_time() -> None:
    told, stats = ToldFigures(), {executor: figures(executor.start_task) for executor in executors(5)}
    for _ in range(2):
        assert all_executor_stats_from_thrift(told.take(stats)) == stats
    assert told.take({}) == {}


def test_of_too_many_each_has_its_turn_in_a_message_that_supervisors_take() -> None:
    told, stats = ToldFigures(), dict.fromkeys(executors(30), figures(40))
    parts = [told.take(stats) for _ in range(3)]
    seen = [executor for part in parts for executor in all_executor_stats_from_thrift(part)]
    assert seen[:40] == (2 * list(stats))[:40], "one after the other, and then the first again"
    message = storm_thrift().SupervisorWorkerHeartbeat(
        storm_id="words", executors=list(map(executor_to_thrift, stats)), time_secs=1, executor_stats=parts[0]
    )
    data = serialize(message)
    assert len(data) < ServerLimits().frame_max_bytes
    scan_struct(data, limits=ScanLimits(values_max=ServerLimits().values_max))


def test_whose_turn_it_was_may_be_gone() -> None:
    told, stats = ToldFigures(), dict.fromkeys(executors(30), figures(40))
    told.take(stats)
    few = {executor: figures() for executor in executors(3)}
    assert all_executor_stats_from_thrift(told.take(few)) == few


def test_an_executor_whose_figures_fit_no_message_is_named_once_and_keeps_no_other_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, large, other = executors(3)
    told, stats = ToldFigures(), {one: figures(), large: figures(900), other: figures()}
    for _ in range(2):
        assert list(all_executor_stats_from_thrift(told.take(stats))) == [one, other]
    [record] = caplog.records
    assert "tasks 2 to 2 are not shown: they take" in record.getMessage()
    assert f"has room for {FIGURES_BYTES_MAX}." in record.getMessage()
