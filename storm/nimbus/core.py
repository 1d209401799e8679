"""What Nimbus does, without threads, sockets or waiting: requests and steps, over storage, blobs and a clock.

One thread owns it. `step` compares what is wanted with what is: who leads, what falls due, who needs slots,
which remains may go; it answers when it wants to be called next, and may be called earlier at any time.
Requests change what is wanted, and leave the rest to the next step.

It may end at any line. What it has begun is then finished by the next leader's step, because the record in
ZooKeeper changes last when something is removed, and before anything else when something is asked for. Only a
submission is forgotten with the leader that took it, until its topology is wanted: its client hears of no success and
asks the next leader.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storm.cluster.record_codec import encode
from storm.cluster.records import DebugOptions, LogConfig, RebalanceRequest, StormBase
from storm.errors import (
    BadVersionError,
    CoordinationError,
    InvalidTopologyError,
    NotLeaderError,
    RecordError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
)
from storm.nimbus import departures
from storm.nimbus.assignments import Round, dying, new_assignments, preparing
from storm.nimbus.blob_replication import BlobReplication
from storm.nimbus.cluster_snapshot import ClusterSnapshot
from storm.nimbus.heartbeats import Heartbeats, WorkerBeat
from storm.nimbus.pending_submissions import PendingSubmission, PendingSubmissions, ReplicationWait, already_alive
from storm.nimbus.rebalancing import Rebalanced, half_done, rebalanced_base, require_room
from storm.nimbus.remains import Remains
from storm.nimbus.snapshot_reader import SnapshotReader
from storm.nimbus.submission import (
    SUBMISSION_ID_KEY,
    TopologyLimits,
    checked_name,
    checked_rebalance,
    initial_base,
    largest_assignment,
    new_topology_id,
    parsed_conf,
    prepared,
    unknown,
)
from storm.nimbus.topology_blobs import CLUSTER_ID_KEY, TopologyBlobs
from storm.nimbus.topology_status import Action, Delay, Waits, pending_action, transition
from storm.nimbus.user_blobs import UserBlobs
from storm.scheduler.by_name import scheduler_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.blobstore.blob_store import BlobStore
    from storm.clock import Clock
    from storm.cluster.leader_election import LeaderElection
    from storm.cluster.records import Assignment, NimbusInfo
    from storm.cluster.storage import Watch
    from storm.cluster.storm_cluster_state import StormClusterState
    from storm.ids import ComponentId, TopologyId
    from storm.nimbus.heartbeats import AssignedSlot
    from storm.nimbus.options import NimbusOptions
    from storm.topology.structure import StormTopology

log = logging.getLogger(__name__)

DEFAULT_WAIT_KEY = "topology.message.timeout.secs"


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """A topology to run. `conf` is a JSON object as text; `package` the bytes of its code, in chunks."""

    name: str
    conf: str
    topology: StormTopology
    package: Iterable[bytes]
    active: bool = True
    owner: str = ""


class NimbusCore:
    """Requests raise StormErrors that say what is wrong; CoordinationError where ZooKeeper cannot be reached.

    `snapshot`, `silent`, `heartbeats.last` and `replication.counts` may be read by any thread: each is replaced whole.
    """

    def __init__(
        self,
        options: NimbusOptions,
        *,
        clock: Clock,
        cluster_state: StormClusterState,
        blob_store: BlobStore,
        election: LeaderElection,
        wake: Watch = lambda: None,
    ) -> None:
        """`wake` is called, from any thread, when something changed that a step should look at."""
        self.snapshot = ClusterSnapshot()
        self.heartbeats = Heartbeats(options.heartbeat_limits, options.queue_max)
        self.options = options
        self._limits = TopologyLimits(options.slots_per_topology_max, options.executors_per_topology_max)
        self.clock = clock
        self.cluster_state = cluster_state
        self._blobs = TopologyBlobs(blob_store)
        self._reader = SnapshotReader(cluster_state, self._blobs)
        self.election = election
        self.wake = wake
        self.replication = BlobReplication(cluster_state, self._blobs, election, wake)
        self.user_blobs = UserBlobs(cluster_state, self._blobs, self.replication, clock, options.deletion_delay_secs)
        self._pending = PendingSubmissions()
        self._waits = Waits()
        self._leader: NimbusInfo | None = None  # as of the last step
        self._scheduler = scheduler_named(options.scheduler)
        self._leading = False
        self._term = 0  # the last in which it led
        self._submissions = 0
        self._remains = Remains(cluster_state, self._blobs, options.deletion_delay_secs)
        self.silent: frozenset[AssignedSlot] = frozenset()  # dead when last looked at
        self._clean_up_at = 0.0

    # Requests

    def submit(self, request: SubmitRequest) -> TopologyId:
        """As `begin_submission`, for who does not wait for other Nimbuses; the topology's id."""
        return self.begin_submission(request).base.topology_id

    def begin_submission(self, request: SubmitRequest) -> PendingSubmission:
        """Store the topology, and say that it is wanted as soon as enough Nimbuses hold it; `done` tells when.

        A submission with the id of an earlier one (`topology.submission.id`) of this name is that one.
        Raises TopologyAlreadyAliveError, InvalidTopologyError, NotLeaderError.
        """
        self.require_leadership()
        self._refresh()
        name = checked_name(request.name)
        conf = self.options.topology_conf(parsed_conf(request.conf))
        earlier = self._pending.earlier(name, str(conf.get(SUBMISSION_ID_KEY) or ""), self.snapshot)
        if earlier is not None:
            return earlier
        owner = request.owner or conf.get("topology.submitter.user") or ""
        base = initial_base(self._new_id(name), name, owner, self.clock.wall_secs(), request.active)
        self.user_blobs.check(conf)
        submission = prepared(base, {**conf, CLUSTER_ID_KEY: self._remains.cluster_id}, request.topology, self._limits)
        try:
            encode(largest_assignment(submission))
        except RecordError as error:
            raise InvalidTopologyError(str(error)) from None
        hashes = self._blobs.create(base.topology_id, submission.plan, request.package)
        wanted, wait = replace(submission.base, blob_hashes=hashes), ReplicationWait.from_conf(conf)
        pending = PendingSubmission(wanted, wait.count, self.clock.now() + wait.secs_max)
        if wait.count > 1:
            self._replicate(pending)
        else:
            self._make_wanted(pending.base)
            pending.done.set_result(None)
        return pending

    def activate(self, name: str) -> None:
        """Raises TopologyNotAliveError, InvalidTransitionError, NotLeaderError; so do the requests below."""
        self._change(name, lambda base: transition(base, Action.ACTIVATE, self._delay(0)))

    def deactivate(self, name: str) -> None:
        self._change(name, lambda base: transition(base, Action.DEACTIVATE, self._delay(0)))

    def kill(self, name: str, wait_secs: int | None = None) -> None:
        """`wait_secs` None: the topology's message timeout."""
        self._change(name, lambda base: transition(base, Action.KILL, self._delay(self._wait(base, wait_secs))))

    def rebalance(self, name: str, request: RebalanceRequest, wait_secs: int | None = None) -> None:
        """Spread it anew after `wait_secs` (None: its message timeout). Raises InvalidTopologyError too."""

        def changed(base: StormBase) -> StormBase | None:
            plan = self.snapshot.plans.get(base.topology_id)
            if plan is None:
                raise InvalidTopologyError(f"The code of {name!r} cannot be read on this Nimbus; its log says why.")
            self.user_blobs.check(self.options.topology_conf(request.conf_overrides))
            checked = checked_rebalance(request, base, plan, self._limits)
            after = transition(base, Action.REBALANCE, self._delay(self._wait(base, wait_secs)), checked)
            if after != base:
                require_room(base, plan, checked, self._blobs)
            return after

        self._change(name, changed)

    def debug(self, name: str, component_id: ComponentId, options: DebugOptions) -> None:
        """Log a share of one component's tuples; of all if `component_id` is empty (the key is then the id)."""

        def changed(base: StormBase) -> StormBase:
            plan = self.snapshot.plans.get(base.topology_id)
            if component_id and plan is not None and component_id not in plan.component_tasks:
                raise TopologyNotAliveError(unknown("component", component_id, plan.component_tasks, f" in {name!r}"))
            return replace(base, component_debug={**base.component_debug, component_id or base.topology_id: options})

        self._change(name, changed)

    def set_log_config(self, topology_id: TopologyId, change: Callable[[LogConfig], LogConfig]) -> None:
        """Replace the topology's log levels by what `change` makes of them."""
        self.require_leadership()
        if topology_id not in self.snapshot.bases:
            raise TopologyNotAliveError(unknown("topology", topology_id, self.snapshot.bases))
        self.cluster_state.put_log_config(
            topology_id, change(self.cluster_state.log_config(topology_id) or LogConfig())
        )

    def delete_blob(self, key: str) -> None:
        """Raises BlobNotFoundError; InvalidTransitionError while a topology wants it; NotLeaderError."""
        self.require_leadership()
        self.user_blobs.delete(key, [*self.snapshot.bases.values(), *self._pending.bases()])

    def hear(self, beats: Iterable[WorkerBeat]) -> None:
        """Note what supervisors and workers tell, as of now, for `record` and the next step; any thread may call it."""
        self.heartbeats.hear(tuple(beats), self.clock.now())

    def record(self, beats: Iterable[WorkerBeat] = ()) -> None:
        """Take in these beats and those that were heard; what does not fit the assignments is passed over."""
        self.hear(beats)
        self.heartbeats.take_heard(self.snapshot.assignments)

    def require_leadership(self) -> None:
        """Raises NotLeaderError that names who leads."""
        if not self.leads:
            raise self._not_leading()

    def distrust(self, key: str) -> None:
        """A blob here was found to be damaged: it counts as missing until another Nimbus has given a better one."""
        self._blobs.corrupt.add(key)
        self.wake()

    def abandon(self) -> None:
        """Nimbus is stopping: whoever waits for a submission is told to ask the next leader."""
        self._pending.fail_all(NotLeaderError("This Nimbus is stopping; the topology is not submitted yet."))
        self.user_blobs.fail_all(NotLeaderError("This Nimbus is stopping; the blob is as it was."))

    @property
    def leads(self) -> bool:
        """Whether requests are taken: this Nimbus leads, and has looked around since it does."""
        return self._leading and self.election.is_leader()

    # Steps

    def step(self) -> float:
        """Do what is due; how many seconds may pass until the next step. Raises CoordinationError."""
        leads = self.election.step()
        if leads and self._term != (term := self.election.term):
            # Also where it led before: while nobody did, or another, workers could not tell it that they live.
            self._term, self._leading = term, False
        if leads != self._leading:
            self._leading = False  # and True only once it has looked around
            self.silent = frozenset()
            self.heartbeats.lead(self.clock.now())
            self._remains.forget()
            self._waits.forget()
            if leads:
                self.cluster_state.rewrite_other_versions()
        self._register()
        self._refresh(self.wake)
        self._remains.look(self.snapshot, f"{self.election.info.address}-{self.clock.wall_secs()}" if leads else None)
        self.user_blobs.look(self._remains.cluster_id, self._term)
        bases = {base.topology_id: base for base in self._pending.bases()} | dict(self.snapshot.bases)
        spoken_of = self.replication.look(bases, self.user_blobs.contents(), leads=leads)
        self.user_blobs.step(self.clock.now(), leads=leads)
        if leads:
            self._leading = True
            self._lead(spoken_of)
        else:
            self._follow(spoken_of)
        return self._secs_to_next_step()

    def _lead(self, spoken_of: frozenset[TopologyId] | None) -> None:
        self._pending.finish_ready(
            self.clock.now(),
            lambda base: self.replication.count_pending(base.topology_id, self.user_blobs.needed(base)),
            self._make_wanted,
        )
        self._begin_departures()
        rebalanced = self._carry_out_due()
        self._schedule(rebalanced)
        for one in rebalanced:
            self._finish_rebalance(one)
        if spoken_of is not None and self._is_time_to_clean_up():
            self._clean_up(spoken_of)
            self.replication.count_all(self.snapshot.bases.values(), self.user_blobs.needed)

    def _follow(self, spoken_of: frozenset[TopologyId] | None) -> None:
        self._leader = self.election.leader()
        for pending in self._pending.fail_all(self._not_leading()):
            self._blobs.delete(pending.base.topology_id)
        if spoken_of is not None and self._is_time_to_clean_up():
            alive = self.snapshot.bases.keys() | self.snapshot.unreadable | spoken_of
            for topology_id in self._remains.due(self._blobs.owners() - alive, self.snapshot.lost, self.clock.now()):
                self._blobs.delete(topology_id)

    def _register(self) -> None:
        """Be listed among the Nimbuses, again after a lost session."""
        if self.election.info not in self.cluster_state.nimbuses():
            self.replication.forget_announcements()
            self.cluster_state.put_nimbus(self.election.info)

    def _replicate(self, pending: PendingSubmission) -> None:
        """Have the other Nimbuses fetch what was submitted."""
        try:
            self.replication.announce(pending.base.blob_hashes)
        except CoordinationError:
            self._blobs.delete(pending.base.topology_id)
            raise
        self._pending.add(pending)
        self.wake()

    def _make_wanted(self, base: StormBase) -> None:
        if self.snapshot.taken_by(base.name) is not None:  # another leader took one of this name while this one waited
            self._blobs.delete(base.topology_id)
            raise TopologyAlreadyAliveError(already_alive(self.snapshot, base.name))
        try:
            self.cluster_state.create_storm_base(base)
        except RecordError as error:
            self._blobs.delete(base.topology_id)
            raise InvalidTopologyError(str(error)) from None
        except (BadVersionError, NotLeaderError):  # the fence does not hold: nothing was written
            self._blobs.delete(base.topology_id)
            self.wake()
            raise self._not_leading() from None
        log.info("Topology %s is submitted: %d workers.", base.topology_id, base.num_workers)
        self._after_change()

    def _begin_departures(self) -> None:
        """Topologies that are on hosts where they should not be are rebalanced, where there is room elsewhere."""
        begun = departures.begun(
            self.snapshot, self._scheduler, self._dead, lambda base, secs: self._delay(self._wait(base, secs))
        )
        for base in begun:
            self.cluster_state.update_storm_base(base, self.snapshot.base_versions[base.topology_id])
            log.info("%s leaves hosts that are drained or lack its tags, after %d s.", base.topology_id, base.wait_secs)
        if begun:
            self._refresh()

    def _carry_out_due(self) -> list[Rebalanced]:
        """Do what has waited long enough; of rebalances the first half, before the scheduling that follows."""
        now = self.clock.now()
        self._waits.follow(self.snapshot.bases, now)
        rebalanced, removed = [], False
        for base in list(self.snapshot.bases.values()):
            action, left_secs = pending_action(base), self._waits.left_secs(base.topology_id, now)
            if action is Action.DO_REBALANCE:
                plan = self.snapshot.plans.get(base.topology_id)
                done = rebalanced_base(base, plan, self._blobs, self.replication, left_secs)
                if done is not None:
                    version = self.snapshot.base_versions[base.topology_id]
                    self.cluster_state.update_storm_base(half_done(base, done), version)
                    rebalanced.append(Rebalanced(done, version + 1, base.rebalance is None or base.rebalance.spread))
            elif action is Action.REMOVE and left_secs <= 0:
                self._remove(base.topology_id)
                removed = True
        if removed:
            self._refresh()
        for one in rebalanced:
            self.snapshot = self.snapshot.with_topology(one.done, self._blobs.plan(one.done))
        return rebalanced

    def _finish_rebalance(self, rebalanced: Rebalanced) -> None:
        """The topology is active again only now, so that no spout emits to workers that are about to end."""
        self.cluster_state.update_storm_base(rebalanced.done, rebalanced.version)
        log.info("Topology %s is rebalanced: %d workers.", rebalanced.done.topology_id, rebalanced.done.num_workers)

    def _remove(self, topology_id: TopologyId) -> None:
        """Delete all that there is of a topology; its record last, so that a removal that is cut short is
        resumed. The first write is fenced: who leads no more deletes nothing.
        """
        self.cluster_state.remove_assignment(topology_id)
        self.cluster_state.remove_log_config(topology_id)
        self.cluster_state.remove_errors(topology_id)
        if not self.replication.delete(topology_id):
            return  # its record stays, so it is tried again; all others need not wait for that
        self.cluster_state.remove_storm_base(topology_id)
        log.info("Topology %s is gone.", topology_id)

    def _schedule(self, rebalanced: list[Rebalanced]) -> None:
        dead = self._dead()
        spread = frozenset(one.done.topology_id for one in rebalanced if one.is_spread)
        this = Round(self.clock.wall_secs(), dead, spread, frozenset(one.done.topology_id for one in rebalanced))
        written: dict[TopologyId, Assignment] = {}
        for assignment in new_assignments(self.snapshot, self._scheduler, this):
            try:
                self.cluster_state.put_assignment(assignment)
            except RecordError as error:
                log.error("Topology %s cannot be assigned: %s", assignment.topology_id, error)
                continue
            written[assignment.topology_id] = assignment
            log.info(
                "Assignment %d of %s: %d executors on %d slots of %d nodes.",
                assignment.version, assignment.topology_id, len(assignment.executor_slots),
                len(assignment.slot_executors()), len(assignment.node_hosts),
            )  # fmt: skip
        if written:
            self.snapshot = replace(self.snapshot, assignments={**self.snapshot.assignments, **written})
            self.heartbeats.follow(self.snapshot.assignments, self.clock.now())

    def _dead(self) -> frozenset[AssignedSlot]:
        """The slots whose worker is dead by all that was told until now."""
        now = self.clock.now()
        self.heartbeats.follow(self.snapshot.assignments, now)
        self.heartbeats.prepare(preparing(self.snapshot), now)
        self.heartbeats.believe(self.snapshot.supervisors, now)
        self.record()
        timeouts, not_for_long = self.snapshot.own_timeouts(), dying(self.snapshot)
        dead = self.heartbeats.dead(self.snapshot.supervisors, timeouts, now, not_for_long)
        for used in dead - self.silent:
            log.warning("The worker of %s on %s:%d does not beat, or not for long.", used.topology_id, *used.slot)
        self.silent = dead
        return dead

    def _is_time_to_clean_up(self) -> bool:
        if self.clock.now() < self._clean_up_at:
            return False
        self._clean_up_at = self.clock.now() + self.options.monitor_freq_secs
        return True

    def _clean_up(self, spoken_of: frozenset[TopologyId]) -> None:
        """Delete what is left of topologies that are gone, once it was seen for long enough."""
        remains = {
            *self.cluster_state.assignment_ids(),
            *self.cluster_state.error_topology_ids(),
            *self._blobs.owners(),
            *spoken_of,
        }
        alive = {*self.cluster_state.topology_ids(), *self._pending.topology_ids()}
        for topology_id in self._remains.due(remains - alive, self.snapshot.lost, self.clock.now()):
            self._remove(topology_id)

    def _secs_to_next_step(self) -> float:
        now = self.clock.now()
        waits = (self._waits.next_secs(now), self._pending.next_secs(now), self.user_blobs.next_secs(now))
        return max(0.0, min(self.options.monitor_freq_secs, *waits))

    # Parts of requests

    def _refresh(self, watch: Watch | None = None) -> None:
        self.snapshot = self._reader.read(watch)

    def _not_leading(self) -> NotLeaderError:
        leader = self._leader
        if self._leading or leader is None:
            return NotLeaderError("This Nimbus does not lead: which one does is not known at the moment.")
        return NotLeaderError(f"This Nimbus does not lead: the leader is {leader.address}.")

    def _change(self, name: str, changed: Callable[[StormBase], StormBase | None]) -> None:
        """Replace the record of the topology of this name; it must not have been changed by others meanwhile."""
        self.require_leadership()
        topology_id = self.snapshot.id_of(name)
        found = None if topology_id is None else self.cluster_state.storm_base_versioned(topology_id)
        if found is None:
            raise TopologyNotAliveError(unknown("topology", name, (base.name for base in self.snapshot.bases.values())))
        base, version = found
        after = changed(base)
        assert after is not None, "a request removes nothing; a step does"
        if after == base:
            return
        try:
            self.cluster_state.update_storm_base(after, version)
        except BadVersionError:  # only leaders change records: there must be another
            self.wake()
            raise self._not_leading() from None
        except RecordError as error:
            raise InvalidTopologyError(str(error)) from None
        log.info("Topology %s: %s.", base.topology_id, after.status.value)
        self._after_change()

    def _after_change(self) -> None:
        """Let reads see what was just written; the change itself stands even if they cannot yet."""
        with contextlib.suppress(CoordinationError):
            self._refresh()
            self._waits.follow(self.snapshot.bases, self.clock.now())
        self.wake()

    def _new_id(self, name: str) -> TopologyId:
        snapshot = self.snapshot
        taken = {*self._blobs.owners(), *snapshot.bases, *snapshot.unreadable, *snapshot.assignments}
        while True:
            self._submissions += 1
            new = new_topology_id(name, self._submissions, self.clock.wall_secs())
            if new not in taken:
                return new

    def _delay(self, wait_secs: int) -> Delay:
        return Delay(self.clock.wall_secs(), wait_secs)

    def _wait(self, base: StormBase, wait_secs: int | None) -> int:
        if wait_secs is None:
            plan = self.snapshot.plans.get(base.topology_id)
            conf = self.options.cluster_conf if plan is None else plan.conf
            return int(conf.get(DEFAULT_WAIT_KEY, 30))
        if wait_secs < 0:
            raise InvalidTopologyError(f"A wait cannot be negative: {wait_secs} s.")
        return wait_secs
