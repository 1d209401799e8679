"""All that a scheduler knows: topologies with what they have, and slots. Frozen; no ZooKeeper, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from storm.ids import ExecutorId, NodeId, TopologyId, WorkerSlot

Placement: TypeAlias = Mapping[ExecutorId, WorkerSlot]


@dataclass(frozen=True, slots=True)
class TopologyNeeds:
    """One topology: what it wants, and where its executors that still run are.

    `num_workers` is how many slots it wants. `executors` are all it must have. `placed` says what runs where and
    may stay, also executors that are wanted no more: their slots change. A slot of a missing supervisor may be
    among them while its worker still beats. `spread` asks for an even share of workers on each node, even if
    workers must move: a rebalance. `nodes` are those whose slots it may be given; None: all. `failing` are those on
    which its workers die again and again: their free slots are used only where nothing else is free.
    """

    topology_id: TopologyId
    num_workers: int
    executors: tuple[ExecutorId, ...]
    placed: Placement = field(default_factory=dict)
    spread: bool = False
    nodes: frozenset[NodeId] | None = None
    failing: frozenset[NodeId] = frozenset()

    def is_placed(self) -> bool:
        """Whether each executor has a slot."""
        return all(executor in self.placed for executor in self.executors)


@dataclass(frozen=True, slots=True)
class SchedulingState:
    """`topologies` in the order in which they were launched; `slots` are those of live supervisors, free or
    used.

    `avoid`: slots that are used only where nothing else is free, such as those whose worker has just been found dead:
    {slot: how much it is to be avoided, from 1 on}.
    """

    topologies: tuple[TopologyNeeds, ...]
    slots: tuple[WorkerSlot, ...]
    avoid: Mapping[WorkerSlot, int] = field(default_factory=dict)


Scheduler: TypeAlias = Callable[[SchedulingState], dict[TopologyId, Placement]]
"""Answers a placement for each topology of the state: complete, or empty where there is no slot for it at
all.
"""
