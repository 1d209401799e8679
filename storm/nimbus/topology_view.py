"""What is known of one topology at this moment: its record, its plan, where it runs and what its workers told last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from storm.cluster.records import BUILDING_ENVIRONMENT, TopologyStatus
from storm.environment_spec import NOT_BUILT
from storm.errors import StormError
from storm.ids import WorkerSlot
from storm.metrics.aggregation import ExecutorReport
from storm.metrics.insight_records import NOT_TOLD, Usage
from storm.nimbus.assignments import tags_wanted
from storm.nimbus.departures import unwelcome_nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from storm.cluster.records import Assignment, ErrorInfo, SlotFailure, StormBase
    from storm.ids import ComponentId, ExecutorId, NodeId, TopologyId
    from storm.metrics.insight_records import WorkerInsight
    from storm.nimbus.cluster_snapshot import ClusterSnapshot, TopologyPlan
    from storm.nimbus.heartbeats import Heartbeats

UNKNOWN_COMPONENT = "?"  # where the code cannot be read


class WorkerView(NamedTuple):
    """A slot in use; `uptime_secs` is as its worker told, None until it tells that its executors run.

    `insight`: how it and its peers get on, None where it has told nothing of that. `usage`: what it takes of its host.
    """

    slot: WorkerSlot
    host: str
    executors: tuple[ExecutorId, ...]
    uptime_secs: int | None
    insight: WorkerInsight | None = None
    usage: Usage = NOT_TOLD


class Leaving(NamedTuple):
    """A supervisor that a topology uses and should not; `why` is a word or two for people."""

    host: str
    why: str
    node_id: NodeId

    def __str__(self) -> str:
        return f"{self.host} ({self.why})"


class Lack(NamedTuple):
    """What a topology lacks to run as it should, as a sentence; empty: nothing. `of_slots`: free slots of hosts."""

    text: str = ""
    of_slots: bool = False


@dataclass(frozen=True, slots=True)
class TopologyView:
    """`plan` is None where this Nimbus cannot read the topology's code; `wall_secs` is when it was looked at.

    `replicas`: how many Nimbuses hold its code; None: this one does not know. `tags` are those that it asks of a host.
    `not_ready`: which hosts, where its workers do not run yet, lack its environment, in words. `metrics`: what the
    components of each worker measure.
    """

    base: StormBase
    plan: TopologyPlan | None
    assignment: Assignment | None
    workers: tuple[WorkerView, ...]
    reports: tuple[ExecutorReport, ...]
    wall_secs: int
    replicas: int | None = None
    leaving: tuple[Leaving, ...] = ()
    tags: tuple[str, ...] = ()
    not_ready: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    @property
    def uptime_secs(self) -> int:
        return max(0, self.wall_secs - self.base.launch_wall_secs)

    @property
    def known_plan(self) -> TopologyPlan:
        """Raises StormError where it is not known."""
        if self.plan is None:
            raise StormError(
                f"The code of topology {self.base.topology_id!r} cannot be read on this Nimbus; its log says why."
            )
        return self.plan

    @property
    def num_workers_wanted(self) -> int:
        """As many as it has once there are slots enough."""
        return min(self.base.num_workers, sum(self.base.component_executors.values()))

    def reports_of(self, component_id: ComponentId) -> list[ExecutorReport]:
        return [report for report in self.reports if report.component_id == component_id]

    def reports_at(self, host: str, port: int | None) -> tuple[ExecutorReport, ...]:
        return tuple(report for report in self.reports if (report.host, report.port) == (host, port))

    def component_tasks_on(self, worker: WorkerView) -> dict[ComponentId, int]:
        """How many tasks of which component run in this worker."""
        found: dict[ComponentId, int] = {}
        for executor in worker.executors:
            component_id = _component_of(self.plan, executor)
            found[component_id] = found.get(component_id, 0) + len(executor.tasks())
        return found

    def lack(self) -> Lack:
        found = self._lack_of_place()
        if not self.not_ready:
            return found
        return found._replace(text=f"{found.text} Not ready: {', '.join(self.not_ready)}.".lstrip())

    def _lack_of_place(self) -> Lack:
        wanted = self.num_workers_wanted
        leaving = ", ".join(dict.fromkeys(map(str, self.leaving)))
        supervisor = f"supervisor with the tags {', '.join(self.tags)}" if self.tags else "supervisor"
        if not self.workers:
            if self.plan is None:
                return Lack("Its code cannot be read here.")
            return Lack(f"Not scheduled: no {supervisor} has a free slot.", of_slots=True)
        if self.leaving and self.base.status is TopologyStatus.REBALANCING:
            return Lack(f"Leaves {leaving}, once what is under way is done.")
        if self.leaving and self.plan is None:
            return Lack(f"Shall leave {leaving}, and its code cannot be read here.")
        if self.leaving:
            return Lack(f"Shall leave {leaving}, and no other {supervisor} has a free slot.", of_slots=True)
        if len(self.workers) < wanted:
            some = f"{'Has' if self.not_ready else 'Runs on'} {len(self.workers)} of {wanted} workers"
            return Lack(f"{some}: no {supervisor} has another free slot.", of_slots=True)
        return Lack()


def view_topology(
    snapshot: ClusterSnapshot, heartbeats: Heartbeats, topology_id: TopologyId, wall_secs: int
) -> TopologyView:
    """Raises KeyError for an unknown id."""
    base, plan = snapshot.bases[topology_id], snapshot.plans.get(topology_id)
    assignment = snapshot.assignments.get(topology_id)
    workers: list[WorkerView] = []
    reports: list[ExecutorReport] = []
    metrics: list[str] = []
    for slot, executors in sorted(assignment.slot_executors().items()) if assignment is not None else ():
        assert assignment is not None
        beat = heartbeats.last(topology_id, slot)
        host = assignment.node_hosts.get(slot.node_id, slot.node_id)
        start = min(assignment.executor_start_wall_secs.get(executor, wall_secs) for executor in executors)
        uptime_secs = None if beat is None else beat.uptime_secs
        metrics += [beat.metrics] if beat is not None and beat.metrics else []
        told = (None, NOT_TOLD) if beat is None else (beat.insight, beat.usage)
        workers.append(WorkerView(slot, host, executors, uptime_secs, *told))
        reports.extend(
            ExecutorReport(
                executor,
                _component_of(plan, executor),
                host,
                slot.port,
                max(0, wall_secs - start) if uptime_secs is None else uptime_secs,
                None if beat is None else beat.stats.get(executor),
            )
            for executor in executors
        )
    return TopologyView(
        base,
        plan,
        assignment,
        tuple(workers),
        tuple(sorted(reports, key=_by_executor)),
        wall_secs,
        leaving=tuple(sorted(_leaving(snapshot, topology_id, workers))),
        tags=tags_wanted(snapshot, topology_id),
        not_ready=tuple(_not_ready(snapshot, topology_id, workers)),
        metrics=tuple(metrics),
    )


def _leaving(snapshot: ClusterSnapshot, topology_id: TopologyId, workers: Iterable[WorkerView]) -> Iterator[Leaving]:
    hosts = {worker.slot.node_id: worker.host for worker in workers}
    ill = {node_id for node_id, info in snapshot.supervisors.items() if info.illness and node_id in hosts}
    for node_id in ill | unwelcome_nodes(snapshot, topology_id):
        why = "ill" if node_id in ill else "drained" if node_id in snapshot.drains else "without its tags"
        yield Leaving(hosts[node_id], why, node_id)


def is_not_built(failure: SlotFailure | ErrorInfo) -> bool:
    """Whether there was no worker, since its environment could not be built. A supervisor of the former release says so
    in words only.
    """
    return failure.lacks_environment or failure.reason.startswith(NOT_BUILT)


def _not_ready(snapshot: ClusterSnapshot, topology_id: TopologyId, workers: Iterable[WorkerView]) -> list[str]:
    """As supervisors told lately; what a worker tells itself is newer."""
    waiting = {worker.slot for worker in workers if worker.uptime_secs is None}
    found = {}
    for node_id, info in snapshot.supervisors.items():
        for failure in info.failures:
            if failure.topology_id == topology_id and WorkerSlot(node_id, failure.port) in waiting:
                if is_not_built(failure):
                    found[info.host] = f"{info.host} {NOT_BUILT}"
                elif failure.state == BUILDING_ENVIRONMENT:
                    found[info.host] = f"{info.host} is building its environment"
    return [text for _, text in sorted(found.items())]


def _by_executor(report: ExecutorReport) -> ExecutorId:
    return report.executor


def _component_of(plan: TopologyPlan | None, executor: ExecutorId) -> ComponentId:
    return UNKNOWN_COMPONENT if plan is None else plan.task_components.get(executor.start_task, UNKNOWN_COMPONENT)
