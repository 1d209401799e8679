"""The command: chooses the cases, runs them and their rivals, prints the table, writes the JSON."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import signal
import sys
from pathlib import Path

import bars
import rivals
from case import Case, Options
from rounds import Rounds, machine
from table import print_rivals, print_table

MODULES = [
    "throughput_cases",
    "cluster_cases",
    "engine_loop",
    "grouping_cases",
    "codec_cases",
    "acker_cases",
    "ui_cases",
]
SECONDS = 12
MACHINE = "{cores} cores of {processor}, Python {python} (a call of an empty function: {call:.0f} ns), engine {engine}"


def collect() -> dict[str, Case]:
    """{name: case} of all modules, in their order."""
    found: dict[str, Case] = {}
    for module in MODULES:
        for case in importlib.import_module(module).CASES:
            assert case.name not in found, f"two cases are named {case.name}"
            found[case.name] = case
    return found


def chosen(cases: dict[str, Case], patterns: list[str]) -> list[Case]:
    """Those that the patterns name, in the order of the patterns; each once."""
    found: dict[str, Case] = {}
    for pattern in patterns:
        names = fnmatch.filter(cases, pattern) or fnmatch.filter(cases, f"{pattern}-*")  # `codec`: all codec cases
        if not names:
            sys.exit(f"no case is named {pattern!r}: `run --list` shows them all")
        found.update((name, cases[name]) for name in names)
    return list(found.values())


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run", description="Measures Storm for Python: see docs/performance.md.")
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help="names or patterns, such as 'hop-*'; `bars`: see there"
    )
    parser.add_argument("--list", action="store_true", help="print the cases")
    parser.add_argument("--seconds", type=int, help=f"how many windows of a second are kept ({SECONDS})")
    parser.add_argument("--warmup", type=int, default=5, help="seconds before the first of them (5)")
    parser.add_argument("--repeat", type=int, default=1, help="whole runs; the figure is the median of theirs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found")
    parser.add_argument("--against", default="", help="rivals in the same run: " + ", ".join(rivals.NAMES))
    parser.add_argument("--storm-repeat", type=int, default=1, help="runs of each case of Apache Storm (1)")
    parser.add_argument(
        "--recorded", action="store_true", help="bars: Storm's figures of another run where there are none"
    )
    parser.add_argument("-c", dest="conf", action="append", default=[], metavar="KEY=VALUE", help="a topology setting")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write a flame graph of each case's workers there")
    return parser.parse_intermixed_args(words)


def main(words: list[str]) -> None:
    arguments = parse(words)
    cases = collect()
    if arguments.list or not arguments.cases:
        width = max(map(len, cases)) + 2
        for case in cases.values():
            print(f"{case.name:{width}}{case.about}")
        print(f"{'bars':{width}}the cases of the bars, and the bars")
        return
    against = rivals.checked(arguments.against)
    options = Options(
        seconds=arguments.seconds or SECONDS,
        warmup=arguments.warmup,
        repeat=arguments.repeat,
        conf=dict(setting.split("=", 1) for setting in arguments.conf),
        profile=arguments.profile,
        seconds_given=arguments.seconds is not None,
    )
    show_bars = arguments.cases in (["bars"], ["table"])
    wanted = chosen(cases, bars.cases() if show_bars else arguments.cases)
    rounds = Rounds(options)
    try:
        rounds.run(wanted, against, arguments.storm_repeat)
    finally:
        results, rivalry = rounds.results, rounds.rivalry
        print(MACHINE.format(**machine()))
        print_table(results)
        print_rivals(results, rivalry)
        if show_bars:
            bars.print_bars(results, rivalry.get("storm", []), rivalry.get("bytewax", []), arguments.recorded)
        if arguments.json:
            rounds.write(arguments.json)
    if rounds.failures:
        sys.exit(f"failed: {', '.join(rounds.failures)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the cluster is ended, too
    main(sys.argv[1:])
