"""All that one round of Nimbus decides on, read once and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from storm.cluster.records import TopologyStatus
from storm.topology.parallelism import component_tasks, executors, task_components
from storm.topology.system_topology import system_topology

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storm.cluster.records import Assignment, Drain, StormBase, SupervisorInfo
    from storm.ids import ComponentId, ExecutorId, TaskId, TopologyId
    from storm.topology.structure import StormTopology


@dataclass(frozen=True, slots=True)
class TopologyPlan:
    """A topology's code and conf, and what follows from them for as long as it lives.

    `topology` is as the user built it, `system` has the system's components too. `conf` is the conf that was
    submitted, with the cluster's defaults and what rebalances have changed since.
    """

    topology: StormTopology
    system: StormTopology
    conf: Mapping[str, Any]
    component_tasks: Mapping[ComponentId, range]
    task_components: Mapping[TaskId, ComponentId]

    def executors(self, component_executors: Mapping[ComponentId, int]) -> dict[ComponentId, list[ExecutorId]]:
        """The executors of each component, for these numbers of them."""
        return executors(component_executors, self.component_tasks)

    def num_tasks(self) -> int:
        return len(self.task_components)

    def component_of(self, executor: ExecutorId) -> ComponentId:
        """Raises KeyError for an executor of another topology."""
        return self.task_components[executor.start_task]


def plan_of(topology: StormTopology, conf: Mapping[str, Any]) -> TopologyPlan:
    """The plan of a normalised topology."""
    system = system_topology(topology, conf)
    return TopologyPlan(topology, system, conf, component_tasks(system, conf), task_components(system, conf))


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """The state of the cluster as it was read.

    `base_versions` are the versions of the nodes that hold `bases`. `unreadable` topologies exist, but their
    record cannot be read: nothing of theirs is touched. `lost` ones among them have an assignment and no record at
    all, which no Nimbus leaves behind. `plans` lacks topologies whose code or conf this
    Nimbus cannot read: they stay as they are.
    """

    bases: Mapping[TopologyId, StormBase] = field(default_factory=dict)
    base_versions: Mapping[TopologyId, int] = field(default_factory=dict)
    unreadable: frozenset[TopologyId] = frozenset()
    lost: frozenset[TopologyId] = frozenset()
    assignments: Mapping[TopologyId, Assignment] = field(default_factory=dict)
    unreadable_assignments: frozenset[TopologyId] = frozenset()
    supervisors: Mapping[str, SupervisorInfo] = field(default_factory=dict)
    drains: Mapping[str, Drain] = field(default_factory=dict)
    plans: Mapping[TopologyId, TopologyPlan] = field(default_factory=dict)

    def id_of(self, name: str) -> TopologyId | None:
        """The id of the topology that bears this name; one that is being killed bears it still."""
        return next((topology_id for topology_id, base in self.bases.items() if base.name == name), None)

    def taken_by(self, name: str) -> TopologyId | None:
        """Whose this name is, also where its record is there and cannot be read: an id begins with the name."""
        found = self.id_of(name)
        hidden = () if found is not None else sorted(self.unreadable - self.lost)
        return next((topology_id for topology_id in hidden if topology_id.rsplit("-", 2)[0] == name), found)

    def own_timeouts(self) -> dict[TopologyId, float]:
        """{topology: for how many seconds its conf lets its workers be silent}, where it says so."""
        found = {topology_id: plan.conf.get("topology.worker.timeout.secs") for topology_id, plan in self.plans.items()}
        return {topology_id: secs for topology_id, secs in found.items() if secs is not None}

    def with_topology(self, base: StormBase, plan: TopologyPlan | None) -> ClusterSnapshot:
        """The same with another record of a topology, and its plan if it is known."""
        topology_id = base.topology_id
        plans = self.plans if plan is None else {**self.plans, topology_id: plan}
        return replace(self, bases={**self.bases, topology_id: base}, plans=plans)

    def launch_order(self) -> list[TopologyId]:
        """Ids, the oldest topology first."""
        return sorted(self.bases, key=lambda topology_id: (self.bases[topology_id].launch_wall_secs, topology_id))

    def schedulable(self) -> list[TopologyId]:
        """Ids of those that may get slots, the oldest first: known in full, and not being killed."""
        return [
            topology_id
            for topology_id in self.launch_order()
            if topology_id in self.plans and self.bases[topology_id].status is not TopologyStatus.KILLED
        ]
