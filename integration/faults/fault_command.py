"""The command: chooses scenarios, runs each on a cluster of its own, prints the table, keeps the logs of a failure."""

from __future__ import annotations

import argparse
import fnmatch
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import isolation
from checkers import Violation
from results_table import Row, print_table
from scenario import WORLD, Context, Options, Outcome, make_network, why_not
from scenarios import SCENARIOS
from timers import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from network import Network
    from scenario import Scenario

DEFAULT_SCENARIO = "random"
SEED_MAX = 2**31
REQUIRE = "STORM_REQUIRE_REAL_PARTS"  # set where everything was installed: what is named then must run


def chosen(patterns: list[str]) -> list[Scenario]:
    """Those that the patterns name, by name or catalogue id, in the order of the patterns; each once."""
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    found: dict[str, Scenario] = {}
    for pattern in patterns:
        names = fnmatch.filter(by_name, pattern)
        names += [scenario.name for scenario in SCENARIOS if pattern in scenario.ids.split()]
        if not names:
            sys.exit(f"no scenario is named {pattern!r}: `run --list` shows them all")
        found.update((name, by_name[name]) for name in names)
    return list(found.values())


def positive(word: str) -> float:
    if not 0 < (number := float(word)) < math.inf:
        raise argparse.ArgumentTypeError(f"{word} is not a number of seconds above 0")
    return number


def share(word: str) -> float:
    if not 0 <= (number := float(word)) <= 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number from 0 to 1")
    return number


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run",
        description="Injects faults into a real cluster and checks that nothing was lost: docs/reliability.md.",
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO",
        help="names or patterns, such as 'worker-*', or ids, such as P1; without any: random, a mix of faults",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the scenarios, and why one cannot run here")
    parser.add_argument("--seed", type=int, help="of the schedule; without it one is drawn and printed")
    parser.add_argument("--faults", type=int, metavar="N", help="how many faults a schedule has")
    parser.add_argument(
        "--gap",
        type=positive,
        metavar="SECONDS",
        help="mean pause between faults; each is half to one and a half of it",
    )
    parser.add_argument(
        "--within", type=positive, default=math.inf, metavar="SECONDS",
        help="draw until the last fault is healed within so many seconds",
    )  # fmt: skip
    parser.add_argument(
        "--overlap", type=share, metavar="SHARE",
        help="how likely, 0 to 1, a fault begins while the one before goes on, where both can be judged; "
        "without it one half in a mix, else 0",
    )  # fmt: skip
    parser.add_argument("--messages", type=int, metavar="N", help="how many numbers the source has")
    parser.add_argument(
        "--profile", choices=sorted(BY_NAME), default="short", help="timers: short (the default), default"
    )
    parser.add_argument("--zookeeper", choices=["embedded", "apache"], default="embedded")
    parser.add_argument(
        "--isolation", choices=["auto", "namespaces", "proxy"], default="auto",
        help="what links are cut by: a network namespace for each host, which is the default where this machine allows "
        "it, or proxies of the harness between hosts that share 127.0.0.1",
    )  # fmt: skip
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a schedule that a former run wrote")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep all logs and records there, also of what is well"
    )
    return parser.parse_intermixed_args(words)


def options_of(arguments: argparse.Namespace) -> Options:
    """What was asked for; a seed is drawn where none was."""
    seed = random.SystemRandom().randrange(SEED_MAX) if arguments.seed is None else arguments.seed
    return Options(
        seed, BY_NAME[arguments.profile], arguments.faults, arguments.messages, arguments.zookeeper, arguments.replay,
        arguments.gap, arguments.within, arguments.overlap,
    )  # fmt: skip


def why_shared(wanted: str, why_no_world: str | None) -> str | None:
    """Why hosts share an address and proxies stand between them; None: each is a network namespace. `why_no_world`:
    why the harness has no world of its own.
    """
    if wanted == "proxy":
        return "--isolation proxy"
    if why_no_world is not None and wanted == "namespaces":
        sys.exit(f"no namespaces can be made here: {why_no_world}")
    return why_no_world


def refuse_kept(directory: Path, scenarios: list[Scenario]) -> None:
    """What a former run kept there is not mixed with this one's."""
    if there := [scenario.name for scenario in scenarios if (directory / scenario.name).exists()]:
        sys.exit(f"{directory} holds a former run of {', '.join(there)}: name another directory, or remove it")


def print_list() -> None:
    width = max(len(scenario.name) for scenario in SCENARIOS) + 2
    for scenario in SCENARIOS:
        reason = why_not(scenario)
        print(f"{scenario.name:{width}}{scenario.ids:10}{scenario.about}")
        if reason is not None:
            print(f"{'':{width + 10}}cannot run here: {reason}")


def run_one(scenario: Scenario, options: Options, directory: Path, network: Callable[[], Network]) -> Outcome:
    """What it found. An exception is a failed check, too."""
    directory.mkdir(parents=True)
    context = Context(options, directory, network)
    assert scenario.run is not None
    try:
        return scenario.run(context)
    except Exception as error:  # noqa: BLE001 - the others are run all the same
        traceback.print_exc()
        context.violations.append(Violation("HARNESS", f"{type(error).__name__}: {error}"))
        return Outcome([Row(scenario.name, 1, violations=tuple(context.violations))], [], context.notes)


def must_run(scenario: Scenario, words: Collection[str]) -> bool:
    """Whether it may not be skipped: it was named, and not found by a pattern or an id, where every part is there."""
    return bool(os.environ.get(REQUIRE)) and scenario.name in words


def run_all(
    scenarios: list[Scenario], words: Collection[str], options: Options, directory: Path, *, own_addresses: bool
) -> bool:
    """Run them, print the table; whether every check held, and whatever must run did. `words`: what asked for them."""
    network = make_network(own_addresses)
    found: list[Row] = []
    skipped: list[tuple[str, str]] = []
    try:
        for scenario in scenarios:
            if (reason := why_not(scenario)) is not None:
                skipped.append((scenario.name, reason))
                if must_run(scenario, words):
                    skip = Violation("HARNESS", f"skipped, though {REQUIRE} is set: {reason}")
                    found.append(Row(scenario.name, 0, violations=(skip,)))
                print(f"{scenario.name}: skipped: {reason}", flush=True)
                continue
            print(f"{scenario.name} ({scenario.ids}): {scenario.about}", flush=True)
            began = time.monotonic()
            outcome = run_one(scenario, options, directory / scenario.name, network)
            for note in outcome.notes:
                print(f"    {note}", flush=True)
            print(f"{scenario.name}: {time.monotonic() - began:.0f} s", flush=True)
            found += outcome.rows
    finally:  # whoever stops it wants to see what was found so far
        print()
        print_table(found)
        for name, reason in skipped:
            print(f"{name:28}{'-':>5}  skipped: {reason}")
    return not any(row.violations for row in found)


def main(words: list[str]) -> int:
    arguments = parse(words)
    why_no_world = isolation.why_not()
    missing = why_shared(arguments.isolation, why_no_world)
    WORLD.own, WORLD.why_not, WORLD.why_no_mounts = missing is None, missing or "", why_no_world
    if arguments.list:
        print_list()
        return 0
    scenarios = chosen(arguments.scenarios or [DEFAULT_SCENARIO])
    if arguments.keep is not None:
        refuse_kept(arguments.keep, scenarios)
    options = options_of(arguments)
    print(f"seed {options.seed}, profile {arguments.profile}, ZooKeeper {arguments.zookeeper}", flush=True)
    if missing is not None:
        print(f"all hosts share 127.0.0.1: {missing}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="storm-faults-")) if arguments.keep is None else arguments.keep.resolve()

    def work() -> int:
        stop_on_signals()
        return 0 if run_all(scenarios, arguments.scenarios, options, directory, own_addresses=WORLD.own) else 1

    code = 1
    try:
        code = isolation.run(work) if why_no_world is None else work()
    finally:
        if code == 0 and arguments.keep is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"logs and records: {directory}", flush=True)
    return code


def stop_on_signals() -> None:
    """SIGTERM and SIGINT end the run once, by an exception, so that everything is healed and ended."""

    def stop(number: int, _: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
