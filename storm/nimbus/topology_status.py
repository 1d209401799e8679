"""How a topology's status changes: one table over its `StormBase`, no I/O.

    status \\ action | activate | deactivate | rebalance   | kill   | do-rebalance | remove
    ACTIVE          | same     | INACTIVE   | REBALANCING | KILLED | -            | -
    INACTIVE        | ACTIVE   | same       | REBALANCING | KILLED | -            | -
    REBALANCING     | -        | -          | -           | KILLED | previous     | -
    KILLED          | -        | -          | -           | KILLED | -            | gone

A dash is an InvalidTransitionError. The table is Storm's but for one thing: Storm holds the delay of a kill
or a rebalance in its leader's memory and arms it again on a change of leaders. Here the record says when the
pending action is due, so that whoever leads then carries it out, and nothing has to be armed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

from storm.cluster.records import RebalanceRequest, StormBase, TopologyStatus
from storm.errors import InvalidTransitionError

ACTIVE, INACTIVE = TopologyStatus.ACTIVE, TopologyStatus.INACTIVE
REBALANCING, KILLED = TopologyStatus.REBALANCING, TopologyStatus.KILLED


class Action(Enum):
    """What people ask for, and (the last two) what falls due."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    REBALANCE = "rebalance"
    KILL = "kill"
    DO_REBALANCE = "do-rebalance"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait `wait_secs`, counted from `wall_secs` (seconds since the epoch), before the pending action."""

    wall_secs: int
    wait_secs: int = 0


Change: TypeAlias = Callable[[StormBase, Delay, RebalanceRequest], StormBase | None]


def _to(status: TopologyStatus) -> Change:
    return lambda base, delay, request: replace(base, status=status)


def _stay(base: StormBase, delay: Delay, request: RebalanceRequest) -> StormBase:
    return base


def _kill(base: StormBase, delay: Delay, request: RebalanceRequest) -> StormBase:
    return replace(_pending(base, delay), status=KILLED, previous_status=None, rebalance=None)


def _rebalance(base: StormBase, delay: Delay, request: RebalanceRequest) -> StormBase:
    return replace(_pending(base, delay), status=REBALANCING, previous_status=base.status, rebalance=request)


def _do_rebalance(base: StormBase, delay: Delay, request: RebalanceRequest) -> StormBase:
    assert base.previous_status is not None, "a topology that is being rebalanced has a status to return to"
    return replace(
        base,
        status=base.previous_status,
        num_workers=base.num_workers if request.num_workers is None else request.num_workers,
        component_executors={**base.component_executors, **request.component_executors},
        previous_status=None,
        rebalance=None,
        wait_secs=0,
        due_wall_secs=0,
    )


def _remove(base: StormBase, delay: Delay, request: RebalanceRequest) -> None:
    return None


def _pending(base: StormBase, delay: Delay) -> StormBase:
    return replace(base, wait_secs=delay.wait_secs, due_wall_secs=delay.wall_secs + delay.wait_secs)


CHANGES: Mapping[tuple[TopologyStatus, Action], Change] = {
    (ACTIVE, Action.ACTIVATE): _stay,
    (ACTIVE, Action.DEACTIVATE): _to(INACTIVE),
    (ACTIVE, Action.REBALANCE): _rebalance,
    (ACTIVE, Action.KILL): _kill,
    (INACTIVE, Action.ACTIVATE): _to(ACTIVE),
    (INACTIVE, Action.DEACTIVATE): _stay,
    (INACTIVE, Action.REBALANCE): _rebalance,
    (INACTIVE, Action.KILL): _kill,
    (REBALANCING, Action.DO_REBALANCE): _do_rebalance,
    (REBALANCING, Action.KILL): _kill,
    (KILLED, Action.KILL): _kill,
    (KILLED, Action.REMOVE): _remove,
}


def transition(
    base: StormBase, action: Action, delay: Delay, request: RebalanceRequest | None = None
) -> StormBase | None:
    """The topology's next record; None: it is gone. Raises InvalidTransitionError.

    `delay` counts for KILL and REBALANCE. `request` None: for DO_REBALANCE the one that the record holds,
    else nothing to change.
    """
    change = CHANGES.get((base.status, action))
    if change is None:
        raise InvalidTransitionError(_refusal(base, action))
    return change(base, delay, request or base.rebalance or RebalanceRequest())


def due_action(base: StormBase, wall_secs: int) -> Action | None:
    """What must happen now: the pending action of a KILLED or REBALANCING topology whose wait is over."""
    if base.status not in (KILLED, REBALANCING) or wall_secs < base.due_wall_secs:
        return None
    return Action.REMOVE if base.status is KILLED else Action.DO_REBALANCE


def rearmed(base: StormBase, wall_secs: int) -> StormBase | None:
    """The record with its wait begun anew, if the wall clock went back so far that it would take longer; else
    None.
    """
    if base.status not in (KILLED, REBALANCING) or base.due_wall_secs - wall_secs <= base.wait_secs:
        return None
    return replace(base, due_wall_secs=wall_secs + base.wait_secs)


def _refusal(base: StormBase, action: Action) -> str:
    text = f"Topology {base.name!r} has status {base.status.value}: it cannot {action.value} now."
    if base.status is REBALANCING:
        return f"{text} Its rebalance takes up to {base.wait_secs} s; try again after that."
    if base.status is KILLED:
        return f"{text} It is removed after the wait of {base.wait_secs} s that its kill asked for."
    return text
