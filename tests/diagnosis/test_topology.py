from __future__ import annotations

import pytest

from storm.diagnosis.facts import (
    Component,
    DeadWorker,
    EndedWorker,
    Fault,
    Insight,
    Severity,
    Topology,
    Trouble,
    Worker,
    worst,
)
from storm.diagnosis.topology import busy_level, troubles

NOTE, WARNING, CRITICAL = Severity.NOTE, Severity.WARNING, Severity.CRITICAL
WORDS = Component("words", is_spout=True, executors=2, tasks=2, emitted=1_000, acked=990)
SPLIT = Component("split", is_spout=False, executors=2, tasks=4, executed=1_000, acked=1_000, capacity=0.1)
COUNT = Component("count", is_spout=False, executors=2, tasks=2, executed=5_000, acked=5_000, capacity=0.2)
WELL = Topology(
    "wc",
    "ACTIVE",
    3_600,
    acked=990,
    complete_ms=5.0,
    components=(WORDS, SPLIT, COUNT),
    workers=(Worker("h:6700", 3_500), Worker("h:6701", 3_500)),
)


def with_component(changed: Component, topology: Topology = WELL) -> Topology:
    return topology._replace(
        components=tuple(changed if one.name == changed.name else one for one in topology.components)
    )


def only(topology: Topology) -> Trouble:
    [found] = troubles(topology)
    return found


def test_of_what_runs_well_nothing_is_said() -> None:
    assert troubles(WELL) == []
    assert worst([]) is None


@pytest.mark.parametrize(
    ("status", "severity", "words"),
    [("INACTIVE", WARNING, "deactivated"), ("KILLED", NOTE, "being killed"), ("REBALANCING", NOTE, "being rebalanced")],
)
def test_a_status_that_keeps_spouts_still_is_told(status: str, severity: Severity, words: str) -> None:
    found = only(WELL._replace(status=status))
    assert found.severity is severity
    assert words in found.what


def test_what_runs_nowhere_is_the_worst() -> None:
    lacks = "Not scheduled: no supervisor has a free slot."
    found = only(WELL._replace(lacks=lacks, lacks_slots=True, workers=()))
    assert (found.severity, found.what) == (CRITICAL, lacks)
    assert found.advice.startswith("Start a supervisor, or free slots")
    some = only(WELL._replace(lacks="Runs on 1 of 2 workers: no supervisor has another free slot.", lacks_slots=True))
    assert some.severity is WARNING
    other = only(WELL._replace(lacks="Not ready: slot-machine-1 is building its environment."))
    assert (other.severity, other.advice) == (WARNING, "It goes on by itself when that is there.")


def test_a_worker_that_dies_again_and_again_is_told_with_the_component_whose_error_it_was() -> None:
    boom = SPLIT._replace(error=Fault("ValueError: bad line 500", 12, "h:6700"))
    dead = DeadWorker("h:6700", 3, "exited with code 1", 10, 7)
    found = only(with_component(boom, WELL._replace(dead_workers=(dead,))))
    assert found.severity is CRITICAL
    assert found.what == "Worker h:6700 died 3 times in a row, last 10s ago: split raised ValueError: bad line 500."
    assert "tried again in 7s" in found.advice
    assert (found.component, found.worker) == ("split", "h:6700")


def test_a_worker_that_died_of_no_error_is_told_with_how_it_ended() -> None:
    old = SPLIT._replace(error=Fault("ValueError: of long ago", 5_000, "h:6700"))
    dead = DeadWorker("h:6700", 1, "was killed by signal 9.", 30)
    found = only(with_component(old, WELL._replace(dead_workers=(dead,))))
    assert (found.severity, found.component) == (WARNING, "")
    assert found.what == "Worker h:6700 died once, last 30s ago: it was killed by signal 9."


def test_another_workers_error_is_not_the_reason() -> None:
    other = SPLIT._replace(error=Fault("ValueError: x", 12, "h:6701"))
    dead = DeadWorker("h:6700", 2, "was killed by signal 9", 10, 7)
    found = troubles(with_component(other, WELL._replace(dead_workers=(dead,))))
    assert [one.severity for one in found] == [CRITICAL, WARNING]
    assert "signal 9" in found[0].what
    assert found[1].component == "split"


def test_what_waits_for_its_environment_did_not_die() -> None:
    found = only(WELL._replace(dead_workers=(DeadWorker("h:6700", 0, "waits for its environment", 5),)))
    assert (found.severity, found.what) == (NOTE, "Worker h:6700 waits for its environment.")


def test_workers_that_ended_elsewhere_are_one_sentence() -> None:
    ended = (EndedWorker("h:6702", "exited with code 13."), EndedWorker("h:6702", "x"), EndedWorker("i:6700", "y"))
    found = only(WELL._replace(ended_workers=ended))
    assert found.severity is WARNING
    assert found.what == (
        "3 times in the last 10 minutes a worker on h:6702, i:6700 ended; the last time it exited with code 13."
    )
    dead = DeadWorker("h:6700", 2, "died", 5, 7)
    assert [one.severity for one in troubles(WELL._replace(ended_workers=ended, dead_workers=(dead,)))] == [
        CRITICAL,
        NOTE,
    ]


def test_workers_that_have_not_told_yet_are_told_of_and_are_late_after_a_while() -> None:
    young = WELL._replace(uptime_secs=20, workers=(Worker("h:6700", None), Worker("h:6701", 5)))
    assert (only(young).severity, only(young).worker) == (NOTE, "h:6700")
    late = only(young._replace(uptime_secs=600, workers=(Worker("h:6700", None), Worker("h:6701", None))))
    assert late.severity is WARNING
    assert late.what.startswith("2 workers have not told")


def test_errors_are_news_for_ten_minutes_the_newest_first() -> None:
    with_errors = with_component(SPLIT._replace(error=Fault("ValueError: a", 90, "h:6700")))
    with_errors = with_component(COUNT._replace(error=Fault("ValueError: b", 10)), with_errors)
    assert [(one.component, one.severity) for one in troubles(with_errors)] == [("count", WARNING), ("split", WARNING)]
    assert troubles(with_errors)[1].what == "split reported an error 1m 30s ago on h:6700: ValueError: a."
    assert troubles(with_component(SPLIT._replace(error=Fault("ValueError: a", 601)))) == []


@pytest.mark.parametrize(("failed", "severity"), [(1, NOTE), (50, WARNING), (2_000, CRITICAL)])
def test_failing_tuples_are_as_bad_as_they_are_many(failed: int, severity: Severity) -> None:
    assert only(WELL._replace(failed=failed)).severity is severity


def test_who_fails_most_is_named() -> None:
    failing = with_component(SPLIT._replace(failed=40), WELL._replace(failed=60))
    failing = with_component(WORDS._replace(failed=60), failing)
    found = only(with_component(COUNT._replace(failed=20), failing))
    assert (found.component, found.concerns) == ("split", ("words",))
    assert found.what.startswith("5.7 % of the tuples failed in the last 10 minutes (60 tuples): split failed 40")


def test_a_bolt_that_failed_a_few_is_not_blamed_for_what_timed_out() -> None:
    hanging = with_component(SPLIT._replace(capacity=0.7), WELL._replace(acked=10_000, failed=10_003))
    found = only(with_component(COUNT._replace(failed=3), with_component(WORDS._replace(failed=10_003), hanging)))
    assert found.what == (
        "50 % of the tuples failed in the last 10 minutes (10,003 tuples): most timed out after 30 s, or a worker was"
        " lost; count failed 3 of its inputs."
    )
    assert found.advice == "Look for a bolt that hangs, or forgets to ack; the busiest is split."
    assert (found.component, found.concerns) == ("split", ("words", "count"))


def test_bolts_that_together_failed_half_are_told_of_by_the_one_that_failed_most() -> None:
    failing = with_component(SPLIT._replace(failed=20), WELL._replace(failed=60))
    assert "split failed 20 of its inputs" in only(with_component(COUNT._replace(failed=10), failing)).what
    assert "most timed out" in only(with_component(COUNT._replace(failed=9), failing)).what


def test_where_no_bolt_fails_tuples_they_timed_out_and_the_busiest_is_suspected() -> None:
    found = only(WELL._replace(failed=60, timeout_secs=45))
    assert "timed out after 45 s" in found.what
    assert (found.component, "count" in found.advice) == ("count", True)


def test_a_bolt_without_time_left_is_the_bottleneck() -> None:
    found = only(with_component(SPLIT._replace(capacity=1.04)))
    assert found.what == "split is the bottleneck: it was busy 100 % of the time."
    assert found.advice == "Give it more executors: storm rebalance wc -e split=4"
    assert "is the bottleneck" in only(with_component(SPLIT._replace(capacity=0.9))).what
    assert only(with_component(SPLIT._replace(capacity=0.89))).what.startswith("split is near its limit")
    assert only(with_component(SPLIT._replace(capacity=0.8))).what.startswith("split is near its limit")
    assert troubles(with_component(SPLIT._replace(capacity=0.79))) == []


def test_a_bolt_cannot_have_more_executors_than_tasks() -> None:
    found = only(with_component(COUNT._replace(capacity=0.99)))
    assert "rebalance" not in found.advice
    assert "2 tasks" in found.advice
    assert "one task" in only(with_component(COUNT._replace(capacity=0.99, executors=1, tasks=1))).advice


def test_a_full_queue_is_told_with_who_stands_still_for_it() -> None:
    full = Insight(2, {}, full=1, queued=4_321)
    found = only(with_component(COUNT._replace(insight=full)))
    assert found.what.startswith("count takes less than is sent to it; its queues are full (4,321 tuples wait)")
    busy = only(with_component(COUNT._replace(insight=full, capacity=1.0)))
    assert busy.what.startswith("count is the bottleneck: it was busy 100 % of the time; its queues are full")


def test_tuples_that_take_nearly_as_long_as_they_may_are_told_of() -> None:
    found = only(WELL._replace(complete_ms=25_000.0))
    assert found.what == "A tuple takes 25.0 s to be done, near the message timeout of 30 s."
    assert troubles(WELL._replace(complete_ms=25_000.0, timeout_secs=60)) == []


def test_a_spout_that_emits_nothing_is_told_of_once_it_could_have() -> None:
    silent = with_component(WORDS._replace(emitted=0))
    assert only(silent).what == "words emitted nothing in the last 10m 0s."
    assert troubles(silent._replace(workers=(Worker("h:6700", 59),))) == []
    assert [one.component for one in troubles(silent._replace(status="INACTIVE"))] == [""]


def test_why_a_spout_does_not_emit_is_said_with_who_holds_it() -> None:
    held = Insight(2, {"back-pressure": 2}, "back pressure: the queues of 'count' are full", ("count",), silent=2)
    found = only(with_component(WORDS._replace(insight=held)))
    assert (found.severity, found.component) == (WARNING, "words")
    assert found.what == "words does not emit: back pressure: the queues of 'count' are full."
    assert found.advice == "It goes on when count can take more: look there."


def test_a_spout_that_is_only_slowed_down_is_a_note() -> None:
    slowed = Insight(2, {"max-pending": 1}, "as many tuples are under way as may be", silent=0, pending=10)
    found = only(with_component(WORDS._replace(insight=slowed)))
    assert (found.severity, found.what) == (NOTE, "words could emit more: as many tuples are under way as may be.")


def test_a_spout_with_nothing_to_emit_is_a_note() -> None:
    idle = Insight(2, {"nothing-to-emit": 2}, "next_tuple emits nothing", silent=2)
    found = only(with_component(WORDS._replace(insight=idle, emitted=0)))
    assert found.severity is NOTE
    assert "as it should be" in found.advice


def test_a_bolt_that_forgets_to_ack_is_found_by_what_it_holds() -> None:
    stuck = Insight(2, {"max-pending": 2}, "as many tuples are under way as may be", silent=2, pending=10_000)
    topology = with_component(WORDS._replace(insight=stuck))
    found = only(with_component(SPLIT._replace(insight=Insight(2, unsettled=9_900)), topology))
    assert found.severity is WARNING
    assert found.advice.startswith("Most of them (9,900) were executed by split and not acked or failed")


def test_a_bolt_that_is_too_slow_is_found_by_what_waits_for_it() -> None:
    stuck = Insight(2, {"max-pending": 2}, "as many tuples are under way as may be", silent=0, pending=10_000)
    topology = with_component(WORDS._replace(insight=stuck))
    found = only(with_component(SPLIT._replace(insight=Insight(2, queued=9_000, unsettled=1)), topology))
    assert found.advice == "Most of them (9,000) wait for split: it goes on as fast as that takes them."
    assert only(topology).advice == "It goes on as its tuples are acked; look for the slowest bolt."


def test_a_long_call_of_a_bolt_is_a_note() -> None:
    hangs = Insight(2, {"in-call": 1}, "one call of its code has gone on for 8 s or more, at x.py, line 3")
    found = only(with_component(COUNT._replace(insight=hangs)))
    assert (found.severity, found.component) == (NOTE, "count")
    assert "8 s or more, at x.py, line 3" in found.what


def test_workers_that_do_not_reach_one_another_are_told_of() -> None:
    lost = WELL._replace(workers=(Worker("h:6700", 3_500, ("i:6700",)), Worker("i:6700", 10, ("h:6700",))))
    found = only(lost)
    assert (found.what, found.worker) == ("Worker h:6700 has no connection to i:6700.", "h:6700")


def test_what_a_worker_cannot_deliver_is_a_note() -> None:
    lossy = Worker("h:6700", 3_500, slow_peers=("h:6701",), dropped={"on arrival: x": 1_200, "another": 1})
    slow, dropped = troubles(WELL._replace(workers=(lossy,)))
    assert (slow.severity, slow.worker, slow.what) == (
        NOTE, "h:6700", "Worker h:6700 sends more than is taken by h:6701."
    )  # fmt: skip
    assert dropped.what == "Worker h:6700 has dropped, since it began: 1 another; 1,200 on arrival: x."


def test_a_spout_of_which_some_executors_are_silent() -> None:
    held = Insight(4, {"max-pending": 1}, "as many as may be", silent=1)
    assert only(with_component(WORDS._replace(insight=held))).what == (
        "words does not emit in 1 of 4 executors: as many as may be."
    )


@pytest.mark.parametrize(
    ("state", "retry_secs", "now"),
    [
        ("backing-off", 61, "it is tried again in 1m 1s"),
        ("building-environment", None, "it is waiting for its environment"),
        ("something-new", None, "it is starting or runs again"),
    ],
)
def test_what_becomes_of_a_dead_worker(state: str, retry_secs: int | None, now: str) -> None:
    dead = DeadWorker("h:6700", 2, "exited with code 1", 10, retry_secs, state=state)
    assert only(WELL._replace(dead_workers=(dead,))).advice.endswith(f"; {now}.")


def test_a_killed_topology_lacks_nothing_and_troubles_name_the_topology() -> None:
    found = only(WELL._replace(status="KILLED", lacks="Not scheduled.", workers=(), id="wc-1"))
    assert (found.severity, found.topology) == (NOTE, "wc-1")


def test_the_worst_is_first_and_causes_are_before_what_follows() -> None:
    everything = WELL._replace(
        status="REBALANCING", lacks="Runs on 1 of 2 workers.", failed=5_000, complete_ms=29_000.0,
        dead_workers=(DeadWorker("h:6700", 4, "exited with code 1", 10, 7),),
    )  # fmt: skip
    found = troubles(with_component(SPLIT._replace(capacity=1.0, error=Fault("ValueError: a", 50)), everything))
    assert [one.severity for one in found] == sorted((one.severity for one in found), reverse=True)
    assert found[0].worker == "h:6700"
    assert "failed" in found[1].what
    assert worst(found) is CRITICAL


def test_text_from_outside_stays_on_one_line() -> None:
    found = only(with_component(SPLIT._replace(error=Fault("Value\nError:  <script>.\n", 5))))
    assert found.what.endswith(": Value Error: <script>.")


@pytest.mark.parametrize(
    ("capacity", "level"), [(0.0, ""), (0.79, ""), (0.8, "warn"), (0.89, "warn"), (0.9, "bad"), (1.04, "bad")]
)
def test_a_capacity_is_shown_as_the_trouble_says(capacity: float, level: str) -> None:
    assert busy_level(capacity) == level
    said = [one.what for one in troubles(with_component(SPLIT._replace(capacity=capacity)))]
    assert [("is the bottleneck" in one, "is near its limit" in one) for one in said] == {
        "": [], "warn": [(False, True)], "bad": [(True, False)]
    }[level]  # fmt: skip
