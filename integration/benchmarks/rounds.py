"""The runs of all chosen cases and of their rivals, round by round, and what has been found so far."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import timeit
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_storm
import bench_cluster
import rivals
from case import median_of

from storm import hot_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from case import Case, Options, Result

Found = dict[str, list["Result"]]  # by case or load: a result of each round
CALLS = 200_000


class Rounds:
    """One that fails is told and left out: what the others found is kept, and so it is when all is interrupted."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.failures: list[str] = []
        self._ours: Found = {}
        self._theirs: dict[str, Found] = {}

    @property
    def results(self) -> list[Result]:
        """Ours: the median of the rounds."""
        return [median_of(results) for results in self._ours.values()]

    @property
    def rivalry(self) -> dict[str, list[Result]]:
        """Theirs, by the rival's name."""
        return {name: [median_of(results) for results in found.values()] for name, found in self._theirs.items()}

    def run(self, cases: Sequence[Case], against: Sequence[str], storm_repeat: int) -> None:
        """All take turns: what disturbs the machine for a while disturbs all of them. Storm in the first rounds."""
        try:
            for round_ in range(max(self.options.repeat, storm_repeat if "storm" in against else 0)):
                for case in cases if round_ < self.options.repeat else ():
                    self._try(self._ours, case.name, round_, lambda case=case: case.run(self.options))
                bench_cluster.close_shared()  # an idle cluster takes memory and time from the rivals
                for rival in rivals.of_each_round(against) if round_ < self.options.repeat else ():
                    found = self._theirs.setdefault(rival.name, {})
                    for load in rivals.loads(rival, [case.name for case in cases]):
                        self._try(found, load, round_, lambda run=rival.run, load=load: run(load, self.options))
                if "storm" in against and round_ < storm_repeat:
                    self._run_storm(cases, round_)
        finally:
            bench_cluster.close_shared()

    def _run_storm(self, cases: Sequence[Case], round_: int) -> None:
        """A round of Storm's cases, on a cluster that is up for so long."""
        loads = rivals.loads(rivals.BY_NAME["storm"], [case.name for case in cases])
        wanted = [load for load in loads if round_ == 0 or load not in apache_storm.MEASURED_ONCE]
        found = self._theirs.setdefault("storm", {})
        if not wanted:
            return
        try:
            with apache_storm.running():
                for load in wanted:
                    self._try(found, load, round_, lambda load=load: apache_storm.measured(load, self.options))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"Apache Storm was not measured: {error}", file=sys.stderr)
            self.failures.append("storm")

    def _try(self, found: Found, name: str, round_: int, run: Callable[[], Result]) -> None:
        """One run. `found` says whose it is."""
        whose = next((f"{rival}: " for rival, of in self._theirs.items() if of is found), "")
        print(f"{time.strftime('%H:%M:%S')}  {whose}{name}, round {round_ + 1}", file=sys.stderr, flush=True)
        try:
            result = run()
        except Exception:  # noqa: BLE001 - hours of other figures may depend on it
            traceback.print_exc()
            self.failures.append(f"{whose}{name}")
            bench_cluster.close_shared()  # whatever state it is in: the next case starts another
        else:
            found.setdefault(name, []).append(result)

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": machine(),
            "seconds": self.options.seconds,
            "warmup": self.options.warmup,
            "repeat": self.options.repeat,
            "conf": dict(self.options.conf),
            "results": [plain(result) for result in self.results],
            "rivals": {name: [plain(result) for result in of] for name, of in self.rivalry.items()},
            "failures": self.failures,
        }

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(self.as_json(), indent=1) + "\n")


def plain(result: Result) -> dict[str, Any]:
    return {**result._asdict(), "median": result.median, "minimum": result.minimum, "maximum": result.maximum}


def call_nanoseconds() -> float:
    """What a call of an empty Python function takes here, of five measurements the least: tens where the processor
    foresees indirect jumps, hundreds where its hypervisor has that switched off.
    """
    return min(timeit.repeat("call(1)", "def call(value): return value", number=CALLS, repeat=5)) / CALLS * 1e9


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "python": platform.python_version(),
        "call": call_nanoseconds(),
        "engine": hot_path.mode(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
