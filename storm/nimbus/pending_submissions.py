"""Submissions that wait until enough Nimbuses hold their blobs; no I/O.

`topology.min.replication.count` says how many are enough, `topology.max.replication.wait.time.sec` how long to wait
for them. As in Storm, a submission whose time is over goes on with as many as there are.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from storm.errors import StormError, TopologyAlreadyAliveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storm.cluster.records import StormBase
    from storm.ids import TopologyId
    from storm.nimbus.cluster_snapshot import ClusterSnapshot

log = logging.getLogger(__name__)

COUNT_KEY = "topology.min.replication.count"
WAIT_KEY = "topology.max.replication.wait.time.sec"


@dataclass(frozen=True, slots=True)
class ReplicationWait:
    """How many Nimbuses must hold a blob, and for how many seconds to wait for them at most."""

    count: int = 1
    secs_max: float = 60.0

    @classmethod
    def from_conf(cls, conf: Mapping[str, Any]) -> ReplicationWait:
        """As the topology's conf says; -1 seconds are for ever."""
        secs = conf.get(WAIT_KEY, cls().secs_max)
        return cls(int(conf.get(COUNT_KEY, cls().count)), inf if secs < 0 else secs)


@dataclass(frozen=True, slots=True)
class PendingSubmission:
    """A topology that is stored here. `done` ends when it is wanted, or tells why it will not be."""

    base: StormBase
    enough: int
    until: float
    done: Future[None] = field(default_factory=Future)


class PendingSubmissions:
    """Owned by Nimbus's one thread; `done` may be waited for by any."""

    def __init__(self) -> None:
        self._by_name: dict[str, PendingSubmission] = {}

    def add(self, submission: PendingSubmission) -> None:
        self._by_name[submission.base.name] = submission

    def earlier(self, name: str, submission_id: str, snapshot: ClusterSnapshot) -> PendingSubmission | None:
        """What became of this submission when it came before; None: the name is free.

        Raises TopologyAlreadyAliveError if the name belongs to another submission.
        """
        found = self._by_name.get(name)
        topology_id = snapshot.id_of(name)
        if topology_id is not None:
            found = PendingSubmission(snapshot.bases[topology_id], 1, 0.0)
            found.done.set_result(None)
        if found is None and snapshot.taken_by(name) is None:
            return None
        if found is None or not submission_id or found.base.submission_id != submission_id:
            raise TopologyAlreadyAliveError(already_alive(snapshot, name))
        log.info("The submission of %s was repeated by its client.", found.base.topology_id)
        return found

    def topology_ids(self) -> set[TopologyId]:
        return {base.topology_id for base in self.bases()}

    def bases(self) -> list[StormBase]:
        return [submission.base for submission in self._by_name.values()]

    def finish_ready(
        self, now: float, count: Callable[[StormBase], int], make_wanted: Callable[[StormBase], None]
    ) -> None:
        """Let `make_wanted` have those that wait no longer; `count` says how many Nimbuses hold all that it needs."""
        for submission in self._take_ready(now, count):
            try:
                make_wanted(submission.base)
            except StormError as error:
                submission.done.set_exception(error)
            else:
                submission.done.set_result(None)

    def _take_ready(self, now: float, count: Callable[[StormBase], int]) -> list[PendingSubmission]:
        ready = []
        for submission in self._by_name.values():
            holders = count(submission.base)
            if holders >= submission.enough or now >= submission.until:
                ready.append(submission)
                if holders < submission.enough:
                    log.warning(
                        "Topology %s goes on with its code and blobs on %d of %d Nimbuses (%s): "
                        "no more have fetched them in time.",
                        submission.base.topology_id, holders, submission.enough, COUNT_KEY,
                    )  # fmt: skip
        for submission in ready:
            del self._by_name[submission.base.name]
        return ready

    def fail_all(self, error: StormError) -> list[PendingSubmission]:
        """Tell all that they will not be wanted; those."""
        failed, self._by_name = list(self._by_name.values()), {}
        for submission in failed:
            submission.done.set_exception(error)
        return failed

    def next_secs(self, now: float) -> float:
        """Until the first one's time is over; infinity: none waits for a time."""
        return min((submission.until - now for submission in self._by_name.values()), default=inf)


def already_alive(snapshot: ClusterSnapshot, name: str) -> str:
    """A sentence that says which topology has the name."""
    topology_id = snapshot.taken_by(name)
    if topology_id is None:
        return f"A topology called {name!r} is just being submitted."
    running = snapshot.bases.get(topology_id)
    if running is None:
        return f"A topology called {name!r} is there already: {topology_id}, whose record in ZooKeeper cannot be read."
    return f"A topology called {name!r} is there already: {running.topology_id}, {running.status.value}."
