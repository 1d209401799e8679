"""A seed means the same in every process: nothing in a simulation, nor in the cores, follows the order of a set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIMULATION = Path(__file__).parents[2] / "tests" / "simulation"
SEEDS = range(12)
PROGRAM = """
import logging, sys
from simulated_cluster import SimulatedCluster
logging.disable(logging.CRITICAL)
for seed in map(int, sys.argv[1:]):
    cluster = SimulatedCluster(seed)
    cluster.run()
    print(seed, cluster.events.digest())
"""


@pytest.mark.slow
def test_the_log_of_a_seed_is_the_same_whatever_the_hash_seed() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, SEEDS)],
            env={**os.environ, "PYTHONPATH": str(SIMULATION), "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    first, second = (run.communicate(timeout=100)[0].splitlines() for run in runs)
    assert len(first) == len(SEEDS)
    assert first == second
