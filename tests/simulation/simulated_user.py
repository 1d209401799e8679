"""Somebody who submits, kills and rebalances topologies, and remembers what was promised."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from simulated_topology import random_topology

from storm.cluster.records import RebalanceRequest, TopologyStatus
from storm.errors import CoordinationError, StormError
from storm.nimbus import drains
from storm.nimbus.cluster_snapshot import ClusterSnapshot
from storm.nimbus.core import SubmitRequest
from storm.nimbus.pending_submissions import COUNT_KEY, WAIT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulated_cluster import SimulatedCluster
    from simulated_nimbus import NimbusProcess

    from storm.ids import TopologyId
    from storm.nimbus.pending_submissions import PendingSubmission

ACTIVE, INACTIVE = TopologyStatus.ACTIVE, TopologyStatus.INACTIVE
NAMES = ("a", "b", "c")
ACKERS_SHARE = 0.4  # of topologies that have fewer ackers than workers
TRIES_MAX = 6
RETRY_SECS = 4.0
PATIENCE_SECS = 12.0


class Answer(Enum):
    """What somebody knows who asked Nimbus for something. UNSURE: no answer came, yet it may have been done."""

    DONE = "done"
    REFUSED = "refused"
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


@dataclass(eq=False)
class _Submission:
    """A try of one. `losses`: how often everything had been forgotten when it began, at virtual second `since`.
    `is_repeated`: an earlier try may have been carried out. `is_over`: its answer has come, or nobody listens any more.
    """

    request: SubmitRequest
    workers: int
    tries: int
    since: float
    losses: int
    is_repeated: bool = False
    is_awaited: bool = False
    is_over: bool = False

    def awaits(self, unsure: list[SubmitRequest | None]) -> None:
        """Until there is an answer it may be carried out untold."""
        if not self.is_repeated:
            self.is_awaited = True
            unsure.append(self.request)

    @property
    def promise(self) -> Promise:
        status = ACTIVE if self.request.active else INACTIVE
        return Promise(self.request.name, {True}, {status}, {self.workers})


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
        self._submissions = 0

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
        conf |= self._replication()
        self._submissions += 1
        conf["topology.submission.id"] = str(self._submissions)
        topology = random_topology(self._cluster.record, self._rng)
        request = SubmitRequest(name, json.dumps(conf), topology, [b"package"], active=self._rng.random() < 0.9)
        self._submit(request, workers, TRIES_MAX)

    def _replication(self) -> dict[str, Any]:
        """On how many Nimbuses a topology shall be before it is acknowledged, and how long to wait for them."""
        nimbuses = len(self._cluster.nimbuses)
        count = self._rng.choice((1, 1, 2, 3))
        wait_secs = self._rng.choice((10, -1)) if count <= nimbuses else 2
        return {} if count == 1 else {COUNT_KEY: count, WAIT_KEY: wait_secs}

    def _submit(self, request: SubmitRequest, workers: int, tries: int) -> None:
        events = self._cluster.events
        submission = _Submission(request, workers, tries, events.clock.now(), self._losses)
        submission.is_repeated = request in self.unsure[request.name]

        def call(leader: NimbusProcess) -> None:
            pending = leader.core.begin_submission(request)
            if pending.done.done():
                self._submitted(submission, leader, pending)
                return
            submission.awaits(self.unsure[request.name])
            events.after(
                PATIENCE_SECS, f"the user waits no longer for {request.name}", lambda: self._give_up(submission)
            )
            # What a callback raises nobody hears.
            pending.done.add_done_callback(
                lambda done: events.after(
                    0.0, f"the user hears of {request.name}", lambda: self._submitted(submission, leader, pending)
                )
            )

        answer = self._ask(f"submits {request.name} for {workers} workers", call)
        if answer is Answer.UNSURE and request not in self.unsure[request.name]:
            self.unsure[request.name].append(request)
        if answer in (Answer.UNSURE, Answer.NOBODY):
            self._submit_again(submission)

    def _submitted(self, submission: _Submission, leader: NimbusProcess, pending: PendingSubmission) -> None:
        """Its Nimbus says what became of it, if it lives and anybody still listens."""
        if submission.is_over or not leader.alive:
            return
        submission.is_over = True
        request, name = submission.request, submission.request.name
        if pending.done.exception() is not None:
            self._submit_again(submission)
            return
        if not submission.is_repeated:
            self._cluster.checks.code.submitted(leader, pending, submission.since)
        if self._losses != submission.losses:
            self.unsure[name].append(None)
        elif not submission.is_repeated or self.unsure[name] == [request]:
            self.promises.setdefault(pending.base.topology_id, self._with_due(submission.promise))
            if submission.is_awaited:
                self.unsure[name].remove(request)

    def _give_up(self, submission: _Submission) -> None:
        if not submission.is_over:
            submission.is_over = True
            self._submit_again(submission)

    def _submit_again(self, submission: _Submission) -> None:
        request, tries = submission.request, submission.tries
        if tries > 1:
            events = self._cluster.events
            events.after(
                events.soon(RETRY_SECS),
                f"the user tries to submit {request.name} again",
                lambda: self._submit(request, submission.workers, tries - 1),
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
        """To more or fewer workers and executors, with another conf now and then."""
        workers, wait_secs = self._rng.randint(1, 5), self._rng.choice((0, 1, 4))
        counts = {f"layer{i}": self._rng.randint(1, 4) for i in range(3) if self._rng.random() < 0.5}
        overrides = {"topology.max.spout.pending": self._rng.randint(1, 3)} if self._rng.random() < 0.3 else {}

        def call(leader: NimbusProcess, name: str) -> None:
            base = leader.core.snapshot.bases.get(leader.core.snapshot.id_of(name) or "")
            known = {} if base is None else base.component_executors
            executors = {component: count for component, count in counts.items() if component in known}
            leader.core.rebalance(name, RebalanceRequest(workers, executors, overrides), wait_secs)

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
        snapshot = ClusterSnapshot() if leader is None else leader.core.snapshot
        if not any(snapshot.bases[topology_id].status is ACTIVE for topology_id in snapshot.plans):
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
                answer = Answer.REFUSED

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
