from __future__ import annotations

from typing import Any

from storm.thrift.interface import storm_thrift
from storm.ui.pages.rounds import STEADY_MAX, TURN_MAX, WELL_SECS, Rounds


def summary(topology_id: str, status: str = "ACTIVE", lacks: str = "") -> Any:
    return storm_thrift().TopologySummary(id=topology_id, status=status, sched_status=lacks)


MANY = [summary(f"t-{i}") for i in range(STEADY_MAX + 2 * TURN_MAX + 1)]
IDS = [one.id for one in MANY]


def test_few_are_looked_at_every_time() -> None:
    rounds = Rounds()
    assert rounds.chosen(MANY[:STEADY_MAX], 0) == (IDS[:STEADY_MAX], [])
    assert rounds.chosen([], 0) == ([], [])


def test_the_others_have_their_turns() -> None:
    rounds, turns = Rounds(), []
    for now in range(3):
        steady, turn = rounds.chosen(MANY, now)
        assert (steady, len(turn)) == (IDS[:STEADY_MAX], TURN_MAX)
        turns += turn
    assert sorted(turns[: len(MANY) - STEADY_MAX]) == sorted(IDS[STEADY_MAX:])
    assert turns[len(MANY) - STEADY_MAX :] == IDS[STEADY_MAX:][: TURN_MAX - 1]


def test_what_lacks_something_comes_first_then_what_was_ill_and_the_inactive_last() -> None:
    rounds = Rounds()
    inactive, lacking = summary("inactive", "INACTIVE"), summary("inactive-lacking", "INACTIVE", "Not scheduled")
    rounds.note("t-7", 0, is_well=False)
    rounds.note("t-8", 0, is_well=True)
    steady, _ = rounds.chosen([inactive, *MANY[:10], lacking], 1)
    assert [steady[0], steady[1], steady[-1]] == ["inactive-lacking", "t-7", "inactive"]
    rounds.note("t-7", 1, is_well=True)
    assert rounds.chosen(MANY[:10], 2)[0] == IDS[:10]


def test_one_that_was_well_is_taken_to_be_so_for_a_while() -> None:
    rounds = Rounds()
    rounds.note("t-1", 0, is_well=True)
    rounds.note("t-2", 0, is_well=False)
    assert [rounds.is_well(each, WELL_SECS - 1) for each in ("t-1", "t-2", "t-3")] == [True, False, False]
    assert not rounds.is_well("t-1", WELL_SECS)


def test_what_is_gone_is_forgotten() -> None:
    rounds = Rounds()
    rounds.note("t-1", 0, is_well=True)
    rounds.chosen([summary("t-2")], 1)
    assert not rounds.is_well("t-1", 1)
