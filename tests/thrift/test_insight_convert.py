from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm.metrics.insight_records import (
    BACK_PRESSURE,
    ExecutorInsight,
    FailedTuple,
    Hindrance,
    WorkerInsight,
    together,
)
from storm.metrics.stats_records import ExecutorStats, SpoutStats
from storm.thrift import convert, insight_convert
from storm.thrift.interface import storm_thrift

names = st.text(max_size=6)
some_names = st.lists(names, max_size=3).map(tuple)
counts = st.integers(0, 2**31 - 1)
perhaps = st.none() | counts
hindrances = st.builds(Hindrance, names, some_names, some_names, st.none() | st.floats(0, 1e9), names)
insights = st.builds(
    ExecutorInsight,
    hindrances,
    silent=st.none() | st.booleans(),
    pending=perhaps,
    pending_max=perhaps,
    queued=perhaps,
    queue_max=perhaps,
    queue_mark=perhaps,
    full=st.none() | st.booleans(),
    unsettled=perhaps,
)
workers = st.builds(
    WorkerInsight,
    full_components=some_names,
    held_by=st.dictionaries(names, some_names, max_size=3),
    slow_peers=some_names,
    missing_peers=some_names,
    peers=counts,
    reconnects=counts,
    dropped=st.dictionaries(names, counts, max_size=3),
    opening_components=some_names,
)
failed = st.builds(FailedTuple, counts, names, names, st.none() | names, names, st.floats(0, 1e9), counts)


def through_bytes(struct: object) -> object:
    return convert.deserialize(type(struct), convert.serialize(struct))


@given(st.none() | insights, st.lists(failed, max_size=3).map(tuple))
def test_what_an_executor_does_comes_back_with_its_figures(
    insight: ExecutorInsight | None, failures: tuple[FailedTuple, ...]
) -> None:
    stats = ExecutorStats({}, {}, SpoutStats(), 1.0, insight, failures)
    read = through_bytes(convert.executor_stats_to_thrift(stats))
    assert convert.executor_stats_from_thrift(read) == stats


@given(workers)
def test_how_a_worker_gets_on_comes_back(insight: WorkerInsight) -> None:
    read = through_bytes(insight_convert.worker_insight_to_thrift(insight))
    assert insight_convert.worker_insight_from_thrift(read) == insight


def test_what_an_older_release_sends_has_none_of_it() -> None:
    t = storm_thrift()
    old = t.ExecutorStats(
        emitted={}, transferred={}, specific=t.ExecutorSpecificStats(spout=t.SpoutStats({}, {}, {})), rate=1.0
    )
    read = convert.executor_stats_from_thrift(through_bytes(old))
    assert (read.insight, read.failures) == (None, ())
    assert insight_convert.worker_insight_from_thrift(None) is None
    assert insight_convert.worker_insight_to_thrift(None) is None
    assert insight_convert.component_insight_to_thrift(None) is None


def test_what_a_newer_release_leaves_out_is_not_known() -> None:
    t = storm_thrift()
    assert insight_convert.executor_insight_from_thrift(through_bytes(t.ExecutorInsight())) == ExecutorInsight()
    assert insight_convert.worker_insight_from_thrift(through_bytes(t.WorkerInsight())) == WorkerInsight()
    assert insight_convert.failures_from_thrift([t.TupleFailure()]) == (FailedTuple(0, "", "", None, "", 0.0, 0),)


def test_people_are_told_in_a_sentence_and_where() -> None:
    insight = ExecutorInsight(Hindrance(BACK_PRESSURE, ("split",)), silent=True, pending=5)
    assert insight_convert.executor_insight_to_thrift(insight).text is None
    told = insight_convert.executor_insight_to_thrift(insight, with_text=True)
    assert (told.reason, told.text) == (BACK_PRESSURE, "back pressure: the queues of 'split' are full")
    of_all = insight_convert.component_insight_to_thrift(together([insight]))
    assert (of_all.text, of_all.reasons, of_all.pending, of_all.pending_max) == (told.text, {BACK_PRESSURE: 1}, 5, None)
    [one] = insight_convert.failures_to_thrift([FailedTuple(1, "7", "failed", "b", "why", 1.5, 9)], "host", 6700)
    assert (one.host, one.port, one.message_id, one.age_secs, one.time_secs) == ("host", 6700, "7", 1.5, 9)
