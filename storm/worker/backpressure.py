"""Flow control between workers: which tasks are over their mark, who is told, and whom this worker must spare.

Receivers never stop reading. A worker announces all its tasks whose queues are over the high mark to every peer; an
announcement replaces the one before, is renewed while any task is over, and expires by itself, so that none that was
lost, and no worker that died, stops a topology. A task stays announced until it falls under the low mark: without
that distance spouts would start and stop with every batch. What follows from the set is the executors' business: spouts
stop, bolts go on, so that cycles of bolts cannot block each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from storm.messaging.batch import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.ids import TaskId
    from storm.worker.connections import Peer

RENEW_SECS = 0.5
EXPIRY_SECS = 2.0  # three renewals may be lost or late


class Marks(NamedTuple):
    """Lengths of a task's queue, in tuples: announced when longer than `high`, until not longer than `low`."""

    high: int
    low: int


@dataclass(frozen=True, slots=True)
class OwnQueues:
    """This worker's tasks over their mark, and when that was last announced."""

    over: frozenset[TaskId] = frozenset()
    announced_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Announced:
    """What peers announced: {peer: (tasks, when that expires)}."""

    by_peer: Mapping[Peer, tuple[frozenset[TaskId], float]] = field(default_factory=dict)


def look(
    state: OwnQueues, lengths: Mapping[TaskId, int], marks: Marks, now: float
) -> tuple[OwnQueues, Throttle | None]:
    """The tasks over their mark now, and what to announce to every peer; None: nothing is due."""
    over = frozenset(
        task for task, length in lengths.items() if length > (marks.low if task in state.over else marks.high)
    )
    if over == state.over and not (over and now - state.announced_at >= RENEW_SECS):
        return state, None
    return OwnQueues(over, now), announcement(over)


def announcement(over: frozenset[TaskId]) -> Throttle:
    """The message that says so."""
    return Throttle(round(EXPIRY_SECS * 1000), tuple(sorted(over)))


def heard(state: Announced, peer: Peer, throttle: Throttle, now: float) -> Announced:
    """A peer announced its tasks. No announcement holds for longer than EXPIRY_SECS, whatever it says."""
    by_peer = {known: value for known, value in state.by_peer.items() if known != peer}
    if throttle.tasks:
        by_peer[peer] = (frozenset(throttle.tasks), now + min(throttle.ttl_ms / 1000, EXPIRY_SECS))
    return replace(state, by_peer=by_peer)


def gone(state: Announced, peer: Peer) -> Announced:
    """A peer is no peer any more."""
    return replace(state, by_peer={known: value for known, value in state.by_peer.items() if known != peer})


def spared(state: Announced, now: float) -> frozenset[TaskId]:
    """The tasks of peers that are over their mark as far as we know."""
    return frozenset().union(*(tasks for tasks, expires in state.by_peer.values() if expires > now))
