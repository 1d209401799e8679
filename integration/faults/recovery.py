"""C-TTR: how long it took until all was well after a fault, by what sinks and daemons wrote, as pure functions."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence  # noqa: TC003
from typing import TYPE_CHECKING

from checkers import End, Observed, Violation, in_short

if TYPE_CHECKING:
    from checkers import Bar
    from records import LedgerLine

CEILING = 4.0  # times what a recovery should take, on a machine that is not busy
BEFORE_SECS = 5.0  # who wrote a line, or sent one, so short before a fault is expected to go on after it
ENOUGH_LINES = 40  # for each task: with so many later ones, one that wrote none of them does not run
SOON_SECS = 5.0  # where a worker ends so soon after a link is healed, it may be that nothing comes over it any more

Link = tuple[str, str]  # from a host to a host


class Ledger:
    """Lines by task, and by the link that they came over, for questions about times.

    `hosts`: of the processes of workers; `ends`: of which of them ended.
    """

    def __init__(
        self, lines: Sequence[LedgerLine], hosts: Mapping[int, str] | None = None, ends: Sequence[End] = ()
    ) -> None:
        self._lines: defaultdict[int, list[LedgerLine]] = defaultdict(list)
        self._crossed: defaultdict[Link, list[float]] = defaultdict(list)
        hosts = {} if hosts is None else hosts
        for line in sorted(lines, key=lambda line: line.at):
            self._lines[line.task].append(line)
            if line.sender in hosts and line.pid in hosts:
                self._crossed[hosts[line.sender], hosts[line.pid]].append(line.at)
        self._times = {task: [line.at for line in of] for task, of in self._lines.items()}
        self._all = sorted(line.at for line in lines)
        self._ends = [(end.at, hosts[end.pid]) for end in ends if end.pid in hosts]

    def busy_before(self, at: float) -> frozenset[int]:
        """The tasks that wrote shortly before."""
        return frozenset(task for task, times in self._times.items() if _is_among(times, at - BEFORE_SECS, at))

    def crossed_before(self, at: float) -> frozenset[Link]:
        """The links over which tuples came shortly before."""
        return frozenset(link for link, times in self._crossed.items() if _is_among(times, at - BEFORE_SECS, at))

    def first_after(self, task: int, at: float, not_by: Collection[int] = ()) -> float | None:
        """When the task wrote its first line after this time, by a process that is none of `not_by`."""
        times = self._times.get(task, [])
        for line in self._lines.get(task, [])[bisect_right(times, at) :]:
            if line.pid not in not_by:
                return line.at
        return None

    def first_across(self, link: Link, at: float) -> float | None:
        """When the first tuple came over this link after this time."""
        times = self._crossed.get(link, [])
        return next(iter(times[bisect_right(times, at) :]), None)

    def has_ended(self, link: Link, since: float, until: float) -> bool:
        """Whether a worker of one of its two hosts ended between these times."""
        return any(since < at <= until and host in link for at, host in self._ends)

    def is_enough_after(self, at: float) -> bool:
        """Whether so many lines came later that each task must be among those that wrote them."""
        return len(self._all) - bisect_right(self._all, at) >= ENOUGH_LINES * len(self._lines)


def _is_among(times: Sequence[float], after: float, until: float) -> bool:
    return bisect_right(times, until) > bisect_right(times, after)


def recovered_secs(fault: Observed, ledger: Ledger) -> float | None:
    """How long it took until all was well: None if that was not seen.

    It counts from the blow where workers were hit, or where others take over while the fault goes on; else from its
    healing, or when it was done. See `signs_of_recovery` for what it counts to.
    """
    signs = signs_of_recovery(fault, ledger)
    since = recovers_from(fault)
    times = [at for at in signs.values() if at is not None]
    return max(0.0, max(times) - since) if times and len(times) == len(signs) else None


def recovers_from(fault: Observed) -> float:
    """What the time of its recovery counts from."""
    return fault.at if fault.victims or fault.from_blow else _over_at(fault)


def _over_at(fault: Observed) -> float:
    return fault.healed_at if fault.done_at is None else fault.done_at


def signs_of_recovery(fault: Observed, ledger: Ledger) -> dict[str, float | None]:
    """{what has to be seen before it counts as recovered: when it was}; empty if there is nothing to see.

    The line of a log, where it has one. Each task of the workers that it hit writes, from another process. Tuples come
    over each link that it cut and that they came over before. Where none of that is to be seen, each task that was busy
    before writes.
    """
    found: dict[str, float | None] = {"a log says that all is well": fault.back_at} if fault.has_back else {}
    busy = ledger.busy_before(fault.at)
    if fault.victims:
        for task in sorted(busy & fault.victim_tasks):
            found[f"task {task} writes again"] = ledger.first_after(task, fault.at, fault.victims)
    elif fault.links:
        found |= _crossings(fault, ledger)
    elif not fault.has_back:
        for task in sorted(busy):
            found[f"task {task} writes again"] = ledger.first_after(task, _over_at(fault), fault.replaced)
    return found


def _crossings(fault: Observed, ledger: Ledger) -> dict[str, float | None]:
    """Where a worker of one of both hosts ended meanwhile, its successor may be on another: that link needs no sign."""
    found: dict[str, float | None] = {}
    since = _over_at(fault)
    for link in sorted(ledger.crossed_before(fault.at) & fault.links):
        at = ledger.first_across(link, since)
        if not ledger.has_ended(link, fault.at, since + SOON_SECS if at is None else min(at, since + SOON_SECS)):
            found[f"a tuple comes from host {link[0]} to host {link[1]}"] = at
    return found


def is_missed(fault: Observed, ledger: Ledger) -> bool:
    """Whether there was something to see of its recovery, and it was not seen."""
    return None in signs_of_recovery(fault, ledger).values()


def not_recovered(faults: Iterable[Observed], ledger: Ledger) -> list[Violation]:
    """Faults of whose recovery something was never seen, though there was time for it."""
    found = []
    for fault in faults:
        missed = [what for what, at in signs_of_recovery(fault, ledger).items() if at is None]
        had_time = (fault.has_back and fault.back_at is None) or ledger.is_enough_after(fault.healed_at)
        if missed and not fault.problem and had_time:
            text = f"after {fault} this was never seen: {in_short(missed)}"
            found.append(Violation("C-TTR", text, fault.kind))
    return found


def too_slow(faults: Iterable[Observed], ledger: Ledger, bars: Mapping[str, Bar | None]) -> list[Violation]:
    """Recoveries that took much longer than they should, also for a machine that was so busy. Where another fault took
    what a recovery waits for, it may take as much longer as that one went on.
    """
    found = []
    for fault in faults:
        bar, took = bars.get(fault.fault), recovered_secs(fault, ledger)
        if bar is None or took is None:
            continue
        should = bar.median if bar.most is None else bar.most
        other = 0.0 if fault.held_until is None else max(0.0, fault.held_until - recovers_from(fault))
        if took > (ceiling := CEILING * should * fault.busy + other):
            text = f"{fault} took {took:.1f} s to recover from, at most {ceiling:.1f} s it may"
            why = f"{CEILING:g} times {should:g} s, {fault.busy:.1f} times as long on a machine as busy as this one"
            why += f", and {other:.1f} s for the fault beside it" if other else ""
            found.append(Violation("C-TTR", f"{text}: {why}", fault.kind))
    return found
