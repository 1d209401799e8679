"""What is the trouble with a topology, and why: from what Nimbus tells, the worst first; pure.

Written for somebody who is woken at night: every trouble is one sentence that names the component or the worker, and
one that says what to do. What follows from another trouble is told with it, not beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from storm.diagnosis.facts import Severity, Topology, Trouble, worst_first
from storm.diagnosis.wording import clause, percent, pretty_secs, sentence, tuples
from storm.metrics.insight_records import IN_CALL, INACTIVE, MAX_PENDING, NOTHING_TO_EMIT, OPENING

if TYPE_CHECKING:
    from storm.diagnosis.facts import Component, DeadWorker

RECENT_SECS = 600  # an error is news that long; figures here are of the last 10 minutes
NEARLY_SATURATED = 0.8  # Storm's rule: a bolt at a capacity of 1 has no time left
MEASURED_LEAST = 0.9  # what is saturated shows less: it waits for its turn, and capacity is of samples
SILENT_SECS = 60  # how long a spout may be up without emitting before anybody is told
START_SECS = 120  # `supervisor.worker.start.timeout.secs`: how long a worker may take until it tells of itself
FAILING_SHARE = 0.01  # of the tuples: below, it is a note
BLAMED_SHARE = 0.5  # of failed tuples: where bolts failed less, most have timed out
HOLDING_SHARE = 0.5  # of what is under way: who holds more is told of
LATE_SHARE = 0.8  # of the message timeout: complete latency beyond is about to be failures
# Reasons that are no trouble by themselves.
HARMLESS = {INACTIVE, OPENING, NOTHING_TO_EMIT}
# What a slot does whose worker died, by the supervisor's word for it.
NOW = {
    "running": "runs again",
    "waiting-for-worker-start": "is starting again",
    "waiting-for-blobs": "is waiting for its code",
    "building-environment": "is waiting for its environment",
    "fetching": "is waiting for its code or blobs, which are coming",
    "killing": "is being ended",
}


Rule: TypeAlias = Callable[[Topology], Iterator[Trouble]]


def troubles(topology: Topology) -> list[Trouble]:
    """The worst first; of equals, causes before what follows from them."""
    return worst_first(trouble._replace(topology=topology.id) for rule in RULES for trouble in rule(topology))


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
    if not topology.lacks or topology.status == "KILLED":
        return
    runs_nowhere = not topology.workers
    yield Trouble(
        Severity.CRITICAL if runs_nowhere else Severity.WARNING,
        sentence(topology.lacks),
        "Start a supervisor, or free slots by killing or rebalancing another topology: the cluster's page shows who has"
        " them."
        if topology.lacks_slots
        else "It goes on by itself when that is there.",
    )


def _dead_workers(topology: Topology) -> Iterator[Trouble]:
    for dead in sorted(topology.dead_workers, key=lambda one: -one.deaths):
        if dead.deaths == 0:
            yield Trouble(
                Severity.NOTE,
                f"Worker {dead.at} {clause(dead.reason)}.",
                "It starts by itself when that is there.",
                worker=dead.at,
            )
            continue
        culprit = _culprit(topology, dead)
        times = "once" if dead.deaths == 1 else f"{dead.deaths} times in a row"
        why = (
            f"{culprit.name} raised {clause(culprit.error.text)}"
            if culprit is not None and culprit.error is not None
            else f"it {clause(dead.reason)}"
        )
        again = (
            f"it is tried again in {pretty_secs(dead.retry_secs)}"
            if dead.retry_secs
            else f"it {NOW.get(dead.state, 'is starting or runs again')}"
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
        f"{times} in the last 10 minutes a worker on {places} ended; the last time it {clause(last.text)}.",
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
            f"{component.name} reported an error {pretty_secs(error.ago_secs)} ago{where}: {sentence(error.text)}",
            "Its page has the traceback, and how often it happens.",
            component.name,
        )


def _failing_tuples(topology: Topology) -> Iterator[Trouble]:
    if not topology.failed:
        return
    share = topology.failed / (topology.failed + topology.acked)
    severity = Severity.CRITICAL if share > 0.5 else Severity.WARNING if share >= FAILING_SHARE else Severity.NOTE
    what = f"{percent(share)} of the tuples failed in the last 10 minutes ({tuples(topology.failed)})"
    spouts = tuple(one.name for one in topology.components if one.is_spout and one.failed)
    bolts = [one for one in topology.components if not one.is_spout]
    culprit = max((one for one in bolts if one.failed), key=lambda one: one.failed, default=None)
    if culprit is not None and sum(one.failed for one in bolts) >= BLAMED_SHARE * topology.failed:
        yield Trouble(
            severity,
            f"{what}: {culprit.name} failed {culprit.failed:,} of its inputs.",
            f"See the errors and the log of {culprit.name}; the spout emits what failed again, if it is made so.",
            culprit.name,
            concerns=spouts,
            is_of_failures=True,
        )
        return
    timed_out = f"timed out after {topology.timeout_secs:g} s, or a worker was lost"
    busiest = max(bolts, key=lambda one: (one.capacity, one.process_ms), default=None)
    yield Trouble(
        severity,
        f"{what}, and no bolt failed any: they {timed_out}."
        if culprit is None
        else f"{what}: most {timed_out}; {culprit.name} failed {culprit.failed:,} of its inputs.",
        "Look for a bolt that hangs, or forgets to ack"
        + (f"; the busiest is {busiest.name}." if busiest is not None else "."),
        "" if busiest is None else busiest.name,
        concerns=spouts if culprit is None else (*spouts, culprit.name),
        is_of_failures=True,
    )


def busy_level(capacity: float) -> str:
    """How a bolt's capacity is shown, wherever it is: "bad" where it is the bottleneck, "warn" near that, else ""."""
    return "bad" if capacity >= MEASURED_LEAST else "warn" if capacity >= NEARLY_SATURATED else ""


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
        waits = f"; its queues are full ({tuples(bolt.insight.queued)} wait), so spouts stand still for it"
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
    if topology.status != "ACTIVE":
        return
    for spout in topology.components:
        insight = spout.insight
        if not spout.is_spout or not (spout.is_silent or insight.text):
            continue
        if uptime_secs < SILENT_SECS and not insight.known:
            continue
        if not insight.known:
            yield Trouble(
                Severity.WARNING,
                f"{spout.name} emitted nothing in the last {pretty_secs(min(uptime_secs, RECENT_SECS))}.",
                "Either there is nothing to read, or its open or next_tuple hangs: its log and its source tell.",
                spout.name,
            )
            continue
        is_harmless = set(insight.reasons) <= HARMLESS
        emits = "does not emit" if spout.is_silent else "could emit more"
        if 0 < insight.silent < insight.known:
            emits = f"does not emit in {insight.silent} of {insight.known} executors"
        why = f": {clause(insight.text)}" if insight.text else ""
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
                f"{bolt.name} is in a long call: {clause(bolt.insight.text)}.",
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


def _lossy_workers(topology: Topology) -> Iterator[Trouble]:
    for worker in topology.workers:
        if worker.slow_peers:
            yield Trouble(
                Severity.NOTE,
                f"Worker {worker.at} sends more than is taken by {', '.join(worker.slow_peers)}.",
                "Those workers, their hosts or the network between is too slow.",
                worker=worker.at,
            )
        if worker.dropped:
            told = "; ".join(f"{count:,} {why}" for why, count in sorted(worker.dropped.items()))
            yield Trouble(
                Severity.NOTE,
                f"Worker {worker.at} has dropped, since it began: {told}.",
                "Tuples that are anchored fail by that, and spouts emit them again.",
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
    _lossy_workers,
    _busy_bolts,
    _latency,
    _spouts,
    _hanging_bolts,
)
