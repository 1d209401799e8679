"""Which workers are alive, by Nimbus's own clock.

Hosts' clocks are never compared: a beat says a number, and Nimbus notes when it saw that number change. What
a worker is given before its silence counts against it:

* it was assigned less than `launch_secs` ago (seen by this leader: a new leader starts everybody's grace
anew), or its supervisor said so lately that it builds the environment which it runs in, or that its code or blobs
still come;
* or its last beat came less than `timeout_secs` ago. Where a supervisor does not reach Nimbus, what it says in
ZooKeeper of its workers' beats counts as they would.

In both its topology's own timeout counts instead where it is longer, up to `own_timeout_max_secs`. A worker that dies
again and again, as its supervisor says, is given the first one only: it may beat each time before it dies.

Where the supervisor is missing from ZooKeeper, nobody launches anything, and its session has been silent for
long: then only a beat within `orphan_timeout_secs` counts, which a worker sends to Nimbus itself when its
supervisor is just being restarted. Because all sessions may be lost with ZooKeeper itself, a new leader first
waits `timeout_secs`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from storm.ids import SYSTEM_EXECUTOR, ExecutorId, NodeId, TopologyId, WorkerSlot
from storm.metrics.insight_records import NOT_TOLD, Usage

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from storm.cluster.records import Assignment, SupervisorInfo
    from storm.metrics.insight_records import WorkerInsight
    from storm.metrics.stats_records import ExecutorStats


class AssignedSlot(NamedTuple):
    """A slot as it is used by one topology."""

    topology_id: TopologyId
    slot: WorkerSlot


@dataclass(frozen=True, slots=True)
class WorkerBeat:
    """What was told of a worker. `reported_secs` is its own clock: only a change of it means anything.

    `node_id` and `port` are None where the sender did not say. `uptime_secs` None: its executors do not run yet;
    then `insight`, how it and its peers get on, is None too.
    `metrics`: what its components measure (`storm.metrics.series`), empty where nothing is told. `usage`: what its
    process takes of its host.
    """

    topology_id: TopologyId
    executors: frozenset[ExecutorId]
    reported_secs: int
    node_id: NodeId | None = None
    port: int | None = None
    uptime_secs: int | None = None
    stats: Mapping[ExecutorId, ExecutorStats] = field(default_factory=dict)
    insight: WorkerInsight | None = None
    metrics: str = ""
    usage: Usage = NOT_TOLD


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds; see the module."""

    timeout_secs: float = 30.0
    launch_secs: float = 120.0
    orphan_timeout_secs: float = 10.0
    own_timeout_max_secs: float = 600.0


class SeenBeat(NamedTuple):
    beat: WorkerBeat
    seen_at: float  # when its number was seen to change


class ToldBeat(NamedTuple):
    beat_secs: int
    told_at: float  # when it was seen to change


class AssignedSince(NamedTuple):
    """`since`: from when its worker has its time to start; `assigned_at`: when this leader saw it assigned."""

    epoch: int
    since: float
    executors: frozenset[ExecutorId]
    assigned_at: float


class Heartbeats:
    """The last beat of each slot in use. It belongs to one thread; `hear` and `last` may be called from any."""

    def __init__(self, limits: Limits, heard_max: int = 100_000) -> None:
        """Beyond `heard_max` lots of beats that nobody has taken in yet, the oldest are dropped."""
        self._limits = limits
        self._heard: deque[tuple[Sequence[WorkerBeat], float]] = deque(maxlen=heard_max)
        self._leading_since = 0.0
        self._assigned: dict[AssignedSlot, AssignedSince] = {}
        self._seen: dict[AssignedSlot, SeenBeat] = {}
        self._told: dict[AssignedSlot, ToldBeat] = {}

    def lead(self, now: float) -> None:
        """Begin anew: this Nimbus leads from now on, and knows nothing of what was before."""
        self._leading_since = now
        self._heard.clear()
        self._assigned.clear()
        self._seen.clear()
        self._told.clear()

    def follow(self, assignments: Mapping[TopologyId, Assignment], now: float) -> None:
        """Take in what is assigned: new uses of slots get their grace, what is no longer used is forgotten."""
        present = dict(_uses(assignments, now))
        for used in [used for used in self._assigned if used not in present]:
            del self._assigned[used]
            self._forget_beats(used)
        for used, since in present.items():
            known = self._assigned.get(used)
            if known is None or known.epoch != since.epoch:
                self._assigned[used] = since
                self._forget_beats(used)

    def _forget_beats(self, used: AssignedSlot) -> None:
        self._seen.pop(used, None)
        self._told.pop(used, None)

    def prepare(self, preparing: Mapping[AssignedSlot, float], now: float) -> None:
        """The supervisors of these slots are at what must come before a worker: its time to start begins after that,
        or so many seconds after it was assigned.
        """
        for used, secs_max in preparing.items():
            known = self._assigned.get(used)
            if known is not None and now < known.assigned_at + secs_max:
                self._assigned[used] = known._replace(since=now)

    def hear(self, beats: Sequence[WorkerBeat], now: float) -> None:
        """Keep what was told at `now` until `take_heard`: the owner may be busy for longer than `timeout_secs`."""
        self._heard.append((beats, now))

    def take_heard(self, assignments: Mapping[TopologyId, Assignment]) -> None:
        """Take in all that was heard, each beat as of when it came; those that do not fit are passed over."""
        while self._heard:
            beats, heard_at = self._heard.popleft()
            for beat in beats:
                assignment = assignments.get(beat.topology_id)
                slot = None if assignment is None else self.slot_of(beat, assignment)
                if slot is not None:
                    self.record(beat, slot, heard_at)

    def slot_of(self, beat: WorkerBeat, assignment: Assignment) -> WorkerSlot | None:
        """The slot whose present executors this beat speaks for; None: it comes from a worker that was replaced."""
        executors = beat.executors - {SYSTEM_EXECUTOR}
        slot = assignment.executor_slots.get(min(executors, default=SYSTEM_EXECUTOR))
        if slot is None or beat.port not in (None, slot.port) or beat.node_id not in (None, slot.node_id):
            return None
        assigned = self._assigned.get(AssignedSlot(beat.topology_id, slot))
        return slot if assigned is not None and assigned.executors == executors else None

    def record(self, beat: WorkerBeat, slot: WorkerSlot, now: float) -> None:
        """Take in a beat of the worker on `slot`; one whose number did not change proves nothing."""
        used = AssignedSlot(beat.topology_id, slot)
        before = self._seen.get(used)
        if before is None or before.beat.reported_secs != beat.reported_secs:
            if before is not None:
                beat = _with_figures_of(before.beat, beat)
            self._seen[used] = SeenBeat(beat, now)

    def believe(self, supervisors: Mapping[NodeId, SupervisorInfo], now: float) -> None:
        """Take in what supervisors say in ZooKeeper of workers whose beats they cannot bring here."""
        for node_id, info in supervisors.items():
            for worker in info.unheard:
                used = AssignedSlot(worker.topology_id, WorkerSlot(node_id, worker.port))
                assigned, before = self._assigned.get(used), self._told.get(used)
                is_new = before is None or before.beat_secs != worker.beat_secs
                if is_new and assigned is not None and assigned.epoch == worker.epoch:
                    self._told[used] = ToldBeat(worker.beat_secs, now)

    def last(self, topology_id: TopologyId, slot: WorkerSlot) -> WorkerBeat | None:
        """The last beat of the worker on `slot`; None: none came since the slot was assigned."""
        seen = self._seen.get(AssignedSlot(topology_id, slot))
        return None if seen is None else seen.beat

    def dead(
        self,
        live_supervisors: Container[NodeId],
        own_timeouts: Mapping[TopologyId, float],
        now: float,
        dying: Container[AssignedSlot] = (),
    ) -> frozenset[AssignedSlot]:
        """The slots in use whose worker counts as dead; `own_timeouts` are in seconds, of topologies that have one.

        `dying` are those of which supervisors say that the worker dies again and again: it may have beaten in between.
        """
        return frozenset(
            used
            for used in self._assigned
            if not self._is_alive(
                used, live_supervisors, own_timeouts.get(used.topology_id, 0.0), now, is_dying=used in dying
            )
        )

    def _is_alive(
        self, used: AssignedSlot, live_supervisors: Container[NodeId], own_secs: float, now: float, *, is_dying: bool
    ) -> bool:
        limits = self._limits
        seen, told = self._seen.get(used), self._told.get(used)
        beat_at = max(float("-inf") if seen is None else seen.seen_at, float("-inf") if told is None else told.told_at)
        silent_secs = now - beat_at
        if used.slot.node_id not in live_supervisors:
            new_leader = now - self._leading_since < limits.timeout_secs
            return new_leader or silent_secs <= limits.orphan_timeout_secs
        own_secs = min(own_secs, limits.own_timeout_max_secs)
        launching = now - self._assigned[used].since < max(limits.launch_secs, own_secs)
        return launching or (not is_dying and silent_secs <= max(limits.timeout_secs, own_secs))


def _uses(assignments: Mapping[TopologyId, Assignment], now: float) -> Iterator[tuple[AssignedSlot, AssignedSince]]:
    for topology_id, assignment in assignments.items():
        for slot, executors in assignment.slot_executors().items():
            since = AssignedSince(assignment.slot_epochs.get(slot, 0), now, frozenset(executors), now)
            yield AssignedSlot(topology_id, slot), since


def _with_figures_of(before: WorkerBeat, beat: WorkerBeat) -> WorkerBeat:
    """Beats carry stats and metrics every few seconds only: in between the last ones stand. So do those of executors
    whose turn it was not, where they are too many for a beat.
    """
    stats = beat.stats or before.stats
    if not stats.keys() >= before.stats.keys():
        stats = {**before.stats, **stats}
    return replace(beat, stats=stats, metrics=beat.metrics or before.metrics)
