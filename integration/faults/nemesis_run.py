"""Carries a schedule out on a cluster under load, lets it finish, and asks the checkers."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, NamedTuple

import checkers
import psutil
from checkers import End, Observed, Violation
from fault_site import Plan, shape_of
from faults import NOTICED_SECS, Hand, Hit, busyness, heal, inject
from load import WORKERS
from log_lines import Logs, monotonic_offset
from nemesis import Terms, clashes, draw, from_json, length_secs, steps, targets, to_json
from network import listens
from results_table import Row, Workers, rows
from scenario import Context, Outcome
from usage import leaks, told

from storm.errors import StormError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fault_site import FaultSite, WorkerProcess
    from faults import Fault, Said
    from load import Load
    from nemesis import Drawable, Event, Shape
    from scenario import Options

FAULTS, MESSAGES = 3, 6_000
LAST_SECS = 2.0  # numbers go on for so long after the last fault
CALM_SECS = 10.0  # and, when they are done, once more for so long, in which nothing may come again
WELL_SECS = 2.0
ENDS_IN_SECS = 6.0  # after a worker's log said so


class Wish(NamedTuple):
    """What a scenario of scheduled faults wants besides its faults. `overlap`: see nemesis.Terms."""

    plan: Plan = Plan()
    faults: int = FAULTS
    messages: int = MESSAGES
    conf: Mapping[str, object] = {}
    gap_secs: tuple[float, float] | None = None
    always: tuple[str, ...] = ()
    overlap: float = 0.0


def run_faults(context: Context, kinds: Sequence[Fault], wish: Wish) -> Outcome:
    """Draw a schedule of these kinds, or read the one that was asked for, and carry it out."""
    options = context.options
    needs = frozenset().union(*(kind.needs for kind in kinds))
    plan = wish.plan
    if "zookeeper-proxy" in needs:
        plan = plan._replace(proxied=plan.proxied | {"zookeeper"})
    if "worker-proxy" in needs:
        plan = plan._replace(proxied=plan.proxied | {"workers"})
    if "links" in needs:
        plan = plan._replace(proxied=plan.proxied | {"links"})
    if "ensemble" in needs:
        plan = plan._replace(zookeeper="apache", zookeepers=3)
    by_name = {kind.name: kind for kind in kinds}
    with context.site(plan) as site:
        events = _schedule(context, by_name, shape_of(site, WORKERS), wish)
        messages = wish.messages if options.messages is None else options.messages
        rate = messages / (length_secs(events) + LAST_SECS)
        say(f"{len(events)} faults in {length_secs(events):.0f} s, {messages} messages, {rate:.0f} a second")
        conf = {key.replace(".", "__"): value for key, value in wish.conf.items()}
        load = context.load(site, messages, rate, begin=False, kept=math.ceil(CALM_SECS * rate), **conf)
        hits = carry_out(site, load, events, by_name)
        return conclude(context, Finished(site, load, hits, by_name))


def _schedule(context: Context, kinds: Mapping[str, Fault], shape: Shape, wish: Wish) -> list[Event]:
    """What to do when; it is written beside the logs. Raises ValueError if a file to follow is of no use here."""
    options, timers = context.options, context.timers
    drawables = {name: kind.drawable(timers) for name, kind in kinds.items()}
    if options.replay is not None:
        events = replayed(options.replay, drawables, shape)
    else:
        events = drawn(options, list(drawables.values()), shape, wish)
    file = context.directory / "schedule.json"
    file.write_text(to_json(options.seed, shape, events))
    say(f"the schedule: {file}")
    return events


def drawn(options: Options, kinds: Sequence[Drawable], shape: Shape, wish: Wish) -> list[Event]:
    """The events that these options ask for, and the wish where they leave it open. Raises ValueError as `draw`."""
    count = wish.faults if options.faults is None else options.faults
    gap = wish.gap_secs or options.timers.gap_secs
    if options.gap_secs is not None:
        gap = (options.gap_secs / 2, options.gap_secs * 3 / 2)
    overlap = wish.overlap if options.overlap is None else options.overlap
    terms = Terms(wish.always, options.within_secs, overlap)
    return draw(options.seed, count, kinds, shape, gap, terms)


def replayed(file: Path, kinds: Mapping[str, Drawable], shape: Shape) -> list[Event]:
    """The events of a schedule that a former run wrote. Raises ValueError where they do not suit this scenario."""
    _, _, events = from_json(file.read_text())
    if strange := sorted({event.fault for event in events} - kinds.keys()):
        raise ValueError(f"{file} has faults that are not of this scenario, or not of this machine: {strange}")
    for event in events:
        if event.target not in (there := targets(kinds[event.fault].target, shape)):
            raise ValueError(f"{file} lets {event.fault} hit {event.target}; here it can hit {', '.join(there)}")
    for one, other in clashes(events, kinds):
        raise ValueError(f"{file}: {one.fault}, at {one.at} s, and {other.fault}, at {other.at} s, cannot overlap")
    return events


def carry_out(site: FaultSite, load: Load, events: Sequence[Event], kinds: Mapping[str, Fault]) -> list[Hit]:
    """Inject and heal when it is time; whatever happens, what was begun is healed."""
    going_on: list[Event] = []
    hands = [Hand(site, load, Hit(event), going_on) for event in events]
    load.begin()
    began = time.monotonic()
    try:
        for step in steps(events):
            time.sleep(max(0.0, began + step.at - time.monotonic()))
            event, hand = events[step.number], hands[step.number]
            if step.heals:
                heal(hand)
                going_on.remove(event)
            else:
                lasts = f" for {event.seconds:.1f} s" if event.seconds else ""
                beside = "" if hand.is_alone else f", beside {going_on[-1].fault}"
                say(f"{event.at:7.1f} s  {event.fault} of {event.target}{lasts}{beside}")
                going_on.append(event)
                inject(kinds[event.fault], hand)
    finally:
        for hand in hands:
            if hand.hit.event in going_on:
                heal(hand)
    return [hand.hit for hand in hands]


class Finished(NamedTuple):
    """A load whose faults are over.

    `rounds`: where there are no hits, how often all that is under way may have come again.
    """

    site: FaultSite
    load: Load
    hits: Sequence[Hit] = ()
    kinds: Mapping[str, Fault] = {}
    rounds: int = 0


def conclude(context: Context, finished: Finished) -> Outcome:
    """Drain, check, kill the topology, look for what is left. What it finds is noted as soon as it is found."""
    site, load, timers = finished.site, finished.load, context.timers
    found_before = len(context.violations)
    drained = drain(context, load)
    wait_well(context, finished)
    calm_since = load.calm() if drained and load.kept else None
    if calm_since is not None:
        drain(context, load)
    run = load.read()
    context.violations += [*checkers.lost(run), *checkers.unexpected(run)]
    if calm_since is not None:
        context.violations += checkers.not_calm(run, calm_since)
    faults = observe(finished)
    first = min((hit.at for hit in finished.hits), default=time.monotonic())
    started = [seen.at for seen in site.worker_events() if not seen.gone and seen.at >= first]
    hosts = {seen.worker.pid: seen.worker.host for seen in site.worker_events()}
    patience_secs = timers.worker_secs + timers.executor_secs + timers.session_secs
    bars = {name: kind.bar(timers) for name, kind in finished.kinds.items() if kind.bar is not None}
    found = rows(run, faults, Workers(started, ends(finished) if faults else [], patience_secs, hosts), bars)
    if faults:
        bound = checkers.duplicates_max(faults, load.pending_max, timers.message_secs)
        context.violations += checkers.more_than(bound, run.lines)
    else:
        context.violations += checkers.more_than(finished.rounds * load.pending_max, run.lines)
    context.violations += daemons_ended(site)
    lives = site.lives.all()
    context.violations += leaks(lives)
    look_for_remains(context, finished)
    again = checkers.duplicates(run.lines)
    seconds = (run.acks[-1].at - run.acks[0].at) if run.acks else 0.0
    note = (
        f"{len(run.acks)} acks of {run.messages} messages in {seconds:.0f} s, {len(again)} lines came again, "
        f"{len(run.fails)} fails"
    )
    total = Row(
        "all", len(faults), len(checkers.unfinished(run) | checkers.unwritten(run)), len(again),
        restarts=len(started), violations=tuple(context.violations[found_before:]),
        never=sum(row.never for row in found), others=sum(row.others for row in found),
    )  # fmt: skip
    return Outcome([*found, total], [], [*context.notes, note, told(lives)])


def drain(context: Context, load: Load) -> bool:
    """Whether every number is done that was told to come."""
    drained = load.drain()
    if not drained:
        say(f"nothing was acked for {context.timers.grace_secs:g} s: {load.messages - load.done()} numbers are missing")
    return drained


def look_for_remains(context: Context, finished: Finished) -> None:
    """Kill the topology: nothing of it is left, no child of a daemon, no port, and no log has an error in it."""
    site, load = finished.site, finished.load
    try:
        left = load.kill()
    except (AssertionError, StormError) as error:
        left = []
        context.check(False, f"the topology cannot be killed: {error}", "C-ALIVE")
    left += ports_taken(site)
    context.violations += [Violation("C-LEAK", f"after the topology was killed there is still {each}") for each in left]
    context.violations += defunct(site)
    raised = [text for kind in finished.kinds.values() for text in kind.raises]
    context.violations += logged_tracebacks(site, (checkers.ASKED_FOR, *raised))


def audit(context: Context, load: Load, rounds: int = 0) -> None:
    """Let a load finish and check what it wrote: all that is under way may have come again so often."""
    load.drain()
    run = load.read()
    context.violations += [*checkers.lost(run), *checkers.unexpected(run)]
    context.violations += checkers.more_than(rounds * load.pending_max, run.lines)


def ports_taken(site: FaultSite) -> list[str]:
    """Slots that nobody works in and where somebody listens."""
    used = {(worker.host, worker.port) for worker in site.workers()}
    return [
        f"somebody listening on port {port} of host {host}"
        for host, daemon in site.supervisors.items()
        for port in daemon.settings["supervisor.slots.ports"]
        if (host, port) not in used and listens(daemon.place, port)
    ]


def wait_well(context: Context, finished: Finished) -> None:
    """Until it is well, and was for a while: what a look sees may be what was there before the last fault."""
    grace_secs = context.timers.grace_secs
    deadline = time.monotonic() + grace_secs
    well_since: float | None = None
    while time.monotonic() < deadline:
        well = _is_well(finished)
        now = time.monotonic()
        well_since = (well_since or now) if well else None
        if well_since is not None and now - well_since >= WELL_SECS:
            return
        time.sleep(0.1)
    context.check(False, f"not every daemon and worker is up {grace_secs:g} s after the last number", "C-ALIVE")


def _is_well(finished: Finished) -> bool:
    return all(daemon.is_running for daemon in finished.site.daemons) and finished.load.is_settled()


def observe(finished: Finished) -> list[Observed]:
    """The faults with what logs say of them. A line counts for a fault until the next one of its kind begins."""
    logs, busy = Logs(monotonic_offset()), busyness()
    found = []
    for number, hit in enumerate(finished.hits):
        kind = finished.kinds[hit.event.fault]
        healed_at = hit.healed_at if hit.healed_at is not None else hit.at
        later = finished.hits[number + 1 :]
        until = min((other.at for other in later if other.event.fault == kind.name), default=math.inf)
        hit.next_at = min((other.at for other in later if other.at >= healed_at), default=math.inf)
        # Who was not hit tells of nothing: the topology may have had no worker at that moment. Nor does a worker that
        # was to end anyway, or that had not begun: its supervisor waits longer for it.
        is_hit = (bool(hit.victims) and hit.settled) or kind.target not in {"worker", "topology"}
        is_hit = is_hit and not hit.missed
        expected = kind.told is not None and is_hit
        told_at = said(finished.site, logs, kind.told, hit, (hit.at, until)) if kind.told else None
        back = () if not is_hit else kind.back if hit.back is None else hit.back
        back_at = all_said(finished.site, logs, back, hit, (hit.at, until))
        if is_hit and kind.never and said(finished.site, logs, kind.never, hit, (hit.at, hit.next_at)) is not None:
            hit.wrong.append(f"a log says what it may not: {kind.never.pattern}")
        found.append(
            Observed(
                kind.name, hit.event.target, hit.at, healed_at,
                frozenset(worker.pid for worker in hit.victims), hit.victim_tasks,
                kind.spares_workers and kind.patience(finished.site.timers),
                expected, told_at, bool(back) and back_at != hit.at, back_at, hit.problem, hit.may_end, hit.done_at,
                hit.returned_at, hit.replaced, tuple(hit.wrong), max(hit.busy, busy),
                takes=kind.takes or frozenset(), waits_for=kind.waits_for, told_by=kind.told_by,
                from_blow=hit.from_blow, links=hit.links,
            )
        )  # fmt: skip
    return checkers.apart(found)


def said(site: FaultSite, logs: Logs, what: Said, hit: Hit, between: tuple[float, float]) -> float | None:
    """When the logs said it: the first of them, or the last if each has to; at the fault's begin if nobody has to."""
    if what.role == "victim":
        looks = [
            (path, what.pattern.replace("{port}", str(worker.port)))
            for worker in hit.victims
            for path in [*site.logs(worker.host), *site.worker_logs(worker)]
        ]
    else:
        role = hit.event.target + what.role.removeprefix("target") if what.role.startswith("target") else what.role
        looks = [(path, what.pattern) for path in site.logs(role)]
    since, until = between
    if what.after:
        lost_by = until if hit.healed_at is None else hit.healed_at  # later, another fault took it
        if what.late:
            lost_by = min(lost_by + NOTICED_SECS, max(hit.next_at, lost_by))
        lost = {path: at for path, _ in looks if (at := logs.last(path, what.after, since, lost_by)) is not None}
        if not lost:
            return since  # nobody has to say it
        begins = lost if what.each else dict.fromkeys((path for path, _ in looks), min(lost.values()))
        times = [logs.first(path, pattern, begins[path], until) for path, pattern in looks if path in begins]
    else:
        times = [logs.first(path, pattern, *between) for path, pattern in looks]
    if what.each:
        return None if None in times or not times else max(at for at in times if at is not None)
    return min((at for at in times if at is not None), default=None)


def all_said(
    site: FaultSite, logs: Logs, lines: Sequence[Said], hit: Hit, between: tuple[float, float]
) -> float | None:
    """When the logs had said all of these; None if they have not, or nothing is to be said."""
    times = [said(site, logs, what, hit, between) for what in lines]
    return None if None in times else max((at for at in times if at is not None), default=None)


def ends(finished: Finished) -> list[End]:
    """The load's workers that ended since the first fault."""
    logs = Logs(monotonic_offset())
    since: dict[int, float] = {}
    found = []
    for seen in finished.site.worker_events():
        worker = seen.worker
        if worker.topology_id != finished.load.topology_id:
            continue
        if seen.gone:
            found.append(End(seen.at, worker.pid, since[worker.pid], was_moved(finished.site, logs, worker, seen.at)))
        else:
            since[worker.pid] = seen.at
    return found


def was_moved(site: FaultSite, logs: Logs, worker: WorkerProcess, at: float) -> bool:
    """Whether its supervisor ended it because its assignment changed, or it heard of that first and ended itself."""
    told = rf"stopping worker {re.escape(worker.id)} of .*: (its assignment changed|its slot is wanted no more)"
    if any(logs.first(path, told, 0.0) is not None for path in site.logs(worker.host)):
        return True
    by_itself = r"Ending \(exit code 0\): assignment \d+ (has no worker on|gives) port"
    return any(logs.first(path, by_itself, at - ENDS_IN_SECS, at) is not None for path in site.worker_logs(worker))


def daemons_ended(site: FaultSite) -> list[Violation]:
    found = [
        Violation(
            "C-ALIVE", f"{ending.name} ended by itself, exit code {ending.code}; see {site.daemon(ending.name).log}"
        )
        for ending in site.endings
        if not ending.asked
    ]
    if site.watch_problem is not None:
        found.append(Violation("HARNESS", f"processes could not be watched: {site.watch_problem!r}"))
    return found


def defunct(site: FaultSite) -> list[Violation]:
    """Children of the daemons that ended and stay unreaped."""
    pids = {daemon.pid: daemon.name for daemon in site.daemons if daemon.is_running}

    def zombies() -> set[tuple[int, str]]:
        found = set()
        for process in psutil.process_iter(["status", "ppid"]):
            if process.info["status"] == psutil.STATUS_ZOMBIE and process.info["ppid"] in pids:
                found.add((process.pid, pids[process.info["ppid"]]))
        return found

    first = zombies()
    if first:
        time.sleep(1.0)
    return [Violation("C-LEAK", f"{name} does not reap its child {pid}") for pid, name in sorted(first & zombies())]


def logged_tracebacks(site: FaultSite, allowed: Sequence[str] = (checkers.ASKED_FOR,)) -> list[Violation]:
    return [
        Violation("C-LOG", f"a traceback in {path}: {last}")
        for path in site.logs()
        for last in dict.fromkeys(checkers.tracebacks(path.read_text(errors="replace"), allowed))
    ]


def say(text: str) -> None:
    print(text, flush=True)
