"""One surface under attack: what is measured, and when hostile bytes are held to be the cause.

The neighbour is measured three times in one run: while nothing else happens (`quiet`), while the same cases go to a
server that only swallows them (`control`: what the attacker's own work costs on this machine), and under attack. A call
that took more than STALL_SECS longer than the longest of the first two is a suspect. The cases that were under way then
are sent again, alone, three times, and only a suspect that comes back in most of them is a stall of the product; the
others are the machine's, and are counted as noise.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import mutator
import psutil
from corpus import Case, save

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from neighbour import Sample
    from surface import Surface

NOTED_SECS_MAX = 5.0  # a call that takes longer is a failed one
STALL_SECS = 0.25  # what a well-behaved neighbour may wait longer because of others
GROWTH_MAX_BYTES = 64 << 20
ATTACKERS = 4
BATCH = 50  # cases between two looks at the processes
REPLAYS, REPLAYS_TO_BLAME = 3, 2
SETTLE_SECS = 1.0
SINK = Path(__file__).with_name("sink.py")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much: whichever of `secs` and `cases` (beyond the corpus) is reached first ends the run."""

    seed: int
    cases: int | None = None
    secs: float | None = None
    quiet_secs: float = 5.0
    control_cases: int = 300
    blames: bool = True  # look whether stalls come back
    crowd: int = 10_000  # idle connections


class Sent(NamedTuple):
    """A case that was sent, and when (CLOCK_MONOTONIC)."""

    case: Case
    started: float
    ended: float


@dataclass
class Outcome:
    """A row of the table. Latencies of the neighbour in seconds, memory in bytes."""

    surface: str
    attack: str
    cases: int = 0
    secs: float = 0.0
    quiet: tuple[float, float] = (0.0, 0.0)  # p99, max
    control: tuple[float, float] = (0.0, 0.0)
    attacked: tuple[float, float] = (0.0, 0.0)
    suspects: int = 0
    stalls: int = 0
    calls: int = 0
    failed_calls: int = 0
    growth_bytes: int = 0  # that stays after the attack, of the process that grew most
    peak_bytes: int = 0  # in its course
    deaths: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    new_files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> list[str]:
        """Why the product failed; empty if it did not."""
        why = [f"died: {name}" for name in self.deaths] + self.trouble
        if self.stalls:
            why.append(f"{self.stalls} stalls of the neighbour that come back when their cases are sent again")
        if self.failed_calls:
            why.append(f"{self.failed_calls} calls of the neighbour failed")
        if self.growth_bytes > GROWTH_MAX_BYTES:
            why.append(f"grew by {self.growth_bytes / 2**20:.0f} MB")
        return why


class Watch:
    """Memory and lives of a surface's processes; a process that was started again has died before."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._first = {name: psutil.Process(pid) for name, pid in surface.processes().items()}
        self._rss_first = {name: process.memory_info().rss for name, process in self._first.items()}
        self._peak: dict[str, int] = dict(self._rss_first)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._done.wait(0.1):
            for name, rss in self._rss().items():
                self._peak[name] = max(self._peak[name], rss)

    def _rss(self) -> dict[str, int]:
        found = {}
        for name, process in self._first.items():
            try:
                found[name] = process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return found

    def deaths(self) -> list[str]:
        now = self._surface.processes()
        return [
            f"{name} (process {process.pid})"
            for name, process in self._first.items()
            if now.get(name) != process.pid or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        ]

    def close(self) -> tuple[int, int]:
        """How much the process that grew most has grown, and had grown at its largest."""
        self._done.set()
        self._thread.join()
        grown = [rss - self._rss_first[name] for name, rss in self._rss().items()]
        peaks = [peak - self._rss_first[name] for name, peak in self._peak.items()]
        return max(grown, default=0), max(peaks, default=0)


def run(surface: Surface, plan: Plan) -> Outcome:
    """Replay the corpus, then send changed cases until the plan is done. The surface is started already."""
    outcome = Outcome(surface.name, "bytes")
    seeds = surface.seeds()
    outcome.quiet = figures(quiet_phase(surface, plan.quiet_secs))
    outcome.control = figures(control_phase(surface, seeds, plan))
    limit = max(outcome.quiet[1], outcome.control[1]) + STALL_SECS
    watch = Watch(surface)
    began = time.monotonic()
    sent: list[Sent] = []
    for batch in batches(planned(surface, seeds, plan)):
        found = send_all(surface, batch, surface.ports)
        sent += found
        outcome.cases += len(found)
        outcome.deaths = watch.deaths()
        if outcome.deaths:
            outcome.new_files += [str(save(surface.name, one.case.data)) for one in found[-ATTACKERS:]]
            break
    ended = time.monotonic()
    outcome.secs = ended - began
    during = between(samples_past(surface, ended), began, ended)
    note_calls(surface, outcome, during)
    outcome.suspects = sum(sample.secs > limit for sample in during)
    if not outcome.deaths and plan.blames:
        blame(surface, [sample for sample in during if sample.secs > limit], sent, limit, outcome)
        time.sleep(SETTLE_SECS)
        outcome.deaths = watch.deaths()
    outcome.growth_bytes, outcome.peak_bytes = watch.close()
    return outcome


def conclude(surface: Surface, outcome: Outcome) -> None:
    """Add to the last attack's outcome what can be told only when all of them are over: the surface is spent then."""
    if not outcome.deaths:
        outcome.trouble += surface.trouble()
        outcome.notes += surface.notes()


def planned(surface: Surface, seeds: list[Case], plan: Plan) -> Iterator[Case]:
    """The corpus, then changed cases without end or until the plan's is reached."""
    yield from seeds
    until = None if plan.secs is None else time.monotonic() + plan.secs
    bytes_of = [seed.data for seed in seeds]
    for number in itertools.count():
        if (plan.cases is not None and number >= plan.cases) or (until is not None and time.monotonic() >= until):
            return
        yield Case(f"{plan.seed}/{number}", mutator.case(plan.seed, number, bytes_of, surface.change))


def batches(cases: Iterator[Case]) -> Iterator[list[Case]]:
    while batch := list(itertools.islice(cases, BATCH)):
        yield batch


def send_all(surface: Surface, cases: Iterable[Case], ports: tuple[int, ...]) -> list[Sent]:
    """Send cases, a few at a time."""

    def send(case: Case) -> Sent:
        started = time.monotonic()
        surface.attack(case.data, ports)
        return Sent(case, started, time.monotonic())

    with ThreadPoolExecutor(ATTACKERS) as attackers:
        return list(attackers.map(send, cases))


def quiet_phase(surface: Surface, secs: float) -> list[Sample]:
    if not surface.has_neighbour:
        return []
    began = time.monotonic()
    time.sleep(secs)
    return between(surface.samples(), began, time.monotonic())


def control_phase(surface: Surface, seeds: list[Case], plan: Plan) -> list[Sample]:
    """The neighbour while cases as they will come go to a server that only swallows them."""
    if not surface.ports or plan.control_cases == 0:
        return []
    sink = subprocess.Popen([sys.executable, str(SINK)], stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        port = int(sink.stdout.readline())
        began = time.monotonic()
        small = Plan(plan.seed, cases=plan.control_cases)
        for batch in batches(planned(surface, seeds, small)):
            send_all(surface, batch, (port,))
        return between(surface.samples(), began, time.monotonic())
    finally:
        sink.kill()
        sink.communicate()


def blame(surface: Surface, suspects: list[Sample], sent: list[Sent], limit: float, outcome: Outcome) -> None:
    """Send again what was under way while a suspect waited; what comes back in most tries is the product's stall."""
    for suspect in suspects[:20]:
        cases = [one.case for one in sent if one.started < suspect.ended and one.ended > suspect.started]
        again = 0
        for _ in range(REPLAYS):
            began = time.monotonic()
            send_all(surface, cases, surface.ports)
            time.sleep(STALL_SECS)  # for the call that was under way to be noted
            again += any(sample.secs > limit for sample in between(surface.samples(), began, time.monotonic()))
        if again >= REPLAYS_TO_BLAME:
            outcome.stalls += 1
            outcome.new_files += [str(save(surface.name, case.data)) for case in cases]


def between(found: list[Sample], began: float, ended: float) -> list[Sample]:
    """The calls of which a part was in that time."""
    return [sample for sample in found if sample.ended > began and sample.started < ended]


def samples_past(surface: Surface, ended: float) -> list[Sample]:
    """All calls so far, once one is noted that began after `ended`: by then those under way at that time are noted."""
    until = time.monotonic() + NOTED_SECS_MAX
    found = surface.samples()
    while surface.has_neighbour and not any(sample.started >= ended for sample in found) and time.monotonic() < until:
        time.sleep(0.01)
        found = surface.samples()
    return found


def figures(found: list[Sample]) -> tuple[float, float]:
    """p99 and the longest."""
    secs = sorted(sample.secs for sample in found)
    return (secs[min(len(secs) - 1, len(secs) * 99 // 100)], secs[-1]) if secs else (0.0, 0.0)


def note_calls(surface: Surface, outcome: Outcome, during: list[Sample]) -> None:
    if surface.has_neighbour and not during:
        outcome.trouble.append("the neighbour made no call meanwhile: nothing was seen of how it fares")
    outcome.attacked = figures(during)
    outcome.calls = len(during)
    failed = [sample.trouble for sample in during if sample.trouble]
    outcome.failed_calls = len(failed)
    outcome.notes += sorted(set(failed))[:3]
