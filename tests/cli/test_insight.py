from __future__ import annotations

from typing import Any

import click

from storm.cli.insight import failure_as_dict, failure_text, insight_lines
from storm.thrift.interface import storm_thrift


def page(spout: Any = None, bolt: Any = None, worker: Any = None) -> Any:
    """Of a topology of which these insights are known."""
    t = storm_thrift()
    return t.TopologyPageInfo(
        id="w-1-2",
        id_to_spout_agg_stats={"words": t.ComponentAggregateStats(insight=spout)},
        id_to_bolt_agg_stats={"split": t.ComponentAggregateStats(insight=bolt)},
        workers=[t.WorkerSummary(host="h", port=6700, insight=worker)],
    )


def lines(**insights: Any) -> list[str]:
    return [click.unstyle(line) for line in insight_lines(page(**insights))]


def test_where_nothing_is_known_or_wrong_nothing_is_said() -> None:
    t = storm_thrift()
    assert lines() == []
    assert insight_lines(t.TopologyPageInfo(id="w-1-2")) == []
    assert lines(
        spout=t.ComponentInsight(reasons={}, known=2, silent=0),
        bolt=t.ComponentInsight(reasons={"back-pressure": 1}, text="back pressure: ...", known=2, full=0),
        worker=t.WorkerInsight(peers=2, reconnects=5, dropped={}),
    ) == []  # fmt: skip


def test_a_spout_that_does_not_emit_says_why() -> None:
    t = storm_thrift()
    told = t.ComponentInsight(reasons={"max-pending": 2}, text="as many as may be", known=2, silent=2)
    assert lines(spout=told) == ["words emits nothing: as many as may be"]
    told.silent = 1
    assert lines(spout=told) == ["words emits nothing in 1 of 2 executors: as many as may be"]
    told.silent = 0
    assert lines(spout=told) == ["words emits less than it could: as many as may be"]


def test_a_bolt_that_others_wait_for_is_marked() -> None:
    t = storm_thrift()
    told = t.ComponentInsight(
        reasons={"in-call": 1, "back-pressure": 1},
        text="in one call",
        known=4,
        full=4,
        queue_max=1_500,
        queue_mark=1_000,
    )
    assert lines(bolt=told) == [
        "split causes back pressure: 1,500 tuples in its longest queue; the mark is 1,000",
        "split stands still in 1 of 4 executors: in one call",
    ]


def test_a_worker_says_which_peers_it_misses_and_what_it_dropped() -> None:
    told = storm_thrift().WorkerInsight(
        missing_peers=["a:1", "b:1"], slow_peers=["c:1"], dropped={"on arrival: x": 1_200}
    )
    assert lines(worker=told) == [
        "h:6700 has no connection to a:1, b:1",
        "h:6700 sends more than is taken by c:1",
        "h:6700 has dropped, since it began: 1,200 on arrival: x",
    ]


def test_a_failure_says_what_when_where_and_why() -> None:
    failure = storm_thrift().TupleFailure(
        task=3,
        message_id="('a', 7)",
        kind="timeout",
        component="split",
        text="not done within 30 s",
        age_secs=61.2,
        time_secs=1_700_000_000,
        host="h",
        port=6700,
    )
    first, second = click.unstyle(failure_text("words", failure)).splitlines()
    assert first.endswith("  ('a', 7)  of words, task 3 on h:6700")
    assert second == "  not done within 30 s, 1 m 1 s after its emit"
    assert failure_as_dict(failure)["component"] == "split"
    bare = storm_thrift().TupleFailure(message_id="7", text="why", time_secs=1_700_000_000)
    assert "0 s after" in failure_text("words", bare)


def test_what_users_named_moves_no_terminal() -> None:
    failure = storm_thrift().TupleFailure(
        time_secs=1, message_id="\x1b]0;mine\x07", task=1, text="b\rad\n", age_secs=1.0, host="h", port=1
    )
    shown = click.unstyle(failure_text("words", failure))
    assert r"\x1b]0;mine\x07" in shown
    assert r"  b\rad\n, 1 s after" in shown
