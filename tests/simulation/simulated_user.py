"""Somebody who submits, kills and rebalances topologies, and remembers what was promised."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from simulated_topology import random_topology

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.errors import CoordinationError, StormError, TopologyAlreadyAliveError
from storm.nimbus import drains
from storm.nimbus.core import SubmitRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulated_cluster import SimulatedCluster
    from simulated_nimbus import NimbusProcess

    from storm.ids import TopologyId

ACTIVE, INACTIVE = TopologyStatus.ACTIVE, TopologyStatus.INACTIVE
NAMES = ("a", "b", "c")
ACKERS_SHARE = 0.4  # of topologies that have fewer ackers than workers
TRIES_MAX = 6
RETRY_SECS = 4.0


class Answer(Enum):
    """What somebody knows who asked Nimbus for something. UNSURE: no answer came, yet it may have been done."""

    DONE = "done"
    REFUSED = "refused"
    ALREADY_ALIVE = "already alive"
    UNSURE = "unsure"
    NOBODY = "nobody was there"


@dataclass
class Promise:
    """What a topology must be like in the end; several values where an answer did not come."""

    name: str
    exists: set[bool]
    statuses: set[TopologyStatus]
    num_workers: set[int]


@dataclass(eq=False)
class _Due:
    """A change that this Nimbus was asked for, and has not done yet."""

    nimbus: NimbusProcess
    change: Callable[[Promise], Promise]


class SimulatedUser:
    """Each action is one call of the Nimbus that leads."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._rng = cluster.rng
        self.promises: dict[TopologyId, Promise] = {}
        # By name: submissions that may have been carried out untold; None: what was promised and is forgotten.
        self.unsure: defaultdict[str, list[SubmitRequest | None]] = defaultdict(list)
        self.lost: set[TopologyId] = set()  # they were promised, ZooKeeper lost its data, and nobody ended them
        self._asked: set[str] = set()
        # By name: changes that a Nimbus may still carry out, on the topology that has the name by then.
        self._due: defaultdict[str, list[_Due]] = defaultdict(list)
        self._losses = 0

        self.actions: list[Callable[[], object]] = [
            self.submit, self.submit, self.kill, self.replace, self.resubmit, self.rebalance, self.rebalance,
            self.rebalance_often, self.switch, self.drain,
        ]  # fmt: skip

    def act(self) -> None:
        """Anything."""
        self._rng.choice(self.actions)()

    def forget(self) -> None:
        """Nothing is promised any more: the cluster lost what it knew."""
        for topology_id, promise in self.promises.items():
            self.unsure[promise.name].append(None)
            if promise.exists == {True}:
                self.lost.add(topology_id)
        self.promises.clear()
        self._losses += 1  # what is being done at the moment may be lost too

    def submit(self, name: str = "") -> None:
        """A topology of chance; again and again, until there is an answer."""
        name = name or self._rng.choice(NAMES)
        workers = self._rng.randint(1, 4)
        conf: dict[str, Any] = {"topology.workers": workers}
        if self._rng.random() < ACKERS_SHARE:
            conf["topology.acker.executors"] = self._rng.randint(1, 2)
        if self._rng.random() < 0.2:
            conf["topology.max.spout.pending"] = self._rng.randint(1, 3)
        topology = random_topology(self._cluster.record, self._rng)
        request = SubmitRequest(name, json.dumps(conf), topology, [b"package"], active=self._rng.random() < 0.9)
        self._submit(request, workers, TRIES_MAX)

    def _submit(self, request: SubmitRequest, workers: int, tries: int) -> None:
        promise = Promise(request.name, {True}, {ACTIVE if request.active else INACTIVE}, {workers})

        losses = self._losses

        def call(leader: NimbusProcess) -> None:
            topology_id = leader.core.submit(request)
            if self._losses == losses:
                self.promises[topology_id] = self._with_due(promise)
            else:
                self.unsure[request.name].append(None)

        answer = self._ask(f"submits {request.name} for {workers} workers", call)
        if answer is Answer.UNSURE:
            self.unsure[request.name].append(request)
        elif answer is Answer.ALREADY_ALIVE and self.unsure[request.name] == [request]:
            leader = self._cluster.leader()
            assert leader is not None
            topology_id = leader.core.snapshot.id_of(request.name)
            if topology_id is not None:  # its record may be unreadable
                self.promises.setdefault(topology_id, self._with_due(promise))
        if answer in (Answer.UNSURE, Answer.NOBODY) and tries > 1:
            events = self._cluster.events
            events.after(
                events.soon(RETRY_SECS),
                f"the user tries to submit {request.name} again",
                lambda: self._submit(request, workers, tries - 1),
            )

    def kill(self) -> str:
        """One of the topologies that there may be; its name, if there is any."""
        wait_secs = self._rng.choice((0, 1, 3, 6))
        return self._change("kill", lambda leader, name: leader.core.kill(name, wait_secs), _killed)

    def replace(self) -> None:
        """Kill one and submit another at once."""
        self.kill()
        self.submit()

    def resubmit(self) -> None:
        """Kill one, and submit another under its name until it is taken."""
        name = self.kill()
        for attempt in range(TRIES_MAX if name else 0):
            self._cluster.events.after(
                attempt * 2 * RETRY_SECS, f"the user wants {name} to be there again", lambda: self._submit_missing(name)
            )

    def _submit_missing(self, name: str) -> None:
        leader = self._cluster.leader()
        if leader is not None and leader.core.snapshot.id_of(name) is None:
            self.submit(name)

    def rebalance_often(self) -> None:
        """Up and down, under load."""
        events = self._cluster.events
        for turn in range(self._rng.randint(2, 6)):
            events.after(turn * self._rng.uniform(2.0, 6.0), "the user rebalances again", self.rebalance)

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

    def drain(self) -> None:
        """Take a host out of service, but never the last one; later it may be back."""
        leader, events = self._cluster.leader(), self._cluster.events
        drained = {} if leader is None else leader.core.snapshot.drains
        left = [host.node_id for host in self._cluster.hosts if host.node_id not in drained]
        if len(left) > 1:
            node_id, wait_secs = self._rng.choice(left), self._rng.choice((None, 0, 1, 4))
            self._ask(f"drains {node_id}", lambda leader: drains.drain(leader.core, node_id, wait_secs))
            if self._rng.random() < 0.5:
                events.after(self._rng.uniform(1.0, 30.0), "the user undrains", lambda: self._undrain(node_id))

    def _undrain(self, node_id: str) -> None:
        self._ask(f"undrains {node_id}", lambda leader: drains.undrain(leader.core, node_id))

    def ensure_work(self) -> None:
        """Somebody wants something to run, now that all is well."""
        leader = self._cluster.leader()
        bases = () if leader is None else leader.core.snapshot.bases.values()
        if not any(base.status is ACTIVE for base in bases):
            self.submit("last")

    def _change(
        self, what: str, call: Callable[[NimbusProcess, str], None], change: Callable[[Promise], Promise]
    ) -> str:
        """Ask for a change; then it is promised, or, where no answer came, possible. The topology's name."""
        known = sorted(topology_id for topology_id, promise in self.promises.items() if True in promise.exists)
        if not known:
            return ""
        topology_id = self._rng.choice(known)
        if topology_id in self._asked:
            return ""  # the Nimbus that was asked was paused: what it answers later would be told of the wrong promise
        promise = self.promises[topology_id]
        if any(
            other.name == promise.name for key, other in self.promises.items() if key in known and key != topology_id
        ):
            return ""  # it cannot be said which of them is meant
        leader = self._cluster.leader()
        if leader is None:
            return promise.name
        after = change(promise)
        self.promises[topology_id] = _either(promise, after)
        due = _Due(leader, change)
        is_awaited, losses = True, self._losses

        def answered(leader: NimbusProcess) -> None:
            meant = leader.core.snapshot.id_of(promise.name)
            if meant is not None and meant not in self.promises:
                self.unsure[promise.name].append(None)  # what the user knows of it, this may change
            try:
                call(leader, promise.name)
            finally:
                self._due[promise.name].remove(due)
            if is_awaited and self._losses == losses:
                self.promises[topology_id] = self._with_due(after)

        self._asked.add(topology_id)
        self._due[promise.name].append(due)
        answer = self._ask(f"asks to {what} {topology_id}", answered)
        is_awaited = False  # a Nimbus that is paused does it later, and nobody hears
        self._asked.discard(topology_id)
        if answer not in (Answer.DONE, Answer.UNSURE) and self._losses == losses:
            self.promises[topology_id] = promise
        return promise.name

    def _with_due(self, promise: Promise) -> Promise:
        """The promise, and what comes of it where changes of this name are carried out late."""
        for due in self._due[promise.name]:
            if due.nimbus.alive:
                promise = _either(promise, due.change(promise))
        return promise

    def _ask(self, what: str, call: Callable[[NimbusProcess], object]) -> Answer:
        leader, events = self._cluster.leader(), self._cluster.events
        if leader is None:
            return Answer.NOBODY
        events.note(f"the user {what}")
        answer = Answer.UNSURE

        def asked() -> None:
            nonlocal answer
            try:
                call(leader)
                answer = Answer.DONE
            except CoordinationError as error:
                events.note(f"the user hears: {error}")
            except StormError as error:
                events.note(f"the user is refused: {error}")
                answer = Answer.ALREADY_ALIVE if isinstance(error, TopologyAlreadyAliveError) else Answer.REFUSED

        leader.run(asked)
        return answer


def _either(one: Promise, other: Promise) -> Promise:
    return Promise(
        one.name, one.exists | other.exists, one.statuses | other.statuses, one.num_workers | other.num_workers
    )


def _killed(promise: Promise) -> Promise:
    return Promise(promise.name, {False}, promise.statuses, promise.num_workers)


def _switched(status: TopologyStatus) -> Callable[[Promise], Promise]:
    return lambda promise: Promise(promise.name, promise.exists, {status}, promise.num_workers)
