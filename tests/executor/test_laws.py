"""The laws of acking over random topologies, behaviours and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_trees import Record, RecordingBolt, RecordingSpout
from several_workers import Faults, SeveralWorkers

from storm.ids import ACKER_COMPONENT
from storm.topology.builder import TopologyBuilder

if TYPE_CHECKING:
    from storm.topology.structure import StormTopology

TIMEOUT_SECS = 30
GROUPINGS = ("shuffle", "fields", "all", "global", "none", "local_or_shuffle", "partial_key")

moods = st.tuples(*[st.sampled_from([0.0, 0.0, 0.1, 0.4])] * 3)


@st.composite
def topologies(draw: Any, record: Record, moods: Any = moods) -> StormTopology:
    """Up to two spouts and four bolts; a bolt subscribes to one or two components declared before it."""
    builder = TopologyBuilder()
    above: list[str] = []
    spouts = [f"spout{i}" for i in range(draw(st.integers(1, 2)))]
    for name in spouts:
        tasks = draw(st.integers(1, 3))
        spout = RecordingSpout(record, draw(st.integers(1, 8)))
        builder.set_spout(name, spout, draw(st.integers(1, tasks))).set_num_tasks(tasks)
    above += spouts
    for i in range(draw(st.integers(1, 4))):
        tasks = draw(st.integers(1, 3))
        bolt = RecordingBolt(record, draw(st.integers(0, 99)), draw(moods))
        declarer = builder.set_bolt(f"bolt{i}", bolt, draw(st.integers(1, tasks))).set_num_tasks(tasks)
        declarer.configure({"topology.tick.tuple.freq.secs": 2})
        for source in draw(st.lists(st.sampled_from(above), min_size=1, max_size=2, unique=True)):
            for stream in draw(st.lists(st.sampled_from(["default", "second"]), min_size=1, max_size=2, unique=True)):
                subscribe(declarer, source, draw(st.sampled_from(GROUPINGS)), stream)
            if source.startswith("bolt") and draw(st.booleans()):
                declarer.direct_grouping(source, stream="direct")
        above.append(f"bolt{i}")
    return builder.create_topology()


def subscribe(declarer: Any, source: str, grouping: str, stream: str) -> None:
    if grouping in ("fields", "partial_key"):
        getattr(declarer, f"{grouping}_grouping")(source, ["key"], stream=stream)
    else:
        getattr(declarer, f"{grouping}_grouping")(source, stream=stream)


def conf(ackers: int | None, pending: int, lane: str = "auto") -> dict[str, Any]:
    return {
        "topology.executor.lane": lane,
        "topology.acker.executors": ackers,
        "topology.message.timeout.secs": TIMEOUT_SECS,
        "topology.max.spout.pending": pending,
        "topology.sleep.spout.wait.strategy.time.ms": 10_000,
    }


def check_laws(record: Record, cluster: SeveralWorkers, pending_max: int) -> None:
    assert [text for _, text in cluster.errors if "that was acked or failed before" not in text] == []
    assert all(worker.failure is None for worker in cluster.workers)
    assert record.problems == []
    assert set(record.acked) | set(record.failed) == set(record.emitted)
    for component, most in record.most_under_way.items():
        assert most <= pending_max * len(cluster.tasks_of(component))
    for worker in cluster.workers:
        for executor in worker.executors:
            for task in getattr(executor, "tasks", ()):
                if hasattr(task, "pending"):
                    assert task.pending.count == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.data(),
    workers=st.integers(1, 3),
    ackers=st.sampled_from([None, 1, 1, 2]),
    pending=st.sampled_from([1, 3, 5000]),
    seed=st.integers(0, 1 << 30),
    lost=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    doubled=st.sampled_from([0.0, 0.0, 0.2, 0.6]),
    delay_secs=st.sampled_from([0.0, 0.5, 40.0]),
    lane=st.sampled_from(["shared", "thread", "async"]),
)
@pytest.mark.slow
def test_a_tree_ends_once_and_is_acked_only_if_complete(
    data: Any,
    workers: int,
    ackers: int | None,
    pending: int,
    seed: int,
    lost: float,
    doubled: float,
    delay_secs: float,
    lane: str,
) -> None:
    record = Record()
    topology = data.draw(topologies(record))
    faults = Faults(lost, doubled, delay_secs)
    cluster = SeveralWorkers(topology, conf(ackers, pending, lane), workers=workers, seed=seed, faults=faults)
    rounds = 1 if pending == 5000 else 24 // pending + 1
    cluster.run_for((2 * TIMEOUT_SECS + 1) * rounds)
    check_laws(record, cluster, pending)
    cluster.stop()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.data(),
    workers=st.integers(1, 3),
    ackers=st.sampled_from([None, 1, 2]),
    seed=st.integers(0, 1 << 30),
    delay_secs=st.sampled_from([0.0, 0.01]),
    hold=st.sampled_from([0.0, 0.3]),
    lane=st.sampled_from(["shared", "thread", "async"]),
)
@pytest.mark.slow
def test_on_a_faithful_network_what_is_processed_is_acked(
    data: Any, workers: int, ackers: int | None, seed: int, delay_secs: float, hold: float, lane: str
) -> None:
    record = Record()
    topology = data.draw(topologies(record, st.just((0.0, 0.0, hold))))
    cluster = SeveralWorkers(
        topology, conf(ackers, 5000, lane), workers=workers, seed=seed, faults=Faults(0, 0, delay_secs)
    )
    cluster.run_for(TIMEOUT_SECS - 1)
    check_laws(record, cluster, 5000)
    assert record.failed == {}
    assert set(record.acked) == set(record.emitted)
    for emit, found in record.executions.items():
        targets = record.targets[emit]
        assert sorted(each.task for each in found) == sorted(targets if targets is not None else [found[0].task])
    cluster.stop()


@settings(max_examples=25, deadline=None)
@given(data=st.data(), workers=st.integers(1, 2), seed=st.integers(0, 1 << 30))
@pytest.mark.slow
def test_without_ackers_everything_is_acked_at_once(data: Any, workers: int, seed: int) -> None:
    record = Record()
    topology = data.draw(topologies(record))
    cluster = SeveralWorkers(topology, conf(0, 5000), workers=workers, seed=seed)
    assert cluster.tasks_of(ACKER_COMPONENT) == ()
    cluster.settle()
    assert set(record.acked) == set(record.emitted)
    assert record.failed == {}
    cluster.stop()
