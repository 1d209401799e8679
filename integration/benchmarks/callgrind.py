"""How many instructions a tuple costs, counted by valgrind's callgrind: a guard that a busy machine does not disturb.

    instruction_counts [--record] [--top N] [--callers FUNCTION]

Prints the figure of each core loop beside the recorded one, and fails only if one grew by more than a fifth. Figures
are recorded for each Python version, architecture and kind of engine (compiled or pure). A bare Python loop is counted
too: where that differs, this is another build of Python, and nothing is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
RECORDED = HERE / "recorded" / "instruction_counts.json"
COUNTS = {"bare-hop-acked": 20_000, "hop-acked": 20_000, "hop-unacked": 20_000, "words-acked": 40_000}
YARDSTICK = "bare-hop-acked"
YARDSTICK_TOLERANCE = 0.05
GROWTH_MAX = 0.20
TIMEOUT_SECS = 1_500  # beside other tests, in what they leave of the cores
CALLERS_MAX = 10


class Finding(NamedTuple):
    """One loop: instructions a tuple now and as recorded (None: never)."""

    name: str
    now: float
    recorded: float | None

    @property
    def growth(self) -> float:
        """A share: 0.1 is ten per cent more than recorded; 0 where nothing is."""
        return 0.0 if not self.recorded else self.now / self.recorded - 1

    def __str__(self) -> str:
        change = "not recorded" if self.recorded is None else f"{100 * self.growth:+.1f} % ({self.recorded:,.0f})"
        return f"{self.name:20}{self.now:12,.0f} instructions a tuple   {change}"


def instructions(dump: str) -> int:
    """The sum of one dump of callgrind. Raises ValueError where it holds none."""
    found = re.search(r"^totals: (\d+)$", dump, re.MULTILINE)
    if found is None:
        raise ValueError("callgrind's output has no line of totals: was it cut short?")
    return int(found[1])


class Cost(NamedTuple):
    """Instructions of a function itself (`callee` empty), or of what it calls at one place, with all below."""

    function: str
    callee: str
    calls: int
    instructions: int


def costs(dump: str) -> Iterator[Cost]:
    """What stands in one dump; recursions of a function are one.

    A function's name stands where it is first met, as `fn=(7) name` or `cfn=(7) name`, later its number alone. A line
    of two numbers is source line and cost, but after `calls=` the cost is that of the callee.
    """
    names: dict[str, str] = {}
    function, callee = "", ""
    calls: int | None = None  # 0 where the call began before this dump
    for line in dump.splitlines():
        if found := re.match(r"(c?)fn=\((\d+)\)(?: (.+))?", line):
            if found[3]:
                names[found[2]] = re.sub(r"'\d+$", "", found[3])
            if found[1]:
                callee = names[found[2]]
            else:
                function = names[found[2]]
        elif line.startswith("calls="):
            calls = int(line.removeprefix("calls=").split()[0])
        elif found := re.match(r"[+\-*]?\d* (\d+)$", line):
            yield Cost(function, "" if calls is None else callee, calls or 0, int(found[1]))
            calls = None


def by_function(dump: str) -> Counter[str]:
    """Instructions that each function took itself."""
    found: Counter[str] = Counter()
    for cost in costs(dump):
        if not cost.callee:
            found[cost.function] += cost.instructions
    return found


def callers(dump: str, function: str) -> Counter[str]:
    """Who called a function, and how often."""
    found: Counter[str] = Counter()
    for cost in costs(dump):
        if cost.callee == function and cost.calls:
            found[cost.function] += cost.calls
    return found


def key_of(mode: str) -> str:
    """`mode`: "compiled" or "pure"."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}-{platform.machine()}-{mode}"


def compare(now: dict[str, float], recorded: dict[str, float]) -> list[Finding]:
    """Nothing is compared where the yardstick tells of another build of Python."""
    known = recorded.get(YARDSTICK)
    if known is not None and abs(now[YARDSTICK] / known - 1) > YARDSTICK_TOLERANCE:
        print(f"a bare Python loop took {known:,.0f} instructions where the figures were recorded: another Python")
        recorded = {}
    return [Finding(name, figure, recorded.get(name)) for name, figure in now.items()]


def count(folder: Path) -> tuple[str, dict[str, float], dict[str, Path]]:
    """Run the loops. Compiled or pure; instructions a tuple by loop; the dump of each.

    Addresses, hashes and the environment are the same every time: they decide the order of sets and the collisions of
    dicts. Raises RuntimeError where valgrind cannot run.
    """
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "STORM_PURE") if key in os.environ}
    command = [
        "setarch", "-R", "valgrind", "--tool=callgrind", "--dump-before=getloadavg",
        f"--callgrind-out-file={folder / 'dump'}", sys.executable, str(HERE / "counted_loop.py"),
        *[f"{name}={number}" for name, number in COUNTS.items()],
    ]  # fmt: skip
    ran = subprocess.run(
        command, env={**kept, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, timeout=TIMEOUT_SECS, check=False
    )
    if ran.returncode != 0:
        raise RuntimeError(f"the loops ended with code {ran.returncode} under callgrind:\n{ran.stderr[-2000:]}")
    *lines, mode = ran.stdout.splitlines()
    # Dump 1 is the start-up; then come, in turn, a loop's own and what lies between it and the next.
    dumps = {line.split()[0]: folder / f"dump.{2 * i + 2}" for i, line in enumerate(lines)}
    figures = {}
    for line in lines:
        name, done = line.split()
        figures[name] = instructions(dumps[name].read_text()) / int(done)
    return mode, figures, dumps


def print_top(name: str, dump: Path, top: int) -> None:
    found = by_function(dump.read_text())
    print(f"\n{name}: instructions by function, its own only")
    for function, own in found.most_common(top):
        print(f"{100 * own / found.total():6.1f} %  {function}")


def print_callers(name: str, dump: Path, function: str) -> None:
    print(f"\n{name}: who calls {function}, for each tuple")
    for caller, calls in callers(dump.read_text(), function).most_common(CALLERS_MAX):
        print(f"{calls / COUNTS[name]:8.2f}  {caller}")


def record(key: str, figures: dict[str, float]) -> None:
    known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    known[key] = {name: round(figure, 1) for name, figure in figures.items()}
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    print(f"recorded for {key}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"make these the figures in recorded/{RECORDED.name}")
    parser.add_argument("--top", type=int, default=0, metavar="N", help="print the N functions that take most, too")
    parser.add_argument("--callers", metavar="FUNCTION", help="print who calls this C function, too")
    wanted = parser.parse_args()
    missing = [program for program in ("valgrind", "setarch") if shutil.which(program) is None]
    if missing:
        print(f"{' and '.join(missing)} must be installed (Debian: valgrind, util-linux)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        mode, figures, dumps = count(Path(folder))
        key = key_of(mode)
        recorded = json.loads(RECORDED.read_text()).get(key, {}) if RECORDED.exists() else {}
        findings = compare(figures, recorded)
        print(key)
        for finding in findings:
            print(finding)
        if wanted.top:
            for name, dump in dumps.items():
                print_top(name, dump, wanted.top)
        if wanted.callers:
            for name, dump in dumps.items():
                print_callers(name, dump, wanted.callers)
    if wanted.record:
        record(key, figures)
        return 0
    grown = [finding.name for finding in findings if finding.growth > GROWTH_MAX and finding.name != YARDSTICK]
    if grown:
        print(f"more than {100 * GROWTH_MAX:.0f} % above the record: {', '.join(grown)}; --record if that is meant so")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
