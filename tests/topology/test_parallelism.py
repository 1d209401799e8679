from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm.ids import ExecutorId
from storm.topology.parallelism import (
    component_executors,
    component_tasks,
    executors,
    normalise,
    normalise_conf,
    partition_fixed,
    task_components,
)
from storm.topology.structure import ComponentSpec, PythonObject, StormTopology


def spec(parallelism: int = 1, **conf: int) -> ComponentSpec:
    return ComponentSpec(
        PythonObject(b""), parallelism=parallelism, conf={f"topology.{key}": n for key, n in conf.items()}
    )


def test_tasks_are_numbered_from_1_in_the_order_of_ids() -> None:
    topology = StormTopology({"words": spec(3)}, {"__acker": spec(2), "Count": spec(2, tasks=4), "a": spec()})
    assert component_tasks(topology, {}) == {
        "Count": range(1, 5),
        "__acker": range(5, 7),
        "a": range(7, 8),
        "words": range(8, 11),
    }
    assert task_components(topology, {})[6] == "__acker"


def test_tasks_are_fixed_at_submission() -> None:
    topology = StormTopology({"words": spec(3)}, {"count": spec(2, tasks=4)})
    fixed = normalise(topology, {"topology.max.task.parallelism": 2})
    assert fixed.component("words").conf["topology.tasks"] == 2
    assert fixed.component("words").parallelism == 2
    assert fixed.component("count").conf["topology.tasks"] == 2
    assert component_tasks(fixed, {"topology.max.task.parallelism": 99}) == {"count": range(1, 3), "words": range(3, 5)}
    assert normalise(fixed, {}) == fixed


@pytest.mark.parametrize(
    ("conf", "ackers"),
    [
        ({}, 1),
        ({"topology.workers": 3}, 3),
        ({"topology.acker.executors": 0}, 0),
        ({"topology.acker.executors": None}, 1),
    ],
)
def test_the_number_of_ackers_is_fixed_at_submission(conf: dict[str, int | None], ackers: int) -> None:
    assert normalise_conf(conf)["topology.acker.executors"] == ackers
    assert normalise_conf({**normalise_conf(conf), "topology.workers": 9})["topology.acker.executors"] == ackers


def test_executors_carry_several_tasks_the_larger_first() -> None:
    topology = StormTopology({"words": spec(4)}, {"count": spec(3, tasks=8)})
    tasks = component_tasks(topology, {})
    assert component_executors(topology, {}) == {"count": 3, "words": 4}
    assert executors({"count": 3, "words": 9}, tasks) == {
        "count": [ExecutorId(1, 3), ExecutorId(4, 6), ExecutorId(7, 8)],
        "words": [ExecutorId(9, 9), ExecutorId(10, 10), ExecutorId(11, 11), ExecutorId(12, 12)],
    }
    assert executors({}, tasks)["count"] == [ExecutorId(1, 8)]


@given(st.integers(0, 50), st.integers(0, 200))
def test_partitions_hold_all_in_order_and_differ_by_one_at_most(parts: int, count: int) -> None:
    found = partition_fixed(parts, range(count))
    assert len(found) == min(parts, count)
    sizes = [len(part) for part in found]
    assert sizes == sorted(sizes, reverse=True)
    if found:
        assert [item for part in found for item in part] == list(range(count))
        assert sizes[0] - sizes[-1] <= 1
        assert sizes[-1] >= 1
