"""What must hold in a simulated cluster: at every step, and after a quiet time."""

from __future__ import annotations

import traceback
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from checks_of_code import ChecksOfCode, slots_asked
from simulated_machines import SupervisorProcess
from simulated_nimbus import NimbusProcess
from simulated_topology import ITEMS_OPEN_MAX

from storm.cluster import paths
from storm.cluster.records import TopologyStatus
from storm.cluster.storm_cluster_state import StormClusterState
from storm.ids import SYSTEM_EXECUTOR, WorkerSlot
from storm.nimbus.assignments import dying, wanted_executors
from storm.nimbus.topology_blobs import owners
from storm.supervisor.slot import SlotState
from storm.worker.transfer import DROP_AT_MARKS

if TYPE_CHECKING:
    from collections.abc import Collection

    from event_loop import Process
    from simulated_cluster import SimulatedCluster
    from simulated_machines import Host
    from simulated_network import Frame
    from simulated_worker import WorkerProcess

    from storm.cluster.records import Assignment, StormBase
    from storm.ids import NodeId, TaskId, TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.nimbus.heartbeats import AssignedSlot
    from storm.scheduler.scheduling_state import Placement, Scheduler, SchedulingState, TopologyNeeds
    from storm.supervisor.slot_runner import WorkerHandle

MESSAGE_TIMEOUT_SECS = 5
ENDED_WITHIN_SECS = 2 * MESSAGE_TIMEOUT_SECS + 2  # an attempt lives at most two timeouts
DONE_WITHIN_SECS = 30.0
FLOWING_SECS = 20.0
SILENT_SECS_MIN = 5.0  # Nimbus holds a worker without a supervisor for dead after a third of nimbus.task.timeout.secs
VOUCHED_SECS = 15.0  # it has nimbus.task.timeout.secs from when Nimbus reads of it in its supervisor's record
UNTOLD_SECS = 6.0  # a supervisor tells Nimbus every second, and says in its record soon after that this failed
OFFICE_SECS_MIN = 15.0  # a new leader gives everybody nimbus.task.timeout.secs at least
CUT_OFF_SECS = 1.0
ITEM_TUPLES_MAX = 16  # for one task: two children of each in two layers, the four tasks of the first one get them all
SPOUT_TASKS_MAX = 4
# Tuples for one task. Spouts are asked to stop from 7 on, but what they had emitted by then comes, at once where it had
# waited for a worker to start; of an item that failed so does the attempt before.
QUEUED_MAX = 2 * ITEM_TUPLES_MAX * SPOUT_TASKS_MAX * ITEMS_OPEN_MAX
CRASH_STARTS_MAX = 12  # in 30 s, with waits of 0, 1, 2, 4, 8 s, and another 2 for each life of the supervisor
WRITTEN_BY_LEADERS = tuple(
    f"{top}/" for top in (paths.STORMS, paths.ASSIGNMENTS, paths.DRAINS, paths.LOG_CONFIGS, paths.ERRORS)
)


class Checks:
    """`problems`: what did not hold."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self.code = ChecksOfCode(cluster, self.problem)
        self.problems: list[str] = []
        self._codeless: set[TopologyId] = set()  # no leader can move them: nobody has their code any more
        self._waiting: set[TopologyId] = set()  # no slot is left for them: they keep those of machines that are gone
        self._crash_starts: defaultdict[tuple[str, int, TopologyId], list[float]] = defaultdict(list)
        self._stuck: defaultdict[NimbusProcess, set[WorkerSlot]] = defaultdict(set)  # at its last step
        self._accepted: dict[tuple[str, str, int, int], WorkerProcess] = {}
        self._in_office: NimbusProcess | None = None
        self._in_office_since = 0.0
        self._state = StormClusterState(cluster.zookeeper.tree.session())
        # {what a supervisor's record vouches for: (the second of its beat, when that was first written)}
        self._vouched: dict[tuple[NodeId, int, TopologyId, int], tuple[int, float]] = {}

    def problem(self, text: str) -> None:
        """Note what does not hold; the run goes on to its end."""
        self._cluster.events.note(f"PROBLEM: {text}")
        self.problems.append(text)

    # At every step

    def process_crashed(self, process: Process, error: Exception) -> None:
        """No daemon and no worker ends by an exception."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        self.problem(f"{process.name} ended by {type(error).__name__}: {error} ({where.filename}:{where.lineno})")

    def worker_starts(self, host: Host, handle: WorkerHandle) -> None:
        """No port runs two workers; one that dies at each start is started less and less often."""
        for other in host.alive():
            if other.handle.port == handle.port:
                self.problem(f"{handle.worker_id} is launched while {other.name} runs on its port")
        topology_id = handle.assignment.topology_id
        is_taken = (host.name, handle.port) in self._cluster.network.taken_ports
        if is_taken or self._cluster.is_crashing(topology_id):
            starts = self._crash_starts[host.name, handle.port, topology_id]
            starts.append(self._now)
            if len(starts) > CRASH_STARTS_MAX + 2 * host.starts:
                self.problem(f"{handle.worker_id} is start {len(starts)} of a worker that dies each time, on {starts}")

    def worker_took(self, worker: WorkerProcess, frame: Frame) -> None:
        """What a worker takes in is whole, and from nobody who was replaced; no two speak for one slot's epoch."""
        sender = frame.sender
        if frame.is_damaged:
            self.problem(f"{worker.name} took in a frame of {sender.name} that was damaged")
        if worker.has_replaced(sender):
            self.problem(f"{worker.name} took in a frame of {sender.name}, which had been replaced")
        place = (worker.name, sender.host.node_id, sender.handle.port, sender.handle.assignment.epoch)
        before = self._accepted.get(place)
        if before is not None and before is not sender and before.alive and sender.alive:
            self.problem(f"{worker.name} takes in what {before.name} and {sender.name} send, in the same place")
        self._accepted[place] = sender

    def worker_beats(self, worker: WorkerProcess) -> None:
        """Nothing that waits in a worker grows without bounds."""
        assert worker.worker is not None
        exchange, lanes = worker.worker.exchange, worker.worker.lanes
        outboxes = exchange._transfer._outboxes.values()
        waiting = max((len(outbox.sections) for outbox in outboxes), default=0)
        if waiting > DROP_AT_MARKS * exchange._transfer._options.queue_sections_mark + 1:
            self.problem(f"{waiting} batches wait in {worker.name} for one other worker")
        longest = max(lanes.queue_lengths().values(), default=0)
        if longest > QUEUED_MAX:
            self.problem(f"{longest} tuples wait for one task of {worker.name}")

    def worker_is_ended(self, supervisor: SupervisorProcess, worker: WorkerProcess) -> None:
        """No worker is killed for a silence that was none, nor ended because its supervisor is cut off.

        One that was paused still carries out what it had read.
        """
        slot = supervisor.core.slots.slots()[worker.handle.port]
        if slot.state is not SlotState.KILLING or slot.entered_at != worker.host.clock.now():
            return
        silent_secs = self._now - worker.heard_at
        cut_off_secs = min(supervisor.session.lost_for_secs(), self._now - supervisor.resumed_at)
        refused_secs = min(supervisor.session.refused_for_secs(), self._now - supervisor.resumed_at)
        if slot.failure is None and cut_off_secs > CUT_OFF_SECS:
            self.problem(f"{supervisor.name} ends {worker.name}, and does not reach ZooKeeper")
        elif slot.failure is None and refused_secs > CUT_OFF_SECS:
            self.problem(f"{supervisor.name} ends {worker.name}, and has no permission to read what it should do")
        elif slot.failure is None and self._has_vanished(supervisor, worker):
            self.problem(f"{supervisor.name} ends {worker.name}, though nobody ended its topology")
        elif slot.failure is None and self._is_unreadable(supervisor, worker):
            self.problem(f"{supervisor.name} ends {worker.name}, because nobody can read its assignment")
        elif slot.failure and "heartbeat" in slot.failure and silent_secs < self._heartbeat_timeout_secs(worker):
            self.problem(f"{supervisor.name} kills {worker.name}, which {slot.failure}, after {silent_secs:.3f} s")

    def _has_vanished(self, supervisor: SupervisorProcess, worker: WorkerProcess) -> bool:
        """Whether ZooKeeper, as last read, had lost the worker's topology, and nothing else is wanted on its port.
        Where a Nimbus has lost its code too, and leads, the topology is over for supervisors.
        """
        topology_id, core = worker.handle.assignment.topology_id, supervisor.core
        if not self.code.is_everywhere(topology_id):
            return False
        is_lost = topology_id in self._cluster.user.lost and topology_id not in core._assignments
        return is_lost and core._wanted.get(worker.handle.port) is None

    def _is_unreadable(self, supervisor: SupervisorProcess, worker: WorkerProcess) -> bool:
        """Whether nobody could read the worker's assignment, and nothing else is wanted on its port."""
        topology_id, core = worker.handle.assignment.topology_id, supervisor.core
        is_damaged = self._cluster.zookeeper.is_damaged(paths.assignment(topology_id))
        is_unknown = topology_id not in core._assignments and core._wanted.get(worker.handle.port) is None
        return is_damaged and is_unknown

    def copy_launches(self, copy: Host, original: Host) -> None:
        """Nobody uses an id that another directory's supervisor has, who lives and has lost no session meanwhile."""
        assert copy.supervisor is not None
        there = original.supervisor
        if there is None or there.session.lost_for_secs():
            return
        if there.alive and there.session.sure_since < copy.supervisor.began_at:
            self.problem(f"{copy.name} launches a worker beside {there.name}")

    def _heartbeat_timeout_secs(self, worker: WorkerProcess) -> float:
        return worker.host.options.limits.heartbeat_timeout_secs

    def changed(self, process: Process, method: str, path: str) -> None:
        """Only the Nimbus that took office last writes what a leader writes, and it moves nothing whose code it lacks;
        see also `_registered`.
        """
        if isinstance(process, SupervisorProcess) and method == "put_ephemeral" and path.startswith(paths.SUPERVISORS):
            self._registered(process)
        if not isinstance(process, NimbusProcess):
            return
        if (method, path) == ("put", paths.LEADER_INFO):
            self._in_office, self._in_office_since = process, self._now
        elif path.startswith(WRITTEN_BY_LEADERS) and process is not self._in_office:
            self.problem(f"{process.name}: {method} {path}, and somebody else took office meanwhile")
        elif method != "delete" and path.startswith(f"{paths.ASSIGNMENTS}/"):
            self.code.assigned(process, path.rpartition("/")[2])

    def _registered(self, supervisor: SupervisorProcess) -> None:
        """A supervisor's record vouches for each worker that it hears and can tell no Nimbus of."""
        node_id = supervisor.host.node_id
        found = self._state.supervisor(node_id)
        assert found is not None, f"{supervisor.name} has just written its record"
        for each in found[0].unheard:
            key = (node_id, each.port, each.topology_id, each.epoch)
            if key not in self._vouched or self._vouched[key][0] != each.beat_secs:
                self._vouched[key] = (each.beat_secs, self._now)
        ports = {each.port for each in found[0].unheard}
        for worker in supervisor.host.alive():
            if worker.handle.port not in ports and self._is_untold(supervisor, worker):
                self.problem(f"{supervisor.name} hears {worker.name}, and tells neither Nimbus nor ZooKeeper")

    def _is_untold(self, supervisor: SupervisorProcess, worker: WorkerProcess) -> bool:
        """Whether no Nimbus has taken this worker's beats, though its supervisor had them for a while."""
        since, told_at = self._now - UNTOLD_SECS, self._cluster.told.get(worker.beat_key, 0.0)
        slot = supervisor.core.slots.slots().get(worker.handle.port)
        return (
            max(told_at, supervisor.began_at) < worker.untold_since < since
            and max(supervisor.resumed_at, supervisor.stood_until) < since
            and slot is not None
            and slot.state is SlotState.RUNNING
        )

    def nimbus_stepped(self, nimbus: NimbusProcess) -> None:
        """No slot is used by two topologies, heartbeats count for those who sent them only, and nobody waits for a port
        that somebody else has while there is another one.
        """
        owners: dict[WorkerSlot, TopologyId] = {}
        core = nimbus.core
        for topology_id, assignment in core.snapshot.assignments.items():
            for slot, executors in assignment.slot_executors().items():
                if owners.setdefault(slot, topology_id) != topology_id:
                    self.problem(f"{slot} is given to {owners[slot]} and to {topology_id}")
                beat = core.heartbeats.last(topology_id, slot)
                if beat is not None and beat.executors - {SYSTEM_EXECUTOR} != set(executors):
                    self.problem(f"a heartbeat for {sorted(beat.executors)} counts for {slot} of {topology_id}")
        there, taken = core.snapshot, _taken(core.snapshot)
        free = _offered(there) - taken - owners.keys()
        stuck = {slot for slot in taken & owners.keys() if free and owners[slot] in there.schedulable()}
        if still := sorted(stuck & self._stuck[nimbus]):  # a round goes by what was free before it
            self.problem(f"somebody else has the ports of {still}, and {sorted(free)} are free")
        self._stuck[nimbus] = stuck

    def watched(self, nimbus: NimbusProcess, scheduler: Scheduler) -> Scheduler:
        """The scheduler of a Nimbus; what it is asked, and what it answers, is looked at."""

        def schedule(state: SchedulingState) -> dict[TopologyId, Placement]:
            there = nimbus.core.snapshot
            dead = state.avoid.keys() - _taken(there) - {used.slot for used in dying(there)}
            self._given_up(nimbus, [slot for slot in dead if slot.node_id not in there.drains])
            placements = scheduler(state)
            self._placed(state, placements)
            return placements

        return schedule

    def _given_up(self, nimbus: NimbusProcess, dead: Collection[WorkerSlot]) -> None:
        """No worker is given up of which any Nimbus heard just now, nor one for which a record that this one has read
        vouches, nor any by a leader that cannot know yet.

        What one decides that was paused and is in office no more has no effect.
        """
        if nimbus is not self._in_office:
            return
        if dead and self._now - self._in_office_since < OFFICE_SECS_MIN:
            self.problem(f"{nimbus.name} has just taken office, and takes {sorted(dead)} for dead")
        for used, since in nimbus.core.heartbeats._assigned.items():
            if used.slot in dead:
                host = used.slot.node_id.replace("node", "host")
                key = (used.topology_id, host, used.slot.port, frozenset(map(tuple, since.executors)))
                _, told_at = self._cluster.proved.get(key, (0, 0.0))
                assigned_secs = nimbus.core.clock.now() - since.since  # a worker before may have had the same executors
                if told_at > self._now - min(SILENT_SECS_MIN, assigned_secs):
                    self.problem(f"{used.slot} of {used.topology_id} is given up, and beat at {told_at:.3f}")
                vouched_at = self._vouched_at(nimbus, used, since.epoch)
                if vouched_at > self._now - VOUCHED_SECS:
                    self.problem(
                        f"{used.slot} of {used.topology_id} is given up, and its supervisor vouched at {vouched_at:.3f}"
                    )

    def _vouched_at(self, nimbus: NimbusProcess, used: AssignedSlot, epoch: int) -> float:
        """When the beat was first told in ZooKeeper that this Nimbus has read there; where a session ended, it read of
        none.
        """
        info = nimbus.core.snapshot.supervisors.get(used.slot.node_id)
        for each in () if info is None else info.unheard:
            if (each.port, each.topology_id, each.epoch) == (used.slot.port, used.topology_id, epoch):
                beat_secs, at = self._vouched[used.slot.node_id, each.port, each.topology_id, each.epoch]
                return at if beat_secs == each.beat_secs else 0.0
        return 0.0

    def _placed(self, state: SchedulingState, placements: dict[TopologyId, Placement]) -> None:
        """Slots are those that are offered or kept, each of one topology; and nobody moves who need not."""
        claims = Counter(slot for needs in state.topologies for slot in set(needs.placed.values()))
        for needs in state.topologies:
            placement = placements[needs.topology_id]
            slots = set(placement.values())
            strange = slots.difference(state.slots, needs.placed.values())
            if strange:
                self.problem(f"{needs.topology_id} is given {sorted(strange)}, which nobody offers")
            if slots and all(claims[slot] == 1 for slot in needs.placed.values()):
                stay = sum(placement[executor] == needs.placed.get(executor) for executor in needs.executors)
                if stay < _may_stay(needs, slots):
                    self.problem(f"{needs.topology_id}: {stay} executors stay, {_may_stay(needs, slots)} could")

    # After a quiet time

    def at_the_end(self) -> list[str]:
        """All that did not hold on the way, and all that does not hold now; asked again, it looks again."""
        before = len(self.problems)
        leader = self._cluster.leader()
        if leader is None:
            self.problem("no Nimbus leads")
        else:
            leader.core._refresh()
            snapshot = leader.core.snapshot
            self._codeless = self.code.at_the_end(snapshot)
            self._promises(snapshot)
            self._daemons(snapshot)
            self._assignments(snapshot)
            self._remains(snapshot.bases.keys() | leader.core._pending.topology_ids())  # some wait for ever
            self._tuples(snapshot)
        found, self.problems = self.problems, self.problems[:before]
        return found + self._cluster.record.problems

    def _promises(self, snapshot: ClusterSnapshot) -> None:
        for topology_id, promise in self._cluster.user.promises.items():
            base = snapshot.bases.get(topology_id)
            if (base is not None) not in promise.exists:
                self.problem(f"{topology_id} is {'not ' if base is None else ''}there, against what was promised")
            elif base is not None and not self._awaits_code(base):
                if base.status not in promise.statuses:
                    self.problem(f"{topology_id} is {base.status.value}, not {promise.statuses}")
                if base.num_workers not in promise.num_workers:
                    self.problem(f"{topology_id} has {base.num_workers} workers, not {promise.num_workers}")
        for base in snapshot.bases.values():
            if base.status not in (TopologyStatus.ACTIVE, TopologyStatus.INACTIVE) and not self._awaits_code(base):
                self.problem(f"{base.topology_id} is still {base.status.value}")
            if base.topology_id not in self._cluster.user.promises and not self._cluster.user.unsure[base.name]:
                self.problem(f"{base.topology_id} is there, and nobody was told so")
        names = Counter(base.name for base in snapshot.bases.values())
        if any(count > 1 for count in names.values()):
            self.problem(f"topologies share a name: {names}")

    def _awaits_code(self, base: StormBase) -> bool:
        """Whether its rebalance cannot end."""
        return base.status is TopologyStatus.REBALANCING and base.topology_id in self._codeless

    def _daemons(self, snapshot: ClusterSnapshot) -> None:
        """ZooKeeper knows those that run."""
        nimbuses = self._state.nimbuses()
        if [info.host for info in nimbuses] != [place.host for place in self._cluster.nimbuses]:
            self.problem(f"Nimbuses known: {nimbuses}")
        if set(snapshot.supervisors) != {host.node_id for host in self._cluster.hosts if host.is_served}:
            self.problem(f"supervisors known: {sorted(snapshot.supervisors)}")

    def _assignments(self, snapshot: ClusterSnapshot) -> None:
        served = [host for host in self._cluster.hosts if host.is_served]
        there = {WorkerSlot(host.node_id, port) for host in served for port in host.options.slot_ports}
        offered = {slot for slot in there if slot.node_id not in snapshot.drains}
        used = {slot for assignment in snapshot.assignments.values() for slot in assignment.executor_slots.values()}
        free = offered - used
        movable = self._movable_slots(snapshot)
        for slot in movable - there:
            if free and slot.node_id in {host.node_id for host in served}:  # who has nowhere to go stays
                self.problem(f"{slot} is used, its supervisor does not offer it, and {sorted(free)} are free")
        if free and (late := movable & there - offered):
            self.problem(f"{sorted(late)} are on drained hosts and used, and {sorted(free)} are free")
        running = self._running()
        # Who has nowhere to go stays also where nobody can read that he is.
        lost = self.code.lost() | self._codeless | (set() if free else snapshot.unreadable_assignments)
        for stray in running.keys() - used:
            topology_id = running[stray].handle.assignment.topology_id
            if topology_id not in lost and not running[stray].is_forgotten(snapshot.bases):
                self.problem(f"{running[stray].name} runs where nothing is assigned")
        for topology_id in sorted(snapshot.bases.keys() - self._codeless):
            assignment = snapshot.assignments.get(topology_id)
            if assignment is None or not assignment.executor_slots:
                if free:
                    self.problem(f"{topology_id} is not assigned, and {sorted(free)} are free")
            elif offered.isdisjoint(assignment.executor_slots.values()) and not free:
                self._waiting.add(topology_id)
            else:
                self._shares(snapshot, assignment, len(offered))
                is_active = snapshot.bases[topology_id].status is TopologyStatus.ACTIVE
                self._workers(assignment, running, is_active=is_active)

    def _movable_slots(self, snapshot: ClusterSnapshot) -> set[WorkerSlot]:
        """Those in use by topologies that the leader can move."""
        return {
            slot
            for topology_id, assignment in snapshot.assignments.items()
            if topology_id not in self._codeless
            for slot in assignment.executor_slots.values()
        }

    def _running(self) -> dict[WorkerSlot, WorkerProcess]:
        return {
            WorkerSlot(host.node_id, process.handle.port): process
            for host in self._cluster.hosts
            for process in host.alive()
        }

    def _shares(self, snapshot: ClusterSnapshot, assignment: Assignment, offered: int) -> None:
        """Each executor is on one slot, and as many slots are used as were asked for, if there are so many."""
        topology_id = assignment.topology_id
        if tuple(sorted(assignment.executor_slots)) != wanted_executors(snapshot, topology_id):
            self.problem(f"{topology_id}: not each of its executors is assigned once")
        wanted = min(snapshot.bases[topology_id].num_workers, len(assignment.executor_slots))
        have = len(assignment.slot_executors())
        if have > wanted or (slots_asked(snapshot, self._codeless) <= offered and have < wanted):
            self.problem(f"{topology_id} has {have} slots, not {wanted}")

    def _workers(self, assignment: Assignment, running: dict[WorkerSlot, WorkerProcess], *, is_active: bool) -> None:
        for slot, executors in assignment.slot_executors().items():
            process = running.get(slot)
            if process is None:
                self.problem(f"{assignment.topology_id} has no worker on {slot}")
                continue
            held = process.handle.assignment
            found = (held.topology_id, held.executors, held.epoch)
            if found != (assignment.topology_id, executors, assignment.slot_epochs[slot]):
                self.problem(f"{process.name} runs {found}, which is not assigned to {slot}")
            elif process.worker is None or process.worker.active != is_active:
                self.problem(f"{process.name} is not {'active' if is_active else 'inactive'}")

    def _remains(self, there: Collection[TopologyId]) -> None:
        """A topology that is gone leaves nothing."""
        cluster = self._cluster
        state = StormClusterState(cluster.zookeeper.tree.session())
        kinds = {
            "an assignment": set(state.assignment_ids()),
            "errors": set(state.error_topology_ids()),
        }
        for place in cluster.nimbuses:
            kinds[f"blobs on {place.host}"] = owners(place.disk.keys())
        for host in [host for host in cluster.hosts if host.is_served]:
            kinds[f"code on {host.name}"] = set(host.code)
        lost = self.code.lost()
        for kind, topology_ids in kinds.items():
            for topology_id in sorted(topology_ids.difference(there, lost)):
                self.problem(f"{topology_id} is gone and left {kind}")

    def _tuples(self, snapshot: ClusterSnapshot) -> None:
        emitted_at = self._attempts()
        for topology_id, base in snapshot.bases.items():
            assignment = snapshot.assignments.get(topology_id)
            if assignment is None or not assignment.executor_slots or topology_id in self._waiting | self._codeless:
                continue
            plan = snapshot.plans[topology_id]
            for task in (task for component in plan.topology.spouts for task in plan.component_tasks[component]):
                if base.status is TopologyStatus.ACTIVE:
                    self._flows(topology_id, task)
                elif emitted_at.get((topology_id, task), 0.0) > self._now - FLOWING_SECS:
                    self.problem(f"spout task {task} of inactive {topology_id} emits")

    def _attempts(self) -> dict[tuple[TopologyId, TaskId], float]:
        """When each spout's task that lives emitted last; none of its attempts may be older than it can."""
        last_emit: dict[tuple[TopologyId, TaskId], float] = {}
        for life in self._cluster.record.lives:
            if not life.worker.alive:
                continue
            for number, attempt in life.attempts.items():
                key = (life.topology_id, life.task)
                last_emit[key] = max(last_emit.get(key, 0.0), attempt.emitted_at)
                if attempt.ended is None and attempt.emitted_at < self._now - ENDED_WITHIN_SECS:
                    self.problem(f"attempt {number} of {life.worker.name} has not ended since {attempt.emitted_at:.3f}")
        return last_emit

    def _flows(self, topology_id: TopologyId, task: TaskId) -> None:
        """What a source has comes through, and nothing is left behind."""
        items = self._cluster.record.items.get((topology_id, task), [])
        if not any(item.done_at is not None and item.done_at > self._now - FLOWING_SECS for item in items):
            self.problem(f"spout task {task} of {topology_id} brings nothing through any more")
        for item in items:
            if item.done_at is None and item.born_at < self._now - DONE_WITHIN_SECS:
                self.problem(f"an item of task {task} of {topology_id}, of {item.born_at:.3f}, is lost")

    @property
    def _now(self) -> float:
        return self._cluster.events.clock.now()


def _taken(snapshot: ClusterSnapshot) -> set[WorkerSlot]:
    """The slots whose ports somebody else has, by what their supervisors say."""
    return {WorkerSlot(node_id, port) for node_id, info in snapshot.supervisors.items() for port in info.taken_ports}


def _offered(snapshot: ClusterSnapshot) -> set[WorkerSlot]:
    return {
        WorkerSlot(node_id, port)
        for node_id, info in snapshot.supervisors.items()
        for port in info.slot_ports
        if node_id not in snapshot.drains
    }


def _may_stay(needs: TopologyNeeds, slots: set[WorkerSlot]) -> int:
    """How many executors can stay where they are, if these slots shall have equal shares."""
    share, larger = divmod(len(needs.executors), len(slots))
    have = Counter(needs.placed[executor] for executor in needs.executors if executor in needs.placed)
    stay = 0
    for slot in sorted(slots, key=lambda slot: -have[slot]):
        stay += min(have[slot], share + (larger > 0))
        larger -= 1
    return stay
