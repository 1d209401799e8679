from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from scripted_components import Script, ScriptedBolt, ScriptedSpout, ack_it, emit_up_to
from several_workers import Faults, Network, NetworkTransfer, SeveralWorkers

from storm.clock import SystemClock
from storm.executor.insight_watch import TEXT_CHARS_MAX, InsightWatch, failures
from storm.executor.lanes import Lanes
from storm.metrics.insight_records import (
    BACK_PRESSURE,
    IN_CALL,
    INACTIVE,
    MAX_PENDING,
    MISSING_PEERS,
    NOTHING_TO_EMIT,
    OPENING,
    SLOW_PEER,
    WAITS_FOR_THREAD,
    ExecutorInsight,
    FailedTuple,
    Hindrance,
    Obstacles,
)
from storm.topology.builder import TopologyBuilder

if TYPE_CHECKING:
    from storm.executor.executor import Executor

WAIT_SECS = 30
NO_OBSTACLES = Obstacles()


class Site:
    """A spout of two tasks and a bolt that takes what it emits, in one worker that the test steps."""

    def __init__(self, script: Script, spout: Any = ScriptedSpout, bolt: Any = ScriptedBolt, **conf: Any) -> None:
        builder = TopologyBuilder()
        builder.set_spout("spout", spout(script)).set_num_tasks(2)
        builder.set_bolt("bolt", bolt(script)).shuffle_grouping("spout")
        settings = {"topology." + key.replace("_", "."): value for key, value in conf.items()}
        self.workers = SeveralWorkers(builder.create_topology(), settings)
        [self.lanes] = self.workers.workers
        [self.bolt_task] = self.workers.tasks_of("bolt")
        self.watch = InsightWatch(self.lanes)

    def executor(self, component: str) -> Executor:
        return next(each for each in self.lanes.executors if each.component == component)

    def look(self, component: str, obstacles: Obstacles = NO_OBSTACLES) -> ExecutorInsight:
        return self.watch.look(self.workers.clock.now(), obstacles)[self.executor(component).id]


def test_a_spout_that_may_not_emit_yet_says_for_whom_it_waits() -> None:
    site = Site(Script())
    site.lanes.set_active(False)
    assert site.look("spout").hindrance == Hindrance(INACTIVE)
    awaiting = Obstacles(awaited=("b:6700",))
    assert site.look("spout", awaiting).hindrance == Hindrance(MISSING_PEERS, held_by_workers=("b:6700",))
    site.lanes.set_active(True)
    assert site.look("spout").hindrance == Hindrance(OPENING)


def test_a_spout_that_may_not_emit_any_more_is_silent_at_once() -> None:
    site = Site(Script(next_tuple=emit_up_to(3)))
    site.workers.run_for(1)
    site.lanes.set_active(False)
    found = site.look("spout")
    assert (found.hindrance.reason, found.silent, found.pending) == (INACTIVE, True, 6)


def test_a_spout_at_its_limit_says_how_many_are_under_way() -> None:
    site = Site(Script(next_tuple=emit_up_to(1000)), max_spout_pending=5)
    site.workers.run_for(1)
    first, second = site.look("spout"), site.look("spout")
    assert first == ExecutorInsight(Hindrance(MAX_PENDING), silent=False, pending=10, pending_max=10)
    assert second.silent


def test_a_spout_without_a_limit_has_none() -> None:
    site = Site(Script(next_tuple=emit_up_to(3)), max_spout_pending=None)
    site.workers.run_for(1)
    assert (site.look("spout").pending, site.look("spout").pending_max) == (6, None)


def test_a_spout_that_emits_is_hindered_by_nothing_and_one_that_has_nothing_is_silent() -> None:
    script = Script(next_tuple=emit_up_to(3), execute=ack_it)
    site = Site(script)
    site.workers.run_for(1)
    assert site.look("spout") == ExecutorInsight(silent=False, pending=0, pending_max=10_000)
    site.workers.run_for(1)
    assert site.look("spout").hindrance == Hindrance(NOTHING_TO_EMIT)
    script.on["next_tuple"] = emit_up_to(4)
    site.workers.run_for(1)
    assert site.look("spout").hindrance == Hindrance()


def test_an_async_spout_that_awaits_something_to_emit_is_silent() -> None:
    class Awaiting(ScriptedSpout):
        async def next_tuple(self) -> None:
            super().next_tuple()

    site = Site(Script(), spout=Awaiting)
    site.workers.run_for(1)
    assert site.look("spout").hindrance == Hindrance(NOTHING_TO_EMIT)
    site.workers.stop()


def test_back_pressure_names_the_component_and_the_worker_where_it_is() -> None:
    site = Site(Script())
    site.workers.settle()
    site.lanes.note_full(site.bolt_task)
    assert site.look("spout").hindrance == Hindrance(BACK_PRESSURE, ("bolt",))
    assert site.look("bolt").full
    site.lanes.note_eased(site.bolt_task)
    assert not site.look("bolt").full
    site.lanes.throttle(frozenset({site.bolt_task}))
    there = {"b:6700": frozenset({site.bolt_task, 999}), "c:6700": frozenset({998})}  # tasks that nobody knows
    assert site.look("spout", Obstacles(announced=there)).hindrance == Hindrance(BACK_PRESSURE, ("bolt",), ("b:6700",))
    assert site.look("spout", Obstacles(slow=there)).hindrance == Hindrance(SLOW_PEER, ("bolt",), ("b:6700",))
    site.lanes.throttle(frozenset())
    assert site.look("spout").hindrance == Hindrance(NOTHING_TO_EMIT)


def test_a_bolt_tells_its_queue_and_what_it_has_not_settled() -> None:
    script = Script(next_tuple=emit_up_to(4))
    site = Site(script, executor_receive_buffer_size=64)
    site.workers.run_for(1)
    found = site.look("bolt")
    assert (found.queued, found.queue_max, found.queue_mark, found.unsettled) == (0, 0, 64, 8)
    assert found.hindrance == Hindrance()
    waiting = [argument for who, _, called, argument in script.calls if (who, called) == ("bolt", "execute")]
    assert site.lanes.deliver(site.bolt_task, waiting[:3])
    found = site.look("bolt")
    assert (found.queued, found.queue_max, found.full) == (3, 3, False)


def test_what_an_async_bolt_awaits_is_in_its_hands() -> None:
    class Awaiting(ScriptedBolt):
        async def execute(self, tup: Any) -> None:
            await super().execute(tup)

    async def hold(bolt: Any, tup: Any) -> None:
        while not released:
            await asyncio.sleep(0)
        bolt.collector.ack(tup)

    released: list[bool] = []
    site = Site(Script(next_tuple=emit_up_to(4), execute=hold), bolt=Awaiting)
    try:
        site.workers.settle()
        assert site.look("bolt").unsettled == 8
        released.append(True)
        site.workers.run_for(1)
        assert site.look("bolt").unsettled == 0
    finally:
        site.workers.stop()


def test_a_bolt_that_is_not_prepared_and_has_a_queue_is_opening() -> None:
    site = Site(Script())
    site.workers.settle()
    bolt = site.executor("bolt")
    bolt.prepared = False
    site.lanes.deliver(site.bolt_task, [])
    assert site.look("bolt").hindrance == Hindrance()
    site.lanes.lane_of[site.bolt_task].waiting[site.bolt_task] = 1
    assert site.look("bolt").hindrance == Hindrance(OPENING)


def test_so_is_an_async_bolt_whose_prepare_waits() -> None:
    class Waits(ScriptedBolt):
        async def prepare(self, *_: Any) -> None:  # type: ignore[override]
            await asyncio.get_running_loop().create_future()

    site = Site(Script(), bolt=Waits)
    site.workers.settle()
    site.lanes.lane_of[site.bolt_task].waiting[site.bolt_task] = 1
    assert site.look("bolt").hindrance == Hindrance(OPENING)
    site.workers.stop()


def test_the_last_failures_are_kept_with_who_failed_them_and_how_old_they_were() -> None:
    script = Script(next_tuple=emit_up_to(8))
    site = Site(script)
    site.workers.run_for(2)
    held = [(bolt, tup) for bolt, tup in _executed(site, script)]
    for bolt, tup in held:
        bolt.collector.fail(tup)
    site.workers.settle()
    told_at = site.workers.clock.now()
    found = failures(site.executor("spout"), told_at + 5, 1_700_000_000)
    assert len(found) == 10
    assert {(each.kind, each.component, each.wall_secs) for each in found} == {("failed", "bolt", 1_699_999_995)}
    assert all(each.text == f"'bolt' (task {site.bolt_task}) failed it" for each in found)
    assert all(1.9 < each.age_secs <= 2.0 for each in found)
    assert {each.message_id for each in found} <= {
        repr((task, number)) for task in site.workers.tasks_of("spout") for number in range(1, 9)
    }
    assert failures(site.executor("bolt"), told_at, 0) == ()


def _executed(site: Site, script: Script) -> list[tuple[Any, Any]]:
    bolt: Any = site.executor("bolt")
    return [(bolt.tasks[0].bolt, argument) for _, _, called, argument in script.calls if called == "execute"]


def test_an_id_that_cannot_be_shown_and_a_long_reason_do_no_harm() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise ValueError("no")

    def emit(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit([1], Unspeakable())

    site = Site(Script(next_tuple=emit))
    site.workers.settle()
    site.lanes.fail_pending("x" * 10_000)
    site.workers.settle()
    [one, _] = failures(site.executor("spout"), site.workers.clock.now(), 1_700_000_000)
    assert one == FailedTuple(
        one.task, one.message_id, "worker-died", None, "x" * TEXT_CHARS_MAX, one.age_secs, 1_700_000_000
    )
    assert "Unspeakable" in one.message_id


class Gate:
    """Where `next_tuple` hangs until the test opens it."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def pass_through(self, spout: Any, _: Any) -> None:
        self.reached.set()
        self.opened.wait(WAIT_SECS)


@pytest.mark.parametrize("lane", ["shared", "thread"])
def test_a_call_that_goes_on_is_seen_at_the_second_look_at_it(lane: str) -> None:
    gate = Gate()
    script = Script(next_tuple=gate.pass_through)
    site = Site(script, executor_lane=lane)
    transfer = NetworkTransfer(Network(site.workers.clock, random.Random(1), Faults()))
    lanes = Lanes(site.lanes.plan, transfer, SystemClock(), site.workers, random.Random(1))
    watch = InsightWatch(lanes)
    lanes.set_active(True)
    lanes.start()
    try:
        assert gate.reached.wait(WAIT_SECS)
        lanes.lane_of[site.bolt_task].waiting[site.bolt_task] = 1  # something that its thread does not come to
        looks = [watch.look(now, NO_OBSTACLES) for now in (1.0, 2.0, 5.0)]
        spout, bolt = ([look[site.executor(name).id].hindrance for look in looks] for name in ("spout", "bolt"))
        assert [each.reason for each in spout] == [NOTHING_TO_EMIT, NOTHING_TO_EMIT, IN_CALL]
        assert spout[2].call_secs == 3.0
        assert spout[2].call_at.startswith("threading.py, line ")
        waits = (WAITS_FOR_THREAD, ("spout",), 3.0)
        assert ((bolt[2].reason, bolt[2].held_by, bolt[2].call_secs) == waits) == (lane == "shared")
    finally:
        script.on.clear()
        gate.opened.set()
        assert lanes.stop(WAIT_SECS)


def test_an_id_is_made_text_by_its_spout_once_and_never_by_who_looks() -> None:
    shown: list[str] = []

    class Odd:
        def __repr__(self) -> str:
            shown.append("once")
            return "\ud800" + "x" * 10_000

    def emit(spout: Any, _: Any) -> None:
        if not spout.emitted:
            spout.emitted = 1
            spout.collector.emit([1], Odd())

    site = Site(Script(next_tuple=emit))
    site.workers.settle()
    site.lanes.fail_pending("it died")
    site.workers.settle()
    before = list(shown)
    for _ in range(3):
        found = failures(site.executor("spout"), site.workers.clock.now(), 1_700_000_000)
    assert shown == before
    assert found
    for each in found:
        assert len(each.message_id.encode()) < 1_000
