"""How a topology's status changes: one table over its `StormBase`, no I/O.

    status \\ action | activate | deactivate | rebalance   | kill   | do-rebalance | remove
    ACTIVE          | same     | INACTIVE   | REBALANCING | KILLED | -            | -
    INACTIVE        | ACTIVE   | same       | REBALANCING | KILLED | -            | -
    REBALANCING     | -        | -          | -, or same  | KILLED | previous     | -
    KILLED          | -        | -          | -           | KILLED | -            | gone

A dash is an InvalidTransitionError; but a rebalance that asks again for what is pending changes nothing, so that
a client may repeat one whose answer it did not get. The table is Storm's, and so is how delays are counted: the
leader arms them in its memory (`Waits`) when it first sees them, by its monotonic clock, and a new leader arms them
anew. A wall clock that jumps makes no kill early and none late; a change of leaders can only make one late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from storm.cluster.records import RebalanceRequest, StormBase, TopologyStatus
from storm.errors import InvalidTransitionError

if TYPE_CHECKING:
    from storm.ids import TopologyId

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
    """Wait `wait_secs` before the pending action; `wall_secs`: now, since the epoch, for people to read."""

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


def _rebalance_again(base: StormBase, delay: Delay, request: RebalanceRequest) -> StormBase:
    if request != base.rebalance or delay.wait_secs != base.wait_secs:
        raise InvalidTransitionError(_refusal(base, Action.REBALANCE))
    return base


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
    (REBALANCING, Action.REBALANCE): _rebalance_again,
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


def pending_action(base: StormBase) -> Action | None:
    """What happens to a KILLED or REBALANCING topology when its wait is over."""
    if base.status is KILLED:
        return Action.REMOVE
    return Action.DO_REBALANCE if base.status is REBALANCING else None


@dataclass(frozen=True, slots=True)
class _Wait:
    asked: tuple[TopologyStatus, int, int]
    until: float


class Waits:
    """Until when each pending action waits, by the monotonic clock of the one leader that counts."""

    def __init__(self) -> None:
        self._waits: dict[TopologyId, _Wait] = {}

    def follow(self, bases: Mapping[TopologyId, StormBase], now: float) -> None:
        """Begin the waits that are new or were asked for anew; forget those that are no more."""
        pending = {topology_id: base for topology_id, base in bases.items() if pending_action(base) is not None}
        waits = {}
        for topology_id, base in pending.items():
            asked = (base.status, base.wait_secs, base.due_wall_secs)
            known = self._waits.get(topology_id)
            waits[topology_id] = known if known and known.asked == asked else _Wait(asked, now + base.wait_secs)
        self._waits = waits

    def forget(self) -> None:
        """This Nimbus leads no more, or from now on."""
        self._waits.clear()

    def left_secs(self, topology_id: TopologyId, now: float) -> float:
        """How much of a wait is left; negative: how long it has been over; infinity: nothing is pending."""
        wait = self._waits.get(topology_id)
        return inf if wait is None else wait.until - now

    def next_secs(self, now: float) -> float:
        """Until the first wait that is not over yet is; infinity: there is none."""
        return min((wait.until - now for wait in self._waits.values() if wait.until > now), default=inf)


def _refusal(base: StormBase, action: Action) -> str:
    text = f"Topology {base.name!r} has status {base.status.value}: it cannot {action.value} now."
    if base.status is REBALANCING:
        return f"{text} Its rebalance takes up to {base.wait_secs} s; try again after that."
    if base.status is KILLED:
        return f"{text} It is removed after the wait of {base.wait_secs} s that its kill asked for."
    return text
