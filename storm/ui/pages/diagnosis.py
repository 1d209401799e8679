"""What is the trouble with a topology, and why: from what Nimbus tells, the worst first; pure.

Written for somebody who is woken at night: every trouble is one sentence that names the component or the worker, and
one that says what to do. What follows from another trouble is told with it, not beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from storm.ui.rest.formats import pretty_secs

RECENT_SECS = 600  # an error is news that long; figures here are of the last 10 minutes
NEARLY_SATURATED = 0.8  # Storm's rule: a bolt at a capacity of 1 has no time left
MEASURED_LEAST = 0.9  # what is saturated shows less: it waits for its turn, and capacity is of samples
SILENT_SECS = 60  # how long a spout may be up without emitting before anybody is told
START_SECS = 120  # `supervisor.worker.start.timeout.secs`: how long a worker may take until it tells of itself
FAILING_SHARE = 0.01  # of the tuples: below, it is a note
HOLDING_SHARE = 0.5  # of what is under way: who holds more is told of
# Reasons, docs/thrift.md; the first three are no trouble by themselves.
INACTIVE, OPENING, NOTHING_TO_EMIT = "inactive", "opening", "nothing-to-emit"
MAX_PENDING, IN_CALL, BACK_PRESSURE, SLOW_PEER = "max-pending", "in-call", "back-pressure", "slow-peer"
LATE_SHARE = 0.8  # of the message timeout: complete latency beyond is about to be failures


class Severity(IntEnum):
    NOTE = 1
    WARNING = 2
    CRITICAL = 3


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
    """`at`: host:port. `uptime_secs` None: it has not told yet that it runs. `missing_peers`: it cannot reach them."""

    at: str
    uptime_secs: int | None
    missing_peers: tuple[str, ...] = ()


class DeadWorker(NamedTuple):
    """A slot whose worker died `deaths` times in a row; 0: it waits for what `reason` says. As Nimbus's SlotFailure."""

    at: str
    deaths: int
    reason: str
    ago_secs: int
    retry_secs: int | None = None
    last_lines: tuple[str, ...] = ()  # of its log


class EndedWorker(NamedTuple):
    """One that ended in the last 10 minutes, and how, as the rest of a sentence about it."""

    at: str
    text: str


class Topology(NamedTuple):
    """`acked`, `failed`: trees of its spouts in the last 10 minutes; `complete_ms` is their mean time.

    `lacks`: what it lacks to run as it should, in Nimbus's words. `ended_workers`: the last one first, those of
    `dead_workers` left out.
    """

    name: str
    status: str
    uptime_secs: int
    lacks: str = ""
    acked: int = 0
    failed: int = 0
    complete_ms: float = 0.0
    timeout_secs: float = 30.0
    components: tuple[Component, ...] = ()
    workers: tuple[Worker, ...] = ()
    dead_workers: tuple[DeadWorker, ...] = ()
    ended_workers: tuple[EndedWorker, ...] = ()


class Trouble(NamedTuple):
    """`component` and `worker` (host:port) are what a link leads to; empty: the trouble is the topology's.

    `concerns`: other components whose pages tell of it too. `is_of_failures`: the page of the tuples that failed says
    more of it.
    """

    severity: Severity
    what: str
    advice: str
    component: str = ""
    worker: str = ""
    concerns: tuple[str, ...] = ()
    is_of_failures: bool = False


Rule: TypeAlias = Callable[[Topology], Iterator[Trouble]]


def troubles(topology: Topology) -> list[Trouble]:
    """The worst first; of equals, causes before what follows from them."""
    found = [trouble for rule in RULES for trouble in rule(topology)]
    return sorted(found, key=lambda trouble: -trouble.severity)


def _status(topology: Topology) -> Iterator[Trouble]:
    if topology.status == "KILLED":
        yield Trouble(Severity.NOTE, "It is being killed: it goes when its wait is over.", "Nothing is to be done.")
    elif topology.status == "INACTIVE":
        yield Trouble(
            Severity.WARNING, "It is deactivated: its spouts do not emit.", "Activate it, if it should be running."
        )
    elif topology.status == "REBALANCING":
        yield Trouble(
            Severity.NOTE,
            "It is being rebalanced: its spouts stand still until the wait is over.",
            "Nothing is to be done: it goes on by itself.",
        )


def _slots(topology: Topology) -> Iterator[Trouble]:
    if not topology.lacks:
        return
    runs_nowhere = not topology.workers
    yield Trouble(
        Severity.CRITICAL if runs_nowhere else Severity.WARNING,
        _sentence(topology.lacks),
        "Start a supervisor, or free slots by killing or rebalancing another topology: the cluster's page shows who has"
        " them."
        if "slot" in topology.lacks
        else "It goes on by itself when that is there.",
    )


def _dead_workers(topology: Topology) -> Iterator[Trouble]:
    for dead in sorted(topology.dead_workers, key=lambda one: -one.deaths):
        if dead.deaths == 0:
            yield Trouble(
                Severity.NOTE,
                f"Worker {dead.at} {_clause(dead.reason)}.",
                "It starts by itself when that is there.",
                worker=dead.at,
            )
            continue
        culprit = _culprit(topology, dead)
        times = "once" if dead.deaths == 1 else f"{dead.deaths} times in a row"
        why = (
            f"{culprit.name} raised {_clause(culprit.error.text)}"
            if culprit is not None and culprit.error is not None
            else f"it {_clause(dead.reason)}"
        )
        again = (
            f"it is tried again in {pretty_secs(dead.retry_secs)}"
            if dead.retry_secs
            else "it is starting or runs again"
        )
        yield Trouble(
            Severity.CRITICAL if dead.deaths > 1 or dead.retry_secs is not None else Severity.WARNING,
            f"Worker {dead.at} died {times}, last {pretty_secs(dead.ago_secs)} ago: {why}.",
            f"Read the end of its log for what came before; {again}.",
            "" if culprit is None else culprit.name,
            dead.at,
        )


def _culprit(topology: Topology, dead: DeadWorker) -> Component | None:
    """Whose error ended that worker: the newest of those that came from it about then."""
    near = [
        one
        for one in topology.components
        if one.error is not None and one.error.worker == dead.at and one.error.ago_secs <= dead.ago_secs + SILENT_SECS
    ]
    return min(near, key=lambda one: one.error.ago_secs if one.error else 0, default=None)


def _ended_workers(topology: Topology) -> Iterator[Trouble]:
    """Of those that are not told of as dead: they ran elsewhere, or run well now."""
    if not topology.ended_workers:
        return
    count, last = len(topology.ended_workers), topology.ended_workers[0]
    places = ", ".join(dict.fromkeys(one.at for one in topology.ended_workers))
    times = "Once" if count == 1 else f"{count} times"
    is_told = any(dead.deaths for dead in topology.dead_workers)
    yield Trouble(
        Severity.NOTE if is_told else Severity.WARNING,
        f"{times} in the last 10 minutes a worker on {places} ended; the last time it {_clause(last.text)}.",
        f"It moved or was started again since then: storm get-errors {topology.name} shows all of it.",
    )


def _silent_workers(topology: Topology) -> Iterator[Trouble]:
    known = {dead.at for dead in topology.dead_workers}
    silent = [worker.at for worker in topology.workers if worker.uptime_secs is None and worker.at not in known]
    if not silent:
        return
    is_late = topology.uptime_secs > START_SECS and topology.status == "ACTIVE"
    some = f"Worker {silent[0]} has" if len(silent) == 1 else f"{len(silent)} workers have"
    yield Trouble(
        Severity.WARNING if is_late else Severity.NOTE,
        f"{some} not told yet of running: figures lack what is there.",
        "Read its log, and that of its supervisor, if this does not pass." if is_late else "It is starting.",
        worker=silent[0],
    )


def _errors(topology: Topology) -> Iterator[Trouble]:
    told = {culprit.name for dead in topology.dead_workers if dead.deaths and (culprit := _culprit(topology, dead))}
    recent = [
        (one, one.error)
        for one in topology.components
        if one.error is not None and one.error.ago_secs <= RECENT_SECS and one.name not in told
    ]
    for component, error in sorted(recent, key=lambda pair: (pair[1].ago_secs, pair[0].name)):
        where = f" on {error.worker}" if error.worker else ""
        yield Trouble(
            Severity.WARNING,
            f"{component.name} reported an error {pretty_secs(error.ago_secs)} ago{where}: {_sentence(error.text)}",
            "Its page has the traceback, and how often it happens.",
            component.name,
        )


def _failing_tuples(topology: Topology) -> Iterator[Trouble]:
    if not topology.failed:
        return
    share = topology.failed / (topology.failed + topology.acked)
    severity = Severity.CRITICAL if share > 0.5 else Severity.WARNING if share >= FAILING_SHARE else Severity.NOTE
    what = f"{percent(share)} of the tuples failed in the last 10 minutes ({_tuples(topology.failed)})"
    spouts = tuple(one.name for one in topology.components if one.is_spout and one.failed)
    bolts = [one for one in topology.components if not one.is_spout]
    culprit = max(bolts, key=lambda one: one.failed, default=None)
    if culprit is not None and culprit.failed:
        yield Trouble(
            severity,
            f"{what}: {culprit.name} failed {culprit.failed:,} of its inputs.",
            f"See the errors and the log of {culprit.name}; the spout emits what failed again, if it is made so.",
            culprit.name,
            concerns=spouts,
            is_of_failures=True,
        )
        return
    busiest = max(bolts, key=lambda one: (one.capacity, one.process_ms), default=None)
    yield Trouble(
        severity,
        f"{what}, and no bolt failed any: they timed out after {topology.timeout_secs:g} s, or a worker was lost.",
        "Look for a bolt that hangs, or forgets to ack"
        + (f"; the busiest is {busiest.name}." if busiest is not None else "."),
        "" if busiest is None else busiest.name,
        concerns=spouts,
        is_of_failures=True,
    )


def _busy_bolts(topology: Topology) -> Iterator[Trouble]:
    bolts = [one for one in topology.components if not one.is_spout]
    for bolt in sorted(bolts, key=lambda one: (-one.capacity, one.name)):
        full = bolt.insight.full > 0
        if bolt.capacity >= MEASURED_LEAST:
            what = f"{bolt.name} is the bottleneck: it was busy {percent(min(bolt.capacity, 1.0))} of the time"
        elif bolt.capacity >= NEARLY_SATURATED:
            what = f"{bolt.name} is near its limit: it was busy {percent(bolt.capacity)} of the time"
        elif full:
            what = f"{bolt.name} takes less than is sent to it"
        else:
            continue
        waits = f"; its queues are full ({_tuples(bolt.insight.queued)} wait), so spouts stand still for it"
        yield Trouble(Severity.WARNING, f"{what}{waits if full else ''}.", _more_executors(topology, bolt), bolt.name)


def _more_executors(topology: Topology, bolt: Component) -> str:
    if bolt.executors < bolt.tasks:
        more = min(bolt.tasks, 2 * bolt.executors)
        return f"Give it more executors: storm rebalance {topology.name} -e {bolt.name}={more}"
    tasks = "It has one task" if bolt.tasks == 1 else f"Each of its {bolt.tasks} tasks has an executor already"
    return f"{tasks}: submit it with more, or make it faster."


def _latency(topology: Topology) -> Iterator[Trouble]:
    secs = topology.complete_ms / 1000
    if topology.acked and secs > LATE_SHARE * topology.timeout_secs:
        yield Trouble(
            Severity.WARNING,
            f"A tuple takes {secs:.1f} s to be done, near the message timeout of {topology.timeout_secs:g} s.",
            "Soon tuples will fail and be emitted again, which makes it worse: look for the bolt that is slow, or lower"
            " topology.max.spout.pending.",
        )


def _spouts(topology: Topology) -> Iterator[Trouble]:
    """Why spouts emit nothing, or less than they could."""
    uptime_secs = max((worker.uptime_secs or 0 for worker in topology.workers), default=0)
    if topology.status != "ACTIVE" or uptime_secs < SILENT_SECS:
        return
    for spout in topology.components:
        insight = spout.insight
        if not spout.is_spout or not (spout.is_silent or insight.text):
            continue
        if not insight.known:
            yield Trouble(
                Severity.WARNING,
                f"{spout.name} emitted nothing in the last {pretty_secs(min(uptime_secs, RECENT_SECS))}.",
                "Either there is nothing to read, or its open or next_tuple hangs: its log and its source tell.",
                spout.name,
            )
            continue
        is_harmless = set(insight.reasons) <= {INACTIVE, OPENING, NOTHING_TO_EMIT}
        emits = "does not emit" if spout.is_silent else "could emit more"
        why = f": {_clause(insight.text)}" if insight.text else ""
        yield Trouble(
            Severity.WARNING if spout.is_silent and not is_harmless else Severity.NOTE,
            f"{spout.name} {emits}{why}.",
            _advice_for(spout, topology),
            spout.name,
            concerns=insight.held_by,
        )


def _advice_for(spout: Component, topology: Topology) -> str:
    insight = spout.insight
    if insight.held_by:
        return f"It goes on when {' and '.join(insight.held_by)} can take more: look there."
    if MAX_PENDING in insight.reasons:
        return _who_holds(insight.pending, topology)
    if IN_CALL in insight.reasons:
        return "See its log, and what that line of its code waits for."
    if NOTHING_TO_EMIT in insight.reasons:
        return "That is as it should be, if its source has nothing new."
    return "It goes on by itself when that is over."


def _who_holds(pending: int, topology: Topology) -> str:
    """Where most of the tuples are that are under way."""
    bolts = [one for one in topology.components if not one.is_spout]
    slow = max(bolts, key=lambda one: one.insight.queued, default=None)
    if slow is not None and slow.insight.queued >= HOLDING_SHARE * pending:
        return f"Most of them ({slow.insight.queued:,}) wait for {slow.name}: it goes on as fast as that takes them."
    forgetful = max(bolts, key=lambda one: one.insight.unsettled, default=None)
    if forgetful is not None and forgetful.insight.unsettled >= HOLDING_SHARE * pending:
        count = f"{forgetful.insight.unsettled:,}"
        return f"Most of them ({count}) were executed by {forgetful.name} and not acked or failed: does it forget that?"
    return "It goes on as its tuples are acked; look for the slowest bolt."


def _hanging_bolts(topology: Topology) -> Iterator[Trouble]:
    for bolt in topology.components:
        if not bolt.is_spout and IN_CALL in bolt.insight.reasons:
            yield Trouble(
                Severity.NOTE,
                f"{bolt.name} is in a long call: {_clause(bolt.insight.text)}.",
                "If it does not end, see what that line waits for; the log shows its stack after a while.",
                bolt.name,
            )


def _missing_peers(topology: Topology) -> Iterator[Trouble]:
    for worker in topology.workers:
        if worker.missing_peers and (worker.uptime_secs or 0) >= SILENT_SECS:
            yield Trouble(
                Severity.WARNING,
                f"Worker {worker.at} has no connection to {', '.join(worker.missing_peers)}.",
                "Can the two hosts reach one another at these ports?",
                worker=worker.at,
            )


RULES: tuple[Rule, ...] = (
    _status,
    _slots,
    _dead_workers,
    _ended_workers,
    _silent_workers,
    _errors,
    _failing_tuples,
    _missing_peers,
    _busy_bolts,
    _latency,
    _spouts,
    _hanging_bolts,
)


def worst(found: Iterable[Trouble]) -> Severity | None:
    return max((trouble.severity for trouble in found), default=None)


def _clause(text: str) -> str:
    """As a part of a sentence: on one line, without its end."""
    return " ".join(text.split()).rstrip(".")


def _sentence(text: str) -> str:
    return f"{_clause(text)}."


def percent(share: float) -> str:
    found = 100 * share
    return f"{found:.0f} %" if found >= 10 or found == 0 else f"{max(found, 0.1):.1f} %"


def _tuples(count: int) -> str:
    return "1 tuple" if count == 1 else f"{count:,} tuples"
