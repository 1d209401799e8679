from __future__ import annotations

from pathlib import Path

import pytest

from storm.ids import GlobalStreamId
from storm.topology.context import TopologyContext, WorkerContext
from storm.topology.parallelism import task_components
from storm.topology.structure import (
    ComponentSpec,
    Grouping,
    GroupingKind,
    PythonObject,
    StormTopology,
    StreamInfo,
)
from storm.topology.system_topology import system_topology

SHUFFLE = Grouping(GroupingKind.SHUFFLE)
WORDS = GlobalStreamId("words", "default")


@pytest.fixture
def worker() -> WorkerContext:
    topology = StormTopology(
        {"words": ComponentSpec(PythonObject(b""), streams={"default": StreamInfo(("word",))}, parallelism=2)},
        {"count": ComponentSpec(PythonObject(b""), {WORDS: SHUFFLE}, parallelism=3, conf={"my.key": 1})},
    )
    conf = {"topology.name": "wc", "topology.debug": False, "my.key": 0}
    system = system_topology(topology, conf)
    return WorkerContext(system, conf, "wc-1-1", task_components(system, conf), [2, 3, 5], 6700)


def test_a_task_knows_its_place(worker: WorkerContext) -> None:
    context = TopologyContext(worker, 3)
    assert (context.component_id, context.task_id, context.task_index) == ("count", 3, 1)
    assert (context.topology_id, context.topology_name, context.worker_port) == ("wc-1-1", "wc", 6700)
    assert context.worker_tasks == (2, 3, 5)
    assert context.code_dir is None
    assert context.conf["my.key"] == 1


def test_a_blob_is_in_the_workers_directory_or_the_current_one(worker: WorkerContext) -> None:
    assert TopologyContext(worker, 3).blob("words.txt") == Path("words.txt")
    worker.work_dir = Path("/workers/w")
    assert TopologyContext(worker, 3).blob("words.txt") == Path("/workers/w/words.txt")


def test_a_task_knows_the_others(worker: WorkerContext) -> None:
    context = TopologyContext(worker, 3)
    assert context.component_ids() == ["__acker", "count", "words"]
    assert context.tasks_of("words") == [5, 6]
    assert context.tasks_of("nobody") == []
    assert context.component_of(5) == "words"
    assert context.component_of(-1) == "__system"
    with pytest.raises(KeyError):
        context.component_of(99)


def test_streams_sources_and_targets(worker: WorkerContext) -> None:
    count, words = TopologyContext(worker, 3), TopologyContext(worker, 5)
    assert count.fields_of("words") == ("word",)
    assert words.fields_of() == ("word",)
    assert count.sources() == {WORDS: SHUFFLE}
    assert words.targets()["default"] == {"count": SHUFFLE}
    assert "default" not in count.targets()
    with pytest.raises(KeyError):
        count.streams_of("nobody")


def test_data_is_shared_by_the_tasks_of_a_worker(worker: WorkerContext) -> None:
    one, other = TopologyContext(worker, 2), TopologyContext(worker, 3)
    one.worker_data["pool"] = "pool"
    one.data["mine"] = 1
    assert other.worker_data == {"pool": "pool"}
    assert other.data == {}


def test_a_tasks_metrics_are_the_same_whoever_looks(worker: WorkerContext) -> None:
    TopologyContext(worker, 3).metrics.counter("lines").inc()
    assert TopologyContext(worker, 3).metrics.counter("lines").count == 1
    assert TopologyContext(worker, 5).metrics.counter("lines").count == 0
    assert sorted(worker.metrics) == [3, 5]
    with pytest.raises(ValueError, match="component 'count', task 3, metric 'lines' is a counter already"):
        TopologyContext(worker, 3).metrics.timer("lines")
