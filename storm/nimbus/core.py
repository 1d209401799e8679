"""What Nimbus does, without threads, sockets or waiting: requests and steps, over storage, blobs and a clock.

One thread owns it. `step` compares what is wanted with what is: who leads, what falls due, who needs slots,
which remains may go; it answers when it wants to be called next, and may be called earlier at any time.
Requests change what is wanted, and leave the rest to the next step.

It may end at any line. What it has begun is then finished by the next leader's step, because the record in
ZooKeeper changes last when something is removed, and before anything else when something is asked for.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storm.cluster.record_codec import encode
from storm.cluster.records import DebugOptions, LogConfig, RebalanceRequest, StormBase
from storm.config.topology_conf import effective_conf
from storm.errors import (
    BadVersionError,
    ConfigError,
    CoordinationError,
    InvalidTopologyError,
    NotLeaderError,
    RecordError,
    TopologyAlreadyAliveError,
    TopologyNotAliveError,
)
from storm.nimbus.assignments import Round, new_assignments
from storm.nimbus.cleanup import orphans
from storm.nimbus.cluster_snapshot import ClusterSnapshot
from storm.nimbus.heartbeats import Heartbeats, Limits, WorkerBeat
from storm.nimbus.snapshot_reader import SnapshotReader
from storm.nimbus.submission import (
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
from storm.nimbus.topology_blobs import TopologyBlobs
from storm.nimbus.topology_status import Action, Delay, due_action, rearmed, transition
from storm.scheduler.by_name import scheduler_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from storm.blobstore.blob_store import BlobStore
    from storm.clock import Clock
    from storm.cluster.leader_election import LeaderElection
    from storm.cluster.records import Assignment
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

    `snapshot` and `heartbeats.last` may be read by any thread: each is replaced whole.
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
        self.heartbeats = Heartbeats(
            Limits(options.task_timeout_secs, options.task_launch_secs, options.task_timeout_secs / 3)
        )
        self.options = options
        self._limits = TopologyLimits(options.slots_per_topology_max, options.executors_per_topology_max)
        self.clock = clock
        self.cluster_state = cluster_state
        self._blobs = TopologyBlobs(blob_store)
        self._reader = SnapshotReader(cluster_state, self._blobs)
        self.election = election
        self.wake = wake
        self._scheduler = scheduler_named(options.scheduler)
        self._leading = False
        self._submissions = 0
        self._spread: set[TopologyId] = set()  # to be shared out over the nodes at the next round
        self._remains: dict[TopologyId, float] = {}
        self._dead: frozenset[AssignedSlot] = frozenset()  # at the last round
        self._clean_up_at = 0.0

    # Requests

    def submit(self, request: SubmitRequest) -> TopologyId:
        """Store the topology and say that it is wanted; its id.

        Raises TopologyAlreadyAliveError, InvalidTopologyError, NotLeaderError.
        """
        self.require_leadership()
        self._refresh()
        name = checked_name(request.name)
        if self.snapshot.id_of(name) is not None:
            raise TopologyAlreadyAliveError(self._already_alive(name))
        try:
            conf = effective_conf(self.options.cluster_conf, parsed_conf(request.conf))
        except ConfigError as error:
            raise InvalidTopologyError(str(error)) from None
        owner = request.owner or conf.get("topology.submitter.user") or ""
        base = initial_base(self._new_id(name), name, owner, self.clock.wall_secs(), request.active)
        submission = prepared(base, conf, request.topology, self._limits)
        try:
            encode(largest_assignment(submission))
        except RecordError as error:
            raise InvalidTopologyError(str(error)) from None
        hashes = self._blobs.create(base.topology_id, submission.plan, request.package)
        try:
            self.cluster_state.create_storm_base(replace(submission.base, blob_hashes=hashes))
        except RecordError as error:
            self._blobs.delete(base.topology_id)
            raise InvalidTopologyError(str(error)) from None
        log.info("Topology %s is submitted: %d workers.", base.topology_id, submission.base.num_workers)
        self._after_change()
        return base.topology_id

    def activate(self, name: str) -> None:
        """Raises TopologyNotAliveError, InvalidTransitionError, NotLeaderError; so do the requests below."""
        self._change(name, lambda base: transition(base, Action.ACTIVATE, self._delay(0)))

    def deactivate(self, name: str) -> None:
        self._change(name, lambda base: transition(base, Action.DEACTIVATE, self._delay(0)))

    def kill(self, name: str, wait_secs: int | None = None) -> None:
        """`wait_secs` None: the topology's message timeout."""
        self._change(name, lambda base: transition(base, Action.KILL, self._delay(self._wait(base, wait_secs))))

    def rebalance(self, name: str, request: RebalanceRequest, wait_secs: int | None = None) -> None:
        """Spread the topology anew after `wait_secs` (None: its message timeout). Raises InvalidTopologyError
        too.
        """

        def changed(base: StormBase) -> StormBase | None:
            plan = self.snapshot.plans.get(base.topology_id)
            if plan is None:
                raise InvalidTopologyError(f"The code of {name!r} cannot be read on this Nimbus; its log says why.")
            checked = checked_rebalance(request, base, plan, self._limits)
            try:
                effective_conf(self.options.cluster_conf, checked.conf_overrides)
            except ConfigError as error:
                raise InvalidTopologyError(str(error)) from None
            return transition(base, Action.REBALANCE, self._delay(self._wait(base, wait_secs)), checked)

        self._change(name, changed)

    def debug(self, name: str, component_id: ComponentId, options: DebugOptions) -> None:
        """Log a share of the tuples of one component; of all if `component_id` is empty (the key is then the
        id).
        """

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

    def record(self, beats: Iterable[WorkerBeat]) -> None:
        """Take in what supervisors and workers tell; what does not fit the assignments is passed over."""
        now = self.clock.now()
        for beat in beats:
            assignment = self.snapshot.assignments.get(beat.topology_id)
            slot = None if assignment is None else self.heartbeats.slot_of(beat, assignment)
            if slot is not None:
                self.heartbeats.record(beat, slot, now)

    def require_leadership(self) -> None:
        """Raises NotLeaderError that names who leads."""
        if self.leads:
            return
        leader = self.election.leader()
        where = "there is none at the moment" if leader is None else f"the leader is {leader.host}:{leader.port}"
        raise NotLeaderError(f"This Nimbus does not lead: {where}.")

    @property
    def leads(self) -> bool:
        """Whether requests are taken: this Nimbus leads, and has looked around since it does."""
        return self._leading and self.election.is_leader()

    # Steps

    def step(self) -> float:
        """Do what is due; how many seconds may pass until the next step. Raises CoordinationError."""
        leads = self.election.step()
        if leads and not self._leading:
            self.heartbeats.lead(self.clock.now())
            self._remains.clear()
        self._leading = leads
        self._register()
        self._refresh(self.wake)
        if not leads:
            return self.options.monitor_freq_secs
        rebalanced = self._carry_out_due()
        self._schedule()
        for base in rebalanced:
            self._finish_rebalance(base)
        if self.clock.now() >= self._clean_up_at:
            self._clean_up_at = self.clock.now() + self.options.monitor_freq_secs
            self._clean_up()
        return self._secs_to_next_step()

    def _register(self) -> None:
        """Be listed among the Nimbuses, again after a lost session."""
        if self.election.info not in self.cluster_state.nimbuses():
            self.cluster_state.put_nimbus(self.election.info)

    def _carry_out_due(self) -> list[StormBase]:
        """Do what has waited long enough; rebalances only in the snapshot, for the scheduling that follows."""
        wall_secs = self.clock.wall_secs()
        rebalanced = []
        for base in list(self.snapshot.bases.values()):
            again = rearmed(base, wall_secs)
            action = due_action(base, wall_secs)
            if again is not None:
                self.cluster_state.update_storm_base(again, self.snapshot.base_versions[base.topology_id])
            elif action is Action.REMOVE:
                self._remove(base.topology_id)
            elif action is Action.DO_REBALANCE:
                rebalanced.append(self._rebalanced(base))
                continue
            else:
                continue
            self._refresh()
        for base in rebalanced:
            plan = self._blobs.plan(base)
            self.snapshot = replace(
                self.snapshot,
                bases={**self.snapshot.bases, base.topology_id: base},
                plans=self.snapshot.plans if plan is None else {**self.snapshot.plans, base.topology_id: plan},
            )
            self._spread.add(base.topology_id)
        return rebalanced

    def _rebalanced(self, base: StormBase) -> StormBase:
        done = transition(base, Action.DO_REBALANCE, self._delay(0))
        assert done is not None
        overrides = base.rebalance.conf_overrides if base.rebalance is not None else {}
        plan = self.snapshot.plans.get(base.topology_id)
        if plan is not None and overrides:
            done = replace(done, blob_hashes=self._blobs.replace_conf(base, {**plan.conf, **overrides}))
        return done

    def _finish_rebalance(self, done: StormBase) -> None:
        """The topology is active again only now, so that no spout emits to workers that are about to end."""
        self.cluster_state.update_storm_base(done, self.snapshot.base_versions[done.topology_id])
        log.info("Topology %s is rebalanced: %d workers.", done.topology_id, done.num_workers)

    def _remove(self, topology_id: TopologyId) -> None:
        """Delete all that there is of a topology; its record last, so that a removal that is cut short is
        resumed.
        """
        self.cluster_state.remove_assignment(topology_id)
        self.cluster_state.remove_log_config(topology_id)
        self.cluster_state.remove_errors(topology_id)
        self._blobs.delete(topology_id)
        self.cluster_state.remove_storm_base(topology_id)
        log.info("Topology %s is gone.", topology_id)

    def _schedule(self) -> None:
        now = self.clock.now()
        self.heartbeats.follow(self.snapshot.assignments, now)
        dead = self.heartbeats.dead(self.snapshot.supervisors, now)
        this = Round(self.clock.wall_secs(), dead, frozenset(self._spread))
        written: dict[TopologyId, Assignment] = {}
        for assignment in new_assignments(self.snapshot, self._scheduler, this):
            try:
                self.cluster_state.put_assignment(assignment)
            except RecordError as error:
                log.error("Topology %s cannot be assigned: %s", assignment.topology_id, error)
                continue
            written[assignment.topology_id] = assignment
            slots = assignment.slot_executors()
            log.info(
                "Assignment %d of %s: %d executors on %d slots of %d nodes.",
                assignment.version, assignment.topology_id, len(assignment.executor_slots), len(slots),
                len(assignment.node_hosts),
            )  # fmt: skip
        for used in dead - self._dead:
            log.warning("The worker of %s on %s:%d does not beat.", used.topology_id, *used.slot)
        self._dead = dead
        self._spread.clear()
        self.snapshot = replace(self.snapshot, assignments={**self.snapshot.assignments, **written})
        self.heartbeats.follow(self.snapshot.assignments, now)

    def _clean_up(self) -> None:
        """Delete what is left of topologies that are gone, once it was seen for long enough."""
        remains = {
            *self.cluster_state.assignment_ids(),
            *self.cluster_state.error_topology_ids(),
            *self._blobs.owners(),
        }
        alive = set(self.cluster_state.topology_ids())
        delay_secs = self.options.deletion_delay_secs
        self._remains, due = orphans(self._remains, remains - alive, delay_secs, self.clock.now())
        for topology_id in due:
            self._remove(topology_id)

    def _secs_to_next_step(self) -> float:
        wall_secs = self.clock.wall_secs()
        waits = [base.due_wall_secs - wall_secs for base in self.snapshot.bases.values() if base.due_wall_secs]
        return max(0.0, min([self.options.monitor_freq_secs, *waits]))

    # Parts of requests

    def _refresh(self, watch: Watch | None = None) -> None:
        self.snapshot = self._reader.read(watch)

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
        except BadVersionError:
            self.wake()
            raise
        except RecordError as error:
            raise InvalidTopologyError(str(error)) from None
        log.info("Topology %s: %s.", base.topology_id, after.status.value)
        self._after_change()

    def _after_change(self) -> None:
        """Let reads see what was just written; the change itself stands even if they cannot yet."""
        with contextlib.suppress(CoordinationError):
            self._refresh()
        self.wake()

    def _new_id(self, name: str) -> TopologyId:
        taken = self._blobs.owners()
        while True:
            self._submissions += 1
            new = new_topology_id(name, self._submissions, self.clock.wall_secs())
            if new not in taken:
                return new

    def _already_alive(self, name: str) -> str:
        running = self.snapshot.bases[self.snapshot.id_of(name) or ""]
        return f"A topology called {name!r} is there already: {running.topology_id}, {running.status.value}."

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
