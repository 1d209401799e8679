"""What tests of a worker's messaging are made of: a clock that stands still, lanes that only note things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storm.cluster.records import Assignment
from storm.ids import ExecutorId, WorkerSlot
from storm.tuples import Origin, Tuple
from storm.worker.backpressure import Marks
from storm.worker.connections import Peer, View, alone, own_address, view
from storm.worker.exchange import Exchange, ExchangeOptions
from storm.worker.receive import Receive
from storm.worker.transfer import TransferOptions, WorkerTransfer

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from storm.executor.inquiry import Holding
    from storm.executor.transfer import Tracking
    from storm.messaging.batch import WorkerAddress
    from storm.messaging.in_process import InProcessNetwork

LEFT, RIGHT = WorkerSlot("left", 6700), WorkerSlot("right", 6701)
SPLIT = Origin("split", "default", 1, ["word", "n"])
COUNT = Origin("count", "totals", 2, ["total"])
ORIGINS = {(origin.task, origin.stream): origin for origin in (SPLIT, COUNT)}
MARKS = Marks(high=100, low=40)


class StandingClock:
    """Time passes when a test says so."""

    def __init__(self) -> None:
        self.secs = 1000.0

    def now(self) -> float:
        return self.secs

    def wall_secs(self) -> int:
        return 1_700_000_000 + int(self.secs)

    def process_secs(self) -> float:
        return 0.0

    def queued_secs(self) -> float:
        return 0.0

    def sleep(self, secs: float) -> None:
        self.secs += secs


@dataclass
class NotingLanes:
    """Takes what `Receive` and `Exchange` give to lanes."""

    tuples: list[tuple[int, list[Any]]] = field(default_factory=list)
    tracking: list[tuple[Tracking, int, int, list[int]]] = field(default_factory=list)
    throttled: list[frozenset[int]] = field(default_factory=list)
    lengths: dict[int, int] = field(default_factory=dict)
    failed_pending: int = 0
    emitting: bool = True
    holdings: list[Holding] | None = None
    asked: list[tuple[int, ...]] = field(default_factory=list)
    answers: list[tuple[int, str, list[Holding]]] = field(default_factory=list)

    def deliver(self, target: int, tuples: list[Tuple]) -> bool:
        self.tuples += [(target, [tup.origin.task, *tup.values, tup.root, tup.edge]) for tup in tuples]
        return True

    def deliver_tracking(self, kind: Tracking, target: int, source: int, pairs: array[int] | memoryview) -> None:
        self.tracking.append((kind, target, source, list(pairs)))

    def origin(self, task: int, stream: str) -> Origin:
        return ORIGINS[task, stream]

    def throttle(self, tasks: frozenset[int]) -> None:
        self.throttled.append(tasks)

    def fail_pending(self, why: str) -> None:
        self.failed_pending += 1

    def is_emitting(self) -> bool:
        return self.emitting

    def held(self, roots: Sequence[int]) -> list[Holding] | None:
        self.asked.append(tuple(roots))
        return self.holdings

    def answered(self, number: int, worker: str, holdings: Sequence[Holding]) -> None:
        self.answers.append((number, worker, list(holdings)))

    def queue_lengths(self) -> dict[int, int]:
        return dict(self.lengths)


def assignment(version: int = 3, left_epoch: int = 3, right_epoch: int = 3) -> Assignment:
    """Task 1 runs left, 2 and 3 right."""
    return Assignment(
        "wc-1-0",
        version,
        {ExecutorId(1, 1): LEFT, ExecutorId(2, 3): RIGHT},
        {},
        {"left": "127.0.0.1", "right": "127.0.0.1"},
        {LEFT: left_epoch, RIGHT: right_epoch},
    )


def address(slot: WorkerSlot, epoch: int = 3) -> WorkerAddress:
    return own_address(alone("wc-1-0", slot, epoch), slot, epoch)


def right_peer() -> Peer:
    [peer] = view(assignment(), LEFT).peers.values()
    return peer


class Side:
    """One worker's messaging over a network in memory, stepped by the test."""

    def __init__(self, network: InProcessNetwork, slot: WorkerSlot, tasks: set[int], epoch: int = 3) -> None:
        self.clock = StandingClock()
        self.network = network
        self.slot = slot
        self.lanes = NotingLanes()
        self.transport = network.transport()
        self.transport.bind("127.0.0.1", slot.port)
        self.transfer = WorkerTransfer(address(slot, epoch), TransferOptions(queue_sections_mark=4), self.clock)
        seen: View = alone("wc-1-0", slot, epoch)
        self.receive = Receive(self.lanes, frozenset(tasks), seen)
        options = ExchangeOptions(address(slot, epoch), id(self), MARKS)
        self.exchange = Exchange(self.transport, self.transfer, self.receive, self.lanes, self.clock, options)

    def sees(self, found: Assignment) -> None:
        self.exchange.update(view(found, self.slot))


def turns(*sides: Side, count: int = 6) -> None:
    """Let each side have turns; 10 ms pass with each."""
    for _ in range(count):
        for side in sides:
            side.exchange.step()
            side.clock.sleep(0.01)
