"""What the rules judge, a topology as Nimbus tells of it, and what they find: troubles; pure."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Fault(NamedTuple):
    """The last error of a component. `text`: its headline; `worker`: host:port, empty where that is not known."""

    text: str
    ago_secs: int
    worker: str = ""


class Insight(NamedTuple):
    """What the executors of a component do at the moment, as many as are `known`; Nimbus's ComponentInsight.

    `reasons`: {what keeps executors from working: how many}; `text` says the worst in words, and `held_by` names the
    components that are waited for. `silent` executors of a spout emit nothing; `full` ones of a bolt cause back
    pressure. `pending`, `queued`, `unsettled`: tuples under way, waiting, and executed but neither acked nor failed.
    """

    known: int
    reasons: Mapping[str, int] = {}
    text: str = ""
    held_by: tuple[str, ...] = ()
    silent: int = 0
    full: int = 0
    pending: int = 0
    pending_max: int | None = None
    queued: int = 0
    unsettled: int = 0


NOT_TOLD = Insight(0)


class Component(NamedTuple):
    """Counts are of the last 10 minutes, latencies in milliseconds."""

    name: str
    is_spout: bool
    executors: int = 1
    tasks: int = 1
    emitted: int = 0
    executed: int = 0
    acked: int = 0
    failed: int = 0
    capacity: float = 0.0
    execute_ms: float = 0.0
    process_ms: float = 0.0
    complete_ms: float = 0.0
    error: Fault | None = None
    insight: Insight = NOT_TOLD

    @property
    def is_silent(self) -> bool:
        """A spout of which no executor emits, as far as is known."""
        if self.insight.known:
            return self.is_spout and self.insight.silent == self.insight.known
        return self.is_spout and not self.emitted


class Worker(NamedTuple):
    """`at`: host:port. `uptime_secs` None: it has not told yet that it runs.

    `missing_peers`: it cannot reach them; `slow_peers` take less than it sends. `dropped`: {why: how much, of tuples,
    acks and frames that could not be delivered since it began}.
    """

    at: str
    uptime_secs: int | None
    missing_peers: tuple[str, ...] = ()
    slow_peers: tuple[str, ...] = ()
    dropped: Mapping[str, int] = {}


class DeadWorker(NamedTuple):
    """A slot whose worker died `deaths` times in a row; 0: it waits for what `reason` says. As Nimbus's SlotFailure.

    `state`: what the slot does now, in the supervisor's word; empty: not told. `last_lines` are of its log.
    """

    at: str
    deaths: int
    reason: str
    ago_secs: int
    retry_secs: int | None = None
    last_lines: tuple[str, ...] = ()
    state: str = ""


class EndedWorker(NamedTuple):
    """One that ended in the last 10 minutes, and how, as the rest of a sentence about it."""

    at: str
    text: str


class Topology(NamedTuple):
    """`acked`, `failed`: trees of its spouts in the last 10 minutes; `complete_ms` is their mean time.

    `lacks`: what it lacks to run as it should, in Nimbus's words; `lacks_slots`: that is free slots. `ended_workers`:
    the last one first, those of `dead_workers` left out.
    """

    name: str
    status: str
    uptime_secs: int
    lacks: str = ""
    lacks_slots: bool = False
    acked: int = 0
    failed: int = 0
    complete_ms: float = 0.0
    timeout_secs: float = 30.0
    components: tuple[Component, ...] = ()
    workers: tuple[Worker, ...] = ()
    dead_workers: tuple[DeadWorker, ...] = ()
    ended_workers: tuple[EndedWorker, ...] = ()
    id: str = ""


class Severity(IntEnum):
    NOTE = 1
    WARNING = 2
    CRITICAL = 3


class Trouble(NamedTuple):
    """`what` is a sentence, and so is `advice`, which says what to do; it may be empty.

    `topology` and `supervisor` (ids), `component` and `worker` (host:port): what links lead to; empty: nothing.
    `concerns`: other components whose pages tell of it too. `is_of_failures`: the page of the tuples that failed says
    more of it.
    """

    severity: Severity
    what: str
    advice: str = ""
    component: str = ""
    worker: str = ""
    concerns: tuple[str, ...] = ()
    is_of_failures: bool = False
    topology: str = ""
    supervisor: str = ""


def worst_first(found: Iterable[Trouble]) -> list[Trouble]:
    """Of equals, the order stays."""
    return sorted(found, key=lambda trouble: -trouble.severity)


def worst(found: Iterable[Trouble]) -> Severity | None:
    return max((trouble.severity for trouble in found), default=None)
