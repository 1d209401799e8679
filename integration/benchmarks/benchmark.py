"""The command: chooses the cases, runs them and their rivals, prints the table, writes the JSON."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

import bars
import bench_cluster
import rivals
from case import Case, Options, Result, median_of
from table import print_rivals, print_table

from storm import hot_path

MODULES = ["throughput_cases", "cluster_cases", "engine_loop", "grouping_cases", "codec_cases", "acker_cases"]
SECONDS = 12


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


def run_cases(cases: list[Case], options: Options, against: list[str]) -> tuple[list[Result], dict[str, list[Result]]]:
    """Each case `repeat` times, and between them the rivals that run on this cluster's own terms.

    The rounds are interleaved, so that what disturbs the machine for a while disturbs all of them.
    """
    ours: dict[str, list[Result]] = {}
    theirs: dict[str, dict[str, list[Result]]] = {}
    for round_ in range(options.repeat):
        for case in cases:
            progress(f"{case.name} ({round_ + 1} of {options.repeat})")
            ours.setdefault(case.name, []).append(case.run(options))
        for rival in rivals.of_each_round(against):
            for load in dict.fromkeys(load for case in cases for load in rival.loads_of(case.name)):
                progress(f"{rival.name}: {load} ({round_ + 1} of {options.repeat})")
                theirs.setdefault(rival.name, {}).setdefault(load, []).append(rival.run(load, options))
    bench_cluster.close_shared()
    rivalry = {name: [median_of(results) for results in loads.values()] for name, loads in theirs.items()}
    return [median_of(results) for results in ours.values()], rivalry


def progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def as_json(results: list[Result], rivalry: dict[str, list[Result]], options: Options) -> dict[str, Any]:
    def plain(result: Result) -> dict[str, Any]:
        return {
            **result._asdict(),
            "median": result.median,
            "minimum": result.minimum,
            "maximum": result.maximum,
        }

    return {
        "machine": machine(),
        "seconds": options.seconds,
        "warmup": options.warmup,
        "repeat": options.repeat,
        "conf": dict(options.conf),
        "results": [plain(result) for result in results],
        "rivals": {name: [plain(result) for result in of] for name, of in rivalry.items()},
    }


def machine() -> dict[str, Any]:
    models = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cores": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "python": platform.python_version(),
        "engine": hot_path.mode(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


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
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    arguments = parse(words)
    cases = collect()
    if arguments.list or not arguments.cases:
        for case in cases.values():
            print(f"{case.name:28}{case.about}")
        print(f"{'bars':28}the cases of the bars, and the bars")
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
    try:
        results, rivalry = run_cases(wanted, options, against)
        if "storm" in against:
            rivalry["storm"] = rivals.run_storm([case.name for case in wanted], options, arguments.storm_repeat)
    finally:
        bench_cluster.close_shared()
    print("{cores} cores of {processor}, Python {python}, engine {engine}".format(**machine()))
    print_table(results)
    print_rivals(results, rivalry)
    if show_bars:
        bars.print_bars(results, rivalry.get("storm", []), rivalry.get("bytewax", []), arguments.recorded)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(results, rivalry, options), indent=1) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the cluster is ended, too
    main(sys.argv[1:])
