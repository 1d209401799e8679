"""The checkers: pure functions over what was recorded. Each answers with what is wrong, in words, or with nothing.

C-LOST    every number was acked or given up, and no ack came without its line in a ledger
C-UNEXP   no line that the source cannot have caused
C-DUP     lines that came again are bounded
C-CALM    when all is done and well, what comes then comes once, and nothing fails
C-FENCE   nothing was acked on the word of a worker that came back after it was replaced
C-TTR     it was well again, and not much later than it should have been (recovery.py)
C-ONCE    transactions: each batch once and in order
C-ALIVE   no daemon ended that was not asked to, and no worker that no fault touched; tasks that were hit write again
C-LEAK    nothing is left behind (what grows: usage.py)
C-LOG     a line names the fault; no traceback that was not asked for
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence  # noqa: TC003
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from records import LedgerLine, Run

SHOWN = 10
OVERLAPPED = " +"
ASKED_FOR = "the harness asked for"
TRACEBACK = "Traceback (most recent call last):"


class Violation(NamedTuple):
    """`kind`: of the fault that it is about, as in `Observed.kind`; empty: of none, or of all."""

    check: str
    text: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


class Observed(NamedTuple):
    """A fault as it was seen. Times are the monotonic clock's; None: not seen.

    `victims`: processes of workers that it hit, with the tasks `victim_tasks`; `may_end`: those that may end by it
    besides. `must_be_told`: a log line that names it was expected; it came at `told_at`. `back_at`: when a log said
    that all is well, where the fault has such a line. `done_at`: when it was done, where what it asked for takes more.
    `from_blow`: others take over while it goes on, so that its recovery does not wait for its healing. `links`: pairs
    of hosts, from and to, between which nothing passed.
    `returned_at`: when its victims went on that had been replaced meanwhile. `replaced`: processes of workers that gave
    way to others, and were not hit. `wrong`: what did not hold afterwards, in words. `busy`: see faults.busyness.
    `apart_at`: when the last of the faults that went on at the same time was healed; None: there was none.
    `held_until`: the same of those that took what its recovery waits for. `takes`, `waits_for`, `told_by`: parts of a
    cluster, see faults.Fault.
    """

    fault: str
    target: str
    at: float
    healed_at: float
    victims: frozenset[int] = frozenset()
    victim_tasks: frozenset[int] = frozenset()
    spares_workers: bool = False
    must_be_told: bool = False
    told_at: float | None = None
    has_back: bool = False
    back_at: float | None = None
    problem: str = ""
    may_end: frozenset[int] = frozenset()
    done_at: float | None = None
    returned_at: float | None = None
    replaced: frozenset[int] = frozenset()
    wrong: tuple[str, ...] = ()
    busy: float = 1.0
    apart_at: float | None = None
    held_until: float | None = None
    takes: frozenset[str] = frozenset()
    waits_for: frozenset[str] = frozenset()
    told_by: frozenset[str] = frozenset()
    from_blow: bool = False
    links: frozenset[tuple[str, str]] = frozenset()

    @property
    def kind(self) -> str:
        """Its name in the table: those that overlapped another are counted apart."""
        return self.fault if self.apart_at is None else f"{self.fault}{OVERLAPPED}"

    def __str__(self) -> str:
        return f"{self.kind} of {self.target}"


class End(NamedTuple):
    """A worker process, seen first at `since`, was seen no more. `moved`: logs say that its assignment wanted that."""

    at: float
    pid: int
    since: float
    moved: bool = False


class Bar(NamedTuple):
    """Seconds that a recovery should take, in the median and at most."""

    median: float
    most: float | None = None


class Committed(NamedTuple):
    """A transactional sink applied batch `txid` of a partition."""

    txid: int
    partition: int


def in_short(items: Iterable[object]) -> str:
    """The first of them, and how many there are."""
    listed = sorted(items, key=str) if not isinstance(items, list) else items
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return f"{', '.join(map(str, listed[:SHOWN]))}{more}"


def unfinished(run: Run) -> set[int]:
    """Numbers that were neither acked nor given up."""
    return set(range(run.messages)) - {ack.number for ack in run.acks} - run.given_up


def unwritten(run: Run) -> set[int]:
    """Numbers that were acked though no sink wrote all their parts down before: lost for good."""
    first = _first_times(run.lines)
    return {ack.number for ack in run.acks if any(first[ack.number, part] > ack.at for part in range(run.parts))}


def _first_times(lines: Iterable[LedgerLine]) -> defaultdict[tuple[int, int], float]:
    """{(number, part): when it was written first}; of those that were not, infinite."""
    first: defaultdict[tuple[int, int], float] = defaultdict(lambda: math.inf)
    for line in lines:
        first[line.number, line.part] = min(line.at, first[line.number, line.part])
    return first


def lost(run: Run) -> list[Violation]:
    found = []
    if missing := unfinished(run):
        found.append(Violation("C-LOST", f"{len(missing)} numbers were never acked: {in_short(sorted(missing))}"))
    if vanished := unwritten(run):
        found.append(Violation("C-LOST", f"{len(vanished)} were acked and never written: {in_short(sorted(vanished))}"))
    return found


def unexpected(run: Run) -> list[Violation]:
    strange = [line.number for line in run.lines if not 0 <= line.number < run.messages]
    no_part = [line.number for line in run.lines if not 0 <= line.part < run.parts]
    damaged = [line.number for line in run.lines if 0 <= line.number < run.messages and not line.is_sound]
    strange_acks = [ack.number for ack in run.acks if not 0 <= ack.number < run.messages]
    return [
        Violation("C-UNEXP", f"{len(numbers)} {what}: {in_short(numbers)}")
        for numbers, what in (
            (strange, "lines of numbers that do not exist"),
            (no_part, "lines of parts that do not exist"),
            (damaged, "lines with a wrong payload"),
            (strange_acks, "acks of numbers that do not exist"),
        )
        if numbers
    ]


def duplicates(lines: Sequence[LedgerLine]) -> list[LedgerLine]:
    """The second and later lines of each part of a number, in order of time."""
    seen: set[tuple[int, int]] = set()
    found = []
    for line in lines:
        if (line.number, line.part) in seen:
            found.append(line)
        seen.add((line.number, line.part))
    return found


def duplicates_max(faults: Sequence[Observed], pending_max: int, message_secs: float) -> int:
    """How many lines may come again: those of what is under way, `pending_max`, once for a fault and once more for each
    timeout that it lasts.
    """
    rounds = sum(1 + math.ceil((fault.healed_at - fault.at) / message_secs) for fault in faults)
    return pending_max * rounds


def not_calm(run: Run, since: float) -> list[Violation]:
    """What failed or came again since then, when every number before was done and all was well."""
    failed = [fail.number for fail in run.fails if fail.at >= since]
    again = [line.number for line in duplicates(run.lines) if line.at >= since]
    return [
        Violation("C-CALM", f"{len(numbers)} numbers {what} when all was calm: {in_short(numbers)}")
        for numbers, what in ((failed, "failed"), (again, "came again"))
        if numbers
    ]


def not_fenced(run: Run, faults: Iterable[Observed]) -> list[Violation]:
    """Numbers that a process acked that was not replaced, where only workers had written them that were.

    A worker that came back may ack what all happens within itself: that does nothing to anybody else.
    """
    found = []
    for fault in faults:
        if fault.returned_at is None:
            continue
        first = _first_times(line for line in run.lines if line.pid not in fault.victims or line.at < fault.returned_at)
        written = {(line.number, line.part) for line in run.lines}
        wrong = {
            ack.number
            for ack in run.acks
            for part in range(run.parts)
            if ack.pid not in fault.victims and (ack.number, part) in written and ack.at < first[ack.number, part]
        }
        if wrong:
            text = f"after {fault} the word of a worker that was replaced counted"
            found.append(
                Violation("C-FENCE", f"{text} for {len(wrong)} numbers: {in_short(sorted(wrong))}", fault.kind)
            )
    return found


def more_than(bound: int, lines: Sequence[LedgerLine]) -> list[Violation]:
    """More lines than this came again."""
    again = duplicates(lines)
    if len(again) <= bound:
        return []
    return [Violation("C-DUP", f"{len(again)} lines came again, at most {bound} may")]


def by_fault(times: Iterable[float], faults: Sequence[Observed]) -> Counter[int]:
    """{number of the fault that was the last to begin before: how many of the times}; those before all are left out."""
    begins = [fault.at for fault in faults]
    return Counter(index for at in times if (index := bisect_right(begins, at) - 1) >= 0)


def quiet_secs(fault: Observed, at: float, faults: Iterable[Observed]) -> float:
    """How much of the time since it was healed no other fault went on: negative while it does itself."""
    held_up, until = 0.0, fault.healed_at
    for other in sorted(faults, key=lambda other: other.at):  # where two went on at a time, that counts once
        held_up += max(0.0, min(at, other.healed_at) - max(until, other.at))
        until = max(until, min(at, other.healed_at))
    return at - fault.healed_at - held_up


def apart(faults: Sequence[Observed]) -> list[Observed]:
    """The same, each with when those were healed that went on at the same time. Where one of them took who tells of it,
    nobody has to, nor how its victims ended.
    """
    found = []
    for fault in faults:
        others = [other for other in faults if other is not fault and _overlap(fault, other)]
        is_teller_away = any(other.takes & fault.told_by for other in others)
        found.append(
            fault._replace(
                apart_at=max((other.healed_at for other in others), default=None),
                held_until=max((other.healed_at for other in others if other.takes & fault.waits_for), default=None),
                must_be_told=fault.must_be_told and not is_teller_away,
                has_back=fault.has_back and not (fault.victims and is_teller_away),
            )
        )
    return found


def _overlap(one: Observed, other: Observed) -> bool:
    return max(one.at, other.at) < min(one.healed_at, other.healed_at)


def under_way(at: float, faults: Sequence[Observed], patience_secs: float) -> list[int]:
    """The numbers of the faults that may end workers, and may do so at this time: until it was quiet for so long."""
    return [
        index
        for index, fault in enumerate(faults)
        if fault.at <= at and not fault.spares_workers and quiet_secs(fault, at, faults) <= patience_secs
    ]


def restarts_by_fault(started: Iterable[float], faults: Sequence[Observed], patience_secs: float) -> Counter[int]:
    """Started worker processes by the fault that they came of: the last that may end workers, or the last of all."""
    found: Counter[int] = Counter()
    for at in started:
        begun = [index for index, fault in enumerate(faults) if fault.at <= at]
        if begun:
            found[(under_way(at, faults, patience_secs) or begun)[-1]] += 1
    return found


def ends_by_fault(
    ends: Iterable[End], faults: Sequence[Observed], patience_secs: float
) -> tuple[Counter[int], list[Violation]]:
    """Workers that ended though no fault had hit them, by the fault that began last before; which of them are wrong.

    A changed assignment may end any worker while a fault is under way that may end workers. One that came up only then
    may end, too, as where it was started in vain. Nothing else ends one.
    """
    found: Counter[int] = Counter()
    violations = []
    for end in ends:
        begun = [index for index, fault in enumerate(faults) if fault.at <= end.at]
        if not begun or any(end.pid in faults[i].victims | faults[i].may_end for i in begun):
            continue
        found[begun[-1]] += 1
        harsh = under_way(end.at, faults, patience_secs)
        is_young = bool(harsh) and end.since >= min(faults[i].at for i in harsh)
        if not harsh or not (end.moved or is_young):
            fault = faults[begun[-1]]
            why = "its assignment changed" if end.moved else "nothing had hit it"
            violations.append(Violation("C-ALIVE", f"worker {end.pid} ended during {fault}: {why}", fault.kind))
    return found, violations


def detected_secs(fault: Observed) -> float | None:
    return None if fault.told_at is None else max(0.0, fault.told_at - fault.at)


def not_told(faults: Iterable[Observed]) -> list[Violation]:
    """Faults that no line of a log names, though one had to."""
    return [
        Violation("C-LOG", f"no log line tells of {fault}", fault.kind)
        for fault in faults
        if fault.must_be_told and fault.told_at is None and not fault.problem
    ]


def afterwards(faults: Iterable[Observed]) -> list[Violation]:
    """What the faults themselves found wrong."""
    return [Violation("C-ALIVE", f"{each}: {wrong}", each.kind) for each in faults for wrong in each.wrong]


def problems(faults: Iterable[Observed]) -> list[Violation]:
    """Faults that the harness could not inject or heal."""
    return [Violation("HARNESS", f"{fault} {fault.problem}", fault.kind) for fault in faults if fault.problem]


def tracebacks(text: str, allowed: Collection[str] = (ASKED_FOR,)) -> list[str]:
    """The last line of each traceback in a log that none of the `allowed` texts is in."""
    found = []
    for block in text.split(TRACEBACK)[1:]:
        lines = block.splitlines()
        end = next((i for i, line in enumerate(lines[1:], 1) if line and not line.startswith((" ", "\t"))), None)
        last = lines[end] if end is not None else ""
        shown = "\n".join(lines[: end + 1] if end is not None else lines)
        # Of a chain the last one counts for all: the others lead to it.
        chained = any("the above exception" in line.lower() or "another exception" in line for line in lines)
        if not chained and not any(each in shown for each in allowed):
            found.append(last[:200])
    return found


def order_of_commits(commits: Sequence[Committed], batches: Mapping[int, int]) -> list[Violation]:
    """Transactions as a sink applied them, in this order. `batches`: {partition: its batches, 1 to this number}."""
    found = []
    last: dict[int, int] = {}
    for commit in commits:
        before = last.get(commit.partition, 0)
        if commit.txid == before:
            found.append(Violation("C-ONCE", f"batch {commit.txid} of partition {commit.partition} was applied twice"))
        elif commit.txid != before + 1:
            found.append(
                Violation("C-ONCE", f"batch {commit.txid} of partition {commit.partition} came after batch {before}")
            )
        last[commit.partition] = max(before, commit.txid)
    for partition, count in batches.items():
        if last.get(partition, 0) < count:
            found.append(
                Violation("C-ONCE", f"partition {partition} ends with batch {last.get(partition, 0)} of {count}")
            )
    strangers = sorted(set(last) - set(batches))
    return found + [Violation("C-ONCE", f"there is no partition {partition}") for partition in strangers]
