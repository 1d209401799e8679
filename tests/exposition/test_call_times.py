from __future__ import annotations

from storm.exposition.call_times import CallTimes
from storm.metrics.distribution import Distribution


def test_calls_are_counted_with_their_times() -> None:
    times = CallTimes()
    assert [value for _, _, value in times.series()] == [Distribution(), 0, 0]
    times.note(0.5, True)
    times.note(2.0, False)
    times.session_lost()
    secs, failures, lost = times.series()
    assert (secs.name, secs.value.count, secs.value.total) == (  # type: ignore[union-attr]
        "storm_zookeeper_call_seconds",
        2,
        2.5,
    )
    assert (failures.name, failures.value) == ("storm_zookeeper_failures_total", 1)
    assert (lost.name, lost.value) == ("storm_zookeeper_sessions_lost_total", 1)
