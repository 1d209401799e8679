"""A cluster of real cores under faults, from many seeds.

`STORM_SIMULATION_SEEDS=1000 pytest tests/simulation` runs so many; `STORM_SIMULATION_SEED=7 pytest tests/simulation
-k replay -s` runs one again and prints all that happens in it.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import pytest
from simulated_cluster import SimulatedCluster, simulate, simulate_quietly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulated_cluster import Outcome

FEW_SEEDS = 30
SEEDS = int(os.environ.get("STORM_SIMULATION_SEEDS", FEW_SEEDS))
SEED = os.environ.get("STORM_SIMULATION_SEED")
FAILURES_SHOWN = 5


def outcomes() -> Iterator[Outcome]:
    if SEEDS <= FEW_SEEDS:
        yield from map(simulate, range(SEEDS))
        return
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(simulate_quietly, range(SEEDS), chunksize=5)


def told(outcome: Outcome) -> str:
    problems = "\n  ".join(outcome.problems)
    again = f"STORM_SIMULATION_SEED={outcome.seed} pytest tests/simulation -k replay -s"
    return f"seed {outcome.seed}, to be run again by {again}:\n  {problems}"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_nothing_is_lost_and_everything_is_in_order_again_after_faults() -> None:
    failed, acked, trees_failed = [], 0, 0
    for outcome in outcomes():
        acked += outcome.acked
        trees_failed += outcome.failed
        if outcome.problems:
            failed.append(outcome)
    assert not failed, f"{len(failed)} of {SEEDS} seeds failed\n" + "\n".join(map(told, failed[:FAILURES_SHOWN]))
    assert acked > 10 * SEEDS, "the simulated topologies hardly did anything"
    assert trees_failed > SEEDS, "the simulated faults hardly did anything"


@pytest.mark.slow
def test_replay() -> None:
    """Without STORM_SIMULATION_SEED: that a seed is enough to see the same again."""
    cluster = SimulatedCluster(int(SEED or 5))
    outcome = cluster.run()
    if SEED is not None:
        print(cluster.events.story())
    assert not outcome.problems, told(outcome)
    again = SimulatedCluster(outcome.seed)
    again.run()
    assert again.events.digest() == cluster.events.digest()
