"""Many seeds of the simulated cluster, on all cores: prints those that fail, and goes on where it was interrupted."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
import zlib
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from simulated_cluster import simulate_quietly

from storm import hot_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from simulated_cluster import Outcome

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 50
TOLD_EVERY_SECS = 30.0
SEED_CPU_SECS_MAX = 60.0  # some hundred times what one takes: it never ends


class Chunk(NamedTuple):
    """What came of the seeds `first`..`last`, both included; `failed` is {seed: its problems}."""

    first: int
    last: int
    acked: int
    cpu_secs: float
    failed: dict[str, list[str]]


class EndlessError(BaseException):
    """A seed takes too long. No `Exception`: a simulated process must not die of it, and the run go on."""


def simulated(
    seeds: range, simulate: Callable[[int], Outcome] = simulate_quietly, cpu_secs_max: float = SEED_CPU_SECS_MAX
) -> Chunk:
    """In a process of the pool. A seed that cannot be simulated to its end has failed, and the others go on."""

    def endless(number: int, frame: object) -> None:
        raise EndlessError(f"after {cpu_secs_max:g} s of CPU it was not over")

    began, acked, failed = time.process_time(), 0, {}
    signal.signal(signal.SIGVTALRM, endless)
    for seed in seeds:
        signal.setitimer(signal.ITIMER_VIRTUAL, cpu_secs_max, 1.0)  # again, where something takes it for its own
        try:
            outcome = simulate(seed)
            acked += outcome.acked
            problems = outcome.problems
        except (Exception, EndlessError):  # noqa: BLE001 - whatever it is, this seed has failed
            problems = [f"the simulation itself failed:\n{traceback.format_exc()}"]
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        if problems:
            failed[str(seed)] = problems
    return Chunk(seeds[0], seeds[-1], acked, time.process_time() - began, failed)


class Progress:
    """A file with a line for each chunk that is done, below one that says by which source.

    Raises SystemExit if the file is of another source.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        if lines and lines[0] != source:
            raise SystemExit(f"{path} is of {lines[0]}, and this is {source}: delete it, or name another with --done")
        self.chunks = list(_readable(lines[1:]))
        path.write_text("".join(f"{line}\n" for line in (source, *(json.dumps(chunk) for chunk in self.chunks))))

    def add(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        with self._path.open("a") as file:
            file.write(json.dumps(chunk) + "\n")

    def left(self, seeds: range) -> list[range]:
        """What is not done yet, in chunks."""
        done = {seed for chunk in self.chunks for seed in range(chunk.first, chunk.last + 1)}
        chunks = (seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK))
        return [chunk for chunk in chunks if not done.issuperset(chunk)]


def _readable(lines: Iterable[str]) -> Iterator[Chunk]:
    for line in lines:
        try:
            yield Chunk(*json.loads(line))
        except (ValueError, TypeError):
            continue  # the end of a run that was killed while it wrote


def told(seed: str, problems: list[str]) -> str:
    """A failing seed, and how to see it again."""
    lines = "\n  ".join(problems)
    again = f"STORM_SIMULATION_SEED={seed} bin/test tests/simulation -k replay -s"
    return f"seed {seed}, to be run again by {again}:\n  {lines}"


def source() -> str:
    """Which commit this is, with which changes, in which mode."""
    changes = _git("diff", "HEAD", "--", "storm", "tests/simulation")
    changed = f" with changes {zlib.crc32(changes.encode()):08x}" if changes else ""
    mode = "compiled" if hot_path.is_compiled() else "interpreted"
    return f"commit {_git('rev-parse', '--short', 'HEAD')}{changed}, {mode}"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def seed_range(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        found = range(0)
    if not found or found[0] < 0:
        raise argparse.ArgumentTypeError(f"{text!r} should be like 0..99999, or one number")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 if a seed failed, 3 if there were too few."""
    parser = argparse.ArgumentParser(prog="integration/simulation/run", description=__doc__)
    parser.add_argument("--seeds", type=seed_range, default="0..99999", metavar="A..B", help="both included; 0..99999")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="as many as there are cores")
    parser.add_argument("--done", type=Path, metavar="FILE", help="what is done already; build/simulation/A..B")
    parser.add_argument("--secs", type=float, default=inf, help="begin no more chunks of seeds after so many")
    parser.add_argument("--least", type=int, default=0, metavar="N", help="exit with 3 if fewer seeds are done then")
    given = parser.parse_args(arguments)
    seeds = given.seeds
    progress = Progress(given.done or ROOT / "build" / "simulation" / f"{seeds[0]}..{seeds[-1]}", source())
    for chunk in progress.chunks:
        for seed, problems in chunk.failed.items():
            print(told(seed, problems), flush=True)
    run(progress, seeds, given.processes, given.secs)
    chunks = [chunk for chunk in progress.chunks if chunk.first <= seeds[-1] and chunk.last >= seeds[0]]
    failed = sorted(int(seed) for chunk in chunks for seed in chunk.failed)
    cpu_secs = sum(chunk.cpu_secs for chunk in chunks)
    acked = sum(chunk.acked for chunk in chunks)
    count = sum(chunk.last - chunk.first + 1 for chunk in chunks)
    of = "" if (left := sum(map(len, progress.left(seeds)))) == 0 else f" of {len(seeds):,}, for want of time"
    cost = f"{cpu_secs / max(1, count):.3f} s of CPU a seed"
    print(f"{len(seeds) - left:,} seeds{of}, {len(failed)} failed; {acked:,} trees acked, {cost}")
    if failed:
        print(f"failed: {' '.join(map(str, failed))}")
        return 1
    if len(seeds) - left < given.least:
        print(f"too few: at least {given.least:,} were asked for")
        return 3
    return 0


def run(progress: Progress, seeds: range, processes: int, secs_max: float = inf) -> None:
    """Simulate what is left, a chunk for each process at a time, as far as that was begun within `secs_max`."""
    left = deque(progress.left(seeds))
    to_do, done, failed = sum(map(len, left)), 0, 0
    began = told_at = time.monotonic()
    if to_do < len(seeds):
        print(f"{len(seeds) - to_do:,} of {len(seeds):,} seeds are done already", flush=True)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        under_way: set[Future[Chunk]] = set()
        while True:
            while left and len(under_way) < processes and time.monotonic() - began < secs_max:
                under_way.add(pool.submit(simulated, left.popleft()))
            if not under_way:
                return
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for chunk in (future.result() for future in ended):
                progress.add(chunk)
                done += chunk.last - chunk.first + 1
                failed += len(chunk.failed)
                for seed, problems in chunk.failed.items():
                    print(told(seed, problems), flush=True)
            if time.monotonic() - told_at >= TOLD_EVERY_SECS:
                told_at = time.monotonic()
                print(how_far(done, to_do, failed, told_at - began), flush=True)


def how_far(done: int, to_do: int, failed: int, secs: float) -> str:
    """A line of progress, after so many seconds."""
    left_mins = round(secs / done * (to_do - done) / 60)
    left = f"{left_mins // 60} h {left_mins % 60:02} min left"
    return f"{done:,} of {to_do:,} seeds, {failed} failed; {done / secs:.1f} a second, {left}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # after the chunks under way
    sys.exit(main())
