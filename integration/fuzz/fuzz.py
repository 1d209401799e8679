"""Hostile bytes at every port: `run [SURFACE...] [--attack A] [--seconds N | --cases N] [--seed N] [--list]`.

For each surface real daemons are started, beside them a well-behaved neighbour that calls all the time, and the attacks
are made one after the other: `bytes` (the corpus, then changed cases), `idle` (10,000 connections that say
nothing), `slow` (a byte a second), `endless` (messages without an end, where the protocol has no limit to them) and
`descriptors` (64 open files for the daemon). The table says how daemon and neighbour took it. The
exit code is 1 where one died, stalled the neighbour or failed it, or grew by more than 64 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import campaign
import crowds
from campaign import Outcome, Plan
from corpus import load
from surfaces import SURFACES

COLUMNS = (
    "surface",
    "attack",
    "cases",
    "s",
    "deaths",
    "quiet ms",
    "control ms",
    "attacked ms",
    "stalls",
    "failed",
    "MB",
    "",
)
DEFAULT_SECS = 60.0


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    if options.list:
        for name, surface in SURFACES.items():
            print(f"{name:20} {len(load(name)):4} files   {surface.about}")
        return 0
    unknown = sorted(set(options.surfaces) - SURFACES.keys())
    if unknown:
        print(f"no surface {', '.join(unknown)} (there are {', '.join(SURFACES)})", file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    secs = options.seconds if options.seconds or options.cases is not None else DEFAULT_SECS
    plan = Plan(seed, options.cases, secs)
    print(f"seed {seed}", flush=True)
    outcomes: list[Outcome] = []
    for name in options.surfaces or SURFACES:
        for outcome in fuzz(name, plan, options.attack or ["bytes", *crowds.CROWDS]):
            print_row(outcome, first=not outcomes)
            outcomes.append(outcome)
    if options.json:
        options.json.write_text(json.dumps([{**vars(each), "verdict": each.verdict} for each in outcomes], indent=1))
    return int(any(outcome.verdict for outcome in outcomes))


def fuzz(name: str, plan: Plan, attacks: list[str]) -> list[Outcome]:
    """One surface: its daemons are started once for all attacks. Their logs are kept where something was wrong."""
    directory = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    surface = SURFACES[name]()
    outcomes = []
    try:
        surface.start(directory)
        for attack in attacks:
            if attack == "bytes":
                outcomes.append(campaign.run(surface, plan))
            elif surface.ports and (attack != "endless" or surface.endless):
                outcomes.append(crowds.CROWDS[attack](surface, plan))
            if outcomes and outcomes[-1].deaths:
                break
        if outcomes:
            campaign.conclude(surface, outcomes[-1])
    finally:
        surface.close()
    if any(outcome.verdict for outcome in outcomes):
        print(f"the logs are in {directory}", flush=True)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return outcomes


def print_row(outcome: Outcome, *, first: bool) -> None:
    """Latencies are p99 / longest, in milliseconds; memory what stays / what it was at its largest, in MB."""
    cells = (
        outcome.surface,
        outcome.attack,
        str(outcome.cases),
        f"{outcome.secs:.0f}",
        str(len(outcome.deaths)),
        *(
            f"{p99 * 1000:.0f}/{longest * 1000:.0f}"
            for p99, longest in (outcome.quiet, outcome.control, outcome.attacked)
        ),
        f"{outcome.stalls}({outcome.suspects})",
        str(outcome.failed_calls),
        f"{outcome.growth_bytes / 2**20:+.0f}/{outcome.peak_bytes / 2**20:+.0f}",
        "FAILED" if outcome.verdict else "ok",
    )
    widths = (18, 12, 8, 5, 6, 10, 10, 11, 8, 6, 10, 6)
    if first:
        print("  ".join(title.ljust(width) for title, width in zip(COLUMNS, widths, strict=True)))
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)
    for line in (*outcome.verdict, *outcome.notes, *(f"kept as {file}" for file in outcome.new_files)):
        print(f"    {line}", flush=True)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="integration/fuzz/run", description=__doc__)
    found.add_argument("surfaces", nargs="*", metavar="SURFACE", help="which (default: all)")
    found.add_argument("--attack", action="append", choices=["bytes", *crowds.CROWDS], help="which (default: all)")
    found.add_argument("--seconds", type=float, help=f"of changed cases for each surface (default: {DEFAULT_SECS:.0f})")
    found.add_argument("--cases", type=int, help="how many changed cases for each surface, instead of a time")
    found.add_argument(
        "--seed", type=int, help="the same seed makes the same cases (default: a random one, which is printed)"
    )
    found.add_argument("--list", action="store_true", help="the surfaces and how many files their corpora have")
    found.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes there too")
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are ended
    sys.exit(main(sys.argv[1:]))
