"""Components to tasks to executors: Storm's rules.

Tasks are numbered from 1 over the components in the order of their ids, so that a component's tasks are a range. Their
number never changes while a topology lives; executors and workers do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from storm.ids import ExecutorId
from storm.topology.structure import StormTopology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storm.ids import ComponentId, TaskId
    from storm.topology.structure import ComponentSpec

TASKS_KEY = "topology.tasks"
MAX_TASKS_KEY = "topology.max.task.parallelism"
ACKERS_KEY = "topology.acker.executors"
WORKERS_KEY = "topology.workers"

T = TypeVar("T")


def acker_count(conf: Mapping[str, Any]) -> int:
    """How many ackers run: as asked for, else one a worker."""
    asked = conf.get(ACKERS_KEY)
    return int(conf.get(WORKERS_KEY) or 1) if asked is None else int(asked)


def num_tasks(spec: ComponentSpec, conf: Mapping[str, Any]) -> int:
    """The component's `topology.tasks`, else its parallelism; at most `topology.max.task.parallelism`."""
    own = spec.conf
    asked = own.get(TASKS_KEY)
    tasks = spec.parallelism if asked is None else int(asked)
    most = own.get(MAX_TASKS_KEY, conf.get(MAX_TASKS_KEY))
    return tasks if most is None else min(tasks, int(most))


def normalise(topology: StormTopology, conf: Mapping[str, Any]) -> StormTopology:
    """`topology` with the number of tasks written into every component's conf, where it stays for life."""

    def fixed(spec: ComponentSpec) -> ComponentSpec:
        tasks = num_tasks(spec, conf)
        return replace(spec, parallelism=min(spec.parallelism, tasks), conf={**spec.conf, TASKS_KEY: tasks})

    return StormTopology(
        {component_id: fixed(spec) for component_id, spec in topology.spouts.items()},
        {component_id: fixed(spec) for component_id, spec in topology.bolts.items()},
    )


def normalise_conf(conf: Mapping[str, Any]) -> dict[str, Any]:
    """`conf` with the number of ackers written out: they are tasks too, and a later rebalance must not change it."""
    return {**conf, ACKERS_KEY: acker_count(conf)}


def component_tasks(system_topology: StormTopology, conf: Mapping[str, Any]) -> dict[ComponentId, range]:
    """{component: its task ids}, in the order of component ids."""
    found: dict[ComponentId, range] = {}
    first = 1
    for component_id, spec in sorted(system_topology.components().items()):
        found[component_id] = range(first, first + num_tasks(spec, conf))
        first = found[component_id].stop
    return found


def task_components(system_topology: StormTopology, conf: Mapping[str, Any]) -> dict[TaskId, ComponentId]:
    """{task id: its component}."""
    tasks = component_tasks(system_topology, conf)
    return {task: component_id for component_id, ids in tasks.items() for task in ids}


def component_executors(system_topology: StormTopology, conf: Mapping[str, Any]) -> dict[ComponentId, int]:
    """{component: how many executors it asks for}, never more than it has tasks: what a topology starts with."""
    return {
        component_id: min(spec.parallelism, num_tasks(spec, conf))
        for component_id, spec in sorted(system_topology.components().items())
    }


def executors(
    component_executors: Mapping[ComponentId, int], component_tasks: Mapping[ComponentId, range]
) -> dict[ComponentId, list[ExecutorId]]:
    """{component: its executors}; more executors than tasks are as many as tasks, and a component not named has one."""
    return {
        component_id: [
            ExecutorId(part[0], part[-1]) for part in partition_fixed(component_executors.get(component_id, 1), tasks)
        ]
        for component_id, tasks in component_tasks.items()
    }


def partition_fixed(parts: int, items: Sequence[T]) -> list[Sequence[T]]:
    """Cut `items` into at most `parts` runs, none empty, whose lengths differ by one at most; the longer come first."""
    parts = min(parts, len(items))
    if parts <= 0:
        return []
    size, longer = divmod(len(items), parts)
    found, start = [], 0
    for i in range(parts):
        stop = start + size + (1 if i < longer else 0)
        found.append(items[start:stop])
        start = stop
    return found
