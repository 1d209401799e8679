"""Run by `instruction_counts` under callgrind: loops of the engine for a fixed number of tuples, in virtual time.

Between the loops stands a call of `getloadavg`, at which callgrind writes what it has counted since the last one: so
start-up, imports and warming up are in none of the figures. A line for each loop goes to the standard output: its name
and how many tuples it did.
"""

from __future__ import annotations

import gc
import os
import sys

from engine_loop import GC_THRESHOLDS, SHAPES, BareLoop, EngineLoop

from storm import hot_path
from storm.testing.simulated_clock import SimulatedClock

WARMUP = 5000  # tuples: quotas and rings have grown, the interpreter has specialised its code


def loop_of(name: str) -> EngineLoop | BareLoop:
    """`bare-` before the name of a shape: without the engine."""
    if name.startswith("bare-"):
        return BareLoop(SHAPES[name.removeprefix("bare-")])
    return EngineLoop(SHAPES[name], SimulatedClock())


def main(counts: dict[str, int]) -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    for name, count in counts.items():
        loop = loop_of(name)
        loop.run(WARMUP)
        gc.collect()
        gc.freeze()
        os.getloadavg()
        done = loop.run(count)
        os.getloadavg()
        print(name, done)
    print("compiled" if hot_path.is_compiled() else "pure")


if __name__ == "__main__":
    main({name: int(count) for name, count in (each.split("=") for each in sys.argv[1:])})
