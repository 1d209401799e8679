from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.cluster.records import RebalanceRequest, StormBase, TopologyStatus
from storm.errors import InvalidTransitionError
from storm.nimbus.topology_status import Action, Delay, Waits, pending_action, transition

ACTIVE = StormBase("wc-1-100", "wc", TopologyStatus.ACTIVE, 2, {"words": 2, "count": 3}, 100)
INACTIVE = replace(ACTIVE, status=TopologyStatus.INACTIVE)
NOW = Delay(1000)


def after(base: StormBase, action: Action, wait_secs: int = 0, request: RebalanceRequest | None = None) -> StormBase:
    changed = transition(base, action, Delay(1000, wait_secs), request)
    assert changed is not None
    return changed


def test_activate_and_deactivate_are_told_apart_and_repeatable() -> None:
    assert after(ACTIVE, Action.DEACTIVATE) == INACTIVE
    assert after(INACTIVE, Action.DEACTIVATE) == INACTIVE
    assert after(INACTIVE, Action.ACTIVATE) == ACTIVE
    assert after(ACTIVE, Action.ACTIVATE) == ACTIVE


def test_a_kill_is_due_after_its_wait_and_then_removes() -> None:
    killed = after(ACTIVE, Action.KILL, 30)
    assert killed.status is TopologyStatus.KILLED
    assert (killed.wait_secs, killed.due_wall_secs) == (30, 1030)
    assert pending_action(killed) is Action.REMOVE
    assert transition(killed, Action.REMOVE, NOW) is None


def test_a_second_kill_sets_the_wait_anew() -> None:
    killed = after(after(ACTIVE, Action.KILL, 300), Action.KILL, 5)
    assert (killed.wait_secs, killed.due_wall_secs) == (5, 1005)


def test_a_rebalance_changes_what_it_asked_for_and_returns_to_the_status_before() -> None:
    request = RebalanceRequest(num_workers=5, component_executors={"count": 1})
    waiting = after(INACTIVE, Action.REBALANCE, 10, request)
    assert waiting.status is TopologyStatus.REBALANCING
    assert waiting.num_workers == 2
    assert pending_action(waiting) is Action.DO_REBALANCE
    done = after(waiting, Action.DO_REBALANCE)
    assert done == replace(INACTIVE, num_workers=5, component_executors={"words": 2, "count": 1})


def test_a_kill_cancels_a_rebalance() -> None:
    killed = after(after(ACTIVE, Action.REBALANCE, 10, RebalanceRequest(num_workers=5)), Action.KILL, 1)
    assert (killed.rebalance, killed.previous_status, killed.num_workers) == (None, None, 2)
    assert pending_action(killed) is Action.REMOVE


def test_a_rebalance_that_is_asked_for_again_is_the_same_one() -> None:
    request = RebalanceRequest(num_workers=5)
    waiting = after(ACTIVE, Action.REBALANCE, 10, request)
    assert after(waiting, Action.REBALANCE, 10, RebalanceRequest(num_workers=5)) == waiting
    for other, wait_secs in ((request, 11), (RebalanceRequest(num_workers=6), 10)):
        with pytest.raises(InvalidTransitionError, match="REBALANCING"):
            transition(waiting, Action.REBALANCE, Delay(1000, wait_secs), other)


@pytest.mark.parametrize("action", [Action.ACTIVATE, Action.DEACTIVATE, Action.REBALANCE])
@pytest.mark.parametrize("pending", [Action.KILL, Action.REBALANCE])
def test_what_a_pending_change_forbids_names_topology_and_status(pending: Action, action: Action) -> None:
    base = after(ACTIVE, pending, 10)
    with pytest.raises(InvalidTransitionError, match=f"'wc' has status {base.status.value}.*{action.value}"):
        transition(base, action, NOW, RebalanceRequest(num_workers=9))


@pytest.mark.parametrize("base", [ACTIVE, INACTIVE])
@pytest.mark.parametrize("action", [Action.REMOVE, Action.DO_REBALANCE])
def test_what_was_not_asked_for_does_not_happen(base: StormBase, action: Action) -> None:
    assert pending_action(base) is None
    with pytest.raises(InvalidTransitionError):
        transition(base, action, NOW)


def test_a_wait_begins_when_it_is_first_seen_and_is_counted_by_the_clock_that_it_is_given() -> None:
    waits, killed = Waits(), after(ACTIVE, Action.KILL, 30)
    bases = {"killed": killed, "active": ACTIVE}
    waits.follow(bases, 50.0)
    waits.follow(bases, 70.0)
    assert waits.left_secs("killed", 70.0) == waits.next_secs(70.0) == 10
    assert waits.left_secs("killed", 85.0) == -5
    assert waits.left_secs("active", 85.0) == waits.next_secs(85.0) == float("inf")


def test_a_wait_that_is_asked_for_anew_begins_anew_and_one_that_is_no_more_is_forgotten() -> None:
    waits, killed = Waits(), after(ACTIVE, Action.KILL, 30)
    waits.follow({"wc": killed}, 0.0)
    waits.follow({"wc": replace(killed, component_debug={})}, 5.0)
    assert waits.left_secs("wc", 5.0) == 25
    waits.follow({"wc": after(killed, Action.KILL, 3)}, 5.0)
    assert waits.left_secs("wc", 5.0) == 3
    waits.follow({"wc": ACTIVE}, 6.0)
    assert waits.left_secs("wc", 6.0) == float("inf")
    waits.follow({"wc": killed}, 7.0)
    waits.forget()
    assert waits.left_secs("wc", 100.0) == float("inf")


@given(st.lists(st.tuples(st.sampled_from(Action), st.integers(0, 60))))
def test_whatever_is_asked_a_topology_keeps_its_name_and_can_be_killed(asked: list[tuple[Action, int]]) -> None:
    base = ACTIVE
    for turn, (action, wait_secs) in enumerate(asked):
        try:
            changed = transition(base, action, Delay(1000 + turn, wait_secs))
        except InvalidTransitionError:
            continue
        if changed is None:
            assert base.status is TopologyStatus.KILLED
            return
        base = changed
        assert (base.previous_status is not None) == (base.status is TopologyStatus.REBALANCING)
    assert base.topology_id == ACTIVE.topology_id
    assert transition(base, Action.KILL, NOW) is not None
