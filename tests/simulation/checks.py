"""What must hold in a simulated cluster: at every step, and after a quiet time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from storm.cluster.records import TopologyStatus
from storm.cluster.storm_cluster_state import StormClusterState
from storm.ids import WorkerSlot
from storm.nimbus.assignments import wanted_executors
from storm.nimbus.topology_blobs import TopologyBlobs

if TYPE_CHECKING:
    from simulated_cluster import SimulatedCluster
    from simulated_machines import Host, WorkerProcess
    from simulated_nimbus import NimbusProcess

    from storm.cluster.records import Assignment
    from storm.ids import TaskId, TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot
    from storm.supervisor.slot_runner import WorkerHandle

MESSAGE_TIMEOUT_SECS = 5
ENDED_WITHIN_SECS = 2 * MESSAGE_TIMEOUT_SECS + 2  # an attempt lives at most two timeouts
DONE_WITHIN_SECS = 30.0
FLOWING_SECS = 20.0


class Checks:
    """`problems`: what did not hold."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self.problems: list[str] = []
        self._waiting: set[TopologyId] = set()  # no slot is left for them: they keep those of machines that are gone

    def problem(self, text: str) -> None:
        """Note what does not hold; the run goes on to its end."""
        self._cluster.events.note(f"PROBLEM: {text}")
        self.problems.append(text)

    # At every step

    def worker_starts(self, host: Host, handle: WorkerHandle) -> None:
        """No port runs two workers."""
        for other in host.alive():
            if other.handle.port == handle.port:
                self.problem(f"{handle.worker_id} is launched while {other.name} runs on its port")

    def nimbus_stepped(self, nimbus: NimbusProcess) -> None:
        """No slot is used by two topologies."""
        owners: dict[WorkerSlot, TopologyId] = {}
        for topology_id, assignment in nimbus.core.snapshot.assignments.items():
            for slot in assignment.slot_executors():
                if owners.setdefault(slot, topology_id) != topology_id:
                    self.problem(f"{slot} is given to {owners[slot]} and to {topology_id}")

    # After a quiet time

    def at_the_end(self) -> list[str]:
        """All that does not hold."""
        leader = self._cluster.leader()
        if leader is None:
            self.problem("no Nimbus leads")
        else:
            leader.core._refresh()
            self._promises(leader.core.snapshot)
            self._assignments(leader.core.snapshot)
            self._remains(leader.core.snapshot)
            self._tuples(leader.core.snapshot)
        return self.problems + self._cluster.record.problems

    def _promises(self, snapshot: ClusterSnapshot) -> None:
        for topology_id, promise in self._cluster.user.promises.items():
            base = snapshot.bases.get(topology_id)
            if (base is not None) not in promise.exists:
                self.problem(f"{topology_id} is {'not ' if base is None else ''}there, against what was promised")
            elif base is not None:
                if base.status not in promise.statuses:
                    self.problem(f"{topology_id} is {base.status.value}, not {promise.statuses}")
                if base.num_workers not in promise.num_workers:
                    self.problem(f"{topology_id} has {base.num_workers} workers, not {promise.num_workers}")
        for base in snapshot.bases.values():
            if base.status not in (TopologyStatus.ACTIVE, TopologyStatus.INACTIVE):
                self.problem(f"{base.topology_id} is still {base.status.value}")
        names = Counter(base.name for base in snapshot.bases.values())
        if any(count > 1 for count in names.values()):
            self.problem(f"topologies share a name: {names}")

    def _assignments(self, snapshot: ClusterSnapshot) -> None:
        served = [host for host in self._cluster.hosts if host.is_served]
        if set(snapshot.supervisors) != {host.node_id for host in served}:
            self.problem(f"supervisors known: {sorted(snapshot.supervisors)}")
        offered = {WorkerSlot(host.node_id, port) for host in served for port in host.options.slot_ports}
        used = {slot for assignment in snapshot.assignments.values() for slot in assignment.executor_slots.values()}
        for slot in used - offered:
            if slot.node_id in {host.node_id for host in served}:
                self.problem(f"{slot} is used, and its supervisor does not offer it")
        running = self._running()
        for stray in running.keys() - used:
            if not running[stray].is_forgotten(snapshot.bases):
                self.problem(f"{running[stray].name} runs where nothing is assigned")
        for topology_id, base in snapshot.bases.items():
            assignment = snapshot.assignments.get(topology_id)
            if assignment is None or not assignment.executor_slots:
                if offered - used:
                    self.problem(f"{topology_id} is not assigned, and {sorted(offered - used)} are free")
            elif offered.isdisjoint(assignment.executor_slots.values()) and not offered - used:
                self._waiting.add(topology_id)
            else:
                self._shares(snapshot, assignment, len(offered))
                self._workers(assignment, running, is_active=base.status is TopologyStatus.ACTIVE)

    def _running(self) -> dict[WorkerSlot, WorkerProcess]:
        return {
            WorkerSlot(host.node_id, process.handle.port): process
            for host in self._cluster.hosts
            for process in host.alive()
        }

    def _shares(self, snapshot: ClusterSnapshot, assignment: Assignment, offered: int) -> None:
        """Each executor is on one slot, and as many slots are used as were asked for, if there are so many."""
        topology_id, bases = assignment.topology_id, snapshot.bases
        if tuple(sorted(assignment.executor_slots)) != wanted_executors(snapshot, topology_id):
            self.problem(f"{topology_id}: not each of its executors is assigned once")
        wanted = min(bases[topology_id].num_workers, len(assignment.executor_slots))
        have = len(assignment.slot_executors())
        asked = sum(min(base.num_workers, sum(base.component_executors.values())) for base in bases.values())
        if have > wanted or (asked <= offered and have < wanted):
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

    def _remains(self, snapshot: ClusterSnapshot) -> None:
        """A topology that is gone leaves nothing."""
        cluster = self._cluster
        state = StormClusterState(cluster.tree.session())
        kinds = {
            "an assignment": set(state.assignment_ids()),
            "errors": set(state.error_topology_ids()),
            "blobs": TopologyBlobs(cluster.blobs).owners(),
        }
        for host in [host for host in cluster.hosts if host.is_served]:
            kinds[f"code on {host.name}"] = set(host.code)
        for kind, topology_ids in kinds.items():
            for topology_id in topology_ids - snapshot.bases.keys():
                self.problem(f"{topology_id} is gone and left {kind}")
        for topology_id in snapshot.bases:
            keys = cluster.blobs.keys(f"{topology_id}-storm")
            if len(keys) != 3:
                self.problem(f"{topology_id} has the blobs {keys}")

    def _tuples(self, snapshot: ClusterSnapshot) -> None:
        emitted_at = self._attempts()
        for topology_id, base in snapshot.bases.items():
            assignment = snapshot.assignments.get(topology_id)
            if assignment is None or not assignment.executor_slots or topology_id in self._waiting:
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
