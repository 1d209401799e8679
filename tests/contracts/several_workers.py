"""A topology over several workers in virtual time, without threads: the network between them delays, loses and doubles.

For tests of executors and of what is built on them. All chance comes from one seed.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storm.config.settings import Settings
from storm.config.topology_conf import effective_conf
from storm.executor.lanes import Lanes
from storm.executor.plan import WorkerPlan
from storm.testing.simulated_clock import SimulatedClock
from storm.topology.parallelism import component_executors, component_tasks, executors, task_components
from storm.topology.system_topology import system_topology
from storm.tuples import Tuple

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping, Sequence

    from storm.executor.transfer import Tracking
    from storm.ids import ExecutorId, TaskId
    from storm.topology.structure import StormTopology

STEPS_MAX = 200_000


@dataclass(frozen=True)
class Faults:
    """Shares of messages between workers that are lost, or come twice; they take up to `delay_secs`, in any order."""

    lost: float = 0.0
    doubled: float = 0.0
    delay_secs: float = 0.0


class Network:
    """Messages under way between workers."""

    def __init__(self, clock: SimulatedClock, rng: random.Random, faults: Faults) -> None:
        self.clock = clock
        self.rng = rng
        self.faults = faults
        self.workers: list[Lanes] = []
        self.under_way: list[tuple[float, int, Callable[[], bool]]] = []
        self.sent = 0

    def post(self, deliver: Callable[[], bool]) -> None:
        self.sent += 1
        if self.rng.random() < self.faults.lost:
            return
        for _ in range(2 if self.rng.random() < self.faults.doubled else 1):
            due = self.clock.now() + self.rng.random() * self.faults.delay_secs
            heapq.heappush(
                self.under_way, (due, self.rng.getrandbits(30) if self.faults.delay_secs else self.sent, deliver)
            )

    def deliver_due(self) -> bool:
        did = False
        while self.under_way and self.under_way[0][0] <= self.clock.now():
            heapq.heappop(self.under_way)[2]()
            did = True
        return did


class NetworkTransfer:
    """One worker's `Transfer`: what it sends is a copy, as after a real wire."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def check(self, values: Sequence[Any]) -> None:
        pass

    def send(self, target: TaskId, tuples: list[Tuple]) -> None:
        rows = [
            (t.origin.task, t.origin.stream, list(t.values), t.root, t.edge, dict(t.more) if t.more else None)
            for t in tuples
        ]
        self.network.post(lambda: any(self._deliver(worker, target, rows) for worker in self.network.workers))

    @staticmethod
    def _deliver(worker: Lanes, target: TaskId, rows: list[tuple[Any, ...]]) -> bool:
        if target not in worker.plan.local_tasks:
            return False
        tuples = []
        for task, stream, values, root, edge, more in rows:
            tup = Tuple(list(values), worker.origin(task, stream), root, edge)
            tup.target = target
            tup.more = dict(more) if more else None
            tuples.append(tup)
        return worker.deliver(target, tuples)

    def send_tracking(self, kind: Tracking, target: TaskId, source: TaskId, pairs: array[int]) -> None:
        packed = pairs.tobytes()
        self.network.post(
            lambda: any(
                worker.deliver_tracking(kind, target, source, memoryview(packed).cast("Q"))
                for worker in self.network.workers
            )
        )

    def flush(self) -> None:
        pass


class SeveralWorkers:
    """`errors` are what components reported, (component, text). Executors are dealt out to the workers in turn, unless
    `place` names a worker for each."""

    def __init__(
        self,
        topology: StormTopology,
        conf: Mapping[str, Any] | None = None,
        *,
        workers: int = 1,
        seed: int = 1,
        faults: Faults | None = None,
        place: Callable[[str, ExecutorId], int] | None = None,
    ) -> None:
        effective = effective_conf(Settings.of(), {"topology.workers": workers, **(conf or {})})
        system = system_topology(topology, effective)
        tasks = component_tasks(system, effective)
        every = executors(component_executors(system, effective), tasks)
        rng = random.Random(seed)
        self.errors: list[tuple[str, str]] = []
        self.clock = SimulatedClock(now=1000.0)
        self.network = Network(self.clock, rng, faults or Faults())
        placed: list[list[ExecutorId]] = [[] for _ in range(workers)]
        everywhere = [(component, executor) for component, found in every.items() for executor in found]
        for i, (component, executor) in enumerate(everywhere):
            placed[i % workers if place is None else place(component, executor)].append(executor)
        names = task_components(system, effective)
        for i, mine in enumerate(placed):
            plan = WorkerPlan(system, effective, "test-1-1", mine, names, port=6700 + i)
            lanes = Lanes(plan, NetworkTransfer(self.network), self.clock, self, random.Random(rng.getrandbits(64)))
            self.network.workers.append(lanes)
        self.workers = self.network.workers
        for worker in self.workers:
            worker.set_active(True)

    def report_error(self, component_id: str, exception_text: str) -> None:
        self.errors.append((component_id, exception_text))

    def tasks_of(self, component_id: str) -> tuple[TaskId, ...]:
        return self.workers[0].plan.tasks_of(component_id)

    def settle(self) -> None:
        """Step until there is nothing to do at this time."""
        for _ in range(STEPS_MAX):
            did = self.network.deliver_due()
            for worker in self.workers:
                did = worker.step(self.clock.now()) or did
            if not did:
                return
        raise AssertionError("the workers never come to rest")

    def run_for(self, secs: float) -> None:
        """Let virtual time pass, with everything that is due in it."""
        end = self.clock.now() + secs
        for _ in range(STEPS_MAX):
            self.settle()
            dues = [due for due in [worker.next_due() for worker in self.workers] if due is not None]
            if self.network.under_way:
                dues.append(self.network.under_way[0][0])
            due = min(dues, default=end)
            if due >= end:
                self.clock.jump_to(end)
                self.settle()
                return
            self.clock.jump_to(max(due, self.clock.now()))
        raise AssertionError("too much happened in this time")

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop(0)
