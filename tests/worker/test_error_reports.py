from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exchange_parts import StandingClock

from storm.cluster.memory import MemoryTree
from storm.cluster.records import ErrorInfo
from storm.cluster.storm_cluster_state import StormClusterState
from storm.errors import CoordinationError
from storm.worker.error_reports import QUEUED_MAX, ErrorReports
from storm.worker.launch import Launch

if TYPE_CHECKING:
    import pytest

LAUNCH = Launch("wc-1-0", "a", "host-a", "127.0.0.1", 6700, "w", 3, (), 6628, Path("/dist"), Path("/logs"))


def test_errors_are_written_with_time_and_place() -> None:
    state, clock = StormClusterState(MemoryTree().session()), StandingClock()
    reports = ErrorReports(LAUNCH, state, clock)
    reports.start()
    reports.report_error("split", "ValueError: no")
    reports.stop(10)
    assert state.errors("wc-1-0", "split") == [ErrorInfo("ValueError: no", clock.wall_secs(), "host-a", 6700)]


def test_the_log_says_whose_error_it_is(caplog: pytest.LogCaptureFixture) -> None:
    ErrorReports(LAUNCH, StormClusterState(MemoryTree().session()), StandingClock()).report_error("split", "no")
    [record] = caplog.records
    assert (record.__dict__["component"], record.__dict__["worker"]) == ("split", "host-a:6700")


def test_more_than_fit_are_dropped_and_nobody_waits() -> None:
    state = StormClusterState(MemoryTree().session())
    reports = ErrorReports(LAUNCH, state, StandingClock())
    for i in range(QUEUED_MAX + 5):
        reports.report_error(f"c{i}", "no")
    reports.write_queued()
    assert len(state.error_components("wc-1-0")) == QUEUED_MAX


def test_an_unreachable_zookeeper_ends_nothing() -> None:
    class Away(StormClusterState):
        def report_error(self, *arguments: object) -> None:
            raise CoordinationError("away")

    reports = ErrorReports(LAUNCH, Away(MemoryTree().session()), StandingClock())
    reports.report_error("split", "no")
    reports.write_queued()
    reports.start()
    reports.report_error("split", "no")
    reports.stop(10)
