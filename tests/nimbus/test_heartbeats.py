from __future__ import annotations

import math
from dataclasses import replace

import pytest

from storm.cluster.records import Assignment, SupervisorInfo, UnheardWorker
from storm.ids import SYSTEM_EXECUTOR, ExecutorId, WorkerSlot
from storm.metrics.insight_records import WorkerInsight
from storm.metrics.stats_records import ExecutorStats, SpoutStats
from storm.nimbus.heartbeats import AssignedSlot, Heartbeats, Limits, WorkerBeat

ONE, TWO, THREE = ExecutorId(1, 1), ExecutorId(2, 2), ExecutorId(3, 4)
LEFT, RIGHT = WorkerSlot("n1", 6700), WorkerSlot("n2", 6700)
ASSIGNMENT = Assignment(
    "wc-1-0", 1, {ONE: LEFT, TWO: LEFT, THREE: RIGHT}, {}, {"n1": "h1", "n2": "h2"}, {LEFT: 1, RIGHT: 1}
)
BEAT = WorkerBeat("wc-1-0", frozenset({ONE, TWO}), 1000)
LIMITS = Limits(timeout_secs=30, launch_secs=120, orphan_timeout_secs=10)
BOTH = {"n1", "n2"}
STATS = {ONE: ExecutorStats({}, {}, SpoutStats())}


@pytest.fixture
def beats() -> Heartbeats:
    beats = Heartbeats(LIMITS)
    beats.lead(0)
    beats.follow({"wc-1-0": ASSIGNMENT}, 0)
    return beats


def dead_nodes(beats: Heartbeats, live: set[str], now: float) -> set[str]:
    return {used.slot.node_id for used in beats.dead(live, {}, now)}


def test_a_worker_has_its_grace_to_be_launched(beats: Heartbeats) -> None:
    assert dead_nodes(beats, BOTH, 119) == set()
    assert dead_nodes(beats, BOTH, 121) == BOTH


def test_the_grace_of_a_worker_begins_when_its_supervisor_has_prepared_it(beats: Heartbeats) -> None:
    for now in range(0, 500, 10):
        beats.prepare({AssignedSlot("wc-1-0", LEFT): math.inf, AssignedSlot("unknown", RIGHT): math.inf}, now)
    assert dead_nodes(beats, BOTH, 609) == {"n2"}
    assert dead_nodes(beats, BOTH, 611) == BOTH


def test_what_only_comes_has_its_limit_from_when_it_was_assigned(beats: Heartbeats) -> None:
    for now in range(0, 500, 10):
        beats.prepare({AssignedSlot("wc-1-0", LEFT): 300.0}, now)
    assert dead_nodes(beats, BOTH, 409) == {"n2"}
    assert dead_nodes(beats, BOTH, 411) == BOTH


def test_a_worker_that_stops_beating_is_dead_after_the_timeout(beats: Heartbeats) -> None:
    for now in range(200):
        beats.record(replace(BEAT, reported_secs=now), LEFT, now)
    assert dead_nodes(beats, BOTH, 229) == {"n2"}
    assert dead_nodes(beats, BOTH, 230) == BOTH


def test_who_dies_again_and_again_is_dead_though_it_beats_each_time(beats: Heartbeats) -> None:
    dying = {AssignedSlot("wc-1-0", LEFT)}
    for now in range(0, 400, 10):
        beats.record(replace(BEAT, reported_secs=now), LEFT, now)
    assert beats.dead(BOTH, {}, 400) == {AssignedSlot("wc-1-0", RIGHT)}
    assert beats.dead(BOTH, {}, 400, dying) == {*dying, AssignedSlot("wc-1-0", RIGHT)}
    assert beats.dead(BOTH, {"wc-1-0": 500}, 400, dying) == set(), "it is being launched for so long"
    assert beats.dead(BOTH, {"wc-1-0": 500}, 501, dying) == {*dying, AssignedSlot("wc-1-0", RIGHT)}


@pytest.mark.parametrize(("own", "secs"), [(180, 180), (10, 30), (9_999, 600)])
def test_a_topology_can_have_its_workers_waited_for_longer_but_not_shorter_nor_without_end(
    beats: Heartbeats, own: int, secs: int
) -> None:
    left = AssignedSlot("wc-1-0", LEFT)
    beats.record(BEAT, LEFT, 190)
    assert left not in beats.dead(BOTH, {"wc-1-0": own}, 190 + secs)
    assert left in beats.dead(BOTH, {"wc-1-0": own}, 191 + secs)
    assert left in beats.dead(BOTH - {"n1"}, {"wc-1-0": own}, 201)  # its host is perhaps gone


def test_so_it_is_while_they_are_launched(beats: Heartbeats) -> None:
    assert beats.dead(BOTH, {"wc-1-0": 180}, 179) == frozenset()
    assert len(beats.dead(BOTH, {"wc-1-0": 180}, 180)) == 2
    assert len(beats.dead(BOTH, {"other-1-0": 180}, 121)) == 2


def test_what_is_heard_counts_from_when_it_came(beats: Heartbeats) -> None:
    beats.hear([BEAT, replace(BEAT, topology_id="gone-1-0"), replace(BEAT, executors=frozenset({ONE}))], 100)
    assert dead_nodes(beats, BOTH, 130) == BOTH
    beats.take_heard({"wc-1-0": ASSIGNMENT})
    assert dead_nodes(beats, BOTH, 130) == {"n2"}
    assert dead_nodes(beats, BOTH, 131) == BOTH


def test_what_a_leader_heard_before_it_leads_anew_says_nothing(beats: Heartbeats) -> None:
    beats.hear([BEAT], 100)
    beats.lead(101)
    beats.follow({"wc-1-0": ASSIGNMENT}, 101)
    beats.take_heard({"wc-1-0": ASSIGNMENT})
    assert beats.last("wc-1-0", LEFT) is None


def test_of_what_nobody_takes_in_the_newest_is_kept() -> None:
    beats = Heartbeats(LIMITS, heard_max=2)
    beats.follow({"wc-1-0": ASSIGNMENT}, 0)
    beats.hear([replace(BEAT, executors=frozenset({THREE}))], 1)
    for now in (2, 3):
        beats.hear([replace(BEAT, reported_secs=now)], now)
    beats.take_heard({"wc-1-0": ASSIGNMENT})
    assert beats.last("wc-1-0", RIGHT) is None
    assert beats.last("wc-1-0", LEFT) == replace(BEAT, reported_secs=3)


def test_a_beat_whose_number_does_not_change_proves_nothing(beats: Heartbeats) -> None:
    for now in range(200):
        beats.record(BEAT, LEFT, now)
    assert dead_nodes(beats, BOTH, 200) == BOTH


def test_a_number_that_goes_back_proves_life_too(beats: Heartbeats) -> None:
    beats.record(BEAT, LEFT, 190)
    beats.record(replace(BEAT, reported_secs=3), LEFT, 200)
    assert dead_nodes(beats, BOTH, 225) == {"n2"}


def far_away(*workers: UnheardWorker) -> dict[str, SupervisorInfo]:
    """What the supervisor of "n1" says in ZooKeeper while it does not reach Nimbus."""
    return {"n1": SupervisorInfo("n1", "h1", (6700,), (6700,), 6628, 0, "1", unheard=workers)}


def test_who_does_not_reach_nimbus_tells_zookeeper_that_its_workers_live(beats: Heartbeats) -> None:
    for now in range(0, 200, 5):
        beats.record(replace(BEAT, reported_secs=now), LEFT, now)
    for now in range(200, 500, 5):
        beats.believe(far_away(UnheardWorker(6700, "wc-1-0", 1, now)), now)
        assert dead_nodes(beats, BOTH, now) == {"n2"}
    assert dead_nodes(beats, BOTH, 524) == {"n2"}
    assert dead_nodes(beats, BOTH, 526) == BOTH, "it says no more"


@pytest.mark.parametrize(
    "told",
    [
        UnheardWorker(6700, "wc-1-0", 0, 7),  # of the assignment before
        UnheardWorker(6700, "other-2-0", 1, 7),
        UnheardWorker(6701, "wc-1-0", 1, 7),
        None,
    ],
)
def test_what_it_says_of_others_counts_for_nobody(beats: Heartbeats, told: UnheardWorker | None) -> None:
    for now in range(0, 200, 5):
        beats.believe(far_away(*([] if told is None else [replace(told, beat_secs=now)])), now)
    assert dead_nodes(beats, BOTH, 200) == BOTH


def test_a_worker_that_is_silent_there_too_is_dead(beats: Heartbeats) -> None:
    for now in range(100, 200, 5):
        beats.believe(far_away(UnheardWorker(6700, "wc-1-0", 1, 100)), now)
    assert dead_nodes(beats, BOTH, 131) == BOTH
    beats.believe(far_away(UnheardWorker(6700, "wc-1-0", 1, 180)), 200)
    assert dead_nodes(beats, BOTH, 200) == {"n2"}
    beats.lead(200)
    beats.follow({"wc-1-0": ASSIGNMENT}, 200)
    assert dead_nodes(beats, BOTH, 321) == BOTH, "a new leader has to be told anew"


def test_a_new_leader_waits_for_everybody_as_if_just_launched(beats: Heartbeats) -> None:
    beats.lead(1000)
    beats.follow({"wc-1-0": ASSIGNMENT}, 1000)
    assert dead_nodes(beats, BOTH, 1119) == set()
    assert dead_nodes(beats, set(), 1029) == set()


def test_workers_of_a_lost_machine_are_dead_at_once(beats: Heartbeats) -> None:
    beats.record(BEAT, LEFT, 100)
    beats.record(replace(BEAT, executors=frozenset({THREE})), RIGHT, 118)
    assert dead_nodes(beats, {"n2"}, 120) == {"n1"}


def test_workers_that_beat_outlive_their_supervisor(beats: Heartbeats) -> None:
    for now in range(0, 300, 3):
        beats.record(replace(BEAT, reported_secs=now), LEFT, now)
    assert dead_nodes(beats, set(), 300) == {"n2"}


def test_a_new_use_of_a_slot_begins_its_grace_anew(beats: Heartbeats) -> None:
    beats.record(BEAT, LEFT, 100)
    again = replace(ASSIGNMENT, version=2, slot_epochs={LEFT: 2, RIGHT: 1})
    beats.follow({"wc-1-0": again}, 200)
    assert beats.last("wc-1-0", LEFT) is None
    assert beats.dead(BOTH, {}, 300) == {AssignedSlot("wc-1-0", RIGHT)}


def test_what_is_no_longer_assigned_is_forgotten(beats: Heartbeats) -> None:
    beats.record(BEAT, LEFT, 100)
    beats.follow({}, 200)
    assert beats.dead(set(), {}, 999) == frozenset()
    assert beats.last("wc-1-0", LEFT) is None


def test_stats_stand_until_newer_ones_come(beats: Heartbeats) -> None:
    beats.record(replace(BEAT, stats=STATS, uptime_secs=7, insight=WorkerInsight(peers=1)), LEFT, 1)
    beats.record(replace(BEAT, reported_secs=1001, uptime_secs=8, insight=WorkerInsight(peers=2)), LEFT, 2)
    last = beats.last("wc-1-0", LEFT)
    assert last is not None
    assert (last.stats, last.uptime_secs, last.reported_secs) == (STATS, 8, 1001)
    assert last.insight == WorkerInsight(peers=2)  # it comes with every beat


def test_of_a_beat_with_figures_of_some_executors_those_of_the_others_stand(beats: Heartbeats) -> None:
    one, other = (replace(next(iter(STATS.values())), rate=rate) for rate in (0.25, 0.5))
    for secs, stats in enumerate(({ExecutorId(1, 1): one}, {ExecutorId(2, 2): one}, {ExecutorId(1, 1): other}), 1):
        beats.record(replace(BEAT, reported_secs=1000 + secs, stats=stats), LEFT, secs)
    last = beats.last("wc-1-0", LEFT)
    assert last is not None
    assert last.stats == {ExecutorId(1, 1): other, ExecutorId(2, 2): one}


def test_metrics_stand_until_newer_ones_come(beats: Heartbeats) -> None:
    beats.record(replace(BEAT, stats=STATS, uptime_secs=7, metrics="first"), LEFT, 1)
    beats.record(replace(BEAT, reported_secs=1001, uptime_secs=8), LEFT, 2)
    last = beats.last("wc-1-0", LEFT)
    assert last is not None
    assert (last.stats, last.uptime_secs, last.reported_secs, last.metrics) == (STATS, 8, 1001, "first")
    beats.record(replace(BEAT, reported_secs=1002, metrics="second"), LEFT, 3)
    newest = beats.last("wc-1-0", LEFT)
    assert newest is not None
    assert (newest.stats, newest.metrics) == (STATS, "second")


def test_a_worker_that_starts_anew_has_no_uptime_until_it_says_so(beats: Heartbeats) -> None:
    beats.record(replace(BEAT, uptime_secs=7), LEFT, 1)
    beats.record(replace(BEAT, reported_secs=1001), LEFT, 2)
    last = beats.last("wc-1-0", LEFT)
    assert last is not None
    assert last.uptime_secs is None


@pytest.mark.parametrize(
    ("beat", "slot"),
    [
        (BEAT, LEFT),
        (replace(BEAT, executors=frozenset({ONE, TWO, SYSTEM_EXECUTOR})), LEFT),
        (replace(BEAT, node_id="n1", port=6700), LEFT),
        (replace(BEAT, executors=frozenset({THREE})), RIGHT),
        (replace(BEAT, port=6701), None),
        (replace(BEAT, node_id="n2"), None),
        (replace(BEAT, executors=frozenset({ONE})), None),
        (replace(BEAT, executors=frozenset({ONE, TWO, THREE})), None),
        (replace(BEAT, executors=frozenset({ExecutorId(9, 9)})), None),
        (replace(BEAT, executors=frozenset()), None),
    ],
)
def test_a_beat_counts_for_the_slot_whose_executors_it_names(
    beats: Heartbeats, beat: WorkerBeat, slot: WorkerSlot | None
) -> None:
    assert beats.slot_of(beat, ASSIGNMENT) == slot
