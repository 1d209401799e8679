"""Somebody who submits, kills and rebalances topologies, and remembers what was promised."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulated_topology import random_topology

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.errors import CoordinationError, StormError
from storm.nimbus.core import SubmitRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulated_cluster import SimulatedCluster
    from simulated_nimbus import NimbusProcess

    from storm.ids import TopologyId

ACTIVE, INACTIVE = TopologyStatus.ACTIVE, TopologyStatus.INACTIVE
NAMES = ("a", "b", "c")


@dataclass
class Promise:
    """What a topology must be like in the end; several values where an answer did not come."""

    name: str
    exists: set[bool]
    statuses: set[TopologyStatus]
    num_workers: set[int]


class SimulatedUser:
    """Each action is one call of the Nimbus that leads."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._rng = cluster.rng
        self.promises: dict[TopologyId, Promise] = {}

    def act(self) -> None:
        """Anything."""
        actions = [self.submit, self.submit, self.kill, self.replace, self.rebalance, self.rebalance, self.switch]
        self._rng.choice(actions)()

    def submit(self, name: str = "") -> None:
        """A topology of chance."""
        name = name or self._rng.choice(NAMES)
        workers = self._rng.randint(1, 4)
        conf: dict[str, Any] = {"topology.workers": workers}
        if self._rng.random() < 0.4:
            conf["topology.acker.executors"] = self._rng.randint(1, 2)
        if self._rng.random() < 0.2:
            conf["topology.max.spout.pending"] = self._rng.randint(1, 3)
        topology = random_topology(self._cluster.record, self._rng)
        request = SubmitRequest(name, json.dumps(conf), topology, [b"package"], active=self._rng.random() < 0.9)

        def call(leader: NimbusProcess) -> None:
            topology_id = leader.core.submit(request)
            statuses = {ACTIVE if request.active else INACTIVE}
            self.promises[topology_id] = Promise(name, {True}, statuses, {workers})

        self._ask(f"submits {name} for {workers} workers", call)

    def kill(self) -> None:
        """One of the topologies that there may be."""
        wait_secs = self._rng.choice((0, 1, 3, 6))
        self._change("kill", lambda leader, name: leader.core.kill(name, wait_secs), _killed)

    def replace(self) -> None:
        """Kill one and submit another at once."""
        self.kill()
        self.submit()

    def rebalance(self) -> None:
        """To more or fewer workers and executors."""
        workers, wait_secs = self._rng.randint(1, 5), self._rng.choice((0, 1, 4))
        counts = {f"layer{i}": self._rng.randint(1, 4) for i in range(3) if self._rng.random() < 0.5}

        def call(leader: NimbusProcess, name: str) -> None:
            base = leader.core.snapshot.bases.get(leader.core.snapshot.id_of(name) or "")
            known = {} if base is None else base.component_executors
            executors = {component: count for component, count in counts.items() if component in known}
            leader.core.rebalance(name, RebalanceRequest(workers, executors), wait_secs)

        def change(promise: Promise) -> Promise:
            return Promise(promise.name, promise.exists, promise.statuses, {workers})

        self._change(f"rebalance to {workers} workers", call, change)

    def switch(self) -> None:
        """Activate or deactivate."""
        if self._rng.random() < 0.4:
            self._change("activate", lambda leader, name: leader.core.activate(name), _switched(ACTIVE))
        else:
            self._change("deactivate", lambda leader, name: leader.core.deactivate(name), _switched(INACTIVE))

    def ensure_work(self) -> None:
        """Somebody wants something to run, now that all is well."""
        leader = self._cluster.leader()
        bases = () if leader is None else leader.core.snapshot.bases.values()
        if not any(base.status is ACTIVE for base in bases):
            self.submit("last")

    def _change(
        self, what: str, call: Callable[[NimbusProcess, str], None], change: Callable[[Promise], Promise]
    ) -> None:
        """Ask for a change; then it is promised, or, where no answer came, possible."""
        known = sorted(topology_id for topology_id, promise in self.promises.items() if True in promise.exists)
        if not known:
            return
        topology_id = self._rng.choice(known)
        promise = self.promises[topology_id]
        if any(
            other.name == promise.name for key, other in self.promises.items() if key in known and key != topology_id
        ):
            return  # it cannot be said which of them is meant
        after = change(promise)
        both = Promise(
            promise.name,
            promise.exists | after.exists,
            promise.statuses | after.statuses,
            promise.num_workers | after.num_workers,
        )
        self.promises[topology_id] = both

        def answered(leader: NimbusProcess) -> None:
            call(leader, promise.name)
            self.promises[topology_id] = after

        if self._ask(f"asks to {what} {topology_id}", answered):
            self.promises[topology_id] = promise

    def _ask(self, what: str, call: Callable[[NimbusProcess], None]) -> bool:
        """Whether it is certain that nothing was done."""
        leader, events = self._cluster.leader(), self._cluster.events
        if leader is None:
            return True
        events.note(f"the user {what}")
        refused = False

        def asked() -> None:
            nonlocal refused
            try:
                call(leader)
            except CoordinationError as error:
                events.note(f"the user hears: {error}")
            except StormError as error:
                events.note(f"the user is refused: {error}")
                refused = True

        leader.run(asked)
        return refused


def _killed(promise: Promise) -> Promise:
    return Promise(promise.name, {False}, promise.statuses, promise.num_workers)


def _switched(status: TopologyStatus) -> Callable[[Promise], Promise]:
    return lambda promise: Promise(promise.name, promise.exists, {status}, promise.num_workers)
