"""Lanes on real threads: the same laws as in steps, sleeping and waking, blocking code, orderly ends."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from several_workers import Faults, Network, NetworkTransfer, SeveralWorkers

from storm.clock import SystemClock
from storm.executor.lanes import Lanes
from storm.testing.in_process import Shared
from storm.testing.spouts_and_bolts import AckTracker, Capture, FeederSpout, FixedTupleSpout, TupleCaptureBolt
from storm.topology.builder import TopologyBuilder
from storm.topology.component import Bolt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storm.topology.structure import StormTopology

DEADLINE_SECS = 30
ROWS = 3000


class Reports:
    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []

    def report_error(self, component_id: str, exception_text: str) -> None:
        self.errors.append((component_id, exception_text))


@pytest.fixture
def start() -> Iterator[Callable[..., Lanes]]:
    started: list[Lanes] = []

    def begin(topology: StormTopology, **conf: Any) -> Lanes:
        settings = {"topology." + key.replace("_", "."): value for key, value in conf.items()}
        planned = SeveralWorkers(topology, settings)
        plan = planned.workers[0].plan
        planned.stop()
        network = Network(planned.clock, random.Random(1), Faults())
        lanes = Lanes(plan, NetworkTransfer(network), SystemClock(), Reports(), random.Random(1))
        started.append(lanes)
        lanes.set_active(True)
        lanes.start()
        return lanes

    yield begin
    for lanes in started:
        assert lanes.stop(DEADLINE_SECS)


class Works(Bolt):
    outputs = ("number",)

    def work(self) -> None:
        pass

    def execute(self, tup: Any) -> None:
        self.work()
        self.collector.emit([tup.number], tup)
        self.collector.ack(tup)


class Waits(Works):
    """Blocks as on a disk or network, without using the CPU."""

    def work(self) -> None:
        threading.Event().wait(0.005)


class WaitsAsync(Works):
    async def execute(self, tup: Any) -> None:  # type: ignore[override]
        await asyncio.sleep(0.002)
        super().execute(tup)


class Breaks(Works):
    def work(self) -> None:
        raise RuntimeError("broken")


def chain(tracker: AckTracker, capture: Capture, middle: Bolt, rows: int = ROWS) -> StormTopology:
    builder = TopologyBuilder()
    builder.set_spout("numbers", FixedTupleSpout([[n] for n in range(rows)], ["number"], tracker))
    builder.set_bolt("middle", middle, 2).shuffle_grouping("numbers")
    builder.set_bolt("last", TupleCaptureBolt(capture), 2).fields_grouping("middle", ["number"])
    return builder.create_topology()


@pytest.mark.parametrize("lane", ["shared", "thread", "auto", "async"])
@pytest.mark.parametrize("middle", [Works(), WaitsAsync()], ids=["sync", "async"])
def test_every_tuple_arrives_once_and_is_acked(start: Any, lane: str, middle: Bolt) -> None:
    tracker, capture = AckTracker(), Capture()
    lanes = start(chain(tracker, capture, middle), executor_lane=lane, max_spout_pending=500)
    assert tracker.wait_settled(ROWS, DEADLINE_SECS)
    assert tracker.failed == []
    assert sorted(found.values[0] for found in capture.tuples()) == list(range(ROWS))
    assert lanes.failure is None


class WorksLater(Works):
    """In a task of its own, once nothing else is under way."""

    async def execute(self, tup: Any) -> None:  # type: ignore[override]
        self.later = asyncio.create_task(self.work_later(tup))

    async def work_later(self, tup: Any) -> None:
        await asyncio.sleep(0.1)
        super().execute(tup)


def test_what_a_task_of_a_components_own_emits_and_acks_waits_for_no_other_tuple(start: Any) -> None:
    tracker, capture = AckTracker(), Capture()
    start(chain(tracker, capture, WorksLater(), rows=1), message_timeout_secs=10)
    assert tracker.wait_settled(1, DEADLINE_SECS)
    assert tracker.failed == []


def test_code_that_blocks_gets_a_thread_of_its_own_and_loses_nothing(start: Any) -> None:
    tracker, capture = AckTracker(), Capture()
    lanes = start(chain(tracker, capture, Waits(), rows=600), max_spout_pending=500)
    assert tracker.wait_settled(600, DEADLINE_SECS)
    assert tracker.failed == []
    assert "middle" in {lane.name.split("[")[0] for lane in lanes.lanes}  # on a busy machine others may move too
    of_one_sender = [found.values[0] for found in capture.tuples()]
    assert sorted(of_one_sender) == list(range(600))


def test_a_sleeping_lane_wakes_for_what_is_delivered(start: Any) -> None:
    capture = Capture()
    builder = TopologyBuilder()
    feeder = FeederSpout(["number"])
    builder.set_spout("numbers", feeder)
    builder.set_bolt("last", TupleCaptureBolt(capture)).shuffle_grouping("numbers")
    topology = builder.create_topology()
    lanes = start(topology, executor_lane="thread")
    lanes.set_active(False)
    for number in range(20):
        lanes.set_active(True)
        feeder.feed([number], number)
        assert capture.wait(number + 1, DEADLINE_SECS)
        lanes.set_active(False)


def test_a_failure_ends_all_lanes_and_is_told(start: Any) -> None:
    tracker, capture = AckTracker(), Capture()
    lanes = start(chain(tracker, capture, Breaks()), executor_lane="thread")
    assert lanes.wait_failed(DEADLINE_SECS)
    assert isinstance(lanes.failure, RuntimeError)
    for lane in lanes.lanes:
        lane.thread.join(DEADLINE_SECS)
        assert not lane.thread.is_alive()
    [(component, text)] = lanes.reports.errors
    assert component == "middle"
    assert text.endswith("RuntimeError: broken")


def test_a_lane_that_cannot_go_on_is_a_failure_too(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: NetworkTransfer) -> None:
        raise OSError("no sockets left")

    monkeypatch.setattr(NetworkTransfer, "flush", broken)
    tracker, capture = AckTracker(), Capture()
    lanes = start(chain(tracker, capture, Works()))
    assert lanes.wait_failed(DEADLINE_SECS)
    [(component, text)] = lanes.reports.errors
    assert component == "__system"
    assert "OSError: no sockets left" in text


class Callers(Shared):
    """Who called a bolt, and whether two did at once."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = threading.Lock()
        self.threads: set[str] = set()
        self.clashes = 0


class OneAtATime(Works):
    def __init__(self, callers: Callers) -> None:
        self.callers = callers

    def work(self) -> None:
        if not self.callers.busy.acquire(blocking=False):
            self.callers.clashes += 1
            return
        self.callers.threads.add(threading.current_thread().name)
        threading.Event().wait(0.005)
        self.callers.busy.release()


def test_code_of_an_executor_never_runs_in_two_threads_at_once(start: Any) -> None:
    """Not even while it moves to a lane of its own."""
    callers, tracker = Callers(), AckTracker()
    builder = TopologyBuilder()
    builder.set_spout("numbers", FixedTupleSpout([[n] for n in range(400)], ["number"], tracker), 3).set_num_tasks(3)
    builder.set_bolt("one", OneAtATime(callers)).shuffle_grouping("numbers").set_num_tasks(2)
    lanes = start(builder.create_topology(), max_spout_pending=200)
    assert tracker.wait_settled(400, DEADLINE_SECS)
    assert callers.clashes == 0
    assert len(callers.threads) == 2  # the shared lane's, then its own
    assert len(lanes.lanes) >= 2


def test_the_end_comes_in_time_even_if_code_hangs(start: Any) -> None:
    tracker, capture, gate = AckTracker(), Capture(), Gate()
    lanes = start(chain(tracker, capture, Hangs(gate)), executor_lane="thread")
    assert gate.reached.wait(DEADLINE_SECS)
    assert not lanes.stop(0.05)
    gate.opened.set()


class Gate(Shared):
    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.opened = threading.Event()


class Hangs(Works):
    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def work(self) -> None:
        self.gate.reached.set()
        self.gate.opened.wait(DEADLINE_SECS)
