"""What hangs, seen from another thread: on real threads, but with the watch's time told by the test."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from several_workers import Faults, Network, NetworkTransfer, SeveralWorkers

from storm.clock import SystemClock
from storm.executor.lanes import Lanes
from storm.executor.stuck_watch import StuckWatch
from storm.testing.in_process import Shared
from storm.topology.builder import TopologyBuilder
from storm.topology.component import BasicBolt, Bolt, Spout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.executor.lane import Lane

WAIT_SECS = 30


class Gate(Shared):
    """Where a component hangs until the test opens it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.passed = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        self.opened.wait(WAIT_SECS)

    async def pass_through_async(self) -> None:
        self.reached.set()
        while not self.opened.is_set():
            await asyncio.sleep(0.005)


class Reports:
    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []

    def report_error(self, component_id: str, exception_text: str) -> None:
        self.errors.append((component_id, exception_text))


class Numbers(Spout):
    """Emits two numbers; hangs where it is told to."""

    outputs = ("number",)

    def __init__(self, gate: Gate, hangs_in: str = "") -> None:
        self.gate = gate
        self.hangs_in = hangs_in

    def open(self, conf: Any, context: Any, collector: Any) -> None:
        super().open(conf, context, collector)
        self.next = 0
        self.reach("open")

    def reach(self, method: str) -> None:
        if self.hangs_in == method:
            self.gate.pass_through()

    def next_tuple(self) -> None:
        self.reach("next_tuple")
        if self.next < 2:
            self.next += 1
            self.collector.emit([self.next], self.next)

    def ack(self, message_id: Any) -> None:
        self.reach("ack")

    def fail(self, message_id: Any) -> None:
        self.reach("fail")


class Sink(Bolt):
    """Acks 1 and fails 2; tells when it is done with both."""

    def __init__(self, gate: Gate, hangs: bool = False, fails: bool = True) -> None:
        self.gate = gate
        self.hangs = hangs
        self.fails = fails

    def execute(self, tup: Any) -> None:
        if self.hangs and tup.number == 2:
            self.work()
        if self.fails and tup.number == 2:
            self.collector.fail(tup)
        else:
            self.collector.ack(tup)
        if tup.number == 2:
            self.gate.passed.set()

    def work(self) -> None:
        self.gate.pass_through()


class Batches(Sink):
    def execute_batch(self, tuples: Any) -> None:  # type: ignore[override]
        for tup in tuples:
            self.execute(tup)


class Awaits(Sink):
    async def execute(self, tup: Any) -> None:  # type: ignore[override]
        if tup.number == 2:
            await self.work_async()
        self.collector.ack(tup)
        if tup.number == 2:
            self.gate.passed.set()

    async def work_async(self) -> None:
        await self.gate.pass_through_async()


class BlocksTheLoop(Sink):
    async def execute(self, tup: Any) -> None:  # type: ignore[override]
        super().execute(tup)


class PassesOn(BasicBolt):
    outputs = ("number",)

    def execute(self, tup: Any) -> None:
        self.collector.emit([tup.number])


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Lanes, StuckWatch, Gate]]]:
    started: list[tuple[Lanes, Gate]] = []

    def begin(spout: str = "", bolt: Any = Sink, fused: bool = False, **conf: Any) -> tuple[Lanes, StuckWatch, Gate]:
        gate = Gate()
        builder = TopologyBuilder()
        builder.set_spout("numbers", Numbers(gate, spout))
        sink = builder.set_bolt("sink", bolt(gate, hangs=not spout))
        if fused:
            builder.set_bolt("first", PassesOn()).shuffle_grouping("numbers")
            sink.none_grouping("first")
        else:
            sink.shuffle_grouping("numbers")
        settings = {"topology.executor." + key.replace("_", "."): value for key, value in conf.items()}
        planned = SeveralWorkers(builder.create_topology(), {"topology.executor.stuck.secs": 10, **settings})
        plan = planned.workers[0].plan
        planned.stop()
        network = Network(planned.clock, random.Random(1), Faults())
        lanes = Lanes(plan, NetworkTransfer(network), SystemClock(), Reports(), random.Random(1))
        watch = StuckWatch(lanes)
        started.append((lanes, gate))
        lanes.set_active(True)
        lanes.start()
        assert gate.reached.wait(WAIT_SECS)
        return lanes, watch, gate

    yield begin
    for lanes, gate in started:
        gate.opened.set()
        assert lanes.stop(WAIT_SECS)


def told(lanes: Lanes) -> list[tuple[str, str]]:
    return lanes.reports.errors  # type: ignore[attr-defined]


class Looks:
    """Looks at a watch in virtual time, one a pause."""

    def __init__(self, watch: StuckWatch, running: Lane | None = None) -> None:
        """`running`: a lane that has turns in each real pause between two looks."""
        self.watch = watch
        self.running = running
        self.now = 0.0
        assert watch.look(self.now) is None

    def until(self, now: float) -> list[str]:
        """The reasons for a restart that are told up to this time."""
        reasons = []
        while self.now < now:
            self.now += min(self.watch.pause_secs or 1e9, now - self.now)
            turns = None if self.running is None else self.running.turns
            while self.running is not None and self.running.turns == turns:
                threading.Event().wait(0.001)
            reasons.append(self.watch.look(self.now))
        return [reason for reason in reasons if reason is not None]


CASES = [
    pytest.param({"lane": "shared"}, id="shared"),
    pytest.param({"lane": "thread"}, id="thread"),
    pytest.param({"lane": "async"}, id="sync code on the event loop"),
    pytest.param({"bolt": Batches, "lane": "shared"}, id="execute_batch"),
    pytest.param({"bolt": BlocksTheLoop}, id="blocks the event loop"),
    pytest.param({"bolt": Awaits}, id="awaits"),
    pytest.param({"fused": True, "lane": "shared"}, id="called within an emit"),
]


@pytest.mark.parametrize("case", CASES)
def test_a_bolt_that_hangs_is_named_with_its_stack_and_its_tuple_and_again_when_it_goes_on(
    start: Any, case: dict[str, Any]
) -> None:
    lanes, watch, gate = start(**case)
    looks = Looks(watch, lanes.lanes[-1] if case.get("bolt") is Awaits else None)
    looks.until(9)
    assert told(lanes) == []
    assert looks.until(20) == []  # nobody asked for a restart
    [(component, text)] = told(lanes)
    assert component == "sink"
    task = lanes.plan.tasks_of("sink")[0]
    source = "first" if case.get("fused") else "numbers"
    head, work, *stack = text.splitlines()
    assert head.startswith(f"component 'sink', task {task}, has been in one call for 1")
    assert "topology.executor.stuck.secs is 10" in head
    assert work.startswith(f"It works on [2] from '{source}'")
    assert stack[0] == "Stack (most recent call last):"
    assert any(line.strip().startswith(("self.work()", "await self.work_async()")) for line in stack)
    assert not any("storm/executor/" in line for line in stack)
    gate.opened.set()
    assert gate.passed.wait(WAIT_SECS)
    looks.running = None
    while len(told(lanes)) == 1 and looks.now < 2000:
        threading.Event().wait(0.01)
        looks.until(looks.now + 1)
    [_, (component, text)] = told(lanes)
    assert component == "sink"
    assert "goes on" in text


@pytest.mark.parametrize("lane", ["shared", "async"])
@pytest.mark.parametrize("method", ["open", "next_tuple", "ack", "fail"])
def test_a_spout_that_hangs_in_any_method_is_named(start: Any, method: str, lane: str) -> None:
    lanes, watch, _ = start(method, lane=lane)
    Looks(watch).until(13)
    assert "numbers" in [component for component, _ in told(lanes)]
    texts = [text for component, text in told(lanes) if f"in {method}\n" in text]
    assert texts
    assert all("It works on" not in text for text in texts)


def test_an_async_spout_may_wait_for_what_comes(start: Any) -> None:
    class Waits(Numbers):
        async def next_tuple(self) -> None:  # type: ignore[override]
            await self.gate.pass_through_async()

    gate = Gate()
    builder = TopologyBuilder()
    builder.set_spout("numbers", Waits(gate))
    planned = SeveralWorkers(builder.create_topology(), {"topology.executor.stuck.secs": 10})
    lanes = planned.workers[0]
    watch = StuckWatch(lanes)
    for _ in range(5):
        lanes.step(planned.clock.now())
    assert gate.reached.is_set()
    Looks(watch).until(100)
    assert planned.errors == []
    gate.opened.set()
    planned.stop()


def test_the_worker_is_to_end_where_the_topology_says_so(start: Any) -> None:
    _, watch, _ = start(stuck_restart=True, lane="thread")
    [reason] = Looks(watch).until(30)
    assert "component 'sink' is stuck" in reason


def test_a_component_may_have_a_limit_of_its_own_or_none(start: Any) -> None:
    lanes, watch, _ = start(lane="thread", stuck_secs=None)
    assert watch.pause_secs is None
    Looks(watch).until(1e6)
    assert told(lanes) == []


def test_a_process_that_was_paused_is_not_stuck(start: Any) -> None:
    lanes, watch, _ = start(lane="thread")
    looks = Looks(watch)
    looks.until(3)
    watch.look(looks.now + 1000)
    looks.now += 1000
    looks.until(1007)
    assert told(lanes) == []
    looks.until(1012)
    assert len(told(lanes)) == 1


def test_lanes_that_work_or_sleep_are_not_stuck(start: Any) -> None:
    lanes, watch, gate = start(lane="shared", bolt=Sink)
    gate.opened.set()
    assert gate.passed.wait(WAIT_SECS)
    looks = Looks(watch)
    for now in range(40):  # idle: its polls are turns
        threading.Event().wait(0.03)
        looks.until(now)
    assert told(lanes) == []


@pytest.mark.parametrize(("limit", "pause"), [(60, 1.0), (1, 0.2), (0.1, 0.02)])
def test_looks_are_as_frequent_as_the_limit_needs(start: Any, limit: float, pause: float) -> None:
    assert start(stuck_secs=limit)[1].pause_secs == pytest.approx(pause)
