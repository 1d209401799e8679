"""The table that people read: a line for each kind of fault, what is wrong below it."""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, NamedTuple, TextIO

import checkers
import recovery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkers import Bar, End, Observed, Violation
    from records import Run


class Workers(NamedTuple):
    """When worker processes were started, and which ended. After how many quiet seconds a fault counts as over.

    `hosts`: where each process ran.
    """

    started: Sequence[float]
    ends: Sequence[End]
    patience_secs: float
    hosts: Mapping[int, str] = {}


class Row(NamedTuple):
    """One kind of fault. Times in seconds, one for each time that it was seen.

    `never`: how often nobody saw it recover. `others`: workers that ended during it and that no fault had hit.
    """

    fault: str
    runs: int
    lost: int = 0
    duplicated: int = 0
    detected: tuple[float, ...] = ()
    recovered: tuple[float, ...] = ()
    restarts: int = 0
    violations: tuple[Violation, ...] = ()
    never: int = 0
    others: int = 0
    bar: Bar | None = None

    @property
    def verdict(self) -> str:
        return "FAILED" if self.violations else "ok"


def rows(run: Run, faults: Sequence[Observed], workers: Workers, bars: Mapping[str, Bar | None]) -> list[Row]:
    """A row for each kind of fault of a run, in the order of their first. `bars`: of those kinds that have one."""
    ledger = recovery.Ledger(run.lines, workers.hosts, workers.ends)
    again = checkers.by_fault((line.at for line in checkers.duplicates(run.lines)), faults)
    vanished = checkers.unwritten(run)
    gone = checkers.by_fault((ack.at for ack in run.acks if ack.number in vanished), faults)
    restarts = checkers.restarts_by_fault(workers.started, faults, workers.patience_secs)
    others, wrong = checkers.ends_by_fault(workers.ends, faults, workers.patience_secs)
    wrong += [*recovery.not_recovered(faults, ledger), *recovery.too_slow(faults, ledger, bars)]
    wrong += [*checkers.not_told(faults), *checkers.problems(faults), *checkers.afterwards(faults)]
    wrong += checkers.not_fenced(run, faults)
    found = []
    for kind in dict.fromkeys(fault.kind for fault in faults):
        mine = [i for i, fault in enumerate(faults) if fault.kind == kind]
        detected = [checkers.detected_secs(faults[i]) for i in mine]
        recovered = [recovery.recovered_secs(faults[i], ledger) for i in mine]
        found.append(
            Row(
                kind,
                len(mine),
                lost=sum(gone[i] for i in mine),
                duplicated=sum(again[i] for i in mine),
                detected=tuple(secs for secs in detected if secs is not None),
                recovered=tuple(secs for secs in recovered if secs is not None),
                restarts=sum(restarts[i] for i in mine),
                violations=tuple(each for each in wrong if each.kind == kind),
                never=sum(recovery.is_missed(faults[i], ledger) for i in mine),
                others=sum(others[i] for i in mine),
                bar=bars.get(kind),
            )
        )
    return found


def barred(row: Row) -> str:
    """The seconds that its recovery should take, and whether the median and the longest did."""
    if row.bar is None:
        return "-"
    words = f"{row.bar.median:g}" if row.bar.most is None else f"{row.bar.median:g}/{row.bar.most:g}"
    if not row.recovered:
        return words
    is_met = statistics.median(row.recovered) <= row.bar.median
    is_met = is_met and (row.bar.most is None or max(row.recovered) <= row.bar.most)
    return f"{words} {'met' if is_met else 'missed'}"


def seconds(values: Sequence[float]) -> str:
    """p50 and maximum."""
    if not values:
        return "-"
    return f"{statistics.median(values):.2f}/{max(values):.2f}"


def print_table(found: Sequence[Row], out: TextIO = sys.stdout) -> None:
    print(
        f"{'fault':28}{'runs':>5}{'lost':>6}{'duplicated':>11}{'detected s':>14}{'recovered s':>14}"
        f"{'restarts':>9}{'never':>6}{'others':>7}{'bar s':>13}  verdict",
        file=out,
    )
    print(f"{'':50}{'p50/max':>14}{'p50/max':>14}", file=out)
    for row in found:
        print(
            f"{row.fault:28}{row.runs:>5}{row.lost:>6}{row.duplicated:>11}{seconds(row.detected):>14}"
            f"{seconds(row.recovered):>14}{row.restarts:>9}{row.never:>6}{row.others:>7}{barred(row):>13}"
            f"  {row.verdict}",
            file=out,
        )
        for violation in dict.fromkeys(row.violations):
            print(f"    {violation}", file=out)
    if any(row.fault.endswith(checkers.OVERLAPPED) for row in found):
        print(
            f"{checkers.OVERLAPPED}: while another fault went on, which its times hold and by which it may take longer",
            file=out,
        )
