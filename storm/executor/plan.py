"""What one worker runs, and what follows from it: who subscribes to whom, who holds the ledger of a spout's trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from storm.ids import (
    ACKER_COMPONENT,
    METRICS_STREAM,
    SYSTEM_COMPONENT,
    SYSTEM_TASK,
    TICK_STREAM,
    ExecutorId,
    GlobalStreamId,
)
from storm.topology.context import TopologyContext, WorkerContext
from storm.topology.structure import GroupingKind
from storm.tuples import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from storm.ids import ComponentId, StreamId, TaskId, TopologyId
    from storm.topology.structure import Grouping, StormTopology

#: The fields of what the worker itself, task -1, emits.
SYSTEM_STREAMS = {TICK_STREAM: ("rate_secs",), METRICS_STREAM: ("task-info", "data-points")}


@dataclass(frozen=True)
class WorkerPlan:
    """`topology` is the system topology, `conf` the topology's effective conf; `executors` are this worker's.

    `task_components` names every task of the whole topology. `code_dir`: where the user's package was unpacked, None
    where it runs in place. `work_dir`: the worker's own directory, None for the current one.
    """

    topology: StormTopology
    conf: Mapping[str, Any]
    topology_id: TopologyId
    executors: Sequence[ExecutorId]
    task_components: Mapping[TaskId, ComponentId]
    port: int = 0
    code_dir: Path | None = None
    work_dir: Path | None = None

    @cached_property
    def local_tasks(self) -> frozenset[TaskId]:
        """The tasks of this worker, the system's own (-1) left out."""
        return frozenset(task for executor in self.executors for task in executor.tasks() if task != SYSTEM_TASK)

    @cached_property
    def worker_context(self) -> WorkerContext:
        return WorkerContext(
            topology=self.topology,
            conf=self.conf,
            topology_id=self.topology_id,
            task_components=self.task_components,
            worker_tasks=sorted(self.local_tasks),
            port=self.port,
            code_dir=self.code_dir,
            work_dir=self.work_dir,
        )

    def context(self, task: TaskId) -> TopologyContext:
        return TopologyContext(self.worker_context, task)

    def tasks_of(self, component_id: ComponentId) -> tuple[TaskId, ...]:
        """All tasks of a component in the whole topology, ascending."""
        return self.worker_context.component_tasks.get(component_id, ())

    def subscriptions(self, component_id: ComponentId, stream: StreamId) -> Iterator[tuple[ComponentId, Grouping]]:
        """Who subscribes to a stream and has tasks, in the order of ids; what the ackers exchange is none of these.

        Nor are metrics: their consumers are given them beside the tuples' path, so that no executor pays for them.
        """
        if stream == METRICS_STREAM:
            return
        wanted = GlobalStreamId(component_id, stream)
        for subscriber, spec in sorted(self.topology.components().items()):
            if (
                wanted in spec.inputs
                and ACKER_COMPONENT not in (subscriber, component_id)
                and self.tasks_of(subscriber)
            ):
                yield subscriber, spec.inputs[wanted]

    def user_inputs(self, component_id: ComponentId) -> list[GlobalStreamId]:
        """The streams of other components (or its own) that a component subscribes to."""
        return [
            source for source in self.topology.component(component_id).inputs if source.component_id != ACKER_COMPONENT
        ]

    @cached_property
    def ackers(self) -> tuple[TaskId, ...]:
        """All acker tasks of the topology; none: nothing is tracked."""
        return self.tasks_of(ACKER_COMPONENT)

    def holder(self, spout_task: TaskId) -> TaskId | None:
        """Which task holds the ledger of the trees of a spout's task of this worker; None: nothing is tracked.

        The spout's task itself where this worker has an acker: what that acker would do is done without a message.
        """
        if not self.ackers:
            return None
        if not self.local_tasks.isdisjoint(self.ackers):
            return spout_task
        return self.ackers[spout_task % len(self.ackers)]

    def origin(self, task: TaskId, stream: StreamId) -> Origin:
        """Raises KeyError if there is no such task or stream."""
        if task == SYSTEM_TASK:
            return Origin(SYSTEM_COMPONENT, stream, SYSTEM_TASK, SYSTEM_STREAMS[stream])
        component_id = self.task_components[task]
        fields = self.topology.component(component_id).streams[stream].fields
        return Origin(component_id, stream, task, fields)

    @cached_property
    def feeds(self) -> dict[ComponentId, frozenset[ComponentId]]:
        """{component: those that subscribe to it directly}."""
        found: dict[ComponentId, set[ComponentId]] = {
            component_id: set() for component_id in self.topology.components()
        }
        for subscriber in self.topology.components():
            if subscriber != ACKER_COMPONENT:
                for source in self.user_inputs(subscriber):
                    if source.stream_id == METRICS_STREAM:  # nobody waits for a consumer that has too much to do
                        continue
                    found.setdefault(source.component_id, set()).add(subscriber)
        return {component_id: frozenset(subscribers) for component_id, subscribers in found.items()}

    @cached_property
    def reaches(self) -> dict[ComponentId, frozenset[ComponentId]]:
        """{component: all that descend from it}; itself too if it is in a cycle."""
        found = {}
        for component_id in self.feeds:
            seen: set[ComponentId] = set()
            waiting = list(self.feeds[component_id])
            while waiting:
                below = waiting.pop()
                if below not in seen:
                    seen.add(below)
                    waiting.extend(self.feeds.get(below, ()))
            found[component_id] = frozenset(seen)
        return found

    def must_wait(self, component_id: ComponentId, full: Iterable[TaskId]) -> bool:
        """Whether a component stops while the tasks `full` have too much to do.

        A spout stops for every task that descends from it. A bolt stops for those that it feeds, unless these feed it
        in turn: in a cycle somebody must go on, or nobody would ever.
        """
        components = {self.task_components[task] for task in full if task in self.task_components}
        if component_id in self.topology.spouts:
            return not components.isdisjoint(self.reaches[component_id])
        return any(
            below in components and component_id not in self.reaches[below]
            for below in self.feeds.get(component_id, ())
        )

    def fused_sources(self, component_id: ComponentId) -> list[ComponentId]:
        """The components whose executors this one's run in: those that it subscribes to by none grouping."""
        inputs = self.topology.component(component_id).inputs
        return sorted(source.component_id for source, how in inputs.items() if how.kind is GroupingKind.NONE)

    def in_flow_order(self) -> list[ExecutorId]:
        """This worker's executors so that a tuple meets them in turn: spouts first, then breadth first."""
        place: dict[ComponentId, int] = {}
        waiting = sorted(self.topology.spouts)
        while waiting:
            for component_id in waiting:
                place.setdefault(component_id, len(place))
            waiting = sorted({c for above in waiting for c in self.feeds.get(above, ()) if c not in place})
        mine = [executor for executor in self.executors if executor.start_task != SYSTEM_TASK]
        return sorted(mine, key=lambda e: (place.get(self.task_components[e.start_task], len(place)), e))
