from __future__ import annotations

from typing import Any

import pytest

from storm.executor.plan import WorkerPlan
from storm.ids import ExecutorId, GlobalStreamId
from storm.topology.parallelism import task_components
from storm.topology.structure import ComponentSpec, Grouping, GroupingKind, PythonObject, StormTopology, StreamInfo
from storm.topology.system_topology import system_topology

NOTHING = PythonObject(b"")
SHUFFLE = Grouping(GroupingKind.SHUFFLE)
STREAMS = {"default": StreamInfo(("word",))}


def bolt(*sources: str, kind: GroupingKind = GroupingKind.SHUFFLE) -> ComponentSpec:
    return ComponentSpec(NOTHING, {GlobalStreamId(source, "default"): Grouping(kind) for source in sources}, STREAMS)


def plan(bolts: dict[str, ComponentSpec], mine: list[str] | None = None, **conf: Any) -> WorkerPlan:
    settings = {"topology.acker.executors": 1, **{f"topology.{key}": value for key, value in conf.items()}}
    spouts = {name: ComponentSpec(NOTHING, {}, STREAMS) for name in ("s1", "s2")}
    topology = system_topology(StormTopology(spouts, bolts), settings)
    tasks = task_components(topology, settings)
    executors = [ExecutorId(task, task) for task, name in tasks.items() if mine is None or name in mine]
    return WorkerPlan(topology, settings, "t-1-1", [ExecutorId(-1, -1), *executors], tasks)


def task(of: WorkerPlan, component: str) -> int:
    return of.tasks_of(component)[0]


CHAIN = {"a": bolt("s1"), "b": bolt("a"), "c": bolt("b", "s2")}
CYCLE = {"a": bolt("s1", "b"), "b": bolt("a"), "c": bolt("b")}


def test_the_spout_holds_its_trees_where_its_worker_has_an_acker() -> None:
    whole = plan(CHAIN)
    assert whole.holder(task(whole, "s1")) == task(whole, "s1")


def test_an_acker_elsewhere_holds_them_where_it_has_none() -> None:
    part = plan(CHAIN, mine=["s1", "a"])
    assert part.holder(task(part, "s1")) == task(part, "__acker")


def test_nobody_does_without_ackers() -> None:
    none = plan(CHAIN, **{"acker.executors": 0})
    assert none.holder(task(none, "s1")) is None


def test_executors_come_in_the_order_of_flow() -> None:
    found = plan(CHAIN)
    assert [found.task_components[executor.start_task] for executor in found.in_flow_order()] == [
        "s1", "s2", "a", "c", "b", "__acker",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bolts", "full", "waiting"),
    [
        (CHAIN, "a", {"s1"}),
        (CHAIN, "b", {"s1", "a"}),
        (CHAIN, "c", {"s1", "s2", "b"}),
        (CYCLE, "a", {"s1"}),
        (CYCLE, "b", {"s1"}),
        (CYCLE, "c", {"s1", "b"}),
    ],
)
def test_who_waits_for_a_full_task(bolts: dict[str, ComponentSpec], full: str, waiting: set[str]) -> None:
    """Spouts above it and its feeders; within a cycle the feeders go on, or nobody would ever."""
    found = plan(bolts)
    names = found.topology.components()
    assert {name for name in names if found.must_wait(name, [task(found, full)])} == waiting
    assert not any(found.must_wait(name, []) for name in names)


def test_the_ackers_exchange_is_no_subscription() -> None:
    found = plan(CHAIN)
    assert list(found.subscriptions("s1", "__ack_init")) == []
    assert [name for name, _ in found.subscriptions("s1", "default")] == ["a"]
    assert found.user_inputs("s1") == []


def test_origins() -> None:
    found = plan(CHAIN)
    origin = found.origin(task(found, "a"), "default")
    assert (origin.component, origin.stream, origin.task, origin.fields) == (
        "a",
        "default",
        task(found, "a"),
        ("word",),
    )
    assert found.origin(-1, "__tick").fields == ("rate_secs",)
    with pytest.raises(KeyError):
        found.origin(task(found, "a"), "none")
    with pytest.raises(KeyError):
        found.origin(999, "default")


def test_fused_sources_are_those_of_none_grouping() -> None:
    found = plan({"a": bolt("s1"), "b": bolt("a", kind=GroupingKind.NONE)})
    assert found.fused_sources("b") == ["a"]
    assert found.fused_sources("a") == []


def test_metrics_are_in_nobodys_way() -> None:
    whole = plan({**CHAIN, "__metrics_log": ComponentSpec(NOTHING, {GlobalStreamId("a", "__metrics"): SHUFFLE}, {})})
    assert list(whole.subscriptions("a", "__metrics")) == []
    assert "__metrics_log" not in whole.reaches["s1"]
    assert not whole.must_wait("s1", [task(whole, "__metrics_log")])
    assert whole.origin(-1, "__metrics").fields == ("task-info", "data-points")
    with pytest.raises(KeyError):
        whole.origin(-1, "default")
