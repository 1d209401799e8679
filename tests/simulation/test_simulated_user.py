"""What the user of a simulated cluster may take for promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulated_cluster import SimulatedCluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm.cluster.records import StormBase

SEEDS = range(8)


def meanwhile(cluster: SimulatedCluster, *acts: Callable[[], object]) -> None:
    """Have the user do this while the Nimbus that leads waits for ZooKeeper; it takes what it is asked later, in any
    order, as of several connections.
    """
    leader = cluster.leader()
    assert leader is not None
    for turn, act in enumerate(acts):
        cluster.events.after(0.1 * (turn + 1), "the user acts", act)
    leader.run(lambda: leader.wait_here(1.0))


def the_only_topology(cluster: SimulatedCluster) -> StormBase:
    leader = cluster.leader()
    assert leader is not None
    (base,) = leader.core.snapshot.bases.values()
    return base


def late_and_new(seed: int) -> tuple[SimulatedCluster, StormBase]:
    """A topology was killed and nobody said so: it is rebalanced, and its name given to another one, in any order."""
    cluster = SimulatedCluster(seed)
    cluster.start()
    killed = the_only_topology(cluster)
    meanwhile(cluster, cluster.user.kill)
    cluster.events.run_for(20.0)
    meanwhile(cluster, cluster.user.rebalance, lambda: cluster.user.submit(killed.name))
    cluster.calm()
    base = the_only_topology(cluster)
    assert base.topology_id != killed.topology_id
    return cluster, base


def test_a_late_change_may_meet_whoever_has_the_name_by_then() -> None:
    met = 0
    for seed in SEEDS:
        cluster, base = late_and_new(seed)
        assert cluster.checks.at_the_end() == [], f"seed {seed}"
        met += len(cluster.user.promises[base.topology_id].num_workers) > 1
    assert 0 < met < len(SEEDS), "chance says which of the two is first"
