"""Topologies in virtual time whose tasks have hooks, beside the same ones without."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from one_worker import OneWorker

from storm import BasicBolt, Bolt, Spout, TaskHook, TopologyBuilder
from storm.errors import FailedError, ReportedFailedError, WorkerStartError
from storm.executor.hook_calls import hooks_of, load_hook
from storm.metrics.stats_records import ALL_TIME

SEEN: list[tuple[Any, ...]] = []
TOLD: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SEEN.clear()
    TOLD.clear()


class Notes(TaskHook):
    """Of all that tasks do, by component."""

    def prepare(self, conf: Any, context: Any) -> None:
        self.who = context.component_id
        self.note("prepare", conf["topology.name"])

    def note(self, what: str, *more: Any) -> None:
        SEEN.append((self.who, what, *more))

    def cleanup(self) -> None:
        self.note("cleanup")

    def emit(self, info: Any) -> None:
        self.note("emit", list(info.values), info.stream, info.out_tasks)

    def spout_ack(self, info: Any) -> None:
        self.note("spout_ack", info.message_id)

    def spout_fail(self, info: Any) -> None:
        self.note("spout_fail", info.message_id, info.failure.kind)

    def bolt_execute(self, info: Any) -> None:
        assert info.execute_ms == 0, "virtual time stands still meanwhile"
        self.note("bolt_execute", info.tup[0])

    def bolt_ack(self, info: Any) -> None:
        self.note("bolt_ack", info.tup[0])

    def bolt_fail(self, info: Any) -> None:
        self.note("bolt_fail", info.tup[0])


class Numbers(Spout):
    outputs = ["number"]
    rest = (1, 2, 3)

    def next_tuple(self) -> None:
        for number in self.rest:
            self.collector.emit([number], number)
        self.rest = ()

    def ack(self, message_id: Any) -> None:
        TOLD.append(("ack", message_id))

    def fail(self, message_id: Any) -> None:
        TOLD.append(("fail", message_id))


class NumbersAtOnce(Numbers):
    def next_tuple(self) -> None:
        if self.rest:
            self.collector.emit_many([[number] for number in self.rest], list(self.rest))
        self.rest = ()


class AsyncNumbers(Numbers):
    async def next_tuple(self) -> None:  # type: ignore[override]
        super().next_tuple()

    async def ack(self, message_id: Any) -> None:  # type: ignore[override]
        super().ack(message_id)


class Doubles(BasicBolt):
    """Fails 2, and says why for 3."""

    outputs = ["number"]

    def execute(self, tup: Any) -> Any:
        if tup.number == 2:
            raise FailedError
        if tup.number == 3:
            raise ReportedFailedError("three")
        self.collector.emit([2 * tup.number])


class AsyncDoubles(Doubles):
    async def execute(self, tup: Any) -> None:
        super().execute(tup)


class Settles(Bolt):
    """Acks odd numbers, fails the others."""

    def execute(self, tup: Any) -> Any:
        (self.collector.ack if tup.number % 2 else self.collector.fail)(tup)


class SettlesBatches(Settles):
    def execute_batch(self, tuples: Any) -> None:
        odd = [tup for tup in tuples if tup.number % 2]
        self.collector.ack_many(odd)
        for tup in tuples:
            if tup not in odd:
                self.collector.fail(tup)


class AsyncSettlesBatches(SettlesBatches):
    async def execute_batch(self, tuples: Any) -> None:  # type: ignore[override]
        super().execute_batch(tuples)


class Adds(Settles):
    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        context.add_task_hook(Notes())
        super().prepare(conf, context, collector)


class AddsLate(Settles):
    """When it executes for the first time."""

    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        super().prepare(conf, context, collector)
        self.context = context

    def execute(self, tup: Any) -> None:
        if not self.context.hooks:
            self.context.add_task_hook(Notes())
        super().execute(tup)


class AddsToBasic(Doubles):
    def prepare(self, conf: Any, context: Any, collector: Any) -> None:
        super().prepare(conf, context, collector)
        context.add_task_hook(Notes())


class AddingNumbers(Numbers):
    def open(self, conf: Any, context: Any, collector: Any) -> None:
        super().open(conf, context, collector)
        context.add_task_hook(Notes())


class AsyncAddingNumbers(AsyncNumbers):
    def open(self, conf: Any, context: Any, collector: Any) -> None:
        super().open(conf, context, collector)
        context.add_task_hook(Notes())


def worker(spout: Spout, bolt: Bolt | BasicBolt, **conf: Any) -> OneWorker:
    builder = TopologyBuilder()
    builder.set_spout("numbers", spout)
    builder.set_bolt("bolt", bolt).shuffle_grouping("numbers")
    settings = {"topology.name": "t", "topology.workers": 1, "topology.acker.executors": 1, **conf}
    return OneWorker(builder.create_topology(), settings)


def run(spout: Spout, bolt: Bolt | BasicBolt, **conf: Any) -> OneWorker:
    """Until the spout has heard of all three."""
    found = worker(spout, bolt, **conf)
    found.run(lambda: len(TOLD) == 3)
    found.close()
    return found


AUTO = {"topology.auto.task.hooks": [f"{__name__}:Notes"]}


def of(component: str) -> list[tuple[Any, ...]]:
    return [tuple(what) for who, *what in SEEN if who == component]


@pytest.mark.parametrize("spout", [Numbers(), AsyncNumbers(), AddingNumbers(), AsyncAddingNumbers()])
def test_a_spouts_hooks_hear_of_emits_acks_and_fails(spout: Spout) -> None:
    run(spout, Settles(), **({} if "Adding" in type(spout).__name__ else AUTO))
    heard = of("numbers")
    [task] = {tasks for what, *more in heard if what == "emit" for tasks in more[2:]}
    assert heard[0] == ("prepare", "t")
    assert [each for each in heard if each[0] == "emit"] == [("emit", [n], "default", task) for n in (1, 2, 3)]
    assert sorted(each for each in heard if each[0].startswith("spout")) == [
        ("spout_ack", 1),
        ("spout_ack", 3),
        ("spout_fail", 2, "failed"),
    ]
    assert heard[-1] == ("cleanup",)


def test_of_many_tuples_at_once_each_is_told() -> None:
    run(NumbersAtOnce(), Settles(), **AUTO)
    [task] = {tasks for what, *more in of("numbers") if what == "emit" for tasks in more[2:]}
    assert len(task) == 1
    assert [each for each in of("numbers") if each[0] == "emit"] == [("emit", [n], "default", task) for n in (1, 2, 3)]


@pytest.mark.parametrize("bolt", [Settles(), SettlesBatches(), AsyncSettlesBatches(), Adds()])
def test_a_bolts_hooks_hear_of_executes_acks_and_fails(bolt: Bolt) -> None:
    run(Numbers(), bolt, **({} if isinstance(bolt, Adds) else AUTO))
    heard = of("bolt")
    assert sorted(each for each in heard if each[0].startswith("bolt")) == [
        ("bolt_ack", 1),
        ("bolt_ack", 3),
        ("bolt_execute", 1),
        ("bolt_execute", 2),
        ("bolt_execute", 3),
        ("bolt_fail", 2),
    ]
    assert (heard[0], heard[-1]) == (("prepare", "t"), ("cleanup",))
    assert sorted(TOLD) == [("ack", 1), ("ack", 3), ("fail", 2)]


@pytest.mark.parametrize("bolt", [Doubles(), AsyncDoubles(), AddsToBasic()])
def test_a_basic_bolt_acks_and_fails_as_ever(bolt: BasicBolt) -> None:
    found = run(Numbers(), bolt, **({} if isinstance(bolt, AddsToBasic) else AUTO))
    assert sorted(TOLD) == [("ack", 1), ("fail", 2), ("fail", 3)]
    assert sorted(each for each in of("bolt") if each[0] not in ("prepare", "cleanup")) == [
        ("bolt_ack", 1),
        ("bolt_execute", 1),
        ("bolt_execute", 2),
        ("bolt_execute", 3),
        ("bolt_fail", 2),
        ("bolt_fail", 3),
        ("emit", [2], "default", ()),
    ]
    assert [(component, "three" in text) for component, text in found.errors] == [("bolt", True)]


class Refuses(TaskHook):
    """Has tuple 2 failed when its bolt acks it."""

    def bolt_ack(self, info: Any) -> None:
        if info.tup[0] == 2:
            raise FailedError


class AsyncAcks(Bolt):
    async def execute(self, tup: Any) -> None:  # type: ignore[override]
        self.collector.ack(tup)


class Acks(Bolt):
    def execute(self, tup: Any) -> Any:
        self.collector.ack(tup)


@pytest.mark.parametrize("bolt", [Acks(), AsyncAcks()])
def test_a_tuple_whose_ack_a_hook_refuses_is_failed_at_once(bolt: Bolt) -> None:
    found = run(Numbers(), bolt, **{"topology.auto.task.hooks": [f"{__name__}:Refuses"]})
    assert sorted(TOLD) == [("ack", 1), ("ack", 3), ("fail", 2)]
    assert found.errors == []


def test_a_hook_that_is_added_late_hears_of_what_comes_then() -> None:
    run(Numbers(), AddsLate())
    assert [each for each in of("bolt") if each[0] in ("bolt_ack", "bolt_fail")] == [
        ("bolt_ack", 1), ("bolt_fail", 2), ("bolt_ack", 3),
    ]  # fmt: skip
    assert of("bolt")[-1] == ("cleanup",)


def test_tasks_without_hooks_emit_and_execute_without_a_detour() -> None:
    found = run(Numbers(), Adds())
    spout, bolt = (executor.tasks[0] for executor in found.lanes.executors if hasattr(executor, "tasks"))
    assert (spout.calls is None, bolt.calls is None) == (True, False)
    assert spout.collector.streams["default"].single is not None
    assert not of("numbers")


def test_with_hooks_figures_are_the_same() -> None:
    stats = []
    for conf in ({}, AUTO):
        TOLD.clear()
        found = run(Numbers(), Doubles(), **conf)
        stats.append([(one.emitted[ALL_TIME], one.transferred[ALL_TIME]) for one in found.lanes.stats().values()])
    assert stats[0] == stats[1]
    assert ({"default": 3}, {"default": 3}) in stats[0]


def test_an_ack_without_effect_is_not_told() -> None:
    class Twice(Bolt):
        def execute(self, tup: Any) -> None:
            self.collector.ack(tup)
            self.collector.fail(tup)

    found = run(Numbers(), Twice(), **AUTO)
    assert sorted(each for each in of("bolt") if each[0] in ("bolt_ack", "bolt_fail")) == [
        ("bolt_ack", 1), ("bolt_ack", 2), ("bolt_ack", 3),
    ]  # fmt: skip
    assert "failed a tuple" in found.errors[0][1]


def test_a_context_that_no_task_was_given_takes_no_hook() -> None:
    found = worker(Numbers(), Settles())
    task = found.lanes.plan.tasks_of("bolt")[0]
    with pytest.raises(ValueError, match=f"component 'bolt', task {task}: a hook is added through the context that"):
        found.lanes.plan.context(task).add_task_hook(Notes())


def test_what_a_hook_raises_the_task_raises() -> None:
    class Raises(TaskHook):
        def bolt_ack(self, info: Any) -> None:
            raise ZeroDivisionError

    class Hooked(Settles):
        task_hooks = (Raises(),)

    with pytest.raises(ZeroDivisionError):
        run(Numbers(), Hooked())


class Locks(TaskHook):
    def __init__(self) -> None:
        self.lock = threading.Lock()


def test_each_task_has_its_own_of_its_classs_hooks_where_they_can_be_copied() -> None:
    class Hooked(Settles):
        task_hooks = (Notes(), Locks())

    class Own(Settles):
        def __init__(self) -> None:
            self.task_hooks = (Notes(),)

    [one, locks], [other, same] = (hooks_of(Hooked(), "count", ()) for _ in range(2))
    assert one is not other
    assert locks is same
    component = Own()
    assert hooks_of(component, "count", ()) == list(component.task_hooks), "it may share its state with the component"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module.Hook", "no_such_module.Hook cannot be imported for component 'count'"),
        ("nothing", "nothing cannot be imported for component 'count'"),
        ("collections.OrderedDict", "collections.OrderedDict is no subclass of storm.TaskHook"),
    ],
)
def test_a_class_that_is_no_hook_is_named(name: str, why: str) -> None:
    with pytest.raises(WorkerStartError, match=f"topology.auto.task.hooks: {why}"):
        load_hook(name, "count")
