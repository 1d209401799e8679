"""What executors and workers do at the moment: records that travel from worker to Nimbus, and what people read of them.

Pure. Fields are None where a worker, of another release perhaps, did not tell.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from storm.ids import ComponentId, TaskId

# Why an executor does not work, docs/thrift.md; the worst first. They stand in heartbeats: none changes its name.
IN_CALL = "in-call"
WAITS_FOR_THREAD = "waits-for-thread"
MISSING_PEERS = "missing-peers"
OPENING = "opening"
SLOW_PEER = "slow-peer"
BACK_PRESSURE = "back-pressure"
MAX_PENDING = "max-pending"
INACTIVE = "inactive"
NOTHING_TO_EMIT = "nothing-to-emit"
REASONS = (
    IN_CALL, WAITS_FOR_THREAD, MISSING_PEERS, OPENING, SLOW_PEER, BACK_PRESSURE, MAX_PENDING, INACTIVE, NOTHING_TO_EMIT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps an executor from working. `reason` "": nothing.

    `held_by`: components that it waits for; `held_by_workers`: where they are, "host:port", if not in its own worker.
    `call_secs`: how long a call of the user's code has gone on, at least; `call_at`: where it is.
    """

    reason: str = ""
    held_by: tuple[ComponentId, ...] = ()
    held_by_workers: tuple[str, ...] = ()
    call_secs: float | None = None
    call_at: str = ""


@dataclass(frozen=True, slots=True)
class ExecutorInsight:
    """One executor when its worker looked last.

    Of a spout: `silent`, whether it has emitted nothing since the look before, or may not emit now; `pending`, its
    trees under way and its failures that wait for their time; `pending_max`, how many there may be, None: any number.
    Of a bolt: `queued`, the tuples that wait for its tasks; `queue_max`, the longest queue of a task; `queue_mark`, how
    long one may be; `full`, whether it causes back pressure; `unsettled`, tuples that it executed and has neither acked
    nor failed; of an async one, with those that it awaits.
    """

    hindrance: Hindrance = Hindrance()
    silent: bool | None = None
    pending: int | None = None
    pending_max: int | None = None
    queued: int | None = None
    queue_max: int | None = None
    queue_mark: int | None = None
    full: bool | None = None
    unsettled: int | None = None


@dataclass(frozen=True, slots=True)
class ComponentInsight:
    """The executors of a component together, as many as are `known`. `reasons`: {reason: executors that have it}.

    `text`, `held_by` and `held_by_workers` are of what hinders most; `silent` and `full` count executors.
    """

    known: int
    reasons: Mapping[str, int]
    text: str
    held_by: tuple[ComponentId, ...]
    held_by_workers: tuple[str, ...]
    silent: int
    full: int
    pending: int
    pending_max: int | None
    queued: int
    queue_max: int
    queue_mark: int | None
    unsettled: int


@dataclass(frozen=True, slots=True)
class WorkerInsight:
    """How a worker and its peers, "host:port", get on.

    `full_components`: those here whose queues are over their mark. `held_by`: {peer: components there that are, as it
    told}. `slow_peers` take less than they are sent; `missing_peers` should be connected and are not. `reconnects`: to
    present peers, beyond the first connection of each. `dropped`: {why: tuples, acks or frames, since it began}.
    `opening_components`: those of which `open` or `prepare` is not over here, though the topology is active.
    """

    full_components: tuple[ComponentId, ...] = ()
    held_by: Mapping[str, tuple[ComponentId, ...]] = field(default_factory=dict)
    slow_peers: tuple[str, ...] = ()
    missing_peers: tuple[str, ...] = ()
    peers: int = 0
    reconnects: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    opening_components: tuple[ComponentId, ...] = ()


class Usage(NamedTuple):
    """What processes take of their hosts: resident memory in MB (of 2**20 bytes), CPU in percent of a core."""

    memory_mb: float | None = None
    cpu_percent: float | None = None


NOT_TOLD = Usage()


@dataclass(frozen=True, slots=True)
class FailedTuple:
    """A tuple of the spout task `task` that failed. `kind` and `component` as in `topology.failures.Failure`.

    `message_id` is shortened text; `age_secs`: from its emit to the failure; `wall_secs`: when, since 1970.
    """

    task: TaskId
    message_id: str
    kind: str
    component: ComponentId | None
    text: str
    age_secs: float
    wall_secs: int


class Obstacles(NamedTuple):
    """What of other workers, "host:port", may hold back the executors of this one.

    `announced`: {worker: its tasks that are over their mark, as it told}. `slow`: {worker: all its tasks, where it
    takes less than it is sent}. `awaited`: workers without which spouts do not begin yet.
    """

    announced: Mapping[str, frozenset[TaskId]] = MappingProxyType({})
    slow: Mapping[str, frozenset[TaskId]] = MappingProxyType({})
    awaited: tuple[str, ...] = ()


def usage_of_all(usages: Sequence[Usage]) -> Usage:
    """Their sums, of what is known; of none 0, and None where nothing is known of any."""
    memory = [each.memory_mb for each in usages if each.memory_mb is not None]
    cpu = [each.cpu_percent for each in usages if each.cpu_percent is not None]
    return Usage(sum(memory) if memory or not usages else None, sum(cpu) if cpu or not usages else None)


def together(insights: Sequence[ExecutorInsight]) -> ComponentInsight | None:
    """None where nothing is known of any executor."""
    if not insights:
        return None
    limits = [one.pending_max for one in insights]
    reasons = Counter(one.hindrance.reason for one in insights if one.hindrance.reason)
    worst = min(insights, key=_badness)
    alike = [one.hindrance for one in insights if one.hindrance.reason == worst.hindrance.reason]
    return ComponentInsight(
        known=len(insights),
        reasons=dict(sorted(reasons.items())),
        text=sentence(worst),
        held_by=_all_of(each.held_by for each in alike),
        held_by_workers=_all_of(each.held_by_workers for each in alike),
        silent=sum(one.silent is True for one in insights),
        full=sum(one.full is True for one in insights),
        pending=sum(one.pending or 0 for one in insights),
        pending_max=None if None in limits else sum(limit or 0 for limit in limits),
        queued=sum(one.queued or 0 for one in insights),
        queue_max=max(one.queue_max or 0 for one in insights),
        queue_mark=max((one.queue_mark for one in insights if one.queue_mark is not None), default=None),
        unsettled=sum(one.unsettled or 0 for one in insights),
    )


def sentence(insight: ExecutorInsight) -> str:
    """What keeps an executor from working, for people, without a full stop; "": nothing does."""
    found = insight.hindrance
    whom = ", ".join(repr(component) for component in found.held_by)
    at = f" at {', '.join(found.held_by_workers)}" if found.held_by_workers else ""
    secs = f"{found.call_secs or 0.0:.0f} s"
    where = f", at {found.call_at}" if found.call_at else ""
    texts = {
        IN_CALL: f"one call of its code has gone on for {secs} or more{where}",
        WAITS_FOR_THREAD: f"{whom or 'another component'} on its thread has been in one call for {secs} or more{where}",
        MISSING_PEERS: f"its worker has not heard of {', '.join(found.held_by_workers) or 'all its peers'} yet",
        SLOW_PEER: f"more is sent to {whom or 'other workers'}{at} than is taken there; the outgoing buffer is full",
        BACK_PRESSURE: f"back pressure: the queues of {whom or 'others'}{at} are full",
        MAX_PENDING: f"as many tuples are under way as topology.max.spout.pending allows{_pending(insight)}",
        OPENING: "open, activate or prepare is not over yet",
        INACTIVE: "the topology is not active, as far as its worker knows",
        NOTHING_TO_EMIT: "next_tuple has nothing to emit",
    }
    return texts.get(found.reason, found.reason)  # a newer worker may have a reason that is not known here


def _pending(insight: ExecutorInsight) -> str:
    if insight.pending is None or insight.pending_max is None:
        return ""
    return f" ({insight.pending:,} of {insight.pending_max:,})"


def _badness(insight: ExecutorInsight) -> tuple[int, float]:
    """Small for what is bad."""
    found = insight.hindrance
    if not found.reason:
        return len(REASONS) + 1, 0.0
    place = REASONS.index(found.reason) if found.reason in REASONS else len(REASONS)
    return place, -(found.call_secs or 0.0)


def _all_of(found: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for names in found for name in names}))
